# SPDX-License-Identifier: GPL-2.0-or-later
"""The warehouse in operation: whom it trusts with what, what it does when its disk, its database, its clock or
its certificates fail it."""
import base64
import contextlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time

import commits
import hostile
import keys
import notes
import reload
import units
from stock import chip_data, fetched, fresh_chip, status, stocked, unsigned
from world import (CHIPS, Depot, Failed, Https, Standby, TOP, eid, environment, expect, in_time, load, lock, outbox_of, raise_worst,
                   read_report, run, shell, wait_for, work)

IDENTITY = ('--cert', 'one.pem', '--key', 'one.key', '--ca', 'server-ca.pem')


def rogue_station_burns_nothing(build, url):
    """A station that says of all packages that they are lost changes nothing, and is seen."""
    depot = stocked(build, url)
    with depot.serve('--access-log', 'rogue.log') as (port, _):
        rogue, honest = Https(port, 'rogue'), Https(port)
        claimed = {}
        for i in range(CHIPS):
            for package in rogue.json('POST', '/v1/claims', {'eid': eid(i)})['packages']:
                claimed[package['key_id']] = eid(i)
        expect(len(claimed) == 2 * CHIPS, claimed)
        # it has fetched none of them
        for key, chip in claimed.items():
            rogue.json('PUT', '/v1/results/' + key, unsigned(chip, key), status=404)
        # it fetches one, and says things of it
        key, chip = next(iter(claimed.items()))
        rogue.ask('GET', '/v1/packages/' + key)
        said = rogue.json('PUT', '/v1/results/' + key, unsigned(chip, key), status=201)
        expect(said['state'] == 'sent' and 'signed nothing' in said['doubt'], said)
        expect(not rogue.json('PUT', '/v1/results/' + key, unsigned(chip, key))['stored'], 'twice')
        for code in range(-6, -9, -1):
            rogue.json('PUT', '/v1/results/' + key, unsigned(chip, key, code), status=201)
        rogue.json('PUT', '/v1/results/' + key, unsigned(chip, key, -9), status=409)
        expect(depot.states() == {'reserved': 2 * CHIPS - 1, 'sent': 1}, depot.states())
        counted, told = status(depot, code=1)
        expect(counted['doubts'] == 4 == len(told) and all(key in line and 'rogue' in line for line in told), (counted, told))
        listed = depot('doubts', '--json').objects()
        expect(len(listed) == 4 and {d['key_id'] for d in listed} == {key} and not any(d['signed'] for d in listed), listed)
        # named stations, and no others from here on
        depot('station', 'add', 'station-1', '--batch', 'line-7', '--quota', '2')
        refused = rogue.json('POST', '/v1/claims', {'eid': eid(1)}, status=403)
        expect(refused['error'] == 'authority' and 'station add' in refused['hint'], refused)
        rogue.json('GET', '/v1/packages/' + key, status=403)
        rogue.json('PUT', '/v1/results/' + key, unsigned(chip, key, -12), status=403)
        depot('claim', eid(1), '--station', 'rogue', code=4, says='station add')
        for i in range(CHIPS):
            depot('release', eid(i))
        # an honest one within its quota and its orders
        for i in (1, 2):
            expect(len(honest.json('POST', '/v1/claims', {'eid': eid(i)})['packages']) == 2, 'nothing')
        full = honest.json('POST', '/v1/claims', {'eid': eid(3)}, status=429)
        expect(full['error'] == 'quota' and '2 chips' in full['message'], full)
        expect(len(honest.json('POST', '/v1/claims', {'eid': eid(1)})['packages']) == 2, 'its own is refused')
        honest.json('DELETE', '/v1/claims/' + eid(2))
        expect(len(honest.json('POST', '/v1/claims', {'eid': eid(3)})['packages']) == 2, 'not after a release')
        depot('station', 'add', 'station-1', '--batch', 'line-8')
        expect(honest.json('POST', '/v1/claims', {'eid': eid(4)})['packages'] == [], 'of another order')
        depot('station', 'add', 'station-1')
        # the operator settles it, either way
        depot('burn', chip, '--why', 'was run over')
        expect(depot.states()['burnt'] == 2 and status(depot)[0]['doubts'] == 0, depot.states())
        depot('unburn', chip, '--why', 'was found')
        expect('burnt' not in depot.states(), depot.states())
        # and what the chip signs wins
        files = fetched(honest, chip)
        honest.json('PUT', '/v1/results/' + key, unsigned(chip, key), status=201)
        honest.json('PUT', '/v1/chips/' + chip, dict(lock(chip), lock=None), status=201)
        fresh_chip(chip)
        signed = load(chip, files[key])
        done = honest.json('PUT', '/v1/results/' + key, signed, status=201)
        expect(done['state'] == 'installed' and 'doubt' not in done, done)
        honest.json('PUT', '/v1/results/' + key, unsigned(chip, key), status=409)
        expect(status(depot)[0]['doubts'] == 0, 'a doubt is left')
        depot('unburn', chip, '--why', 'once more')
        expect(depot.list('--key', key)[0]['state'] == 'installed', 'what was signed is undone')
        # revoked: nothing more, and its leases end
        depot('station', 'revoke', 'station-1')
        honest.json('POST', '/v1/claims', {'eid': eid(5)}, status=403)
        listed = {s['name']: s for s in depot('station', 'list', '--json').objects()}
        expect(listed['station-1']['revoked'] and listed['station-1']['held'] == 0, listed)
        depot('station', 'revoke', 'nobody', code=5, says='no station nobody')
        depot('station', 'add', 'a b', code=2)
        depot('station', 'fly', code=2)
        depot('reject', 'xyz', code=2)
        depot('reject', '0123456789', code=5, says='no delivery')
    with open(os.path.join(work, 'rogue.log')) as file:
        log = file.read()
    for words in (('station=rogue', 'address=127.0.0.1:', f'PUT /v1/results/{key}', 'status=201', 'in doubt'),
                  ('station=rogue', 'status=403', 'is not one that this depot serves'), ('station=station-1', 'status=429'),
                  ('station=station-1', f'GET /v1/packages/{key}', 'status=200')):
        expect(any(all(word in line for word in words) for line in log.splitlines()), f'the log does not say {words}')
    expect(eid(1) not in log, 'the log has an EID in it')
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')
    os.unlink(os.path.join(work, 'rogue.log'))


def disproved_is_undone(build, url):
    """A forged "installed" before the chip's data came: it ends nothing, and the chip's own result takes its place."""
    depot, chip = stocked(build, url), eid(0)
    fresh_chip(chip)
    with depot.serve() as (port, _):
        one = Https(port)
        files = fetched(one, chip)
        key, other = files
        result = load(chip, files[key])
        pir = bytearray(base64.b64decode(result['result']['pir']))
        pir[-1] ^= 1
        forged = dict(result, result=dict(result['result'], pir=base64.b64encode(pir).decode()))
        said = one.json('PUT', '/v1/results/' + key, forged, status=201)
        expect(said['state'] == 'sent' and said['doubt'], said)
        expect(key in [p['key_id'] for p in one.json('POST', '/v1/claims', {'eid': chip})['packages']], 'it ended the package')
        one.json('PUT', '/v1/chips/' + chip, dict(lock(chip), lock=None), status=201)
        expect(depot.list('--key', key)[0]['state'] == 'sent', 'disproved, and it still counts')
        _, told = status(depot, code=1)
        expect(len(told) == 1 and 'not what the chip signed' in told[0], told)
        one.json('PUT', '/v1/results/' + key, result, status=201)
        expect(depot.list('--key', key)[0]['state'] == 'installed' and status(depot)[0]['doubts'] == 0, 'not installed')
        # an attempt that failed and one that succeeded: both are kept, and the success counts
        expect(depot.list('--key', other)[0]['state'] == 'sent', 'the other one')
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


def attempts_both_kept(build, url):
    """Refused with its key unspent, which ends nothing, then loaded: both are told. What nobody brings is missed."""
    depot, chip = stocked(build, url), eid(0)
    fresh_chip(chip)
    with depot.serve() as (port, _):
        one = Https(port)
        files = fetched(one, chip)
        key, other = files
        one.json('PUT', '/v1/chips/' + chip, chip_data(chip), status=201)
        refused = load(chip, files[key], 'refuse')
        expect(refused['result']['reason'] == 2, refused['result']['reason_name'])
        refused['result']['spent'] = 'no'
        said = one.json('PUT', '/v1/results/' + key, refused, status=201)
        expect(said['state'] == 'sent' and said['stored'], said)
        expect(key in [p['key_id'] for p in one.json('POST', '/v1/claims', {'eid': chip})['packages']], 'it ended the package')
        # what the station writes beside the chip's word may change: the same attempt is told once
        again = dict(refused, result=dict(refused['result'], spent='unknown', chip_ns=3))
        expect(not one.json('PUT', '/v1/results/' + key, again)['stored'], 'one attempt twice')
        loaded = load(chip, files[key])
        expect(one.json('PUT', '/v1/results/' + key, loaded, status=201)['state'] == 'installed', 'not installed')
        expect(not one.json('PUT', '/v1/results/' + key, dict(loaded, result=dict(loaded['result'], spent='yes')))['stored'],
               'one result twice')
        expect(not one.json('PUT', '/v1/results/' + key, refused)['stored'], 'the first attempt, late')
        # the other package is loaded, and its result does not come
        load(chip, files[other])
        one.json('PUT', '/v1/chips/' + chip, lock(chip), status=201)
    told = os.path.join(work, f'{build}-attempts.json')
    done = depot('report', '--eid', chip, '-o', told, '--json').objects()[-1]
    expect(done['missing_results'] == 1 and done['unreconciled'] == 0, done)
    (unit,), last = read_report(told)
    expect([(r['key_id'], r['reason']) for r in unit['results']] == [(key, 2), (key, 0)], unit['results'])
    expect([p['key_id'] for p in unit['pending']] == [other] and unit['missing_results'] == 1, unit['pending'])
    expect(last['totals']['results'] == 2 and last['totals']['packages'] == 2, last)
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


def lines_of_outbox(outbox, port, *options, build='plain', code=0):
    return run(build, 'tools/ifppctl/ifppctl', '--json', 'deliver', '--to', f'https://localhost:{port}', '--outbox', outbox,
               '--cache', os.path.join(work, 'no-cache'), *IDENTITY, *options, code=code).objects()


def restored_depot_gets_results(build, url, fresh):
    """Yesterday's backup, today's results: nothing is lost, nothing is burnt, and it adds up."""
    depot, done, today = stocked(build, url), eid(1), eid(2)
    backup = os.path.join(work, f'{build}-backup.db')
    for suffix in ('', '-wal', '-shm'):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(backup + suffix)
    results, outbox = {}, None

    def provision(port, chip):
        fresh_chip(chip)
        results[chip] = [load(chip, path) for path in fetched(Https(port), chip).values()]
        return outbox_of('restored-' + chip, chip, results[chip], lock(chip))

    outbox = os.path.join(work, 'restored-outbox')
    shutil.rmtree(outbox, ignore_errors=True)
    os.mkdir(outbox)
    with depot.serve() as (port, _):
        shutil.move(os.path.join(provision(port, done), done), outbox)
        first = lines_of_outbox(outbox, port, build=build)[0]
        expect(first['delivered'] == 3, first)
        # the log of a database that was there: its pages would be written over those of the new one
        with open(backup + '-wal', 'wb') as log:
            log.write(b'of another')
        depot('backup', backup, code=2, says='-wal: is there already')
        os.unlink(backup + '-wal')
        depot('backup', backup)
        depot('backup', backup, code=2, says='is there already')
        # the day goes on
        shutil.move(os.path.join(provision(port, today), today), outbox)
        second = lines_of_outbox(outbox, port, build=build)[0]
        expect(second['delivered'] == 3 and second['before'] == 3, second)
        expect(lines_of_outbox(outbox, port, build=build)[0]['before'] == 6, 'again')
    expect(depot.states() == {'installed': 4, 'free': 2 * CHIPS - 4}, depot.states())
    # the disk is lost
    other = Depot(build, fresh('restored'))
    other('restore', backup)
    expect(other.states() == {'installed': 2, 'free': 2 * CHIPS - 2}, other.states())
    other('restore', backup, code=6, says='not empty')
    expect(other('check', '--json').objects()[-1] == {'type': 'check', 'packages': 2 * CHIPS, 'results': 2, 'damaged': 0,
                                                      **{k: v for k, v in other('check', '--json').objects()[-1].items()
                                                         if k in ('bytes', 'events')}}, 'check')
    with other.serve() as (port, _):
        again = lines_of_outbox(outbox, port, build=build)[0]
        expect(again['delivered'] == 3 and again['before'] == 3 and again['refused'] == 0, again)
        expect(lines_of_outbox(outbox, port, build=build)[0]['before'] == 6, 'again and again')
    other('import', 'line-7.ifppd', '--trust', 'trust')
    counted, told = status(other)
    expect(other.states() == {'installed': 4, 'free': 2 * CHIPS - 4} and counted['doubts'] == 0 and not told, (counted, told))
    # restored by other means: the operator says so
    with other.serve() as (port, _):
        before = Https(port).json('GET', '/v1/status')['epoch']
        other('restore', '--done')
        expect(Https(port).json('GET', '/v1/status')['epoch'] != before, 'the same epoch')
        expect(lines_of_outbox(outbox, port, build=build)[0] == {
            'type': 'deliver', 'delivered': 0, 'before': 6, 'unknown': 0, 'refused': 0, 'deleted': 0, 'complete': True}, 'all')
    # a copy with damage in it
    with sqlite3.connect(backup) as damaged:
        damaged.execute("UPDATE content SET package = CAST(x'00' || SUBSTR(package, 2) AS BLOB) WHERE key_id = (SELECT MIN(key_id) FROM content)")
        damaged.execute('DELETE FROM history WHERE seq = 1 AND key_id = (SELECT MIN(key_id) FROM history)')
        damaged.execute("UPDATE result SET record = record || ' '")
    bad = Depot(build, backup)('check', '--json', code=1).objects()
    expect(bad[-1]['damaged'] == 4 == len(bad) - 1, bad)


def copied_back(build, url):
    """The file of the database is put back from a copy, and nobody says so: the depot sees it, and stations deliver again."""
    depot, chip, copy = stocked(build, url), eid(1), url + '.yesterday'
    with depot.serve() as (port, _):
        Https(port).json('POST', '/v1/claims', {'eid': chip})
    shutil.copy(url, copy)
    fresh_chip(chip)
    with depot.serve() as (port, _):
        results = [load(chip, path) for path in fetched(Https(port), chip).values()]
        outbox = outbox_of('copied-outbox', chip, results, lock(chip))
        expect(lines_of_outbox(outbox, port, build=build)[0]['delivered'] == 3, 'not delivered')
        before = Https(port).json('GET', '/v1/status')['epoch']
    # as it was, this is no other epoch
    with depot.serve() as (port, _):
        expect(Https(port).json('GET', '/v1/status')['epoch'] == before, 'another epoch for nothing')
    # a station that is off while the first copy is in use
    off = os.path.join(work, 'copied-off')
    shutil.rmtree(off, ignore_errors=True)
    shutil.copytree(os.path.join(work, outbox), off)
    epochs = {before}
    # the same copy twice: the second time it is again of the epoch in which both stations delivered
    for station in (outbox, off):
        for suffix in ('-wal', '-shm'):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(url + suffix)
        shutil.copy(copy, url)
        expect('installed' not in depot.states(), depot.states())
        with depot.serve() as (port, _):
            epoch = Https(port).json('GET', '/v1/status')['epoch']
            expect(epoch not in epochs, 'an epoch that was there before')
            epochs.add(epoch)
            again = lines_of_outbox(station, port, build=build)[0]
            expect(again['delivered'] == 3 and again['complete'], again)
        expect(depot.states()['installed'] == 2 and not status(depot)[1], depot.states())


VERSION_1 = '''
CREATE TABLE depot (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE delivery (id BYTEA PRIMARY KEY, batch TEXT NOT NULL, packages BIGINT NOT NULL, done BIGINT NOT NULL, at BIGINT NOT NULL);
CREATE TABLE package (key_id BYTEA PRIMARY KEY, eid BYTEA NOT NULL, sha256 BYTEA NOT NULL, bytes BIGINT NOT NULL,
    iccid TEXT NOT NULL, profile TEXT NOT NULL, operator TEXT NOT NULL, batch TEXT NOT NULL, delivery BYTEA NOT NULL,
    state BIGINT NOT NULL, station TEXT, lease BIGINT NOT NULL, changed BIGINT NOT NULL, added BIGINT NOT NULL);
CREATE TABLE content (key_id BYTEA PRIMARY KEY, package BYTEA NOT NULL);
CREATE TABLE history (key_id BYTEA NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, state BIGINT NOT NULL, station TEXT,
    detail TEXT NOT NULL, PRIMARY KEY (key_id, seq));
CREATE TABLE result (key_id BYTEA PRIMARY KEY, eid BYTEA NOT NULL, sha256 BYTEA NOT NULL, record TEXT NOT NULL,
    proven BIGINT NOT NULL, proof TEXT NOT NULL, station TEXT, at BIGINT NOT NULL);
CREATE TABLE chip (eid BYTEA PRIMARY KEY, euicc_data BYTEA, euicc_proven BIGINT NOT NULL, lock_record TEXT,
    lock_proven BIGINT NOT NULL, proof TEXT NOT NULL, station TEXT, at BIGINT NOT NULL);
INSERT INTO depot VALUES ('version', 1);
'''


def version_1_is_carried_over(build, url):
    """A depot of schema version 1: what was not proven is a doubt now, and nothing else changes."""
    old = os.path.join(work, f'{build}-version-1.db')
    new = stocked(build, url)
    proven, word, burnt = (p['key_id'] for p in new.list()[:3])
    with contextlib.suppress(FileNotFoundError):
        os.unlink(old)
    with sqlite3.connect(old) as db:
        db.executescript(VERSION_1)
        db.execute('ATTACH ? AS new', (url,))
        for table in ('delivery', 'package', 'content'):
            db.execute(f'INSERT INTO {table} SELECT * FROM new.{table}')
        for key, state, is_proven in ((proven, 3, 1), (word, 3, 0), (burnt, 5, 0)):
            key = bytes.fromhex(key)
            db.execute("UPDATE package SET state = ?, station = 'station-1' WHERE key_id = ?", (state, key))
            for seq, step in enumerate((1, 2, state), 1):
                db.execute("INSERT INTO history VALUES (?, ?, 1764000000000, ?, 'station-1', '')", (key, seq, step))
            db.execute("INSERT INTO result SELECT key_id, eid, x'00', '{}', ?, 'because', 'station-1', 1764000000000 "
                       "FROM package WHERE key_id = ?", (is_proven, key))
    depot = Depot(build, old)
    counted, told = status(depot, code=1)
    expect(depot.states() == {'free': 2 * CHIPS - 3, 'sent': 1, 'installed': 1, 'burnt': 1}, depot.states())
    expect(counted['doubts'] == 1 and len(told) == 1 and word in told[0] and 'because' in told[0], told)
    expect(status(depot, code=1) == (counted, told), 'carried over twice')
    with sqlite3.connect(old) as db:
        expect(db.execute("SELECT value FROM depot WHERE name = 'version'").fetchone() == (7,), 'version')
        db.execute("UPDATE depot SET value = 8 WHERE name = 'version'")
    depot('status', code=9, says='use a newer one')


def rejected_delivery(build, url):
    """A delivery for keys that have a package already is named as what it is, until the operator rejects it."""
    depot = stocked(build, url)
    # another Key Maker of the same CI has sealed to the same chips
    shell('''
        [ -e line-9.ifppd ] && exit
        export SOFTHSM2_CONF=$PWD/softhsm2.conf PATH=%s/build/unit-plain/tools/smdpf:%s/build/unit-plain/tools/eum:$PATH
        ifpp-smdpf init --home rival --key 'pkcs11:token=k;object=rival' --pin-file pin
        ifpp-eum pki dppb pki --public-key rival/dppb.pub.pem --out rival.pem
        ifpp-smdpf certificate --home rival rival.pem --ci pki/ci.pem
        ifpp-smdpf seal --home rival --pin-file pin --euicc data --count 2 --spn Other --order line-9 --out packages-9
        ifpp-smdpf export --home rival --pin-file pin --order line-9 --out line-9.ifppd
    ''' % (TOP, TOP))
    depot('import', 'line-9.ifppd', '--trust', 'trust', code=6, says='is here already')
    counted, told = status(depot, code=1)
    expect(len(told) == 1 and 'ifpp-depot reject' in told[0] and 'line-9' in told[0], told)
    delivery = told[0].split()[1]
    depot('reject', delivery)
    counted, told = status(depot)
    expect(counted['free'] == 2 * CHIPS and not told, (counted, told))
    depot('reject', delivery, code=5, says='no delivery')
    depot('import', 'line-9.ifppd', '--trust', 'trust', code=6, says='rejected')
    expect(not status(depot)[1], 'it is back')


def lease_of_wrong_clock(build, url, execute):
    """A claim of a day on which the depot's clock was a year ahead does not last a year."""
    depot, chip = stocked(build, url), eid(3)
    with depot.serve() as (port, _):
        one, two = Https(port), Https(port, 'two')
        key = one.json('POST', '/v1/claims', {'eid': chip})['packages'][0]['key_id']
        expect(two.json('POST', '/v1/claims', {'eid': chip})['packages'] == [], 'the lease does not hold')
        execute('UPDATE package SET lease = lease + CAST(31536000000 AS BIGINT) WHERE state = 1')
        one.json('GET', '/v1/packages/' + key, status=404)
        expect(len(two.json('POST', '/v1/claims', {'eid': chip})['packages']) == 2, 'the lease lasts a year')
        expect(one.json('POST', '/v1/claims', {'eid': chip})['packages'] == [], 'both have it')
        # nobody is told that it holds what it does not hold
        execute('UPDATE package SET lease = lease + CAST(31536000000 AS BIGINT) WHERE state = 1')
        depot('station', 'add', 'station-2')
        held = {s['name']: s['held'] for s in depot('station', 'list', '--json').objects() if s['type'] == 'station'}
        expect(held == {'station-2': 0}, held)
        two.json('DELETE', '/v1/claims/' + chip)


def issue(name, cn, days):
    """A station's certificate that began @days[0] and ends @days[1] days from now."""
    def when(offset):
        return time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + offset * 86400))

    shell(f'''
        exec 2>/dev/null
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj "/CN={cn}"
        printf 'extendedKeyUsage=clientAuth\\n' >{name}.ext
        openssl x509 -req -in {name}.csr -CA stations.pem -CAkey stations.key -CAcreateserial -not_before {when(days[0])} \\
            -not_after {when(days[1])} -extfile {name}.ext -out {name}.pem
    ''')


def expired_station_says_so(build, url):
    """A station whose certificate has expired is told so, and the depot's log says who and when."""
    depot = stocked(build, url)
    issue('old', 'station-old', (-60, -30))
    issue('early', 'station-early', (30, 60))
    expired = time.strftime('%Y-%m-%d', time.gmtime(time.time() - 30 * 86400))
    with depot.serve('--access-log', 'expired.log') as (port, _):
        told = Https(port, 'old').json('GET', '/v1/status', status=403)
        expect('expired on ' + expired in told['message'], told)
        expect('not valid before' in Https(port, 'early').json('GET', '/v1/status', status=403)['message'], 'early')
        run(build, 'tools/ifppctl/ifppctl', '-d', eid(0), 'fetch', '--source', f'https://localhost:{port}', '--to', work,
            '--cert', 'old.pem', '--key', 'old.key', '--ca', 'server-ca.pem', code=4, says='expired on ' + expired)
        run(build, 'tools/ifppctl/ifppctl', '-d', eid(0), 'fetch', '--source', f'https://localhost:{port}', '--to', work,
            '--cert', 'stranger.pem', '--key', 'stranger.key', '--ca', 'server-ca.pem', code=4,
            says="refuses this station's certificate")
    with open(os.path.join(work, 'expired.log')) as file:
        log = file.read()
    os.unlink(os.path.join(work, 'expired.log'))
    expect(f'station=station-old address=127.0.0.1:' in log and 'expired on ' + expired in log, log)
    expect('station=station-1 address=127.0.0.1:' in log and 'no certificate of a station CA' in log, log)


def refused_stranger_hears_why(build, url):
    """A stranger that goes on to send before it reads hears the alert, and not that the connection was reset."""
    context = ssl.create_default_context(cafile=os.path.join(work, 'server-ca.pem'))
    context.load_cert_chain(os.path.join(work, 'stranger.pem'), os.path.join(work, 'stranger.key'))
    with stocked(build, url).serve() as (port, _):
        with socket.create_connection(('localhost', port)) as wire:
            with context.wrap_socket(wire, server_hostname='localhost') as tls:
                expect(select.select([tls], [], [], 30)[0], 'no answer to the certificate')
                for _ in range(5):
                    time.sleep(0.05)
                    tls.sendall(b'GET /v1/status HTTP/1.1\r\n')
                try:
                    tls.recv(1)
                    raise Failed('a stranger is answered')
                except ssl.SSLError as error:
                    if 'UNKNOWN_CA' not in error.reason:
                        raise


def revoke(*names, days=30):
    shell(f'''
        exec 2>/dev/null
        rm -rf reload-ca && mkdir reload-ca && : >reload-ca/index.txt && echo 01 >reload-ca/number
        sed 's,=ca/,=reload-ca/,' ca/conf >reload-ca/conf
        for name in {' '.join(names)}; do
            openssl ca -config reload-ca/conf -revoke $name.pem -cert stations.pem -keyfile stations.key
        done
        openssl ca -config reload-ca/conf -gencrl -crldays {days} -cert stations.pem -keyfile stations.key -out reload.crl.new
        mv reload.crl.new reload.crl
    ''')


def reload_crl(build, url):
    """A CRL, a certificate and a CA that change are used without a restart, for open connections too."""
    depot = stocked(build, url)
    revoke()
    for kind in ('pem', 'key'):
        shutil.copy(os.path.join(work, f'server.{kind}'), os.path.join(work, f'reload.{kind}'))
    options = ('--client-crl', 'reload.crl', '--cert', 'reload.pem', '--key', 'reload.key')
    with depot.serve(*options) as (port, process):
        def asked_to(what, condition):
            """At once: that a file has changed is seen after two seconds."""
            process.send_signal(signal.SIGHUP)
            wait_for(what, condition, 1.5)

        one, two = Https(port), Https(port, 'two')
        for station in (one, two):
            station.json('GET', '/v1/status')
        revoke('one')
        wait_for('a revoked station goes on', lambda: one.ask('GET', '/v1/status')[0].status == 403, 6)
        expect('revoked' in one.json('GET', '/v1/status', status=403)['message'], 'why')
        two.json('GET', '/v1/status')
        # a broken file leaves in use what was there
        with open(os.path.join(work, 'reload.crl'), 'w') as file:
            file.write('no CRL')
        asked_to('no word of it', lambda: 'stay in use' in process.said())
        one.json('GET', '/v1/status', status=403)
        two.json('GET', '/v1/status')
        # taken back, at once when asked
        revoke()
        asked_to('a station that is none any more is kept out', lambda: one.ask('GET', '/v1/status')[0].status == 200)
        # another certificate of its own
        shutil.copy(os.path.join(work, 'database.pem'), os.path.join(work, 'reload.pem'))
        told = process.said().count('stay in use')
        asked_to('no word of a key that is of another one', lambda: process.said().count('stay in use') > told)
        Https(port).json('GET', '/v1/status')
        shutil.copy(os.path.join(work, 'database.key'), os.path.join(work, 'reload.key'))
        context = ssl.create_default_context(cafile=os.path.join(work, 'server-ca.pem'))
        context.load_cert_chain(os.path.join(work, 'one.pem'), os.path.join(work, 'one.key'))
        with open(os.path.join(work, 'database.pem')) as file:
            want = ssl.PEM_cert_to_DER_cert(file.read())

        def shown():
            with socket.create_connection(('localhost', port)) as raw, context.wrap_socket(raw, server_hostname='localhost') as tls:
                return tls.getpeercert(True)

        asked_to('the old certificate', lambda: shown() == want)
    # a CRL out of date: accepted with a word, or refused by choice
    shell('''
        exec 2>/dev/null
        openssl ca -config reload-ca/conf -gencrl -crl_lastupdate 20250101000000Z -crl_nextupdate 20250201000000Z \\
            -cert stations.pem -keyfile stations.key -out reload.crl
    ''')
    with depot.serve('--client-crl', 'reload.crl') as (port, _):
        Https(port).json('GET', '/v1/status')
    with depot.serve('--client-crl', 'reload.crl', '--refuse-stale-crl') as (port, _):
        expect('out of date' in Https(port).json('GET', '/v1/status', status=403)['message'], 'stale')


def ends_within_14_days(build, url):
    """A certificate and a CRL that end within 14 days are named in the log, those that end later are not."""
    depot = stocked(build, url)
    for days in (13, 15):
        shell(f'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout soon.key -out soon.pem -days {days} '
              '-subj /CN=localhost 2>/dev/null')
        revoke(days=days)
        with depot.serve('--cert', 'soon.pem', '--key', 'soon.key', '--client-crl', 'reload.crl') as (_, process):
            # what is said at the start, and again when it is asked to read them
            for times in (1, 2):
                wait_for(process.said, lambda: days > 14 or all(process.said().count(f'{name} ends on ') >= times for name in (
                    'soon.pem: the certificate', 'reload.crl: the CRL')), 20)
                process.send_signal(signal.SIGHUP)
            # it has ended: all is said
            process.terminate()
            process.wait(timeout=20)
            expect(days < 14 or ' ends on ' not in process.said(), process.said())
            expect('station CA' not in process.said(), process.said())


def asked_while_it_stands_still(build, url):
    """SIGHUP and SIGTERM to a depot that does not wait for them just then: it reads its files again, and ends in order."""
    with stocked(build, url).serve() as (port, process):
        for asked in signal.SIGHUP, signal.SIGTERM:
            for number in signal.SIGSTOP, asked, signal.SIGCONT:
                process.send_signal(number)
            if asked == signal.SIGHUP:
                wait_for('the files are not read', lambda: 'were read again' in process.said())
        expect(process.wait(timeout=20) == 0, f'ended with {process.returncode}')


def idle_connections(build, url):
    """780 connections that show no certificate, from six addresses: stations get in all the time."""
    depot = stocked(build, url)
    with depot.serve() as (port, _):
        crowd = []
        try:
            for last in range(2, 8):
                for _ in range(130):
                    one = socket.socket()
                    crowd.append(one)
                    one.bind((f'127.0.0.{last}', 0))
                    one.settimeout(2)
                    with contextlib.suppress(OSError):
                        one.connect(('127.0.0.1', port))
                begun = time.monotonic()
                station = Https(port)
                expect(station.json('GET', '/v1/status')['station'] == 'station-1', 'not served')
                in_time(time.monotonic() - begun < 5, f'{time.monotonic() - begun:.1f} s')
                station.close()
            # and those that are silent go by themselves
            deadline = time.monotonic() + 9
            while crowd:
                in_time(time.monotonic() < deadline, f'{len(crowd)} silent connections stay')
                with contextlib.suppress(OSError):
                    crowd[-1].settimeout(1)
                    with contextlib.suppress(TimeoutError):
                        if crowd[-1].recv(1) != b'':
                            raise Failed('it speaks first')
                        crowd.pop().close()
                        continue
                    continue
                crowd.pop().close()
        finally:
            for one in crowd:
                one.close()


def locked_table_503(build, url, locker):
    """A table that somebody has locked: 503 within three seconds, and the server goes on listening."""
    depot = stocked(build, url)
    with depot.serve('--dashboard', '127.0.0.1:0') as (port, process):
        station = Https(port)
        station.json('POST', '/v1/claims', {'eid': eid(0)})
        took, odd = [], []
        seen = http.client.HTTPConnection(process.stdout.readline().split('/')[2], timeout=20)

        def metrics():
            seen.request('GET', '/metrics')
            return seen.getresponse().read().decode()

        expect('ifpp_depot_database_up 1' in metrics(), 'no figures')

        def claim(i):
            try:
                begun = time.monotonic()
                found = Https(port).json('POST', '/v1/claims', {'eid': eid(i)}, status=503)
                took.append(time.monotonic() - begun)
                expect(found['hint'] and 'sql' not in found['message'].lower(), found)
            except (Failed, OSError, http.client.HTTPException) as error:
                odd.append(error)

        with locker():
            threads = [threading.Thread(target=claim, args=(i % CHIPS,)) for i in range(8)]
            for thread in threads:
                thread.start()
            begun = time.monotonic()
            for _ in range(5):
                expect(Https(port).json('GET', '/healthz')['status'] == 'serving', 'healthz')
                time.sleep(0.2)
            in_time(time.monotonic() - begun < 2.5, '/healthz waits')
            if 'postgres' in url:       # SQLite lets readers go on
                wait_for('the figures do not say that the database is locked', lambda: 'ifpp_depot_database_up 0' in metrics(), 30)
            for thread in threads:
                thread.join(20)
        raise_worst(odd)
        in_time(len(took) == 8 and max(took) < 3.6, took)
        wait_for('does not come back', lambda: station.ask('POST', '/v1/claims', {'eid': eid(0)})[0].status == 200, 10)


@contextlib.contextmanager
def sqlite_locker(url):
    db = sqlite3.connect(url, isolation_level=None)
    db.execute('BEGIN IMMEDIATE')
    try:
        yield
    finally:
        db.execute('ROLLBACK')
        db.close()


def standby_promoted(build):
    """The database fails over to a standby: serve goes on there, and stations bring again what it may have missed."""
    with Standby() as standby:
        chip = eid(4)
        depot = stocked(build, standby.url())
        with depot.serve() as (port, _):
            before = Https(port).json('GET', '/v1/status')['epoch']
            fresh_chip(chip)
            results = [load(chip, path) for path in fetched(Https(port), chip).values()]
            outbox = outbox_of('standby-outbox', chip, results, lock(chip))
            first = lines_of_outbox(outbox, port, build=build)[0]
            expect(first['delivered'] == 3, first)
            standby.fail_over()
            one = Https(port)

            def is_back():
                answer, text = one.ask('GET', '/v1/status')
                expect(answer.status in (200, 503), (answer.status, text))
                return answer.status == 200

            wait_for('does not come back', is_back, 30)
            expect(one.json('GET', '/v1/status')['epoch'] != before, 'the standby passes for what it stands in for')
            again = lines_of_outbox(outbox, port, build=build)[0]
            expect(again['delivered'] + again['before'] == 3 and again['refused'] == 0, again)
            expect(len(one.json('POST', '/v1/claims', {'eid': eid(5)})['packages']) == 2, 'no claims')
        counted, told = status(depot)
        expect(counted['installed'] == 2 and not told, (counted, told))


def behind_haproxy(build, url):
    """Two front ends behind HAProxy, which passes TLS on: the depot knows whose connection it is, from nobody else."""
    depot = stocked(build, url)
    with contextlib.ExitStack() as stack:
        options = ('--proxy-from', '127.0.0.8,::1', '--access-log', 'proxy.log')
        ports = [stack.enter_context(depot.serve(*options))[0] for _ in range(2)]
        with socket.create_server(('127.0.0.1', 0)) as free:
            front = free.getsockname()[1]
        with open(os.path.join(work, 'haproxy.cfg'), 'w') as file:
            file.write('defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n'
                       f'listen depot\n bind 127.0.0.1:{front}\n source 127.0.0.8\n' + ''.join(
                           f' server depot{n} 127.0.0.1:{port} {how}\n'
                           for n, (port, how) in enumerate(zip(ports, ('send-proxy', 'send-proxy-v2')))))
        haproxy = subprocess.Popen(['haproxy', '-db', '-f', 'haproxy.cfg'], cwd=work, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            def comes_through():
                with contextlib.suppress(ConnectionError):
                    return Https(front).json('GET', '/v1/status')

            wait_for('nothing comes through', comes_through, 10)
            for n in range(4):      # round robin: each front end, so both versions of the protocol
                one = Https(front)
                one.connection.source_address = (f'127.0.0.{20 + n}', 0)
                one.json('POST', '/v1/claims', {'eid': eid(n)})
        finally:
            haproxy.terminate()
            haproxy.wait()
        # lines are written together, after the answers
        def log():
            with open(os.path.join(work, 'proxy.log')) as file:
                return file.read()

        wait_for(log, lambda: all(f'address=127.0.0.{20 + n}:' in log() for n in range(4)), 20)
        expect('127.0.0.8' not in log(), log())

        def closed(source, data, wait=1.5):
            with socket.create_connection(('127.0.0.1', ports[0]), source_address=(source, 0), timeout=wait) as raw:
                raw.sendall(data)
                with contextlib.suppress(ConnectionError):
                    try:
                        return raw.recv(100) == b''
                    except TimeoutError:
                        return False
                return True

        header = b'PROXY TCP4 192.0.2.7 192.0.2.8 1 443\r\n'
        in_time(closed('127.0.0.9', header), 'anybody may say whose connection it is')
        v2 = bytes.fromhex('0d0a0d0a000d0a515549540a')
        for bad in (b'GET / HTTP/1.1\r\n\r\n', b'PROXY TCP4 one two 1 2\r\n', b'PROXY TCP4 192.0.2.7 192.0.2.8 99999 1\r\n',
                    b'PROXY ' + b'x' * 200, b'PROXY TCP4\r\n', b'PROXY TCP4 192.0.2.7 192.0.2.8 1 443\n', v2 + b'\x31\x11\0\x0c' + b'x' * 12,
                    v2 + b'\x21\x11\0\x04' + b'x' * 4, v2 + b'\x21\x11\xff\xff', v2 + b'\x22\x11\0\x0c' + b'x' * 12):
            in_time(closed('127.0.0.8', bad), bad)
        # half a header: for three seconds
        in_time(not closed('127.0.0.8', header[:9]) and closed('127.0.0.8', v2[:5], wait=5), 'half a header')
        wait_for(log, lambda: all(words in log() for words in (
            'address=127.0.0.9:', 'not one of the balancers', 'no header of the PROXY protocol')))
    os.unlink(os.path.join(work, 'proxy.log'))
    depot('serve', '--listen', '127.0.0.1:0', '--cert', 'server.pem', '--key', 'server.key', '--client-ca', 'stations.pem',
          '--trust', 'trust', '--proxy-from', 'somewhere', code=2, says='--proxy-from')


def makes_its_directory(build):
    """The first import on a new machine: what is missing is made, but not a whole path that is a mistake."""
    where = os.path.join(work, f'{build}-new')
    Depot(build, os.path.join(where, 'depot.db'))('import', 'line-7.ifppd', '--trust', 'trust')
    Depot(build, os.path.join(where, 'no', 'such', 'depot.db'))('init', code=9, says='no')
    # what SQLite would keep in memory is no depot
    Depot(build, '')('import', 'line-7.ifppd', '--trust', 'trust', code=2, says='an empty argument')
    for url in ':memory:', 'sqlite:', 'sqlite::memory:':
        Depot(build, url)('import', 'line-7.ifppd', '--trust', 'trust', code=9, says='is no database')


def execute_on(url):
    """A statement that no depot would make."""
    def execute(sql):
        if '://' not in url:
            with sqlite3.connect(url) as db:
                db.execute(sql)
        else:
            subprocess.run(['psql', '-Atq', url, '-c', sql], check=True, stdout=subprocess.DEVNULL, env=environment, cwd=work)
    return execute


def operate(test, build, kind, fresh, server=None):
    """All of it on one database."""
    def rows_of(url):
        def rows(sql):
            if not server:
                with sqlite3.connect(url) as db:
                    return db.execute(sql).fetchall()
            told = subprocess.run(['psql', '-Atq', url, '-c', f"SELECT row_to_json(r) FROM ({sql}) r"], check=True,
                                  capture_output=True, text=True, env=environment, cwd=work).stdout
            return [tuple(json.loads(line).values()) for line in told.splitlines()]
        return rows

    test('rogue_station_burns_nothing', rogue_station_burns_nothing, build, fresh('rogue'))
    test('what is disproved is undone', disproved_is_undone, build, fresh('disproved'))
    units.operate(test, build, fresh, execute_on, rows_of)
    notes.operate(test, build, fresh, execute_on, rows_of)
    keys.operate(test, build, fresh, execute_on, rows_of)
    test('attempts_both_kept', attempts_both_kept, build, fresh('attempts'))
    test('restored_depot_gets_results', restored_depot_gets_results, build, fresh('lost'), fresh)
    url = fresh('clock')
    test('lease_of_wrong_clock', lease_of_wrong_clock, build, url, execute_on(url))
    url = fresh('locked')
    test('locked_table_503', locked_table_503, build, url,
         (lambda: server.lock(url)) if server else (lambda: sqlite_locker(url)))
    test('asked while it stands still', asked_while_it_stands_still, build, fresh('asked'))
    commits.operate(test, build, fresh, execute_on, server)
    if server:
        test('standby_promoted', standby_promoted, build)
    else:
        test('a copy put back is seen', copied_back, build, fresh('copied'))
        test('a depot makes its directory', makes_its_directory, build)
        test('a depot of version 1 is carried over', version_1_is_carried_over, build, fresh('current'))
        test('a delivery in conflict is rejected', rejected_delivery, build, fresh('conflict'))
        test('expired_station_says_so', expired_station_says_so, build, fresh('expired'))
        test('refused_stranger_hears_why', refused_stranger_hears_why, build, fresh('refused'))
        test('reload_crl', reload_crl, build, fresh('reload'))
        test('what ends within 14 days is told', ends_within_14_days, build, fresh('ends'))
        reload.operate(test, build, fresh)
        hostile.operate(test, build, fresh)
        test('behind HAProxy', behind_haproxy, build, fresh('proxy'))
        test('idle_connections', idle_connections, build, fresh('idle'))
