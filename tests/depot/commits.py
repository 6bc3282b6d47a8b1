# SPDX-License-Identifier: GPL-2.0-or-later
"""Claims and first fetches of many stations at once, on one server and on several."""
import contextlib
import http.client
import json
import threading
import time

from stock import status, stocked
from world import CHIPS, Depot, Failed, Https, eid, expect, in_time, raise_worst, run


RATE = 40


def let_in(depot, front_ends, seconds=4):
    """How often a station is let in that floods all front ends at once, while another one asks now and then."""
    many, odd, begun = [], [], time.monotonic()

    def flood(port):
        try:
            one, n = Https(port), 0
            while time.monotonic() - begun < seconds:
                status = one.ask('GET', '/v1/status')[0].status
                in_time(status != 503, status)
                expect(status in (200, 429), status)
                n += status == 200
            many.append(n)
        except (Failed, OSError, http.client.HTTPException) as error:
            odd.append(error)

    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(depot.serve('--rate', str(RATE)))[0] for _ in range(front_ends)]
        begun = time.monotonic()
        threads = [threading.Thread(target=flood, args=(port,)) for port in ports]
        for thread in threads:
            thread.start()
        while time.monotonic() - begun < seconds:
            for port in ports:
                Https(port, 'two').json('GET', '/v1/status')
            time.sleep(0.5)
        for thread in threads:
            thread.join(30)
        took = time.monotonic() - begun
    raise_worst(odd)
    in_time(len(many) == front_ends, many)
    return sum(many), took


def shared_rate(build, url, front_ends):
    """The rate of a station is that of all front ends of a PostgreSQL together; each may be half a second ahead, and
    counts by itself while the database does not answer."""
    n, took = let_in(stocked(build, url), front_ends)
    most = RATE * (took + 2) + front_ends * RATE / 2
    print(f'    {n} requests of one station through {front_ends} front ends in {took:.1f} s at {RATE} a second, at most {most:.0f}')
    in_time(0.7 * RATE * took < n <= most, f'{n} were let in')


def four_front_ends(build, url, server):
    """Four servers on one database: stations race for the same chips, and none is claimed twice. They share a station's rate."""
    depot = stocked(build, url)
    if server:
        shared_rate(build, url, 4)
    depot('station', 'add', 'station-1', '--quota', '3')
    depot('station', 'add', 'station-2', '--quota', '3')
    got, odd, guard = {}, [], threading.Lock()

    def station(who, port, order):
        try:
            one = Https(port, who)
            for i in order:
                answer, text = one.ask('POST', '/v1/claims', {'eid': eid(i)})
                while answer.status == 503:     # it may have been claimed all the same
                    answer, text = one.ask('POST', '/v1/claims', {'eid': eid(i)})
                if answer.status not in (200, 429):
                    raise Failed(f'{answer.status}: {text[:200]}')
                if answer.status == 200 and json.loads(text)['packages']:
                    with guard:
                        got.setdefault(i, set()).add(who)
        except (Failed, OSError, ValueError, http.client.HTTPException) as error:
            odd.append(error)

    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(depot.serve('--rate', '100000'))[0] for _ in range(4)]
        threads = [threading.Thread(target=station, args=(who, port, [(i * step + n) % CHIPS for i in range(4 * CHIPS)]))
                   for n, port in enumerate(ports) for who, step in (('one', 1), ('two', 5))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    expect(all(len(who) == 1 for who in got.values()), got)
    raise_worst(odd)
    in_time(got and not any(thread.is_alive() for thread in threads), 'no end of 503')
    held = {s['name']: s['held'] for s in depot('station', 'list', '--json').objects()}
    expect(all(n <= 3 for n in held.values()) and sum(held.values()) == len(got), (held, got))


def filled(build, url, chips):
    """A depot with one small package for each of so many chips. Their keys by EID."""
    run(build, 'tests/depot/race', url, str(chips), '0', '0')
    depot = Depot(build, url)
    return depot, {package['eid']: package['key_id'] for package in depot.list()}


def at_once(work_of, n):
    """@work_of(i) in @n threads; what they raise is raised."""
    odd = []

    def one(i):
        try:
            work_of(i)
        except (Failed, OSError, ValueError, http.client.HTTPException) as error:
            odd.append(error)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    raise_worst(odd)


def bad_claim_fails_alone(build, url, execute):
    """Among claims and fetches that share commits are such that are refused and one that fails: the others do not notice."""
    depot, keys = filled(build, url, 240)
    chips = sorted(keys, key=lambda chip: keys[chip])
    chips[0], chips[7] = chips[7], chips[0]
    damaged = chips[7]
    execute('UPDATE package SET state = 9 WHERE key_id IN (SELECT key_id FROM package ORDER BY key_id LIMIT 1)')
    depot('station', 'add', 'station-1', '--quota', '1000')
    depot('station', 'add', 'station-2', '--quota', '5')
    few, answers = [], {}

    def ask(i):
        one = Https(port, 'two' if i == 0 else 'rogue' if i == 1 else 'one')
        for chip in chips[i::8]:
            if i == 0:
                few.append(one.ask('POST', '/v1/claims', {'eid': chip})[0].status)
                continue
            if i == 1:
                one.json('POST', '/v1/claims', {'eid': chip}, status=403)
                continue
            one.json('POST', '/v1/claims', {'eid': 'x'}, status=400)
            claim = one.json('POST', '/v1/claims', {'eid': chip}, status=503 if chip == damaged else 200)
            if chip != damaged:
                expect([p['key_id'] for p in claim['packages']] == [keys[chip]], claim)
                answers[chip] = one.ask('GET', '/v1/packages/' + keys[chip])
            one.json('GET', '/v1/packages/' + '0' * 64, status=404)

    with depot.serve('--rate', '100000') as (port, _):
        at_once(ask, 8)
    in_time(503 not in few and all(a.status != 503 for a, _ in answers.values()), 'too late')
    expect(few.count(200) == 5 and set(few) == {200, 429}, few)
    expect(len(answers) == 6 * 30 - 1 and all(a.status == 200 and data == b'sealed' for a, data in answers.values()), answers)
    execute('UPDATE package SET state = 0 WHERE state = 9')
    expect(depot.states() == {'free': 30 + 25 + 1, 'reserved': 5, 'sent': 179}, depot.states())


def answered_is_kept(build, url):
    """The server is killed while claims and fetches share commits: what was answered is in the depot."""
    depot, keys = filled(build, url, 400)
    chips = iter(sorted(keys))
    told, guard = {}, threading.Lock()

    def ask(_):
        with contextlib.suppress(OSError, http.client.HTTPException):
            one = Https(port)
            while True:
                with guard:
                    chip = next(chips, None)
                    enough = len(told) >= goal
                if not chip or enough:
                    process.kill()
                    return
                claim = one.json('POST', '/v1/claims', {'eid': chip})
                expect([p['key_id'] for p in claim['packages']] == [keys[chip]], claim)
                told[keys[chip]] = 'reserved'
                answer, data = one.ask('GET', '/v1/packages/' + keys[chip])
                in_time(answer.status != 503, answer.status)
                expect(answer.status == 200 and data == b'sealed', answer.status)
                told[keys[chip]] = 'sent'

    for kills in range(1, 5):
        goal = kills * 60
        with depot.serve('--rate', '100000') as (port, process):
            at_once(ask, 8)
            process.wait(20)
        now = {package['key_id']: package for package in depot.list()}
        lost = [key for key, state in told.items()
                if now[key]['station'] != 'station-1' or now[key]['state'] not in (state, 'sent')]
        expect(not lost and len(told) >= goal, (lost, len(told)))


def version_5_is_carried_over(build, url, execute):
    """A depot of schema version 5 gets the accounts that front ends share, and nothing else changes."""
    depot = stocked(build, url)
    before = status(depot)
    execute('DROP TABLE account')
    execute("UPDATE depot SET value = 5 WHERE name = 'version'")
    expect(status(depot) == before and status(depot) == before, status(depot))
    execute("INSERT INTO account (station, full_at) VALUES ('station-1', 0)")
    # of a day on which the clock was a year ahead: it keeps nobody out
    execute('UPDATE account SET full_at = 4000000000000000')
    with depot.serve('--rate', '1') as (port, _):
        one = Https(port)
        for _ in range(4):
            one.json('GET', '/v1/status')
            time.sleep(1.1)


def operate(test, build, fresh, execute_on, server):
    """All of it on one database."""
    if server:
        test('two_front_ends', shared_rate, build, fresh('two'), 2)
    test('four_front_ends', four_front_ends, build, fresh('front'), server)
    url = fresh('accounts')
    test('a depot of version 5 is carried over', version_5_is_carried_over, build, url, execute_on(url))
    url = fresh('alone')
    test('bad_claim_fails_alone', bad_claim_fails_alone, build, url, execute_on(url))
    test('answered_is_kept', answered_is_kept, build, fresh('kept'))
