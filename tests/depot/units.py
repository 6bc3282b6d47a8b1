# SPDX-License-Identifier: GPL-2.0-or-later
"""The identity of a unit in the warehouse, and the tables that it came with."""
import json
import os

from stock import chip_data, fetched, fresh_chip, status, stocked, unsigned
from world import Https, eid, expect, load, read_report, work


UNIT = {'imei': '359072061234562', 'model': 'EG25-G', 'firmware': 'EG25GGBR07A08M2G', 'serial': 'P1Q24', 'usb_path': '1-2.3',
        'station': 'bench-4', 'board_serial': 'B-0007', 'work_order': 'WO 26/11'}


def unit_identity(build, url, rows):
    """What a station tells of the unit is kept with the result, and as the newest of the unit; it refuses nobody."""
    depot, chip, plain = stocked(build, url), eid(0), eid(1)
    columns = ', '.join(UNIT)
    fresh_chip(chip)
    fresh_chip(plain)
    with depot.serve() as (port, _):
        one = Https(port)
        files = fetched(one, chip)
        first, other = files
        # what nobody has signed: kept while nothing else is told
        doubt = unsigned(chip, first)
        doubt['result']['unit'] = dict(UNIT, imei='1')
        one.json('PUT', '/v1/results/' + first, doubt, status=201)
        expect(rows(f'SELECT {columns} FROM unit') == [tuple(dict(UNIT, imei='1').values())], 'of the doubt')
        one.json('PUT', '/v1/chips/' + chip, chip_data(chip), status=201)
        result = load(chip, files[first])
        result['result']['unit'] = UNIT
        one.json('PUT', '/v1/results/' + first, result, status=201)
        expect(rows(f'SELECT {columns} FROM unit') == [tuple(UNIT.values())], rows('SELECT * FROM unit'))
        kept = rows(f"SELECT {columns} FROM result")
        expect(kept == [tuple(dict(UNIT, station='station-1').values())], kept)
        # a later one takes its place; what is not fit is left out, and the signed result is taken
        result = load(chip, files[other])
        result['result']['unit'] = {'imei': 'x' * 65, 'model': '\x1b[2J', 'firmware': 7, 'serial': ' P2 ', 'usb_path': None}
        one.json('PUT', '/v1/results/' + other, result, status=201)
        now = rows(f'SELECT {columns} FROM unit')
        expect(now == [(None, None, None, 'P2', None, 'station-1', None, None)], now)
        # the word of a station that is told again later, without a proof, does not count
        result['result']['unit'] = UNIT
        expect(not one.json('PUT', '/v1/results/' + other, result)['stored'], 'twice')
        expect(rows(f'SELECT {columns} FROM unit') == now, 'it counts')
        # an older station tells none
        one.json('POST', '/v1/claims', {'eid': plain})
        one.json('PUT', '/v1/chips/' + plain, chip_data(plain), status=201)
        key, file = next(iter(fetched(one, plain).items()))
        one.json('PUT', '/v1/results/' + key, load(plain, file), status=201)
        expect(len(rows('SELECT eid FROM unit')) == 1, 'a unit of which nothing was told')
    shown = depot('history', first).out
    expect('"imei":"359072061234562"' in shown, shown)
    depot('report', '-o', 'units.json')
    told = {r['key_id']: r.get('unit') for u in read_report(os.path.join(work, 'units.json'))[0] for r in u['results']}
    expect(told[first] == UNIT, told)


def version_2_is_carried_over(build, url, execute, rows):
    """A depot of schema version 2: results have room for the unit's identity, and nothing else changes."""
    depot, chip = stocked(build, url), eid(0)
    fresh_chip(chip)
    with depot.serve() as (port, _):
        one = Https(port)
        files = fetched(one, chip)
        one.json('PUT', '/v1/chips/' + chip, chip_data(chip), status=201)
        for key in files:
            one.json('PUT', '/v1/results/' + key, load(chip, files[key]), status=201)
    before = status(depot)
    execute('DROP INDEX result_firmware')
    for column in ('imei', 'model', 'firmware', 'serial', 'usb_path', 'board_serial', 'work_order'):
        execute(f'ALTER TABLE result DROP COLUMN {column}')
    execute('DROP TABLE unit')
    execute("UPDATE depot SET value = 2 WHERE name = 'version'")
    expect(status(depot) == before and status(depot) == before, status(depot))
    expect(rows("SELECT value FROM depot WHERE name = 'version'") == [(7,)], 'version')
    expect(rows('SELECT imei, work_order FROM result') == [(None, None)] * 2, 'columns')
    expect(depot('check', '--json').objects()[-1]['damaged'] == 0, 'check')


def operate(test, build, fresh, execute_on, rows_of):
    """All of it on one database."""
    url = fresh('unit')
    test('identity of a unit', unit_identity, build, url, rows_of(url))
    url = fresh('older')
    test('a depot of version 2 is carried over', version_2_is_carried_over, build, url, execute_on(url), rows_of(url))
