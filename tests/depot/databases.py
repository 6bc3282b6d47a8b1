# SPDX-License-Identifier: GPL-2.0-or-later
"""PostgreSQL under the warehouse: over TLS, and when it crashes."""
import json
import os
import select
import subprocess
import threading
import time

from world import CHIPS, TOP, Depot, Failed, Https, eid, environment, expect, in_time, raise_worst, run, wait_for, work


def test_database_tls(build, server):
    """TLS to the database: only the server that the CA certifies under that name, only with a certificate or SCRAM."""
    def status(url, **keywords):
        return run(build, 'tools/depot/ifpp-depot', 'status', '--db', url, **keywords)

    name = f'{build}_tls'
    server.create(name)
    run(build, 'tools/depot/ifpp-depot', 'init', '--db', server.tls(name))
    expect(server.sql(name, "SELECT value FROM depot WHERE name = 'version' AND value > 0"), 'it is another database')
    status(server.tls(name))
    passfile = os.path.join(work, 'passfile')
    for password, code in (('factory', 0), ('wrong', 9)):
        with open(passfile, 'w') as file:
            file.write(f'localhost:*:*:scram:{password}\n')
        os.chmod(passfile, 0o600)
        told = status(server.tls(name, 'scram', sslcert=None, sslkey=None, passfile=passfile), code=code)
        expect(password not in told.err, told.err)
    for what, url, says in (
            ('another CA', server.tls(name, sslrootcert=os.path.join(work, 'strangers.pem')), 'certificate verify failed'),
            ('another name', server.tls(name, host='elsewhere', hostaddr='127.0.0.1'), 'elsewhere'),
            ('no TLS', server.tls(name, sslmode='disable'), 'no encryption'),
            ('no certificate', server.tls(name, sslcert='/none', sslkey='/none'), 'certificate'),
            ('of another user', server.tls(name, sslcert=os.path.join(work, 'one.pem'),
                                           sslkey=os.path.join(work, 'one.key')), 'ifpp'),
            ('of a stranger', server.tls(name, sslcert=os.path.join(work, 'stranger.pem'),
                                         sslkey=os.path.join(work, 'stranger.key')), 'PostgreSQL')):
        try:
            status(url, code=9, says=says)
        except Failed as error:
            raise type(error)(f'{what}: {error}') from None


def test_database_restart(build, server):
    """The database crashes again and again while stations claim: 503 and a word, no lost and no double claim."""
    name, chips, crashes = f'{build}_restart', 400 if build == 'plain' else 200, 3
    server.create(name)
    run(build, 'tests/depot/race', server.tls(name), str(chips), '0', '0')
    told, refused, odd, calm = {}, [0], [], threading.Event()

    def station(port, who, order):
        one = Https(port, who)
        try:
            for chip in order:
                while True:
                    answer, text = one.ask('POST', '/v1/claims', {'eid': eid(chip)})
                    found = json.loads(text)
                    if answer.status == 200:
                        break
                    in_time(answer.status != 503 or found['error'] != 'busy', found)
                    if answer.status != 503 or not found['hint'] or 'database' not in found['error'] + found['hint'] or \
                            answer.headers['Retry-After'] != '5':
                        raise Failed(f'{answer.status}: {found}')
                    refused[0] += 1
                    time.sleep(0.05)
                if found['packages']:
                    told.setdefault(chip, set()).add(who)
                    answer, text = one.ask('GET', '/v1/packages/' + found['packages'][0]['key_id'])
                    if answer.status not in (200, 503) or (answer.status == 200 and text != b'sealed'):
                        raise Failed(f'fetch: {answer.status}: {text[:200]}')
                if not calm.is_set():
                    time.sleep(0.01)
        except Exception as error:      # told in the thread that waits
            odd.append(error)

    with Depot(build, server.tls(name)).serve('--rate', '100000') as (port, process):
        threads = [threading.Thread(target=station, args=(port, who, order)) for who in ('one', 'two')
                   for order in (range(chips), range(chips - 1, -1, -1))]
        for thread in threads:
            thread.start()
        for _ in range(crashes):
            time.sleep(0.4)
            before = refused[0]
            server.crash()
            try:
                wait_for('nobody is refused', lambda: refused[0] > before or not any(thread.is_alive() for thread in threads),
                         60)
            finally:
                server.again()
        calm.set()
        for thread in threads:
            thread.join(60)
        expect(all(len(who) == 1 for who in told.values()), told)
        raise_worst(odd)
        expect(process.poll() is None and refused[0], f'{refused[0]} were refused')
        # a connection that has died in peace is opened again unseen
        server.crash()
        server.again()
        one = Https(port)
        for _ in range(4):
            one.json('POST', '/v1/claims', {'eid': eid(0)})
        server.crash()
        try:
            found = one.json('POST', '/v1/claims', {'eid': eid(0)}, status=503)
            in_time(found['error'] != 'busy', found)
            expect(found['error'] == 'database' and 'PostgreSQL' not in found['message'], found)
            run(build, 'tools/depot/ifpp-depot', 'status', '--db', server.tls(name), code=9, says='Check the database')
        finally:
            server.again()
    expect(len(told) == chips and all(len(who) == 1 for who in told.values()), 'lost or double: ' + str(
        {chip: told.get(chip) for chip in range(chips) if len(told.get(chip, ())) != 1}))
    owners = dict(line.split('|') for line in server.sql(name, "SELECT encode(eid, 'hex'), station FROM package"))
    expect(all(owners[eid(chip)] == {'one': 'station-1', 'two': 'station-2'}[next(iter(who))] for chip, who in told.items()),
           'the depot says something else than it has told')
    expect(not server.sql(name, 'SELECT key_id FROM history WHERE state = 1 GROUP BY key_id HAVING COUNT(*) > 1'),
           'reserved twice')
    print(f'    {chips} chips, {crashes} crashes of the database, {refused[0]} requests refused')


def test_import_restart(build, server):
    """The database crashes in the middle of an import, which goes on by itself; or says so, and the next one does."""
    for wait, code in (('30', 0), ('0', 9)):
        name = f'{build}_import{wait}'
        server.create(name)
        depot = Depot(build, server.tls(name))
        depot('init')
        locker = subprocess.Popen(['psql', '-q', server.local(name), '-c', 'BEGIN; LOCK TABLE content; SELECT pg_sleep(60)'],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not server.sql(name, "SELECT 1 FROM pg_locks WHERE relation = 'content'::regclass AND granted"):
            time.sleep(0.05)
        program = os.path.join(TOP, 'build', 'unit-' + build, 'tools/depot/ifpp-depot')
        process = subprocess.Popen([program, 'import', '--db', depot.url, 'line-7.ifppd', '--trust', 'trust', '--wait', wait],
                                   cwd=work, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while not server.sql(name, "SELECT 1 FROM pg_locks WHERE relation = 'content'::regclass AND NOT granted"):
            expect(process.poll() is None, 'the import does not get as far as the lock')
            time.sleep(0.05)
        server.crash()
        locker.wait()
        # until it says that it waits, or ends
        select.select([process.stderr], [], [], 60)
        server.again()
        _, err = process.communicate(timeout=60)
        expect(process.returncode == code and ('waiting for the database' in err) == (code == 0), (process.returncode, err))
        depot('import', 'line-7.ifppd', '--trust', 'trust')
        found = depot('status', '--json').objects()[-1]
        expect(found['free'] == 2 * CHIPS and found['deliveries'] == 1 and found['unreconciled'] == 0, found)
