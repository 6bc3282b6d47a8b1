# SPDX-License-Identifier: GPL-2.0-or-later
"""What a station says beside results, as far as the Key Maker: refused packages with their reasons, the eIM, what lies in
quarantine. It is the station's word, and moves no package."""
import base64
import concurrent.futures
import contextlib
import csv
import http.server
import io
import json
import os
import shutil
import ssl
import threading
import urllib.request

from stock import chip_data, fetched, fresh_chip, status, stocked
from world import CHIPS, Depot, Https, eid, expect, fetch, key_maker_says, load, outbox_of, read_report, run, work

IDENTITY = ('--cert', 'one.pem', '--key', 'one.key', '--ca', 'server-ca.pem')
KEY_MAKER, REVOKED = 305, 265       # IfppError
UNIT = {'imei': '359072061234562', 'model': 'EG25-G', 'usb_path': '1-2.3'}


def refuse(outbox, chip, key, reason=REVOKED, why='package: the SM-DPf certificate is revoked', minute=0):
    """As the daemon leaves it."""
    with open(os.path.join(outbox, chip, key + '.refused'), 'w') as file:
        file.write(f'[Refusal]\nVersion=1\nEID={chip}\nKeyId={key}\nReason={reason}\nWhy={why}\nTime=2026-11-29T10:{minute:02}:00Z\n')


def station_outbox(name, chip, results=()):
    """A station with an eIM that its chip did not take, a unit, and something in quarantine."""
    outbox = outbox_of(name, chip, results, None)
    unit = os.path.join(outbox, chip)
    shutil.copy(os.path.join(work, 'data', chip + '.euicc'), os.path.join(unit, 'euicc.data'))
    with open(os.path.join(unit, 'eim.record'), 'w') as file:
        file.write(f'[Eim]\nVersion=1\nEID={chip}\nId=eim.example\nSha256={"ab" * 32}\nKnown=false\nReason=no room\n'
                   'Time=2026-11-29T10:00:00Z\n')
    with open(os.path.join(unit, 'unit.identity'), 'w') as file:
        file.write(f'[Unit]\nImei={UNIT["imei"]}\nModel={UNIT["model"]}\nUsbPath={UNIT["usb_path"]}\n')
    os.mkdir(os.path.join(unit, 'quarantine'))
    for what, data in (('bin', b'\xbf\x37\x00odd'), ('txt', b'[Quarantine]\nReason=not a result\n')):
        with open(os.path.join(unit, 'quarantine', f'one.{what}'), 'wb') as file:
            file.write(data)
    return outbox


def deliver(build, port, outbox, code=0):
    return run(build, 'tools/ifppctl/ifppctl', '--json', 'deliver', '--to', f'https://localhost:{port}', '--outbox', outbox,
               '--cache', os.path.join(work, 'no-cache'), *IDENTITY, code=code).objects()[-1]


def whole_report(name):
    units, last = read_report(os.path.join(work, name))
    return {'units': units, **last}


def part_report(units, **totals):
    """As version 2 has it."""
    with open(os.path.join(work, 'notes-part.json'), 'w') as file:
        json.dump({'format': 'ifpp-report', 'version': 2, 'units': units, 'totals': totals}, file)


def report_of(depot, *options):
    depot('report', '-o', 'notes-report.json', *options)
    return whole_report('notes-report.json')


def unit_of(report, chip):
    return next(unit for unit in report['units'] if unit['eid'] == chip)


def own_report(build, outbox, packages):
    run(build, 'tools/ifppctl/ifppctl', 'report', '-o', 'own-report.json', '--outbox', outbox, '--packages', packages)
    return whole_report('own-report.json')


def same_key_maker(names):
    """What the Key Maker says of each of these reports, from the same ledger."""
    told = []
    for name in names:
        shutil.rmtree(os.path.join(work, 'vault'), ignore_errors=True)
        shutil.copytree(os.path.join(work, 'home'), os.path.join(work, 'vault'))
        summary = key_maker_says(name)
        lines = run('plain', 'tools/smdpf/ifpp-smdpf', 'verify-report', '--home', 'vault', '--json', name).objects()
        told.append((summary, lines, extract_of('vault')))
    return told


def extract_of(home):
    return run('plain', 'tools/smdpf/ifpp-smdpf', 'extract', '--home', home, '--operator', 'Telco', '--json').objects()


def refusals_reach_the_key_maker(build, url, rows):
    """A station's own report and the depot's say the same of what it refused, of its eIM and of its unit."""
    depot, chip = stocked(build, url), eid(1)
    cache = os.path.join(work, 'notes-cache')
    shutil.rmtree(cache, ignore_errors=True)
    os.mkdir(cache)
    fresh_chip(chip)
    with depot.serve() as (port, _):
        fetch(build, port, chip, cache)
        files = {package['key_id']: os.path.join(cache, name) for package in depot.list('--eid', chip) for name in os.listdir(cache)
                 if package['key_id'][:16] in name}
        good, bad = sorted(files)
        outbox = station_outbox('notes-outbox', chip, [load(chip, files[good])])
        refuse(outbox, chip, bad, KEY_MAKER, 'package: of a Key Maker that is not on the list')
        first = deliver(build, port, outbox)
        expect(first['delivered'] == 3 and first['unknown'] == first['refused'] == 0, first)
        expect(deliver(build, port, outbox)['before'] == 3, 'delivered twice')
        mine, whole = own_report(build, outbox, cache), report_of(depot)
        own, unit = unit_of(mine, chip), unit_of(whole, chip)
        # member by member; the depot adds who said it, and has what it cannot know to be the station's
        for refused in unit['refused']:
            expect(refused.pop('station') == 'station-1', refused)
        expect(unit['refused'] == own['refused'] and own['refused'][0]['reason_name'] == 'key-maker', unit['refused'])
        for member in ('eid', 'euicc_data', 'results', 'refused', 'eim', 'quarantine', 'lock'):
            expect(unit[member] == own[member], f'{member}: {unit[member]}, not {own[member]}')
        expect(dict(own['unit'], station='station-1') == unit['unit'] and unit['unit']['imei'] == UNIT['imei'], unit['unit'])
        expect(unit['socket'] == own['socket'] == UNIT['usb_path'], unit)
        expect(set(own) <= set(unit) and set(unit) - set(own) == {'unproven'}, set(own) ^ set(unit))
        expect([p['key_id'] for p in unit['pending']] == [p['key_id'] for p in own['pending']] == [bad], unit['pending'])
        expect(whole['totals']['refused'] == 1 == mine['totals']['refused'], whole['totals'])
        # the package stays with its station, and is no doubt
        expect(depot.states() == {'free': 2 * CHIPS - 2, 'sent': 1, 'installed': 1} and not status(depot)[1], depot.states())
        last = depot('history', bad, '--json').objects()[-1]
        expect(last['state'] == 'sent' and last['station'] == 'station-1' and 'not signed: key-maker' in last['detail'], last)
        # the Key Maker takes both, and both say why it is not loaded
        units = [unit_of(whole, chip)]
        part_report(units, refused=1)
        (summary, by_station, extract), (other, by_depot, other_extract) = same_key_maker(('own-report.json', 'notes-part.json'))
        expect(summary['installed'] == other['installed'] == 1 and summary['not-loaded'] == other['not-loaded'] == 1, (summary, other))
        why = [[line['why'] for line in lines if line.get('key_id') == bad] for lines in (by_station, by_depot)]
        expect(why[0] == why[1] == ['not loaded, told and not signed: key-maker (the factory\'s word)'], why)
        row, other_row = ([r for r in e if r['key_id'] == bad] for e in (extract, other_extract))
        expect(len(row) == 1 and row == other_row and row[0]['state'] == 'sealed' and row[0]['reason'] == 'key-maker', (row, other_row))
        # of a package that lies there by now the extract says no more why it was refused
        del units[0]['refused']
        part_report(units)
        key_maker_says('notes-part.json')
        row = [r for r in extract_of('vault') if r['key_id'] == bad]
        expect(row[0]['state'] == 'sealed' and not row[0]['reason'], row)
        expect(key_maker_says('notes-report.json')['totals_wrong'] == 0, 'totals of the whole report')
        # told again with another reason it is the last one that counts; the same again is no line of the history
        events = len(depot('history', bad, '--json').objects())
        refuse(outbox, chip, bad, KEY_MAKER, 'once more', 5)
        expect(deliver(build, port, outbox)['delivered'] == 1, 'not told again')
        expect(len(depot('history', bad, '--json').objects()) == events, 'a line for nothing')
        refuse(outbox, chip, bad, minute=6)
        expect(deliver(build, port, outbox)['delivered'] == 1, 'not told again')
        refused = unit_of(report_of(depot), chip)['refused']
        expect(len(refused) == 1 and refused[0]['reason_name'] == 'revoked' and refused[0]['time'] == '2026-11-29T10:06:00Z', refused)
        # of a report of some packages only what is of these
        expect('refused' not in unit_of(report_of(depot, '--state', 'installed'), chip), 'of another package')
        some = unit_of(report_of(depot, '--state', 'sent'), chip)
        expect(len(some['refused']) == 1 and 'quarantine' not in some, some)
        # loaded after all
        os.unlink(os.path.join(outbox, chip, bad + '.refused'))
        outbox_results = outbox_of('notes-later', chip, [load(chip, files[bad])], None)
        shutil.copy(os.path.join(outbox_results, chip, bad + '.result'), os.path.join(outbox, chip))
        expect(deliver(build, port, outbox)['delivered'] == 2, 'result and notes')
        unit = unit_of(report_of(depot), chip)
        expect('refused' not in unit and unit['eim']['id'] == 'eim.example' and len(unit['results']) == 2, unit)
        # nothing is left to tell: that is told, too
        for name in ('eim.record', 'unit.identity'):
            os.unlink(os.path.join(outbox, chip, name))
        shutil.rmtree(os.path.join(outbox, chip, 'quarantine'))
        expect(deliver(build, port, outbox)['delivered'] == 1 and deliver(build, port, outbox)['delivered'] == 0, 'nothing')
        unit = unit_of(report_of(depot), chip)
        expect('eim' not in unit and 'quarantine' not in unit, unit)
    expect(rows("SELECT station FROM note") == [('station-1',)] and not rows('SELECT key_id FROM refusal'), 'rows')


def notes_move_nothing(build, url, execute, rows):
    """A station that lies, floods or talks nonsense: no package, lease or doubt changes, and there is an end to what is kept."""
    depot, chip, other = stocked(build, url), eid(0), eid(2)
    with depot.serve('--access-log', 'notes.log', '--rate', '1000') as (port, _):
        one, rogue = Https(port), Https(port, 'rogue')
        files = fetched(one, chip)
        mine = sorted(files)
        theirs = depot.list('--eid', other)[0]['key_id']

        def said(keys, **members):
            return {'format': 'ifpp-notes', 'version': 1, 'eid': chip,
                    'refused': [{'key_id': key, 'reason': REVOKED, 'why': 'because', 'time': '2026-11-29T10:00:00Z'} for key in keys],
                    **members}

        before = depot.list()
        # of a chip that it never had
        rogue.json('PUT', '/v1/notes/' + chip, said(mine), status=404)
        rogue.json('PUT', '/v1/notes/' + eid(98), dict(said([]), eid=eid(98)), status=404)
        expect(not rows('SELECT eid FROM note') and depot.list() == before, 'something is kept')
        # of packages that it was not sent: they are another chip's, or nobody's
        answer = one.json('PUT', '/v1/notes/' + chip, said([mine[0], theirs, 'ab' * 32]), status=201)
        expect(answer['stored'] and answer['refused'] == 1, answer)
        expect(rows('SELECT COUNT(*) FROM refusal') == [(1,)] and depot.list() == before, 'more than it may')
        # claimed, and not fetched
        rogue.json('POST', '/v1/claims', {'eid': other})
        expect(rogue.json('PUT', '/v1/notes/' + other, dict(said([theirs]), eid=other), status=201)['refused'] == 0, 'not sent')
        expect(depot.states() == {'free': 2 * CHIPS - 4, 'reserved': 2, 'sent': 2} and not status(depot)[1], depot.states())
        # it is the same, whatever its spaces
        expect(not one.json('PUT', '/v1/notes/' + chip, json.dumps(said([mine[0], theirs, 'ab' * 32]), indent=2))['stored'], 'twice')
        # nonsense
        quarantine = {'name': 'x', 'why': 'y', 'bytes': None}
        eim = {'id': 'e', 'sha256': 'ab' * 32, 'known': True, 'time': '2026-11-29T10:00:00Z'}
        for what, body in (('no list', said([], refused={})), ('two of one key', said([mine[0], mine[0]])),
                           ('no key', said(['ab'])), ('too many', said([f'{i:064x}' for i in range(257)])),
                           ('a reason of 0', said([], refused=[dict(said(mine)['refused'][0], reason=0)])),
                           ('a time of its own', said([], refused=[dict(said(mine)['refused'][0], time='yesterday')])),
                           ('no reason', said([], refused=[{'key_id': mine[0]}])), ('a string', said([], refused=['x'])),
                           ('an eIM that is none', said([], eim=7)), ('an eIM half', said([], eim=dict(eim, known='yes'))),
                           ('an eIM without a sum', said([], eim=dict(eim, sha256='ab'))), ('quarantine', said([], quarantine=[7])),
                           ('bytes', said([], quarantine=[dict(quarantine, bytes='???')])),
                           ('many', said([], quarantine=[quarantine] * 65)), ('damaged', said([], damaged=[None])),
                           ('another version', said([], version=2)), ('another format', said([], format='ifpp-note')),
                           ('another chip', dict(said([]), eid=other)), ('no EID', dict(said([]), eid='1')), ('a list', [])):
            try:
                one.json('PUT', '/v1/notes/' + chip, body, status=400)
            except Exception as error:
                raise type(error)(f'{what}: {error}') from None
        one.json('PUT', '/v1/notes/1', said([]), status=400)
        one.json('GET', '/v1/notes/' + chip, status=405)
        flood = {'name': 'x', 'why': 'y', 'bytes': base64.b64encode(bytes(60 * 1024)).decode()}
        # In a thread of its own: OpenSSL keeps the error of a write that failed, and Python takes it for one of the thread's next read.
        with contextlib.suppress(OSError), concurrent.futures.ThreadPoolExecutor(1) as pool:     # it does not listen to the end
            pool.submit(Https(port).json, 'PUT', '/v1/notes/' + chip, said([], quarantine=[flood] * 7), status=413).result()
        # what is shown on a terminal is fit for it
        nasty = said(mine, damaged=['\x1b[2Ja\nb'], eim=dict(eim, id='\x07e'))
        nasty['refused'][0]['why'] = 'x\x1b' + 'y' * 9000
        one.json('PUT', '/v1/notes/' + chip, nasty, status=201)
        unit = unit_of(report_of(depot), chip)
        expect(unit['damaged'] == [' [2Ja b'] and unit['eim']['id'] == ' e', unit)
        expect(unit['refused'][0]['why'] == 'x ' + 'y' * 4094, len(unit['refused'][0]['why']))
        # a little of each chip, and a lot of some: there is an end
        big = said([], quarantine=[flood])
        one.json('PUT', '/v1/notes/' + chip, big, status=201)
        fetched(one, eid(3))
        execute(f"UPDATE note SET bytes = {64 << 20} WHERE station = 'station-1'")
        refused = one.json('PUT', '/v1/notes/' + eid(3), dict(big, eid=eid(3)), status=413)
        expect('as many notes as it may' in refused['message'], refused)
        one.json('PUT', '/v1/notes/' + eid(3), dict(said([]), eid=eid(3)), status=201)
        one.json('PUT', '/v1/notes/' + chip, said(mine), status=201)
        # a doubt and a proven result are the last word
        expect(len(unit_of(report_of(depot), chip)['refused']) == 2, 'both are refused')
        one.json('PUT', '/v1/results/' + mine[0], {
            'format': 'ifpp-result', 'version': 1, 'eid': chip, 'result': {'key_id': mine[0], 'status': -5, 'reason': 0, 'pir': None}},
            status=201)
        expect([r['key_id'] for r in unit_of(report_of_doubt(depot), chip)['refused']] == [mine[1]], 'beside a doubt')
        depot('burn', chip, '--why', 'lost')
        expect('refused' not in unit_of(report_of(depot), chip), 'beside what was burnt')
        depot('unburn', chip, '--why', 'found')
    expect(depot.states()['free'] == 2 * CHIPS - 4 and not status(depot)[1], depot.states())
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')
    with open(os.path.join(work, 'notes.log')) as file:
        log = file.read()
    os.unlink(os.path.join(work, 'notes.log'))
    expect('2 of 3 refusals are of packages that it was not sent' in log and 'as many notes as it may' in log, log)


def report_of_doubt(depot):
    depot('report', '-o', 'notes-report.json', code=1)
    return whole_report('notes-report.json')


def last_refusal_counts(build, url):
    """Two stations refuse a package: figures, API and report tell the later one; figures and CSV of failures count it once."""
    depot, chip = stocked(build, url), eid(4)
    token = depot('token', 'add', 'mes', '--json').objects()[0]['token']
    notes = lambda keys, reason: {  # noqa: E731
        'format': 'ifpp-notes', 'version': 1, 'eid': chip, 'unit': dict(UNIT, firmware='A11'), 'socket': 'left',
        'refused': [{'key_id': key, 'reason': reason, 'why': 'because', 'time': '2026-11-29T10:00:00Z'} for key in keys]}
    with depot.serve('--api', '127.0.0.1:0', '--dashboard', '127.0.0.1:0') as (port, process):
        said = sorted(process.stdout.readline() for _ in range(2))
        api, dashboard = (line.split()[1].rstrip('/') for line in said)
        context = ssl.create_default_context(cafile=os.path.join(work, 'server-ca.pem'))

        def get(path):
            request = urllib.request.Request(api.replace('127.0.0.1', 'localhost') + path, headers={'Authorization': 'Bearer ' + token})
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return answer.read().decode()

        one, two = Https(port), Https(port, 'two')
        files = sorted(fetched(one, chip))
        one.json('PUT', '/v1/notes/' + chip, notes(files, KEY_MAKER), status=201)
        one.json('DELETE', '/v1/claims/' + chip)
        depot('release', chip)
        expect(sorted(fetched(two, chip)) == files, 'not free')
        two.json('PUT', '/v1/notes/' + chip, notes(files[:1], REVOKED), status=201)
        unit = unit_of(report_of(depot), chip)
        told = [(r['key_id'], r['reason_name'], r['station']) for r in unit['refused']]
        expect(told == [(files[0], 'revoked', 'station-2'), (files[1], 'key-maker', 'station-1')], told)
        expect(unit['socket'] == 'left' and unit['unit']['usb_path'] == '1-2.3', unit)
        listed = json.loads(get('/api/v1/results?state=refused'))
        expect(listed['next'] is None and [(r['key_id'], r['refused']['reason'], r['refused']['station'], r['state'])
                                           for r in listed['results']] == [(*t, 'sent') for t in told], listed)
        one_of = json.loads(get('/api/v1/units/' + chip))['results']
        expect([r['refused']['reason'] for r in one_of] == ['revoked', 'key-maker'] and not one_of[0]['reason'], one_of)
        expect(not json.loads(get('/api/v1/results?state=lost'))['results'], 'refused is not lost')
        failures = list(csv.DictReader(io.StringIO(get('/api/v1/failures.csv'), newline='')))
        expect([(f['key_id'], f['reason'], f['reported_by']) for f in failures] == told and
               all(f['state'] == 'refused' and f['proof'] == 'not signed: because' for f in failures), failures)
        with urllib.request.urlopen(dashboard + '/figures.json', timeout=30) as answer:
            figures = json.load(answer)['figures']
        expect(sorted((r['reason'], r['station'], r['firmware'], r['packages']) for r in figures['refusals']) ==
               [('key-maker', 'station-1', 'A11', 1), ('revoked', 'station-2', 'A11', 1)] and not figures['failures'], figures['refusals'])
        expect('ifpp_depot_refused_packages{reason="revoked",station="station-2",firmware="A11"} 1' in get('/metrics'), 'metrics')
        # what has ended is no more than lost, and told once
        depot('burn', chip, '--why', 'lost')
        failures = list(csv.DictReader(io.StringIO(get('/api/v1/failures.csv'), newline='')))
        expect([(f['key_id'], f['state'], f['reason']) for f in failures] == [(key, 'burnt', 'burnt') for key in files], failures)
        expect(not json.loads(get('/api/v1/results?state=refused'))['results'], 'still refused')


def rework_reaches_the_key_maker(build, url):
    """What the chip has signed of its rework comes by the depot, too; what it has not signed frees nothing."""
    depot, chip, other = stocked(build, url), eid(2), eid(3)
    records = {}
    with depot.serve() as (port, _):
        one = Https(port)
        for unit in (chip, other):
            fresh_chip(unit)
            files = fetched(one, unit)
            results = [load(unit, files[key]) for key in sorted(files)]
            records[unit] = json.loads(run('plain', 'tests/depot/vchip', 'rework', unit + '.mem').out)
            expect(len(records[unit]) == 2, records)
            for result in results if unit == chip else ():
                one.json('PUT', '/v1/results/' + result['result']['key_id'], result, status=201)
        outbox = station_outbox('notes-rework', chip)
        for record in records[chip]:
            with open(os.path.join(outbox, chip, f'{record["seq"]}.deletion'), 'w') as file:
                file.write(f'[Deletion]\nVersion=1\nEID={chip}\nRecord={record["record"]}\nTime={record["time"]}\n')
        expect(deliver(build, port, outbox)['delivered'] == 2, 'chip and notes')
        notes = {'format': 'ifpp-notes', 'version': 1, 'eid': chip}
        whole = report_of(depot)
        own = unit_of(own_report(build, outbox, work + '/packages'), chip)
        expect(unit_of(whole, chip)['deletions'] == own['deletions'] and len(own['deletions']) == 2, own['deletions'])
        expect(whole['totals']['deleted'] == 2, whole['totals'])
        part_report([unit_of(whole, chip)], deleted=2)
        shutil.rmtree(os.path.join(work, 'vault'), ignore_errors=True)
        shutil.copytree(os.path.join(work, 'home'), os.path.join(work, 'vault'))
        summary = key_maker_says('notes-part.json')
        expect(summary['deleted'] == 2 and not summary['forged'], summary)
        # a record of another chip, or one that was altered, is named and is none
        for record, status in ((results[0]['result']['pir'], 400), ('AAAA', 400), (records[other][0]['record'], 201)):
            one.json('PUT', '/v1/notes/' + chip, dict(notes, deletions=[dict(records[chip][0], record=record)]), status=status)
        unit = unit_of(report_of(depot), chip)
        expect('deletions' not in unit, 'of another chip')
        # of the right profile, and nobody has signed it
        flipped = bytearray(base64.b64decode(records[chip][0]['record']))
        flipped[flipped.index(b'\x5f\x37\x40') + 5] ^= 1
        one.json('PUT', '/v1/notes/' + chip, dict(notes, deletions=[dict(records[chip][0], record=base64.b64encode(flipped).decode())]),
                 status=201)
        unit = unit_of(report_of(depot), chip)
        expect('deletions' not in unit and [u['key_id'] for u in unit['unproven']] == [None] and 'deletion' in unit['unproven'][0]['why'], unit)


class OldDepot(http.server.BaseHTTPRequestHandler):
    """A depot of before: it knows nothing of notes."""
    protocol_version = 'HTTP/1.1'
    asked = []

    def answer(self, status, body):
        self.asked.append((self.command, self.path, status))
        data = json.dumps({'version': 1, **body}).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200, {'station': 'station-1', 'epoch': '1a-2b'})

    def do_PUT(self):
        self.rfile.read(int(self.headers['Content-Length']))
        known = self.path.startswith(('/v1/chips/', '/v1/results/'))
        self.answer(201 if known else 404, {'stored': True} if known else {'error': 'unknown', 'message': 'x', 'hint': 'y'})

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def old_depot():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), OldDepot)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(work, 'server.pem'), os.path.join(work, 'server.key'))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    OldDepot.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def old_depot_new_station(build, url):
    """A depot of before is not asked for what it does not know; the depot of today in its place gets it. So does a directory."""
    chip = eid(5)
    outbox = station_outbox('notes-old', chip)
    depot = stocked(build, url)
    key = depot.list('--eid', chip)[0]['key_id']
    refuse(outbox, chip, key)
    with old_depot() as port:
        done = deliver(build, port, outbox)
        expect(done['delivered'] == 1 and done['unknown'] == done['refused'] == 0 and done['complete'], done)
        expect(OldDepot.asked == [('GET', '/v1/status', 200), ('PUT', '/v1/chips/' + chip, 201)], OldDepot.asked)
    to, carried = os.path.join(work, 'notes-carried'), os.path.join(work, 'notes-stick')
    for directory in (to, carried):
        shutil.rmtree(directory, ignore_errors=True)
    # a station of before brings no notes: nothing is missed
    old = outbox_of('notes-before', chip, [], None)
    shutil.copy(os.path.join(work, 'data', chip + '.euicc'), os.path.join(old, chip, 'euicc.data'))
    depot('export', '--eid', chip, '--station', 'remote', '--to', carried)
    run(build, 'tools/ifppctl/ifppctl', 'deliver', '--outbox', old, '--to', to)
    expect(os.listdir(to) == [chip + '.chip.json'], os.listdir(to))
    expect(depot('collect', to, '--station', 'remote', '--trust', 'trust', '--json').objects()[0]['stored'] == 1, 'collect')
    expect(not {'refused', 'eim', 'socket', 'unit', 'quarantine'} & set(unit_of(report_of(depot), chip)), 'out of nothing')
    run(build, 'tools/ifppctl/ifppctl', 'deliver', '--outbox', outbox, '--to', to)
    expect(sorted(os.listdir(to)) == [chip + '.chip.json', chip + '.notes.json'], os.listdir(to))
    for stored in (1, 0):
        found = depot('collect', to, '--station', 'remote', '--trust', 'trust', '--json').objects()[0]
        expect(found['files'] == 2 and found['stored'] == stored and not found['refused'], found)
    unit = unit_of(report_of(depot), chip)
    expect([(r['key_id'], r['station']) for r in unit['refused']] == [(key, 'remote')] and unit['eim']['reason'] == 'no room', unit)
    with open(os.path.join(to, chip + '.notes.json'), 'w') as file:
        file.write('{}')
    depot('collect', to, '--station', 'remote', '--trust', 'trust', code=6, says='notes.json')


def version_6_is_carried_over(build, url, execute, rows, fresh):
    """A depot of schema version 6 has room for notes; a backup, of either database, has them."""
    depot, chip = stocked(build, url), eid(3)
    before = status(depot)
    for table in ('note', 'refusal'):
        execute(f'DROP TABLE {table}')
    execute("UPDATE depot SET value = 6 WHERE name = 'version'")
    expect(status(depot) == before and rows("SELECT value FROM depot WHERE name = 'version'") == [(7,)], 'version')
    with depot.serve() as (port, _):
        one = Https(port)
        key = sorted(fetched(one, chip))[0]
        one.json('PUT', '/v1/chips/' + chip, chip_data(chip), status=201)
        outbox = station_outbox('notes-version', chip)
        refuse(outbox, chip, key)
        expect(deliver(build, port, outbox)['delivered'] == 1, 'notes')
    unit = unit_of(report_of(depot), chip)
    expect(len(unit['refused']) == 1 and unit['eim']['known'] is False, unit)
    backup = os.path.join(work, f'{build}-notes-backup.db')
    for suffix in ('', '-wal', '-shm'):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(backup + suffix)
    depot('backup', backup)
    for other in (Depot(build, backup), Depot(build, fresh('notes_restored'))):
        if other.url != backup:
            other('restore', backup)
        expect(unit_of(report_of(other), chip) == unit, 'not in the copy')


def operate(test, build, fresh, execute_on, rows_of):
    """All of it on one database."""
    url = fresh('notes')
    test('notes: refusals_reach_the_key_maker', refusals_reach_the_key_maker, build, url, rows_of(url))
    test('notes: rework_reaches_the_key_maker', rework_reaches_the_key_maker, build, fresh('rework'))
    url = fresh('word')
    test('notes: notes_move_nothing', notes_move_nothing, build, url, execute_on(url), rows_of(url))
    test('notes: last_refusal_counts', last_refusal_counts, build, fresh('last'))
    test('notes: old_depot_new_station', old_depot_new_station, build, fresh('before'))
    url = fresh('six')
    test('notes: a depot of version 6 is carried over', version_6_is_carried_over, build, url, execute_on(url), rows_of(url), fresh)
