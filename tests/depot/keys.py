# SPDX-License-Identifier: GPL-2.0-or-later
"""Chips that an EUM tells of, whose their keys are, and whose packages this factory takes."""
import contextlib
import os
import subprocess
import threading

from world import CHIPS, EXIT_BUSY, Depot, Failed, TOP, eid, expect, in_time, raise_worst, run, shell, work

TOOLS = os.path.join(TOP, 'build/unit-plain/tools')


def batch_file():
    """The EUM's batch of all chips, made once."""
    if not os.path.exists(os.path.join(work, 'lot-1.ifppe')):
        shell(f'{TOOLS}/eum/ifpp-eum batch data --pki pki --name lot-1 --out lot-1.ifppe')
    return 'lot-1.ifppe'


def batches(depot):
    return depot('chips', 'list', '--json').objects()


def read(name):
    with open(os.path.join(work, name), 'rb') as file:
        return file.read()


def write(name, data):
    with open(os.path.join(work, name), 'wb') as file:
        file.write(data)


def esed_batch(build, url, execute, fresh):
    """A batch is taken in whole or not at all, once, and given out as the EUM signed it."""
    depot, name = Depot(build, url), batch_file()
    first = depot('import', name, '--trust', 'trust', '--json').objects()[0]
    expect(first['chips'] == first['added'] == CHIPS and first['batch'] == 'lot-1', first)
    again = depot('import', name, '--trust', 'trust', '--json').objects()[0]
    expect(again['added'] == 0, again)
    told = batches(depot)
    expect(len(told) == 1 and told[0]['whole'] and told[0]['chips'] == CHIPS and told[0]['name'] == 'lot-1', told)
    out = f'{build}-again.ifppe'
    for which in ('lot-1', told[0]['id'][:12]):
        depot('chips', 'export', which, '-o', out)
        expect(read(out) == read(name), 'another batch comes out than went in')
    depot('chips', 'export', 'lot-2', '-o', out, code=5, says='no such batch')

    # what is wrong with one chip, or with the signature, is named, and nothing is taken
    other, good = Depot(build, fresh('wrong')), read(name)
    other('init')
    data = read(os.path.join('data', eid(3) + '.euicc'))
    at = good.index(data[:150]) + 100  # before the EUM's certificate, which the batch has once
    write('altered.ifppe', good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
    other('import', 'altered.ifppe', '--trust', 'trust', code=6, says='the data of chip 4 ')
    at = good.index(b'lot-1') + 4
    write('altered.ifppe', good[:at] + b'2' + good[at + 1:])
    other('import', 'altered.ifppe', '--trust', 'trust', code=6, says='signed')
    write('altered.ifppe', good[:-1])
    other('import', 'altered.ifppe', '--trust', 'trust', code=5, says='bytes instead of')
    other('import', name, '--trust', 'other', code=6)
    run('plain', 'tools/ifppctl/ifppctl', 'request', '-o', 'request.ifppe', 'data')
    other('import', 'request.ifppe', '--trust', 'trust', code=2, says='no batch')
    expect(not batches(other), batches(other))

    # one that was cut off counts for nothing until it is finished
    execute('UPDATE esed SET done = 0')
    os.makedirs(os.path.join(work, f'{build}-none'), exist_ok=True)
    depot('keys', 'assign', '--for', 'A', '--keys', '1', '--to', f'{build}-none', code=6, says='no chip is here')
    depot('chips', 'export', 'lot-1', '-o', out, code=5, says='not here whole')
    expect(not batches(depot)[0]['whole'], batches(depot))
    again = depot('import', name, '--trust', 'trust', '--json').objects()[0]
    expect(again['added'] == 0 and batches(depot)[0]['whole'], again)

    # other data of a chip that is here already
    shell(f'''rm -rf {build}-other && mkdir {build}-other && cp data/*.euicc {build}-other/
        {TOOLS}/eum/ifpp-eum personalise --pki pki --eid {eid(2)} --keys 1 --chip {build}-other/2.mem --data {build}-other/{eid(2)}.euicc
        {TOOLS}/eum/ifpp-eum batch {build}-other --pki pki --name lot-2 --out {build}-lot-2.ifppe''')
    depot('import', f'{build}-lot-2.ifppe', '--trust', 'trust', code=6, says=eid(2))
    expect(len(batches(depot)) == 1, batches(depot))
    copy = f'{build}-keys-copy.db'
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(work, copy))
    depot('backup', copy)
    Depot(build, copy)('chips', 'export', 'lot-1', '-o', out)
    expect(read(out) == read(name), 'the backup has another batch')


def assign(depot, maker, where, keys=1, code=0, says=None, *more):
    return depot('keys', 'assign', '--for', maker, '--keys', str(keys), '--to', where, '--json', *more, code=code, says=says)


def two_key_makers(build, url, rows):
    """Keys are assigned once, also by several programs at a time; a request carries only those of its Key Maker."""
    depot, where = Depot(build, url), f'{build}-requests'
    shell(f'rm -rf {where} && mkdir {where}')
    depot('import', batch_file(), '--trust', 'trust')
    assign(depot, 'Key Maker A', where, 3, 6, 'asked for')
    expect(not rows('SELECT key_maker FROM otk'), 'a refused request has taken keys')
    makers, told, odd = ('Key Maker A', 'Key Maker B', 'Key-Maker A', 'Key Maker C'), {}, []

    def ask(maker):
        try:
            told[maker] = assign(depot, maker, where, 1, None)
        except (Failed, OSError, subprocess.SubprocessError) as error:
            odd.append(error)

    threads = [threading.Thread(target=ask, args=(maker,)) for maker in makers for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    raise_worst(odd)
    in_time(all(done.code != EXIT_BUSY for done in told.values()), [d.err for d in told.values()])
    expect(all(done.code in (0, 6, 8, 9) for done in told.values()), [d.err for d in told.values()])
    # there are two keys of each chip for four who ask
    owners = [bytes.fromhex(key.removeprefix('\\x')) if isinstance(key, str) else key
              for key, in rows('SELECT key_id FROM otk')]
    expect(len(owners) == len(set(owners)) <= 2 * CHIPS, f'{len(owners)} keys')
    expect(sum(count['keys'] for count in depot('keys', 'list', '--json').objects()) == len(owners), 'keys list')


def requests_of_two(build, url, rows):
    """What each Key Maker is asked: he takes it in, and the depot knows for whose keys there are packages."""
    depot, where = Depot(build, url), f'{build}-two'
    shell(f'rm -rf {where} && mkdir {where}')
    depot('import', batch_file(), '--trust', 'trust')
    files = {}
    for maker in 'Key Maker A', 'Key Maker B':
        told = assign(depot, maker, where, 1, 0, None, '--order', 'line-8', '--profile', 'consumer', '--batch', 'lot-1').objects()[0]
        expect(told['chips'] == told['assigned'] == CHIPS and told['outcome'] == 'written', told)
        expect(os.path.basename(told['file']).startswith(f"line-8-{maker.replace(' ', '-')}-"), told)
        files[maker] = told['file']
    expect(len(set(files.values())) == 2, 'two Key Makers, one file')
    before = {name: read(name) for name in files.values()}
    again = assign(depot, 'Key Maker A', where, 1, 0, None, '--order', 'line-8', '--profile', 'consumer', '--batch', 'lot-1').objects()[0]
    expect(again['assigned'] == 0 and again['outcome'] == 'there already' and read(again['file']) == before[again['file']], again)
    third = assign(depot, 'Key Maker C', where, 1, 6, 'to nobody')
    expect('0 to nobody' in third.err, third.err)
    owners = {maker: [bytes.fromhex(key.removeprefix('\\x')) if isinstance(key, str) else key
                      for key, in rows(f"SELECT key_id FROM otk WHERE key_maker = '{maker}'")] for maker in files}
    for maker, name in files.items():
        expect(len(owners[maker]) == CHIPS, owners)
        for who, keys in owners.items():
            expect(all((key in before[name]) == (who == maker) for key in keys), f'keys of {who} in the request to {maker}')
        shown = run('plain', 'tools/ifppctl/ifppctl', 'request', '--show', name, '--json').objects()[-1]
        expect(shown['key_maker'] == maker and shown['profile'] == 'consumer' and shown['chips'] == CHIPS, shown)
    shell(f"rm -rf {build}-vault && cp -r home {build}-vault && {TOOLS}/smdpf/ifpp-smdpf import --home {build}-vault "
          f"--name two '{files['Key Maker B']}'")
    depot('import', 'line-7.ifppd', '--trust', 'trust')
    counts = {count['key_maker']: (count['keys'], count['packages']) for count in depot('keys', 'list', '--json').objects()}
    expect(counts == {'Key Maker A': (CHIPS, CHIPS), 'Key Maker B': (CHIPS, CHIPS)}, counts)


def request_tells_devices(build, url, execute):
    """With --imei the request has the devices that stations have told of, and without none."""
    depot, where = Depot(build, url), f'{build}-devices'
    shell(f'rm -rf {where} && mkdir {where}')
    depot('import', batch_file(), '--trust', 'trust')
    assign(depot, 'Key Maker A', where)
    for at, imei in enumerate(('351234561234568', '123456789012345')):  # the second one's check digit is wrong
        execute(f"INSERT INTO unit (eid, imei, at) SELECT eid, '{imei}', 1 FROM (SELECT DISTINCT eid FROM otk) o "
                f'ORDER BY eid LIMIT 1 OFFSET {at}')
    for more, imeis in ((), []), (('--imei',), ['351234561234568']):
        told = assign(depot, 'Key Maker A', where, 1, 0, None, '--order', 'line-8', *more).objects()[0]
        shown = run('plain', 'tools/ifppctl/ifppctl', 'request', '--show', told['file'], '--json').objects()[:-1]
        expect([chip['imei'] for chip in shown if 'imei' in chip] == imeis and len(shown) == CHIPS, shown)
        expect(read(told['file']).find(b'IFPP request 3' if more else b'IFPP request 2') == 16, told)


def foreign_key_maker_refused(build, url):
    """The factory's list of Key Makers holds for the warehouse, too."""
    depot, ski = Depot(build, url), subprocess.run(
        ['openssl', 'x509', '-in', 'dppb.pem', '-noout', '-ext', 'subjectKeyIdentifier'], cwd=work, check=True,
        capture_output=True, text=True).stdout.split()[-1].replace(':', '')
    shell(f'mkdir -p {build}-etc && rm -rf {build}-etc/ci && cp -r trust {build}-etc/ci')
    write(f'{build}-etc/key-makers', b'subject CN=Somebody Else\n')
    depot('import', 'line-7.ifppd', '--trust', f'{build}-etc/ci', code=6, says='does not name this Key Maker')
    expect(not depot.states(), depot.states())
    write(f'{build}-etc/key-makers', f'ski {ski}\n'.encode())
    depot('import', 'line-7.ifppd', '--trust', f'{build}-etc/ci')
    expect(depot.states() == {'free': 2 * CHIPS}, depot.states())
    # keys for which there is a package are nobody's to give away
    depot('import', batch_file(), '--trust', 'trust')
    assign(depot, 'Key Maker A', f'{build}-etc', 1, 6, '0 to nobody')


def operate(test, build, fresh, execute_on, rows_of):
    """All of it on one database."""
    url = fresh('esed')
    test('esed_batch', esed_batch, build, url, execute_on(url), fresh)
    url = fresh('makers')
    test('two_key_makers: keys are assigned once', two_key_makers, build, url, rows_of(url))
    url = fresh('requests')
    test('two_key_makers: what each is asked', requests_of_two, build, url, rows_of(url))
    url = fresh('devices')
    test('request_tells_devices', request_tells_devices, build, url, execute_on(url))
    test('foreign_key_maker_refused', foreign_key_maker_refused, build, fresh('foreign'))
