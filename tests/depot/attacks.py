# SPDX-License-Identifier: GPL-2.0-or-later
"""Stations, browsers and operators that do what nobody should: each is bounded, named and logged, and the others work on."""
import base64
import contextlib
import http.client
import json
import os
import shutil
import socket
import ssl
import threading
import time

from operation import execute_on, issue, lines_of_outbox, revoke
from stock import chip_data, fetched, fresh_chip, status, stocked, unsigned
from world import (CHIPS, TOP, Depot, Failed, Https, Late, eid, expect, in_time, load, lock, outbox_of, raise_worst, read_report,
                   shell, wait_for, work)

YEAR = 31536000000      # ms


class Log:
    """An access log of this test."""

    def __init__(self, build, name):
        self.name = f'{build}-{name}.log'
        self.options = ('--access-log', self.name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(work, self.name))

    def lines(self, *words):
        with open(os.path.join(work, self.name), encoding='ascii') as file:
            return [line for line in file if all(word in line for word in words)]

    def says(self, *words):
        """Lines are written after the answers."""
        wait_for(lambda: f'the log does not say {words}: {"".join(self.lines())[-1200:]}', lambda: self.lines(*words), 10)


def keys_of(claim):
    return [package['key_id'] for package in claim['packages']]


# ------------------------------------------------------------ names and certificates

def two_certificates_one_name(build, url):
    """Two certificates of one CN are one station, with one quota and one rate. The log names the second; a CRL ends either."""
    depot, log = stocked(build, url), Log(build, 'twins')
    issue('twin', 'station-1', (-1, 30))
    revoke()
    depot('station', 'add', 'station-1', '--quota', '2')
    with depot.serve('--rate', '20', '--client-crl', 'reload.crl', *log.options) as (port, _):
        one, twin = Https(port), Https(port, 'twin')
        first = keys_of(one.json('POST', '/v1/claims', {'eid': eid(0)}))
        expect(len(keys_of(twin.json('POST', '/v1/claims', {'eid': eid(1)}))) == 2, 'the second has nothing')
        for station in (one, twin):
            expect('2 chips' in station.json('POST', '/v1/claims', {'eid': eid(2)}, status=429)['message'], 'two quotas')
        expect(keys_of(twin.json('POST', '/v1/claims', {'eid': eid(0)})) == first, 'not the same station')
        log.says('station=station-1', 'address=127.0.0.1:', 'another certificate')
        for i in range(40):     # both of them again and again: a minute has one line
            Https(port, ('one', 'twin')[i % 2]).connection.connect()
        expect(len(log.lines('another certificate')) == 1, log.lines('another certificate'))
        begun, let_in = time.monotonic(), 0
        while time.monotonic() - begun < 2:
            let_in += sum(station.ask('GET', '/v1/status')[0].status == 200 for station in (one, twin))
        expect(let_in <= 20 * (time.monotonic() - begun + 2), f'{let_in} requests: two rates')
        time.sleep(2)
        revoke('twin')
        wait_for('a revoked certificate goes on', lambda: twin.ask('GET', '/v1/status')[0].status == 403, 6)
        expect('revoked' in twin.json('GET', '/v1/status', status=403)['message'], 'why')
        expect(keys_of(one.json('POST', '/v1/claims', {'eid': eid(0)})) == first, 'the other one is out, too')


def back_after_a_year(build, url, execute):
    """Its leases have ended, the depot is of another epoch, its certificate has ended: what its chips have signed counts, no more."""
    depot, chip, other, log = stocked(build, url), eid(0), eid(1), Log(build, 'year')
    issue('year', 'station-1', (-400, -35))
    with depot.serve() as (port, _):
        one = Https(port)
        files, others = {}, {}
        for which, where in ((chip, files), (other, others)):
            fresh_chip(which)
            where.update(fetched(one, which))
        results = [load(chip, path) for path in files.values()]
        late = {key: load(other, path) for key, path in others.items()}
        outbox = outbox_of('year-outbox', chip, results[:1], lock(chip))
        expect(lines_of_outbox(outbox, port, build=build)[0]['delivered'] == 2, 'not delivered')
    for change in (f'package SET lease = lease - {YEAR}, changed = changed - {YEAR}, added = added - {YEAR}',
                   f'history SET at = at - {YEAR}', f'result SET at = at - {YEAR}', f'chip SET at = at - {YEAR}',
                   f'delivery SET at = at - {YEAR}', f'account SET full_at = full_at - {YEAR * 1000}'):
        execute('UPDATE ' + change)
    depot('restore', '--done')
    outbox_of('year-outbox', chip, results, lock(chip))
    with depot.serve(*log.options) as (port, _):
        old, one, two = Https(port, 'year'), Https(port), Https(port, 'two')
        expired = time.strftime('%Y-%m-%d', time.gmtime(time.time() - 35 * 86400))
        expect('expired on ' + expired in old.json('PUT', '/v1/results/' + next(iter(files)), {}, status=403)['message'], 'old')
        log.says('station=station-1', 'status=403', 'expired on ' + expired)
        # nothing is its own any more, and it can ask for it again
        for key in others:
            one.json('GET', '/v1/packages/' + key, status=404)
        # another station has got the chip meanwhile: of it the first one has only what it was sent
        fetched(two, other)
        expect(keys_of(one.json('POST', '/v1/claims', {'eid': other})) == [], 'both have it')
        expect(one.json('DELETE', '/v1/claims/' + other)['released'] == 0, 'it ends the lease of another')
        first, second = late
        word = one.json('PUT', '/v1/results/' + first, unsigned(other, first), status=201)
        expect(word['state'] == 'sent' and word['doubt'], word)
        expect(len(keys_of(two.json('POST', '/v1/claims', {'eid': other}))) == 2, 'a word has taken it from the other')
        # what the chip signed a year ago counts, whoever has the chip now
        one.json('PUT', '/v1/chips/' + other, chip_data(other), status=201)
        expect(one.json('PUT', '/v1/results/' + first, late[first], status=201)['state'] == 'installed', 'old, and signed')
        expect(keys_of(two.json('POST', '/v1/claims', {'eid': other})) == [second], 'what has ended is handed out')
        two.json('GET', '/v1/packages/' + first, status=404)
        expect(two.json('PUT', '/v1/results/' + second, late[second], status=201)['state'] == 'installed', 'by the other')
        again = lines_of_outbox(outbox, port, build=build)[0]
        expect(again['delivered'] + again['before'] == 3 and again['refused'] == 0 and again['complete'], again)
    counted, told = status(depot)
    expect(counted['installed'] == 4 and counted['doubts'] == 0 and not told, (counted, told))
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


def speaks_for_others(build, url):
    """A station that claims, releases, fetches and reports in the name of others gets nothing, and changes nothing."""
    depot, log = stocked(build, url), Log(build, 'others')
    mine, theirs = eid(0), eid(1)
    fresh_chip(theirs)
    with depot.serve(*log.options) as (port, _):
        one, rogue = Https(port), Https(port, 'rogue')
        files = fetched(one, theirs)
        key = next(iter(files))
        before = depot.list('--eid', theirs)
        # in its body, in headers, in the address: the certificate says who it is
        claim = rogue.json('POST', '/v1/claims', {'eid': theirs, 'station': 'station-1'}, X_Forwarded_For='127.0.0.1',
                           X_Station='station-1', Authorization='Bearer station-1')
        expect(claim['packages'] == [], claim)
        expect(rogue.json('GET', '/v1/status?station=station-1')['station'] == 'rogue', 'another name')
        rogue.json('GET', '/v1/packages/' + key, status=404)
        expect(rogue.json('DELETE', '/v1/claims/' + theirs)['released'] == 0, 'released for another')
        for body in (unsigned(theirs, key), dict(unsigned(theirs, key), station='station-1')):
            rogue.json('PUT', '/v1/results/' + key, body, status=404)
        data = chip_data(theirs)
        rogue.json('PUT', '/v1/chips/' + theirs, dict(data, euicc_data=None, lock={
            'challenge': '0' * 32, 'receipt': 'MAA='}), status=404)
        # its own package, told to be of the chip of another, and the other way round
        own = next(iter(fetched(rogue, mine)))
        rogue.json('PUT', '/v1/results/' + own, unsigned(theirs, own), status=404)
        rogue.json('PUT', '/v1/results/' + key, unsigned(mine, key), status=404)
        rogue.json('PUT', '/v1/chips/' + mine, data, status=400)
        expect(depot.list('--eid', theirs) == before, (before, depot.list('--eid', theirs)))
        # what the chip has signed is no station's word: it counts by whomever it comes, and the log says who it was
        one.json('PUT', '/v1/chips/' + theirs, data, status=201)
        expect(rogue.json('PUT', '/v1/results/' + key, load(theirs, files[key]), status=201)['state'] == 'installed', 'signed')
        log.says('station=rogue', 'PUT /v1/results/' + key, 'status=404')
        log.says('station=rogue', 'PUT /v1/results/' + key, 'status=201')
        log.says('station=rogue', 'GET /v1/packages/' + key, 'status=404')
    expect(not [line for line in log.lines('status=404') if 'station=rogue' not in line], log.lines('status=404'))
    expect(depot.list('--key', key)[0]['station'] == 'station-1', 'it has become that of another')
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


# ------------------------------------------------------------ results and deliveries that contradict each other

def both_were_sent(depot, one, two, chip):
    """One station had a package, whose lease was ended; now another has it. Its files."""
    fetched(one, chip)
    depot('release', chip)
    return fetched(two, chip)


def altered(result):
    """The same, with a signature that is not the chip's."""
    pir = bytearray(base64.b64decode(result['result']['pir']))
    pir[-1] ^= 1
    return dict(result, result=dict(result['result'], pir=base64.b64encode(pir).decode()))


def conflicting_results(build, url):
    """Two stations tell different things of one package, in either order: what the chip signed counts, the rest is named."""
    depot, log = stocked(build, url), Log(build, 'conflict')
    with depot.serve(*log.options) as (port, _):
        one, two = Https(port), Https(port, 'two')
        for n, word_first in ((0, True), (1, False)):
            chip = eid(n)
            fresh_chip(chip)
            files = both_were_sent(depot, one, two, chip)
            two.json('PUT', '/v1/chips/' + chip, chip_data(chip), status=201)
            key = next(iter(files))
            signed, word = load(chip, files[key]), unsigned(chip, key)
            if word_first:
                said = one.json('PUT', '/v1/results/' + key, word, status=201)
                expect(said['state'] == 'sent' and said['doubt'], said)
                expect(len(status(depot, code=1)[1]) == 1, 'the doubt is not named')
            expect(two.json('PUT', '/v1/results/' + key, signed, status=201)['state'] == 'installed', 'signed')
            one.json('PUT', '/v1/results/' + key, word, status=409)
            one.json('PUT', '/v1/results/' + key, altered(signed), status=409)
            expect(not two.json('PUT', '/v1/results/' + key, signed)['stored'], 'twice')
            expect(depot.list('--key', key)[0]['state'] == 'installed' and not status(depot)[1], 'changed by a word')
            log.says('station=station-1', f'PUT /v1/results/{key}', 'status=409')
        # nobody can prove anything until the chip's data comes: each is a doubt, then one of them counts
        for n, forged_first in ((2, True), (3, False)):
            chip = eid(n)
            fresh_chip(chip)
            files = both_were_sent(depot, one, two, chip)
            key = next(iter(files))
            signed = load(chip, files[key])
            for station, said in ((one, altered(signed)), (two, signed))[::1 if forged_first else -1]:
                told = station.json('PUT', '/v1/results/' + key, said, status=201)
                expect(told['state'] == 'sent' and told['doubt'], told)
            named = status(depot, code=1)[1]
            expect(len(named) == 2 and all(key in line for line in named), named)
            expect(sum('station-1' in line for line in named) == sum('station-2' in line for line in named) == 1, named)
            two.json('PUT', '/v1/chips/' + chip, chip_data(chip), status=201)
            expect(depot.list('--key', key)[0]['state'] == 'installed' and not status(depot)[1], status(depot, code=None))
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


def rejected_while_out(build, url, execute):
    """A delivery is rejected while stations have packages of it: none is handed out any more, what a chip signed counts."""
    depot, log = stocked(build, url), Log(build, 'rejected')
    sent, claimed, back, free = (eid(n) for n in range(4))
    fresh_chip(sent)
    with depot.serve(*log.options) as (port, _):
        one, two = Https(port), Https(port, 'two')
        files = fetched(one, sent)
        reserved = keys_of(one.json('POST', '/v1/claims', {'eid': claimed}))
        one.json('POST', '/v1/claims', {'eid': back})
        one.json('DELETE', '/v1/claims/' + back)
        # as an import leaves it that has met a key of another delivery in its middle
        execute('UPDATE delivery SET done = 2')
        delivery = status(depot, code=1)[1][0].split()[1]
        depot('reject', delivery)
        for chip in (claimed, back, free):
            for station in (one, two):
                expect(keys_of(station.json('POST', '/v1/claims', {'eid': chip})) == [], f'{chip} is handed out')
        for key in reserved:
            one.json('GET', '/v1/packages/' + key, status=404)
        # a chip has it: both stations tell something else of it, and it is accounted for
        first, second = files
        signed, word = load(sent, files[first]), unsigned(sent, first)
        one.json('PUT', '/v1/chips/' + sent, chip_data(sent), status=201)
        expect(one.json('PUT', '/v1/results/' + first, word, status=201)['doubt'], 'no doubt')
        expect(two.json('PUT', '/v1/results/' + first, signed, status=201)['state'] == 'installed', 'signed')
        one.json('PUT', '/v1/results/' + first, word, status=409)
        log.says('station=station-1', f'PUT /v1/results/{first}', 'status=409')
        two.json('PUT', '/v1/results/' + reserved[0], unsigned(claimed, reserved[0]), status=404)
    counted, told = status(depot)
    expect(depot.states() == {'installed': 1, 'burnt': 5} and not told, (depot.states(), told))
    expect('rejected' in depot('history', reserved[0]).out, depot('history', reserved[0]).out)
    done = depot('report', '-o', f'{build}-rejected.json', '--json').objects()[-1]
    expect(done['packages'] == 6 and done['unreconciled'] == 0, done)
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


def settled_then_proven(build, url):
    """A doubt that the operator has settled, and the chip's data comes after it: what the chip signed counts, and is told once."""
    depot = stocked(build, url)
    burnt, again, forged, late = (eid(n) for n in range(4))
    with depot.serve() as (port, _):
        one, said = Https(port), {}
        for chip in (burnt, again, forged, late):
            fresh_chip(chip)
            files = fetched(one, chip)
            key = next(iter(files))
            said[chip] = key, load(chip, files[key])
        for chip in (burnt, again, forged):
            key, result = said[chip]
            told = one.json('PUT', '/v1/results/' + key, altered(result) if chip == forged else result, status=201)
            expect(told['state'] == 'sent' and told['doubt'], told)
            depot('unburn' if chip == again else 'burn', chip, '--why', 'it was lost')
        # the data of each; no station brings the results again
        for chip in (burnt, again, forged):
            one.json('PUT', '/v1/chips/' + chip, chip_data(chip), status=201)
        state = {chip: depot.list('--key', said[chip][0])[0]['state'] for chip in (burnt, again, forged)}
        expect(state == {burnt: 'installed', again: 'installed', forged: 'burnt'}, state)
        for chip in (burnt, again):
            key, result = said[chip]
            expect(not one.json('PUT', '/v1/results/' + key, result)['stored'], 'twice')
        # here it comes again by a station before the data of its chip does
        key, result = said[late]
        one.json('PUT', '/v1/results/' + key, result, status=201)
        depot('burn', late, '--why', 'it was lost')
        one.json('PUT', '/v1/results/' + key, result, status=201)
        one.json('PUT', '/v1/chips/' + late, chip_data(late), status=201)
        expect(depot.list('--key', key)[0]['state'] == 'installed', 'late')
    expect(not status(depot)[1], status(depot))
    told = f'{build}-settled.json'
    depot('report', '-o', told)
    pirs = [r['pir'] for u in read_report(os.path.join(work, told))[0] for r in u['results'] if r['pir']]
    expect(len(pirs) == 3, f'{len(pirs)} results that three chips have signed')
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


@contextlib.contextmanager
def sent(depot, chip):
    """A station that was sent the packages of a fresh chip, and the depot has its data: the station, the files by key, the first key."""
    fresh_chip(chip)
    with depot.serve() as (port, _):
        one = Https(port)
        files = fetched(one, chip)
        one.json('PUT', '/v1/chips/' + chip, chip_data(chip), status=201)
        yield one, files, next(iter(files))


def data_comes_meanwhile(build, url, execute):
    """The chip's data comes after its result was looked at and before that is a doubt: it is none."""
    depot, chip = stocked(build, url), eid(0)
    with sent(depot, chip) as (one, files, key):
        execute('CREATE TABLE later AS SELECT * FROM chip')
        execute('DELETE FROM chip')
        execute('CREATE TRIGGER later AFTER INSERT ON doubt BEGIN INSERT INTO chip SELECT * FROM later; END')
        told = one.json('PUT', '/v1/results/' + key, load(chip, files[key]), status=201)
        expect(told['state'] == 'installed' and 'doubt' not in told, told)
    expect(not status(depot)[1], status(depot))
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


def doubt_of_what_is_burnt(build, url):
    """A station says something of a unit that is burnt: the operator can settle that, and the report has his reason."""
    depot, chip, told = stocked(build, url), eid(0), f'{build}-burnt.json'
    with depot.serve() as (port, _):
        one = Https(port)
        key = next(iter(fetched(one, chip)))
        depot('burn', chip, '--why', 'was run over')
        one.json('PUT', '/v1/results/' + key, unsigned(chip, key), status=201)
    expect(len(status(depot, code=1)[1]) == 1, 'the doubt is not named')
    depot('report', '--eid', chip, '-o', told, code=1)
    (unit,), _ = read_report(os.path.join(work, told))
    expect([r['reason_name'] for r in unit['results']] == ['was run over'] * 2, unit['results'])
    depot('burn', chip, '--why', 'it is')
    expect(not status(depot)[1] and depot.states() == {'free': 2 * CHIPS - 2, 'burnt': 2}, status(depot))


def failed_then_installed(build, url):
    """A failure whose place a success has taken is the same when it comes again."""
    depot, chip, told = stocked(build, url), eid(0), f'{build}-failed.json'
    with sent(depot, chip) as (one, files, key):
        failed = load(chip, files[key], 'refuse')
        failed['result']['spent'] = 'yes'
        expect(one.json('PUT', '/v1/results/' + key, failed, status=201)['state'] == 'failed', 'not failed')
        loaded = load(chip, files[key])
        expect(one.json('PUT', '/v1/results/' + key, loaded, status=201)['state'] == 'installed', 'not installed')
        for result in (failed, dict(failed, result=dict(failed['result'], chip_ns=3)), loaded):
            expect(not one.json('PUT', '/v1/results/' + key, result)['stored'], 'one attempt twice')
    depot('report', '--eid', chip, '-o', told)
    (unit,), _ = read_report(os.path.join(work, told))
    expect([r['reason'] for r in unit['results']] == [2, 0], unit['results'])


def brings_early_of_another(build, url):
    """A station brings what the chip has signed about a package that another was sent: its own word of it counts no more than before."""
    depot, chip = stocked(build, url), eid(0)
    fresh_chip(chip)
    with depot.serve() as (port, _):
        one, rogue = Https(port), Https(port, 'rogue')
        files = fetched(one, chip)
        key = next(iter(files))
        one.json('PUT', '/v1/chips/' + chip, chip_data(chip), status=201)
        refused = load(chip, files[key], 'refuse')
        refused['result']['spent'] = 'no'
        expect(rogue.json('PUT', '/v1/results/' + key, refused, status=201)['state'] == 'sent', 'it ended the package')
        rogue.json('PUT', '/v1/results/' + key, unsigned(chip, key), status=404)
        expect(one.json('PUT', '/v1/results/' + key, unsigned(chip, key), status=201)['doubt'], 'whose it is')


def chip_of_two_orders(build, url, execute):
    """Packages of one chip from two orders, and stations that serve one order each: only one of them has the chip at a time."""
    depot, chip = stocked(build, url), eid(0)
    first, other = (p['key_id'] for p in depot.list('--eid', chip))
    hexed = "ENCODE(key_id, 'hex')" if '://' in url else 'LOWER(HEX(key_id))'
    execute(f"UPDATE package SET batch = 'line-8' WHERE {hexed} = '{other}'")
    depot('station', 'add', 'station-1', '--batch', 'line-7')
    depot('station', 'add', 'station-2', '--batch', 'line-8')
    with depot.serve() as (port, _):
        one, two = Https(port), Https(port, 'two')
        expect(keys_of(one.json('POST', '/v1/claims', {'eid': chip})) == [first], 'not its own')
        expect(keys_of(two.json('POST', '/v1/claims', {'eid': chip})) == [], 'both have the chip')
        one.json('DELETE', '/v1/claims/' + chip)
        expect(keys_of(two.json('POST', '/v1/claims', {'eid': chip})) == [other], 'not after a release')
        expect(keys_of(one.json('POST', '/v1/claims', {'eid': chip})) == [], 'both have the chip, the other way round')


def rejected_stays_out(build, url, execute):
    """What was burnt as its delivery was rejected is not handed out by unburn, unless a good delivery has it."""
    depot, chip = stocked(build, url), eid(0)
    whole_order()
    depot('claim', chip, '--station', 'station-1')
    execute('UPDATE delivery SET done = 2')
    depot('reject', status(depot, code=1)[1][0].split()[1])
    expect(depot.states() == {'burnt': 2}, depot.states())
    depot('unburn', chip, '--why', 'good after all')
    expect(depot.states() == {'burnt': 2}, 'it is free')
    expect(not depot('claim', chip, '--station', 'station-1', '--json').out, 'it is handed out')
    depot('import', 'whole.ifppd', '--trust', 'trust')
    expect(depot.states() == {'burnt': 2, 'free': 2 * CHIPS - 2}, depot.states())
    depot('unburn', chip, '--why', 'good after all')
    expect(depot.states() == {'free': 2 * CHIPS} and not status(depot)[1], depot.states())
    expect(len(depot.list('--batch', 'line-7')) == 2, 'they have lost their order')


def whole_order():
    """A delivery of the same packages under another name."""
    shell('''
        [ -e whole.ifppd ] && exit
        export SOFTHSM2_CONF=$PWD/softhsm2.conf PATH=%s/build/unit-plain/tools/smdpf:$PATH
        ifpp-smdpf export --home home --pin-file pin --all --out whole.ifppd
    ''' % TOP)


def shared_with_rejected(build, url, execute):
    """Two deliveries have packages in common, and the one that brought them is rejected: the other is whole all the same."""
    depot = stocked(build, url)
    whole_order()
    execute('UPDATE delivery SET done = 2')
    depot('import', 'whole.ifppd', '--trust', 'trust')
    (told,) = status(depot, code=1)[1]
    expect('line-7' in told, told)
    depot('reject', told.split()[1])
    expect(depot.states() == {'free': 2 * CHIPS} and not status(depot)[1], depot.states())
    expect(len(depot.list('--batch', 'line-7')) == 2 * CHIPS, 'they have lost their order')
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


def rejected_under_import(build, url, execute):
    """A delivery is rejected while it is imported: it does not become whole by that."""
    depot = empty(build, url)
    execute('CREATE TRIGGER reject AFTER INSERT ON content WHEN (SELECT COUNT(*) FROM content) = 3 BEGIN UPDATE delivery SET done = 3; END')
    depot('import', 'line-7.ifppd', '--trust', 'trust', code=6, says='rejected')
    depot('import', 'line-7.ifppd', '--trust', 'trust', code=6, says='rejected')


# ------------------------------------------------------------ connections that take their time

class Drip:
    """Connections of one station that send a byte now and then."""

    def __init__(self, port, n, bodies, who='rogue', first=2):
        self.sockets = []
        context = ssl.create_default_context(cafile=os.path.join(work, 'server-ca.pem'))
        if who:
            context.load_cert_chain(os.path.join(work, who + '.pem'), os.path.join(work, who + '.key'))
        head = (b'POST /v1/claims HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n' if bodies else
                b'GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: ')
        for i in range(n):
            plain = socket.socket()
            plain.settimeout(10)
            plain.bind((f'127.0.0.{first + i % 6}', 0))
            with contextlib.suppress(OSError):
                plain.connect(('127.0.0.1', port))
                one = context.wrap_socket(plain, server_hostname='localhost')
                self.sockets.append(one)
                one.sendall(head)
                continue
            plain.close()

    def byte(self):
        """One more from each; those that are closed are gone. How many are left."""
        thread = threading.Thread(target=self.send)     # OpenSSL keeps errors by thread, and mistakes them for others' later
        thread.start()
        thread.join()
        return len(self.sockets)

    def send(self):
        for one in list(self.sockets):
            try:
                one.sendall(b'x')
            except OSError:
                self.sockets.remove(one)
                one.close()

    def close(self):
        for one in self.sockets:
            one.close()


def hundred_drip(build, url):
    """A hundred connections send a byte now and then, half of them in headers, half in bodies: a good station works on."""
    depot, log = stocked(build, url), Log(build, 'drip')
    with depot.serve('--timeout', '6', *log.options) as (port, _):
        good, took = Https(port), []
        drips = [Drip(port, 50, bodies=False), Drip(port, 50, bodies=True)]
        begun, left = time.monotonic(), 100
        while left:
            in_time(time.monotonic() - begun < 16, f'{left} drip on')
            for i in range(10):
                at = time.monotonic()
                good.json('POST', '/v1/claims', {'eid': eid(i % CHIPS)})
                took.append(time.monotonic() - at)
            left = sum(drip.byte() for drip in drips)
            time.sleep(0.1)
        took.sort()
        in_time(took[-1] < 2 and took[len(took) // 2] < 0.2, f'the good one waits: {took[len(took) // 2]:.3f} s, {took[-1]:.3f} s')
        log.says('station=rogue', 'address=127.0.0.', 'status=408')
        print(f'    {len(took)} claims of the good station beside them, median {took[len(took) // 2] * 1000:.1f} ms, '
              f'longest {took[-1] * 1000:.0f} ms')
        expect(len(log.lines('status=408')) <= 100, 'a line for each byte')
        expect(depot.states() == {'reserved': 2 * CHIPS}, depot.states())


def one_station_holds_all(build, url):
    """One certificate, 600 connections from six addresses: there is room for the others, and the log names it."""
    depot, log = stocked(build, url), Log(build, 'crowd')
    with depot.serve(*log.options) as (port, _):
        crowd = []
        try:
            for last in range(6):
                crowd.append(Drip(port, 100, bodies=last % 2 == 1, first=2 + last))
                begun = time.monotonic()
                good = Https(port)
                expect(len(keys_of(good.json('POST', '/v1/claims', {'eid': eid(last % CHIPS)}))) == 2, 'nothing')
                good.close()
                in_time(time.monotonic() - begun < 5, f'{time.monotonic() - begun:.1f} s')
            time.sleep(1)
            wait_for('it holds too many', lambda: sum(drip.byte() for drip in crowd) <= 64, 20)
            for _ in range(2):      # what is closed is noticed by the second byte
                time.sleep(0.2)
                left = sum(drip.byte() for drip in crowd)
            in_time(50 <= left, f'it holds {left}')
        finally:
            for drip in crowd:
                drip.close()
        log.says('station=rogue', 'more connections than one station may have')


def browser_without_token(build, url):
    """A browser without a token gets nothing, however many connections it holds, and the system that has one is served."""
    depot, log = stocked(build, url), Log(build, 'browser')
    token = depot('token', 'add', 'mes', '--json').objects()[0]['token']
    with depot.serve('--api', '127.0.0.1:0', *log.options) as (port, process):
        api = int(process.stdout.readline().split(':')[-1].split('/')[0])

        def ask(path, **headers):
            one = Https(api, None)
            try:
                return one.ask('GET', path, **headers)
            finally:
                one.close()

        for headers in ({}, {'Cookie': 'token=' + token}, {'Authorization': 'Basic ' + token}, {'Authorization': 'Bearer '},
                        {'Referer': f'https://localhost:{api}/?token={token}'}):
            answer, text = ask('/api/v1/units', **headers)
            expect(answer.status == 401 and answer.headers['WWW-Authenticate'] and token not in text.decode(), headers)
            expect('Access-Control-Allow-Origin' not in answer.headers, 'any page may read it')
        expect(ask('/api/v1/units?token=' + token)[0].status == 401, 'in the address')
        log.says('station=-', 'address=127.0.0.1:', 'status=401', 'a token is needed')
        expect(not log.lines(token), 'the token is in the log')
        # it opens as many as there are, and drips
        crowd = [Drip(api, 40, bodies=False, who=None, first=2 + n) for n in range(3)]
        try:
            deadline = time.monotonic() + 25
            while True:
                for drip in crowd:
                    drip.byte()
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if ask('/api/v1/states', Authorization='Bearer ' + token)[0].status == 200:
                        break
                in_time(time.monotonic() < deadline, 'the system with a token is kept out')
                time.sleep(0.2)
            while sum(drip.byte() for drip in crowd):
                in_time(time.monotonic() < deadline, 'they drip for ever')
                time.sleep(0.2)
        finally:
            for drip in crowd:
                drip.close()
        expect(Https(port).json('GET', '/v1/status')['station'] == 'station-1', 'stations wait for it')


# ------------------------------------------------------------ databases that are put back

def empty(build, url):
    depot = Depot(build, url)
    depot('init')
    return depot


def new_name(name):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(work, name))
    return os.path.join(work, name)


def backup_of_another_depot(build, url, fresh):
    """The backup of another depot, or what is none, over this one: refused by name, and nothing is changed."""
    depot, other = stocked(build, url), empty(build, fresh('foreign'))
    other('station', 'add', 'station-9')
    backup = new_name(f'{build}-foreign-backup.db')
    other('backup', backup)
    before = depot.list()
    depot('restore', backup, code=6, says='not empty')
    for what, data, code, says in (('nothing', b'', 9, 'there is no depot'), ('no database', b'sealed packages ' * 999, 9, 'not a database'),
                                   ('cut', open(backup, 'rb').read()[:20000], 9, '')):
        with open(os.path.join(work, 'bad-backup.db'), 'wb') as file:
            file.write(data)
        told = empty(build, fresh('into_' + what[-3:]))('restore', 'bad-backup.db', code=None)
        expect(told.code == code and says in told.err and told.err.count('\n') == 1, f'{what}: exit {told.code}: {told.err}')
    os.unlink(os.path.join(work, 'bad-backup.db'))
    other('restore', 'none.db', code=9, says='none.db')
    # one in which a station was named already
    named = empty(build, fresh('named'))
    named('station', 'add', 'station-1')
    named('restore', backup, code=6, says='not empty')
    expect(depot.list() == before and not status(depot)[1], 'changed')


def restore_while_serving(build, url, fresh):
    """A backup is restored into the database of a depot that serves: stations get on, and nothing is lost or claimed twice."""
    depot, chip = stocked(build, url), eid(0)
    fresh_chip(chip)
    backup = new_name(f'{build}-serving-backup.db')
    with depot.serve() as (port, _):
        results = [load(chip, path) for path in fetched(Https(port), chip).values()]
    depot('backup', backup)
    other, odd, got, done = empty(build, fresh('serving')), [], {}, threading.Event()

    def station(who, port):
        try:
            one = Https(port, who)
            while not done.is_set() or len(got) < CHIPS - 1:
                for n in range(1, CHIPS):
                    answer, text = one.ask('POST', '/v1/claims', {'eid': eid(n)})
                    if answer.status not in (200, 429, 503):
                        raise Failed(f'{answer.status}: {text}')
                    if answer.status == 200 and json.loads(text)['packages']:
                        got.setdefault(n, set()).add(who)
        except (Failed, OSError, ValueError, http.client.HTTPException) as error:
            odd.append(error)

    with other.serve('--rate', '100000') as (port, _):
        epoch = Https(port).json('GET', '/v1/status')['epoch']
        threads = [threading.Thread(target=station, args=(who, port)) for who in ('one', 'two')]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        other('restore', backup)
        done.set()
        for thread in threads:
            thread.join(60)
        expect(all(len(who) == 1 for who in got.values()), got)
        raise_worst(odd)
        expect(len(got) == CHIPS - 1, got)
        one = Https(port)
        expect(one.json('GET', '/v1/status')['epoch'] != epoch, 'the same epoch')
        other('restore', backup, code=6, says='not empty')
        outbox = outbox_of('serving-outbox', chip, results, lock(chip))
        told = lines_of_outbox(outbox, port, build=build)[0]
        expect(told['delivered'] == 3 and told['complete'], told)
    counted, named = status(other)
    expect(other.states() == {'installed': 2, 'reserved': 2 * CHIPS - 2} and not named, (counted, named))
    expect(other('check', '--json').objects()[-1]['damaged'] == 0, 'check')


def put_there(url, source, how):
    """The file of a database is replaced by another one."""
    for suffix in ('-wal', '-shm'):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(url + suffix)
    shutil.copy(source, url + '.new')
    if how == 'moved':
        os.rename(url + '.new', url)
    else:
        os.unlink(url)


def replaced_while_serving(build, url, fresh):
    """The file of the database is replaced or removed under a depot that serves: nothing is answered from what is gone, and it ends."""
    depot = stocked(build, url)
    copy = os.path.join(work, f'{build}-replaced-copy.db')
    for how in 'moved', 'removed':
        chips = iter(range(CHIPS))
        depot('backup', new_name(copy))
        failed = None
        try:
            with depot.serve() as (port, process):
                one = Https(port)
                before = one.json('GET', '/v1/status')['epoch']
                expect(len(keys_of(one.json('POST', '/v1/claims', {'eid': eid(next(chips))}))) == 2, 'no claim')
                put_there(url, copy, how)
                # it ends by itself, in the middle of this where it is slow
                with contextlib.suppress(OSError, http.client.HTTPException):
                    for n in chips:
                        told = one.json('POST', '/v1/claims', {'eid': eid(n)}, status=503)
                        expect('packages' not in told, told)
                    one.json('GET', '/v1/packages/' + '0' * 64, status=503)
                    one.json('GET', '/v1/status', status=503)
                process.wait(timeout=20)
        except Late:
            raise
        except Failed as error:
            failed = str(error)
        expect(failed and 'ended with 9' in failed and 'not the file any more' in failed and 'start again' in failed, failed)
        if how == 'removed':
            os.rename(url + '.new', url)
        # what was answered in the last moments is in no copy: another epoch
        expect(depot.states() == {'free': 2 * CHIPS}, depot.states())
        with depot.serve() as (port, process):
            expect(Https(port).json('GET', '/v1/status')['epoch'] != before, 'the same epoch')
            expect('another epoch' in process.said(), process.said())


def another_depot_is_named(build, url, fresh):
    """The file of another depot is put in the place of this one: that is said, results stay with their station until theirs is back."""
    depot, chip, log = stocked(build, url), eid(0), Log(build, 'foreign')
    other = stocked(build, fresh('stranger'))
    fresh_chip(chip)
    with depot.serve() as (port, _):
        one = Https(port)
        results = [load(chip, path) for path in fetched(one, chip).values()]
        before = one.json('GET', '/v1/status')['epoch']
    mine, theirs = new_name(f'{build}-mine.db'), new_name(f'{build}-theirs.db')
    shutil.copy(url, mine)
    empty(build, new_name(f'{build}-nobody.db'))('backup', theirs)
    put_there(url, theirs, 'moved')
    outbox = outbox_of('stranger-outbox', chip, results, lock(chip))
    with depot.serve(*log.options) as (port, process):
        expect('that of another depot' in process.said(), process.said())
        expect(Https(port).json('GET', '/v1/status')['epoch'].split('-')[0] != before.split('-')[0], 'the same depot')
        told = lines_of_outbox(outbox, port, build=build, code=None)[0]
        expect(told['delivered'] == told['before'] == told['deleted'] == 0 and told['unknown'] == 3, told)
        log.says('station=station-1', 'PUT /v1/results/', 'status=404')
    put_there(url, mine, 'moved')
    with depot.serve() as (port, _):
        told = lines_of_outbox(outbox, port, build=build)[0]
        expect(told['delivered'] == 3 and told['complete'], told)
    expect(depot.states() == {'installed': 2, 'free': 2 * CHIPS - 2} and not status(depot)[1], depot.states())
    expect(not status(other)[1], 'the other')


def operate(test, build, fresh, server=None):
    """All of it on one database."""
    test('two_certificates_one_name', two_certificates_one_name, build, fresh('twins'))
    url = fresh('year')
    test('back_after_a_year', back_after_a_year, build, url, execute_on(url))
    test('speaks_for_others', speaks_for_others, build, fresh('others'))
    test('conflicting_results', conflicting_results, build, fresh('contrary'))
    url = fresh('rejected')
    test('rejected_while_out', rejected_while_out, build, url, execute_on(url))
    test('settled_then_proven', settled_then_proven, build, fresh('settled'))
    test('doubt_of_what_is_burnt', doubt_of_what_is_burnt, build, fresh('late_word'))
    test('failed_then_installed', failed_then_installed, build, fresh('failed'))
    test('brings_early_of_another', brings_early_of_another, build, fresh('early'))
    for name, attack in (('chip_of_two_orders', chip_of_two_orders), ('rejected_stays_out', rejected_stays_out),
                         ('shared_with_rejected', shared_with_rejected)):
        url = fresh(name)
        test(name, attack, build, url, execute_on(url))
    if not server:      # triggers of SQLite
        for name, attack in (('rejected_under_import', rejected_under_import), ('data_comes_meanwhile', data_comes_meanwhile)):
            url = fresh(name)
            test(name, attack, build, url, execute_on(url))
    test('backup_of_another_depot', backup_of_another_depot, build, fresh('own'), fresh)
    test('restore_while_serving', restore_while_serving, build, fresh('served'), fresh)
    if not server:
        test('hundred_drip', hundred_drip, build, fresh('drip'))
        test('one_station_holds_all', one_station_holds_all, build, fresh('crowd'))
        test('browser_without_token', browser_without_token, build, fresh('browser'))
        test('replaced_while_serving', replaced_while_serving, build, fresh('replaced'), fresh)
        test('another_depot_is_named', another_depot_is_named, build, fresh('named_other'), fresh)
