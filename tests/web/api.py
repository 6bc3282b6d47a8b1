# SPDX-License-Identifier: GPL-2.0-or-later
"""What other systems read: held to its own description, and to the database."""
import contextlib
import csv
import io
import json
import os
import re
import shutil
import sqlite3
import ssl
import time
import urllib.error
import urllib.request

import yaml
from jsonschema import Draft202012Validator

import days
from world import TOP, Depot, expect, run, work
from world import eid as a_chip

DESCRIPTION = os.path.join(TOP, 'packaging/openapi/ifpp-depot.yaml')


class Api:
    def __init__(self, url, token=None):
        self.url, self.token = url.rstrip('/'), token
        self.context = ssl.create_default_context(cafile=os.path.join(work, 'server-ca.pem'))

    def get(self, path, token=..., method='GET'):
        """(status, headers, body)"""
        headers, token = {}, self.token if token is ... else token
        if token:
            headers['Authorization'] = 'Bearer ' + token
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers, method=method), timeout=30,
                                        context=self.context) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()

    def json(self, path):
        status, _, text = self.get(path)
        expect(status == 200, f'{path}: {status} {text[:200]}')
        return json.loads(text)


@contextlib.contextmanager
def serving(depot, *options):
    with depot.serve('--api', '127.0.0.1:0', *options) as (_, process):
        line = process.stdout.readline()
        expect(line.startswith('api https://'), line)
        yield Api(line.split()[1].replace('127.0.0.1', 'localhost'))


class Agreement:
    """Each answer against the description; at the end, each status of the description must have been seen."""

    def __init__(self):
        with open(DESCRIPTION) as file:
            self.text = file.read()
        self.doc = yaml.safe_load(self.text)
        expect(self.doc['openapi'].startswith('3.1'), self.doc['openapi'])
        for schema in self.doc['components']['schemas'].values():
            Draft202012Validator.check_schema(schema)
        self.seen = set()

    def find(self, node):
        while '$ref' in node:
            target = self.doc
            for part in node['$ref'].lstrip('#/').split('/'):
                target = target[part]
            node = target
        return node

    def validate(self, value, schema, what):
        errors = [e.message for e in Draft202012Validator({**schema, 'components': self.doc['components']}).iter_errors(value)]
        expect(not errors, f'{what}: {errors[:3]}')

    def check(self, api, template, status, path=None, token=...):
        got, headers, text = api.get(path or template, token)
        what = f'GET {path or template}: {got}'
        expect(got == status, f'{what}, not {status}: {text[:200]}')
        responses = self.doc['paths'][template]['get']['responses']
        expect(str(got) in responses, f'{what} is not described')
        response = self.find(responses[str(got)])
        kind = headers['Content-Type'].split(';')[0]
        expect(kind in response['content'], f'{what}: {kind} is not described')
        self.validate(json.loads(text) if kind == 'application/json' else text, response['content'][kind]['schema'], what)
        for name, header in response.get('headers', {}).items():
            self.validate(headers[name], header['schema'], f'{what}: {name}')
        self.seen.add((template, str(got)))
        return json.loads(text) if kind == 'application/json' else text

    def complete(self):
        all_of_them = {(path, status) for path, item in self.doc['paths'].items() for status in item['get']['responses']}
        expect(self.seen == all_of_them, f'not seen: {all_of_them - self.seen}')


def token_of(depot, name):
    return depot('token', 'add', name, '--json').objects()[0]['token']


def openapi_agrees(_, build='plain'):
    path = os.path.join(work, 'api.db')
    depot = Depot(build, path)
    depot('init')
    days.make('bad', path)
    db = sqlite3.connect(path)
    db.execute("UPDATE unit SET model = '=HYPERLINK(\"x\")', work_order = 'W,1' WHERE eid = (SELECT MIN(eid) FROM unit)")
    db.commit()
    eid, imei, serial = db.execute("SELECT lower(hex(eid)), imei, serial FROM unit ORDER BY eid LIMIT 1").fetchone()
    token, log, agreement = token_of(depot, 'mes'), os.path.join(work, 'api.log'), Agreement()
    gone = token_of(depot, 'gone')
    with serving(depot, '--access-log', log) as api:
        api.token = token
        paths = list(agreement.doc['paths'])
        # nobody gets anything without a token that is valid now; what is not there needs one, too
        expect(api.get('/api/v1/units', gone)[0] == 200, 'a token that is valid')
        depot('token', 'revoke', 'gone')
        for template in paths:
            for wrong in (None, 'nonsense', 'ifpp_' + 'A' * 43, gone, token + 'x', 'x' * 4000):
                agreement.check(api, template, 401, template.replace('{eid}', eid), wrong)
        expect(api.get('/nothing', None)[0] == 401, 'without a token')
        # what there is
        units = agreement.check(api, '/api/v1/units', 200, '/api/v1/units?limit=500')
        for key, value, count in (('eid', eid, 1), ('imei', imei, 1), ('serial', serial, 1), ('work_order', 'W%2C1', 1),
                                  ('board_serial', 'none', 0), ('order', 'A-2381', 100), ('order', 'none', 0)):
            found = agreement.check(api, '/api/v1/units', 200, f'/api/v1/units?{key}={value}')['units']
            expect(len(found) == count and (count != 1 or found[0]['eid'] == eid), f'{key}: {len(found)}')
        unit = agreement.check(api, '/api/v1/units/{eid}', 200, '/api/v1/units/' + eid)
        expect(len(unit['results']) == 2 and unit['identity']['imei'] == imei, unit)
        # page by page it is all
        listed, after = [], ''
        while after is not None:
            page = agreement.check(api, '/api/v1/units', 200, f'/api/v1/units?limit=97{after and "&after=" + after}')
            listed += [(u['eid'], u['state']) for u in page['units']]
            after = page['next']
        rows = db.execute('SELECT lower(hex(eid)), MIN(state), MAX(state) FROM package GROUP BY eid ORDER BY eid').fetchall()
        state = lambda low, high: ('untouched' if not high else 'open' if low < 3 else 'done' if high == 3 else 'lost')  # noqa: E731
        expect(listed == [(e, state(low, high)) for e, low, high in rows], 'units by pages')
        expect(units['units'][0]['eid'] == rows[0][0] and len(units['units']) == 500, 'the first page')
        ended, after = [], ''
        while after is not None:
            page = agreement.check(api, '/api/v1/results', 200, f'/api/v1/results?limit=500{after and "&after=" + after}')
            ended += [(r['eid'], r['key_id'], r['state']) for r in page['results']]
            after = page['next']
        names = ('free', 'reserved', 'sent', 'installed', 'failed', 'burnt')
        rows = db.execute('SELECT lower(hex(eid)), lower(hex(key_id)), state FROM package WHERE state > 2 ORDER BY eid, key_id').fetchall()
        expect(ended == [(e, k, names[s]) for e, k, s in rows], 'results by pages')
        lost = [row for row in rows if row[2] > 3]
        expect(len(agreement.check(api, '/api/v1/results', 200, '/api/v1/results?state=lost&limit=500')['results']) == len(lost), 'lost')
        refused = db.execute('SELECT lower(hex(r.eid)), lower(hex(r.key_id)), r.station FROM refusal r JOIN package p ON p.key_id = r.key_id '
                             'WHERE p.state < 3 ORDER BY r.eid, r.key_id').fetchall()
        listed_so, after = [], ''
        while after is not None:
            page = agreement.check(api, '/api/v1/results', 200, f'/api/v1/results?state=refused&limit=2{after and "&after=" + after}')
            listed_so += [(r['eid'], r['key_id'], r['refused']['station']) for r in page['results']]
            after = page['next']
        expect(refused and listed_so == refused, f'{listed_so}, not {refused}')
        agreement.check(api, '/api/v1/units/{eid}', 200, '/api/v1/units/' + refused[0][0])
        for order in agreement.check(api, '/api/v1/yield', 200)['orders']:
            of = db.execute('SELECT MIN(state), MAX(state) FROM package WHERE batch = ? GROUP BY eid', (order['order'],)).fetchall()
            done = sum(u == (3, 3) for u in of)
            expect(order['done'] == done and abs(order['yield'] - done / sum(u[0] > 2 for u in of)) < 1e-9, order)
        expect(agreement.check(api, '/api/v1/yield', 200, '/api/v1/yield?order=none')['orders'] == [], 'no such order')
        counted = agreement.check(api, '/api/v1/states', 200)['packages']
        expect({k: v for k, v in counted.items() if v} == depot.states(), counted)
        table = list(csv.DictReader(io.StringIO(agreement.check(api, '/api/v1/units.csv', 200), newline='')))
        expect([(row['eid'], row['state']) for row in table] == listed, 'units.csv')
        expect(table[[row['eid'] for row in table].index(eid)]['model'] == '\'=HYPERLINK("x")', 'a formula')
        table = list(csv.DictReader(io.StringIO(agreement.check(api, '/api/v1/failures.csv', 200), newline='')))
        expect([(row['eid'], row['key_id']) for row in table] == sorted(row[:2] for row in lost + refused) and
               all(row['reason'] for row in table) and sum(row['state'] == 'refused' for row in table) == len(refused), 'failures.csv')
        expect(agreement.check(api, '/api/v1/openapi.yaml', 200) == agreement.text, 'another description')
        agreement.check(api, '/metrics', 200)
        # what cannot be asked
        for template, wrong in (('/api/v1/units', ('?limit=0', '?limit=501', '?limit=x', '?after=1', '?eid=12', f'?eid={eid}&imei=1', '?imei=',
                                                   '?serial=' + 'x' * 65, '?order=%ff')),
                                ('/api/v1/results', ('?limit=-1', '?after=1', f'?after={eid}-zz', '?state=free')),
                                ('/api/v1/yield', ('?order=' + 'x' * 65,))):
            for query in wrong:
                agreement.check(api, template, 400, template + query)
        agreement.check(api, '/api/v1/units/{eid}', 400, '/api/v1/units/1234')
        agreement.check(api, '/api/v1/units/{eid}', 404, '/api/v1/units/' + a_chip(10 ** 9))
        for nothing in ('/', '/api', '/api/v1', '/api/v1/unit', '/api/v2/units', '/v1/claims', '/figures.json', '/api/v1/units.csv/', '/dashboard.js'):
            expect(api.get(nothing)[0] == 404, nothing)
        for method in ('POST', 'PUT', 'DELETE', 'PATCH'):
            expect(api.get('/api/v1/units', method=method)[0] == 405, method)
        expect(api.get('/api/v1/units?imei=' + 'x' * 3000)[0] == 414, 'a long query')
        expect(api.get('/api/v1/' + 'x' * 600)[0] == 414, 'a long path')
    # the database is gone
    with serving(depot) as api:
        api.token = token
        db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        os.rename(path, path + '.away')
        with open(path, 'w') as file:
            file.write('this is no database, and was none')
        for template in paths:
            agreement.check(api, template, 503, template.replace('{eid}', eid))
        os.replace(path + '.away', path)
    agreement.complete()
    with open(log) as file:
        lines = file.read()
    for words in (('station=-', 'status=401', 'a token is needed'), ('status=401', 'was revoked'), ('station=mes', 'status=404'),
                  ('station=-', 'status=414'), ('station=-', 'status=405')):
        expect(any(all(word in line for word in words) for line in lines.splitlines()), f'the log does not say {words}')
    expect(eid not in lines and token not in lines, 'an EID or a token in the log')
    db.close()


def new_certificate(_):
    """The listener has the depot's new certificate as soon as the stations' has."""
    def give(name):
        for kind in ('pem', 'key'):
            shutil.copy(os.path.join(work, f'{name}.{kind}'), os.path.join(work, f'api.{kind}'))

    def shown(api):
        text = ssl.get_server_certificate(('localhost', int(api.url.rsplit(':', 1)[1])))
        return ssl.PEM_cert_to_DER_cert(text)

    def in_file(name):
        with open(os.path.join(work, name + '.pem')) as file:
            return ssl.PEM_cert_to_DER_cert(file.read())

    depot = Depot('plain', os.path.join(work, 'reload.db'))
    depot('init')
    give('server')
    with serving(depot, '--cert', 'api.pem', '--key', 'api.key') as api:
        api.token = token_of(depot, 'mes')
        expect(shown(api) == in_file('server'), 'another certificate')
        give('database')
        deadline = time.monotonic() + 60
        while shown(api) != in_file('database'):
            expect(time.monotonic() < deadline, 'the old certificate is shown still')
            time.sleep(0.2)
        api.json('/api/v1/states')


def tokens(_):
    """Only a hash is kept; a name has one at a time."""
    path = os.path.join(work, 'tokens.db')
    depot = Depot('plain', path)
    depot('init')
    done = depot('token', 'add', 'mes', says='shown this once')
    token = done.out.strip()
    expect(re.fullmatch('ifpp_[A-Za-z0-9_-]{43}', token), token)
    depot('token', 'add', 'mes', code=6, says='has a token')
    depot('token', 'add', 'a b', code=2)
    depot('token', 'add', code=2)
    depot('token', 'revoke', 'nobody', code=5, says='no token nobody')
    depot('token', 'revoke', 'mes')
    expect(depot('token', 'list', '--json').objects()[0]['revoked'], 'list')
    other = depot('token', 'add', 'mes', '--json').objects()[0]['token']
    expect(other != token and not depot('token', 'list', '--json').objects()[0]['revoked'], 'a second one')
    for suffix in ('', '-wal'):
        with contextlib.suppress(FileNotFoundError), open(path + suffix, 'rb') as file:
            data = file.read()
            expect(token.encode() not in data and other.encode() not in data, 'a token is in the database')
    # a backup has it
    backup = os.path.join(work, 'tokens-backup.db')
    depot('backup', backup)
    restored = Depot('plain', os.path.join(work, 'tokens-restored.db'))
    restored('restore', backup)
    with serving(restored) as api:
        expect(api.get('/api/v1/states', other)[0] == 200 and api.get('/api/v1/states', token)[0] == 401, 'after a restore')
    run('plain', 'tools/depot/ifpp-depot', 'serve', '--db', path, '--listen', '127.0.0.1:0', '--api', 'nonsense', '--cert', 'server.pem',
        '--key', 'server.key', '--client-ca', 'stations.pem', '--trust', 'trust', code=2, says='--api')
