# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates, CRLs and CI roots that change under a running depot: half written, broken, revoked further up."""
import http.client
import os
import shutil
import ssl
import time

from stock import stocked
from world import Depot, Failed, Https, TOP, environment, expect, in_time, run, shell, wait_for, work


class Seen:
    """The depot's figures, as Prometheus reads them."""

    def __init__(self, process):
        line = process.stdout.readline()
        expect(line.startswith('dashboard http://'), line)
        self.connection = http.client.HTTPConnection(line.split('/')[2], timeout=20)

    def get(self, path='/metrics'):
        self.connection.request('GET', path)
        return self.connection.getresponse().read().decode()

    def value(self, name):
        for line in self.get().splitlines():
            if line.startswith(name + ' '):
                return float(line.split()[1])
        raise Failed(f'no {name} in /metrics')


def copy(*names):
    """Files of the world that may be spoilt."""
    for name, to in names:
        shutil.copy(os.path.join(work, name), os.path.join(work, to))


def put(name, data):
    """As a careful program does it."""
    with open(os.path.join(work, name + '.new'), 'wb') as file:
        file.write(data)
    os.rename(os.path.join(work, name + '.new'), os.path.join(work, name))


def get(name):
    with open(os.path.join(work, name), 'rb') as file:
        return file.read()


def refused(port, who):
    """Why @who gets nothing: by an answer, or by the handshake; None: it gets something."""
    try:
        station = Https(port, who)
        answer, text = station.ask('GET', '/v1/status')
        station.close()
    except (ssl.SSLError, ConnectionError) as error:
        return str(error)
    return None if answer.status == 200 else text.decode()


def failed_reload_is_seen(build, url):
    """What cannot be read again is in the figures, on the page and in the log, until it can."""
    copy(('stations.crl', 'seen.crl'))
    shutil.rmtree(os.path.join(work, 'seen-trust'), ignore_errors=True)
    shutil.copytree(os.path.join(work, 'trust'), os.path.join(work, 'seen-trust'))
    with stocked(build, url).serve('--client-crl', 'seen.crl', '--trust', 'seen-trust', '--dashboard', '127.0.0.1:0') as (port, process):
        seen = Seen(process)
        good = 'ifpp_depot_last_reload_successful'
        expect(seen.value(good) == 1, 'it begins with a failure')
        at = seen.value('ifpp_depot_last_reload_success_timestamp_seconds')
        expect(abs(at - time.time()) < 60, at)
        for name, bad in (('seen.crl', b'no CRL'), ('seen-trust/ci.crl', b'no CRL'), ('seen-trust/ci.pem', b'')):
            before = get(name)
            put(name, bad)
            wait_for(f'{name}: no failure in the figures', lambda: seen.value(good) == 0)
            told = seen.get('/figures.json')
            expect('"reload_trouble":"' in told and name in told, told[:300])
            expect(os.path.basename(name) in process.said() and 'stay in use' in process.said(), process.said())
            expect(refused(port, 'gone'), 'the revoked one gets in')
            in_time(not refused(port, 'one'), 'what was there is not in use')
            put(name, before)
            wait_for(f'{name}: it stays failed', lambda: seen.value(good) == 1)
            expect('"reload_trouble":null' in seen.get('/figures.json'), seen.get('/figures.json')[:300])
        expect(seen.value('ifpp_depot_last_reload_success_timestamp_seconds') >= at, 'when')


def crl_of_strangers():
    shell('''
        exec 2>/dev/null
        mkdir -p torn-ca && : >torn-ca/index.txt && echo 01 >torn-ca/number
        sed 's,=ca/,=torn-ca/,' ca/conf >torn-ca/conf
        openssl ca -config torn-ca/conf -gencrl -cert strangers.pem -keyfile strangers.key -out strangers.crl
    ''')


def torn_file_keeps_the_old(build, url):
    """Bundles that are rewritten in place, slowly: nobody is let in or kept out by the half that is there."""
    crl_of_strangers()
    put('both.pem', get('stations.pem') + get('strangers.pem'))
    put('both.crl', get('strangers.crl') + get('stations.crl'))
    whole = {name: get(name) for name in ('both.pem', 'both.crl')}
    # what is lost first: a CA; the CRL that revokes
    first = {'both.pem': len(get('stations.pem')), 'both.crl': len(get('strangers.crl'))}
    with stocked(build, url).serve('--client-ca', 'both.pem', '--client-crl', 'both.crl') as (port, process):
        expect(refused(port, 'gone'), 'the revoked one gets in at the start')
        in_time(not refused(port, 'stranger') and not refused(port, 'one'), 'at the start')
        for name, data in whole.items():
            for cut in (0, first[name] // 2, first[name], first[name] + 1, first[name] + 14, first[name] + 60, len(data) - 10):
                read, begun = process.said().count('were read again'), time.monotonic()
                with open(os.path.join(work, name), 'wb', buffering=0) as file:
                    # between two blocks nobody can tell that there is more to come, but for a while it is written on
                    file.write(data[:cut])
                    while time.monotonic() - begun < (0.8 if cut == first[name] else 3):
                        time.sleep(0.1)
                        why, let_in = refused(port, 'stranger') or refused(port, 'one'), not refused(port, 'gone')
                        in_time(cut != first[name] or time.monotonic() - begun < 2, 'it was not written on in time')
                        in_time(not why, f'{name}, {cut} of {len(data)}: {why}')
                        expect(not let_in, f'{name}, {cut} of {len(data)}: the revoked one gets in')
                    file.write(data[cut:])
                wait_for(lambda: f'{name}: it is not read when it is whole: {process.said()[-900:]}',
                         lambda: process.said().count('were read again') > read, 6)
                expect(refused(port, 'gone'), f'{name}: the revoked one gets in after it')
                in_time(not refused(port, 'stranger'), f'{name}: after it')


def broken_file_is_said_once(build, url):
    """A file that stays broken for days is a line a day, not one every two seconds."""
    if build != 'plain':        # a sanitizer wants to be the first that is preloaded
        return
    copy(('stations.crl', 'once.crl'))
    clock = os.path.join(work, 'uptime')
    put('uptime', b'0')
    shim = os.path.join(TOP, 'build', 'unit-' + build, 'tests/unit/clock-shim.so')
    environment.update(LD_PRELOAD=shim, IFPP_TEST_UPTIME=clock)
    try:
        with stocked(build, url).serve('--client-crl', 'once.crl') as (port, process):
            put('once.crl', b'no CRL')
            wait_for('it is not said', lambda: 'stay in use' in process.said())
            for day in (1, 2):
                put('uptime', str(day * 90000).encode())
                wait_for(f'day {day}: it is not said again: {process.said()}', lambda: process.said().count('stay in use') == 1 + day)
                time.sleep(5)
                expect(process.said().count('stay in use') == 1 + day, process.said())
    finally:
        for name in 'LD_PRELOAD', 'IFPP_TEST_UPTIME':
            del environment[name]


def revoked_sub_ca(build, url):
    """A CA between the station CA and the stations is revoked: its stations are, whoever brings its certificate."""
    shell('''
        exec 2>/dev/null
        new() { # new CA NAME CN EXTENSIONS
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $2.key -out $2.csr -subj "/CN=$3"
            printf "$4" >$2.ext
            openssl x509 -req -in $2.csr -CA $1.pem -CAkey $1.key -CAcreateserial -days 30 -extfile $2.ext -out $2.pem
        }
        new stations line-ca line-ca 'basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign,cRLSign\\n'
        new line-ca below station-9 'extendedKeyUsage=clientAuth\\n'
        cat below.pem line-ca.pem >chained.pem
        cp below.key chained.key
        cat stations.pem line-ca.pem >with-line.pem
        rm -rf sub-ca && mkdir sub-ca && : >sub-ca/index.txt && echo 01 >sub-ca/number
        sed 's,=ca/,=sub-ca/,' ca/conf >sub-ca/conf
        openssl ca -config sub-ca/conf -gencrl -cert stations.pem -keyfile stations.key -out sub-before.crl
        openssl ca -config sub-ca/conf -revoke line-ca.pem -cert stations.pem -keyfile stations.key
        openssl ca -config sub-ca/conf -gencrl -cert stations.pem -keyfile stations.key -out sub-after.crl
    ''')
    # the station shows its CA's certificate; or the depot has it
    for ca, who in ('stations.pem', 'chained'), ('with-line.pem', 'below'), ('with-line.pem', 'chained'):
        for crl, good in (('sub-before.crl', True), ('sub-after.crl', False)):
            with Depot(build, url).serve('--client-ca', ca, '--client-crl', crl) as (port, _):
                why = refused(port, who)
                in_time(not good or not why, f'{ca}, {who}, {crl}: {why}')
                expect(good or why, f'{ca}, {who}, {crl}: it gets in')
                in_time(good or 'line-ca' in why and 'revoked' in why, f'{ca}, {who}, {crl}: {why}')
                in_time(not refused(port, 'one'), f'{ca}, {crl}: another station')


def wrong_files_at_start(build, url):
    """A file that is of no use at the start: the line says of what, and what to put there."""
    options = dict(listen='127.0.0.1:0', cert='server.pem', key='server.key', client_ca='stations.pem',
                   client_crl='stations.crl', trust='trust')
    crl_of_strangers()
    put('empty', b'')
    put('cut.crl', get('stations.crl')[:-30])
    for option, file, says in (('client_crl', 'empty', 'empty: it is empty'), ('client_crl', 'cut.crl', 'cut.crl: it ends in the middle'),
                               ('client_crl', 'server.pem', 'no CRL in PEM'), ('client_ca', 'empty', 'empty: it is empty'),
                               ('client_crl', 'strangers.crl', 'not signed by a station CA'),
                               ('cert', 'empty', 'empty: it is empty'), ('key', 'one.key', 'is not the key of the certificate')):
        given = dict(options, **{option: file})
        told = run(build, 'tools/depot/ifpp-depot', 'serve', '--db', url, *[word for name, value in given.items() for word in (
            '--' + name.replace('_', '-'), value)], code=None, says=says).err
        expect(told.count('\n') == 1 and '/etc/ifpp/ci' not in told and 'as root' not in told and 'RSP' not in told, told)
        expect('--' + option.replace('_', '-') in told, told)


def operate(test, build, fresh):
    """All of it on one database."""
    test('failed_reload_is_seen', failed_reload_is_seen, build, fresh('seen'))
    test('torn_file_keeps_the_old', torn_file_keeps_the_old, build, fresh('torn'))
    test('broken_file_is_said_once', broken_file_is_said_once, build, fresh('once'))
    test('revoked_sub_ca', revoked_sub_ca, build, fresh('sub'))
    test('wrong_files_at_start', wrong_files_at_start, build, fresh('wrong'))
