# SPDX-License-Identifier: GPL-2.0-or-later
"""A depot with packages, and what stations do with it in short."""
import base64
import os
import shutil

from world import Depot, expect, in_time, work


def stocked(build, url):
    depot = Depot(build, url)
    depot('import', 'line-7.ifppd', '--trust', 'trust')
    return depot


def status(depot, code=0):
    lines = depot('status', '--json', code=code).objects()
    return lines[-1], [line['what'] for line in lines[:-1]]


def unsigned(chip, key, code=-5):
    return {'format': 'ifpp-result', 'version': 1, 'eid': chip,
            'result': {'key_id': key, 'status': code, 'reason': 0, 'pir': None}}


def fetched(station, chip):
    """Claim a chip and fetch its packages: key -> file."""
    files = {}
    for package in station.json('POST', '/v1/claims', {'eid': chip})['packages']:
        key = package['key_id']
        files[key] = os.path.join(work, f'fetched-{key[:16]}.ifpp')
        answer, data = station.ask('GET', '/v1/packages/' + key)
        in_time(answer.status != 503, 'too late')
        expect(answer.status == 200, answer.status)
        with open(files[key], 'wb') as file:
            file.write(data)
    return files


def fresh_chip(chip):
    shutil.copy(os.path.join(work, chip + '.mem.new'), os.path.join(work, chip + '.mem'))


def chip_data(chip):
    """What a chip exports, before it is locked."""
    with open(os.path.join(work, 'data', chip + '.euicc'), 'rb') as file:
        data = base64.b64encode(file.read()).decode()
    return {'format': 'ifpp-chip', 'version': 1, 'eid': chip, 'euicc_data': data, 'lock': None}
