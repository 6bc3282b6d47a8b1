# SPDX-License-Identifier: GPL-2.0-or-later
"""Made-up days in a factory, written into a new depot of SQLite: one on which all is well, and one on which it is not.
The same seed makes the same day; times are of today."""
import hashlib
import json
import random
import sqlite3
import time

HOUR = 3600 * 1000
FREE, RESERVED, SENT, INSTALLED, FAILED, BURNT = range(6)
REVOKED, KEY_MAKER = 265, 305   # IfppError: why stations refuse
# errorReason of the PIR: what a chip refuses
REASONS = {'good': [(11, 1)], 'bad': [(11, 7), (13, 3), (5, 2)]}
ORDERS = {'good': [('A-2381', 'Telco', 'Telco IoT 2.4', 900), ('A-2382', 'Telco', 'Telco IoT 2.4', 1400),
                   ('B-0117', 'Nordnet', 'Nordnet Fleet', 600)],
          'bad': [('A-2381', 'Telco', 'Telco IoT 2.4', 900), ('A-2382', 'Telco', 'Telco IoT 2.4', 700),
                  ('B-0117', 'Nordnet', 'Nordnet Fleet', 300)]}
FIRMWARE = ['EC25EFAR06A09M4G', 'EC25EFAR06A11M4G', 'EG25GGBR07A08M2G']
STATIONS = ['line-1-a', 'line-1-b', 'line-2-a', 'line-2-b', 'rework']


class Day:
    def __init__(self, kind, path):
        self.kind, self.random = kind, random.Random(7 if kind == 'good' else 8)
        self.db = sqlite3.connect(path)
        self.now = int(time.time() * 1000)
        self.serial = self.chips = 0

    def bytes(self, n):
        return self.random.randbytes(n)

    def eid(self):
        self.chips += 1
        number = int(f'8904903200{self.chips:020}')
        return bytes.fromhex(f'{number}{98 - number * 100 % 97:02}')

    def package(self, eid, order, state, station, changed, lease=0):
        name, operator, profile, _ = order
        key = self.bytes(32)
        self.serial += 1
        self.db.execute(
            'INSERT INTO package (key_id, eid, sha256, bytes, iccid, profile, operator, batch, delivery, state, station, lease, '
            'changed, added) VALUES (?, ?, ?, 1852, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
            (key, eid, self.bytes(32), f'8949{self.serial:015}', profile, operator, name, hashlib.sha256(name.encode()).digest(), state,
             station, lease, changed, self.now - 30 * HOUR))
        return key

    def identity(self, eid, station, firmware, at):
        self.db.execute('INSERT INTO unit (eid, imei, model, firmware, serial, station, at) VALUES (?, ?, ?, ?, ?, ?, ?)',
                        (eid, f'86{self.serial:013}', firmware[:4], firmware, f'S{self.serial:08}', station, at))

    def result(self, key, eid, reason, station, at, firmware):
        record = {'key_id': key.hex(), 'status': -5 if reason else 0, 'reason': reason}
        self.db.execute('INSERT INTO result (key_id, eid, sha256, record, proven, proof, station, at, firmware) '
                        'VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?)',
                        (key, eid, self.bytes(32), json.dumps(record), 'proven', station, at, firmware))

    def doubt(self, key, eid, station, why, at):
        self.db.execute('INSERT INTO doubt (key_id, sha256, eid, station, record, signed, why, at) VALUES (?, ?, ?, ?, ?, 0, ?, ?)',
                        (key, self.bytes(32), eid, station, '{}', why, at))

    def refusal(self, key, eid, station, reason, at):
        self.db.execute('INSERT INTO refusal (key_id, station, eid, reason, why, said, at) VALUES (?, ?, ?, ?, ?, ?, ?)',
                        (key, station, eid, reason, 'package: the SM-DPf certificate is revoked', '2026-11-29T10:00:00Z', at))

    def unit(self, order):
        """What becomes of one unit."""
        roll, eid = self.random.random(), self.eid()
        bad, left = self.kind == 'bad', 0.34 if self.kind == 'good' else 0.02
        if order[0] == 'B-0117' and not bad:
            left = 0.8
        if roll < left:
            for _ in range(2):
                self.package(eid, order, FREE, None, self.now - 30 * HOUR)
            return
        shift = self.random.triangular(0, 10.5, 4) if bad else self.random.uniform(0.01, 10.5)
        station = self.random.choices(STATIONS, [30, 30, 28, 8 if bad else 28, 2])[0]
        if bad and station == 'line-1-b':
            shift = max(shift, 3.2)         # it has stood still since
        at = self.now - int(shift * HOUR)
        firmware = self.random.choices(FIRMWARE, [20, 60, 20])[0]
        self.identity(eid, station, firmware, at)
        lost = {'good': 0.004, 'bad': 0.30 if station == 'line-2-a' else 0.04}[self.kind]
        for _ in range(2):
            if self.random.random() >= lost:
                self.result(self.package(eid, order, INSTALLED, station, at), eid, 0, station, at, firmware)
            elif bad and self.random.random() < 0.1:
                self.package(eid, order, BURNT, station, at)
            else:
                reason = self.random.choices(*zip(*REASONS[self.kind]))[0]
                self.result(self.package(eid, order, FAILED, station, at), eid, reason, station, at, firmware)

    def make(self):
        bad = self.kind == 'bad'
        for order in ORDERS[self.kind]:
            packages = 2 * (order[3] // 2)
            self.db.execute('INSERT INTO delivery (id, batch, packages, done, at) VALUES (?, ?, ?, ?, ?)',
                            (hashlib.sha256(order[0].encode()).digest(), order[0], packages, 2 if bad and order[0] == 'B-0117' else 1,
                             self.now - 30 * HOUR))
            for _ in range(order[3] // 2):
                self.unit(order)
        for number, station in enumerate(STATIONS):
            quota = 4 if bad and station == 'line-2-a' else 64
            self.db.execute('INSERT INTO station (name, batches, quota, revoked, added) VALUES (?, ?, ?, ?, ?)',
                            (station, '', quota, bad and station == 'line-2-b', self.now - 300 * HOUR))
            # what lies in its sockets now
            held = {'good': [4, 4, 3, 2, 0], 'bad': [4, 0, 4, 0, 1]}[self.kind][number]
            for chip in range(held):
                eid, at = self.eid(), self.now - 1000 * (3 + 7 * chip)
                sent = chip > 0 or station != 'line-1-b'
                for half in range(2):
                    state = SENT if sent and (half == 0 or chip % 2) else RESERVED
                    key = self.package(eid, ORDERS[self.kind][1], state, station, at, self.now + HOUR)
                    if bad and station == 'line-1-a' and state == SENT:
                        self.refusal(key, eid, station, REVOKED if chip else KEY_MAKER, at)
                    if bad and station == 'line-2-a' and state == SENT:
                        self.doubt(key, eid, station, 'the chip has signed nothing', self.now - HOUR * (chip + 1) // 2)
        self.db.commit()
        self.db.close()


def make(kind, path):
    Day(kind, path).make()
