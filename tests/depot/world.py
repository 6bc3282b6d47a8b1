# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the warehouse share: a Key Maker's delivery, certificates, stations, databases."""
import base64
import contextlib
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error

EXIT_BUSY = 75      # IFPP_EXIT_BUSY: try again
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHIPS = 6
work = tempfile.mkdtemp(prefix='depot-', dir='/var/tmp')
os.chmod(work, 0o755)
environment = dict(os.environ, ASAN_OPTIONS='detect_leaks=1', UBSAN_OPTIONS='halt_on_error=1:print_stacktrace=1',
                   G_SLICE='always-malloc')


class Failed(Exception):
    pass


class Late(Failed):
    """Not in time, or "try again": a depot may do so while the machine stands still, and only then."""


WITHOUT_ANSWER = (Late, ConnectionError, TimeoutError, ssl.SSLError, urllib.error.URLError, http.client.HTTPException,
                  subprocess.TimeoutExpired)


def expect(condition, what):
    if not condition:
        raise Failed(what)


def in_time(condition, what):
    """As expect(), of what somebody whom the machine keeps waiting cannot do."""
    if not condition:
        raise Late(what)


def raise_worst(odd):
    """What threads have met: first what no machine that stands still can be blamed for."""
    for error in sorted(odd, key=lambda error: isinstance(error, WITHOUT_ANSWER)):
        raise error


def wait_for(what, condition, seconds=15):
    """Until it is so. @what: to be said if it is not, or what says it."""
    deadline = time.monotonic() + seconds
    while not condition():
        in_time(time.monotonic() < deadline, what() if callable(what) else what)
        time.sleep(0.1)


class Stalls(threading.Thread):
    """Sees how long the machine or its disk stands still: it writes as a database does, and looks at the clock."""
    TICK, NOTED = 0.2, 0.5      # s

    def __init__(self):
        super().__init__(daemon=True)
        self.lost, self.at, self.guard = 0, 0, threading.Lock()

    def begin(self):
        if not self.is_alive():
            self.at = time.monotonic()
            self.start()

    def seconds(self, tick=False):
        """How long up to now."""
        with self.guard:
            now = time.monotonic()
            lost = self.lost + (now - self.at if now - self.at > self.NOTED else 0)
            if tick:
                self.lost, self.at = lost, now
            return lost

    def run(self):
        with tempfile.TemporaryFile(dir=work, buffering=0) as file:
            while True:
                time.sleep(self.TICK)
                file.write(b'.')
                os.fsync(file.fileno())
                self.seconds(tick=True)


stalls = Stalls()


class Tests:
    """Each method called with a name is a test: it passes if it does not raise."""
    passed = failed = 0
    only = ''
    ATTEMPTS = 6

    def __init__(self, label, databases=None, kept=None):
        """@databases: of the tests; what they begin with is put back before another attempt. @kept: one that goes on from test to test."""
        self.label, self.databases, self.kept = label, databases, kept

    def attempt(self, function, args):
        """One that meets a machine that stands still, and hears "try again" or nothing, is made once more. Nothing else is forgiven."""
        for n in range(1, self.ATTEMPTS + 1):
            before = stalls.seconds()
            try:
                return function(*args)
            except WITHOUT_ANSWER as error:
                lost = stalls.seconds() - before
                if not lost or not self.databases or n == self.ATTEMPTS:
                    raise
                print(f'    once more, the machine stood still for {lost:.1f} s: {type(error).__name__}: {str(error)[:300]}', flush=True)
                self.databases.put_back(self.kept)

    def __call__(self, name, function, *args):
        if Tests.only not in f'{self.label}: {name}':
            return
        stalls.begin()
        try:
            if self.kept:
                self.databases.keep(self.kept)
            self.attempt(function, args)
        except (Failed, OSError, ValueError, KeyError, IndexError, http.client.HTTPException,
                subprocess.SubprocessError) as error:
            Tests.failed += 1
            print(f'not ok {self.label}: {name}\n    {type(error).__name__}: {str(error)[:1500]}', flush=True)
        else:
            Tests.passed += 1
            print(f'ok {self.label}: {name}', flush=True)
        if self.databases:
            self.databases.given.clear()


class Databases:
    """Databases by name, empty when they are asked for: files, or on the @server."""

    def __init__(self, build, part=None, server=None):
        self.build, self.part, self.server, self.given = build, part, server, set()

    def name(self, name):
        return ('_' if self.server else '-').join(filter(None, (self.build, self.part, name)))

    def url(self, name):
        if not self.server:
            return os.path.join(work, self.name(name) + '.db')
        return (self.server.local if self.build == 'plain' else self.server.tls)(self.name(name))

    def files(self, name):
        return [] if self.server else glob.glob(glob.escape(self.url(name)) + '*')

    def __call__(self, name):
        self.given.add(name)
        for file in self.files(name):
            os.unlink(file)
        if self.server:
            self.server.create(self.name(name))
        return self.url(name)

    def copy(self, name, to):
        for file in self.files(to):
            os.unlink(file)
        for file in self.files(name):
            shutil.copy(file, self.url(to) + file.removeprefix(self.url(name)))
        if self.server:     # who was killed stays for a moment
            wait_for(f'no copy of {name}', lambda: self.server.create(self.name(to), self.name(name)))

    def keep(self, name):
        """With the chips, to which packages were loaded."""
        self.copy(name, 'kept')
        for i in range(CHIPS):
            shutil.copy(os.path.join(work, eid(i) + '.mem'), os.path.join(work, eid(i) + '.mem.kept'))

    def put_back(self, kept):
        for name in list(self.given):
            self(name)
        if kept:
            self.copy('kept', kept)
            for i in range(CHIPS):
                shutil.copy(os.path.join(work, eid(i) + '.mem.kept'), os.path.join(work, eid(i) + '.mem'))


class Ran:
    def __init__(self, process):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr

    def objects(self):
        return [json.loads(line) for line in self.out.splitlines()]


def run(build, program, *args, code=0, says=None):
    done = Ran(subprocess.run([os.path.join(TOP, 'build', 'unit-' + build, program), *args], cwd=work, text=True,
                              env=environment, capture_output=True, timeout=120, stdin=subprocess.DEVNULL))
    if code is not None and done.code != code:
        kind = Late if done.code == EXIT_BUSY else Failed
        raise kind(f'{program} {" ".join(args)}: exit {done.code}, not {code}: {done.err or done.out}')
    if says and says not in done.err:
        raise Failed(f'{program}: "{done.err.strip()}" does not say "{says}"')
    if code and says:
        expect(done.err.count('\n') == 1, 'an error is one line: ' + done.err)
    return done


# ------------------------------------------------------------ the Key Maker's side, once for all

def shell(script):
    subprocess.run(['bash', '-euc', script], cwd=work, check=True, stdout=subprocess.DEVNULL, env=environment)


def eid(number):
    n = int('89049032' + str(number).zfill(22))
    return f'{n}{98 - n * 100 % 97:02}'


def make_world():
    tools = os.path.join(TOP, 'build/unit-plain/tools')
    chips = '\n'.join(f'ifpp-eum personalise --pki pki --eid {eid(i)} --keys 2 --chip {eid(i)}.mem --data data/{eid(i)}.euicc'
                      for i in range(CHIPS))
    shell(f'''
        PATH={tools}/eum:{tools}/smdpf:$PATH
        mkdir -p tokens data trust other
        echo "directories.tokendir = $PWD/tokens" >softhsm2.conf
        export SOFTHSM2_CONF=$PWD/softhsm2.conf
        echo 1234 >pin
        softhsm2-util --init-token --free --label k --so-pin 12345678 --pin 1234
        ifpp-eum pki init pki
        ifpp-smdpf init --home home --key 'pkcs11:token=k;object=k' --pin-file pin
        ifpp-eum pki dppb pki --public-key home/dppb.pub.pem --out dppb.pem
        ifpp-smdpf certificate --home home dppb.pem --ci pki/ci.pem
        {chips}
        ifpp-smdpf seal --home home --pin-file pin --euicc data --count 2 --spn Telco --order line-7 --out packages
        ifpp-smdpf export --home home --pin-file pin --order line-7 --out line-7.ifppd
        cp pki/ci.pem trust/
        ifpp-eum pki crl pki --out trust/ci.crl
        ifpp-eum pki init other/pki
        cp other/pki/ci.pem other/ci.pem
    ''')
    shell('''
        ca() { # ca NAME
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.pem -days 30 \
                -subj "/CN=$1" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
        }
        issue() { # issue CA NAME CN USAGE
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $2.key -out $2.csr -subj "/CN=$3"
            printf 'extendedKeyUsage=%s\\nsubjectAltName=DNS:localhost,IP:127.0.0.1\\n' $4 >$2.ext
            openssl x509 -req -in $2.csr -CA $1.pem -CAkey $1.key -CAcreateserial -days 30 -extfile $2.ext -out $2.pem
        }
        exec 2>/dev/null
        ca stations; ca server-ca; ca strangers
        issue server-ca server localhost serverAuth
        issue server-ca database localhost serverAuth
        issue stations ifpp ifpp clientAuth
        issue stations one station-1 clientAuth
        issue stations two station-2 clientAuth
        issue stations rogue rogue clientAuth
        issue stations gone gone clientAuth
        issue stations bad 'no station' clientAuth
        issue stations wrong-purpose station-1 serverAuth
        issue strangers stranger station-1 clientAuth
        mkdir -p ca && : >ca/index.txt && echo 01 >ca/number
        printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=ca/index.txt\\ncrlnumber=ca/number\\ndefault_md=sha256\\ndefault_crl_days=30\\n' >ca/conf
        openssl ca -config ca/conf -revoke gone.pem -cert stations.pem -keyfile stations.key
        openssl ca -config ca/conf -gencrl -cert stations.pem -keyfile stations.key -out stations.crl
    ''')


# ------------------------------------------------------------ stations

class Https:
    """A station: one connection, kept open."""

    def __init__(self, port, who='one', cafile='server-ca.pem'):
        context = ssl.create_default_context(cafile=os.path.join(work, cafile))
        if who:
            context.load_cert_chain(os.path.join(work, who + '.pem'), os.path.join(work, who + '.key'))
        self.connection = http.client.HTTPSConnection('localhost', port, context=context, timeout=20)

    def ask(self, method, path, body=None, **headers):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        self.connection.request(method, path, body, {k.replace('_', '-'): v for k, v in headers.items()})
        answer = self.connection.getresponse()
        return answer, answer.read()

    def json(self, method, path, body=None, status=200, **headers):
        answer, text = self.ask(method, path, body, **headers)
        if answer.status != status:
            raise (Late if answer.status == 503 else Failed)(f'{method} {path}: {answer.status}, not {status}: {text[:300]}')
        found = json.loads(text)
        if status >= 400:
            expect(found['version'] == 1 and found['error'] and found['hint'] and found['message'],
                   f'an error without name or hint: {found}')
        return found

    def close(self):
        self.connection.close()


class Depot:
    """One database; ifpp-depot of one build works on it."""

    def __init__(self, build, url):
        self.build, self.url = build, url

    def __call__(self, *args, **keywords):
        return run(self.build, 'tools/depot/ifpp-depot', args[0], '--db', self.url, *args[1:], **keywords)

    def list(self, *args):
        return self('list', '--json', *args).objects()

    def states(self):
        told = self('status', '--json', code=None)
        expect(told.code in (0, 1), f'status: exit {told.code}: {told.err}')  # 1: something does not add up
        found = told.objects()[-1]
        return {name: found[name] for name in ('free', 'reserved', 'sent', 'installed', 'failed', 'burnt') if found[name]}

    @contextlib.contextmanager
    def serve(self, *options):
        # a file: its log is longer than a pipe that nobody reads
        log = tempfile.TemporaryFile('w+', dir=work)
        process = subprocess.Popen(
            [os.path.join(TOP, 'build', 'unit-' + self.build, 'tools/depot/ifpp-depot'), 'serve', '--db', self.url,
             '--listen', '127.0.0.1:0', '--cert', 'server.pem', '--key', 'server.key', '--client-ca', 'stations.pem',
             '--client-crl', 'stations.crl', '--trust', 'trust', *options],
            cwd=work, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)

        def said():     # the server shares the file's position
            return os.pread(log.fileno(), 1 << 24, 0).decode(errors='replace')

        line = process.stdout.readline()
        if 'serving' not in line:
            raise (Late if process.wait() == EXIT_BUSY else Failed)('does not serve: ' + said())
        process.said = said
        try:
            yield int(line.split(':')[-1].split('/')[0]), process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
            process.stdout.close()
            err = said()
            log.close()
        if process.returncode not in (0, -signal.SIGKILL):
            raise Failed(f'ended with {process.returncode}: {err[-2000:]}')


def load(chip, package, how='load'):
    """The chip takes a package: its signed result, as a station would deliver it."""
    done = run('plain', 'tests/depot/vchip', how, f'{chip}.mem', package)
    return {'format': 'ifpp-result', 'version': 1, 'eid': chip, 'result': json.loads(done.out)}


def read_report(name):
    """Its units, and its last line."""
    with open(name) as file:
        head, *units, last = map(json.loads, file)
    expect(head['format'] == 'ifpp-report' and head['version'] == 3, head)
    return units, last


def lock(chip):
    with open(os.path.join(work, 'data', chip + '.euicc'), 'rb') as file:
        data = base64.b64encode(file.read()).decode()
    done = run('plain', 'tests/depot/vchip', 'lock', f'{chip}.mem')
    return {'format': 'ifpp-chip', 'version': 1, 'eid': chip, 'euicc_data': data, 'lock': json.loads(done.out)}


def package_of(key_id):
    name = next(n for n in os.listdir(os.path.join(work, 'packages')) if key_id[:16] in n)
    with open(os.path.join(work, 'packages', name), 'rb') as file:
        return file.read()


def fresh_chips():
    for i in range(CHIPS):
        shutil.copy(os.path.join(work, eid(i) + '.mem.new'), os.path.join(work, eid(i) + '.mem'))


def postgres(*args):
    return subprocess.run([os.path.join(TOP, 'tests/depot/postgres'), *args], check=True, stdout=subprocess.PIPE,
                          text=True, timeout=180).stdout.strip()


class Server:
    """The PostgreSQL server: on its socket, and with TLS."""

    def __init__(self):
        with socket.create_server(('127.0.0.1', 0)) as free:
            self.port = free.getsockname()[1]
        self.directory = os.path.join(work, 'postgres')
        self.socket = postgres('start', self.directory, '--tls', str(self.port), *(os.path.join(work, name) for name in (
            'stations.pem', 'database.pem', 'database.key')), '-c fsync=off')

    def local(self, name):
        return self.socket.replace('/depot?', f'/{name}?')

    def tls(self, name='depot', user='ifpp', **changed):
        options = {'sslmode': 'verify-full', 'sslrootcert': os.path.join(work, 'server-ca.pem'),
                   'sslcert': os.path.join(work, 'ifpp.pem'), 'sslkey': os.path.join(work, 'ifpp.key'), **changed}
        host = options.pop('host', 'localhost')
        return f'postgresql://{user}@{host}:{self.port}/{name}?' + '&'.join(f'{k}={v}' for k, v in options.items() if v)

    def create(self, name, source='template1'):
        """A copy of another one, or empty; whether it is there."""
        self.sql('depot', f'DROP DATABASE IF EXISTS {name} WITH (FORCE)')
        self.sql('depot', f'CREATE DATABASE {name} TEMPLATE {source}')
        return self.sql('depot', f"SELECT 1 FROM pg_database WHERE datname = '{name}'")

    def sql(self, name, text):
        return subprocess.run(['psql', '-Atq', self.local(name), '-c', text], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True).stdout.split('\n')[:-1]

    @contextlib.contextmanager
    def lock(self, url):
        """Somebody has locked the packages, and forgotten it."""
        name = url.split('?')[0].rsplit('/', 1)[1]
        locker = subprocess.Popen(['psql', '-q', self.local(name), '-c', 'BEGIN; LOCK TABLE package; SELECT pg_sleep(60)'],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not self.sql(name, "SELECT 1 FROM pg_locks WHERE relation = 'package'::regclass AND granted AND "
                                     "mode = 'AccessExclusiveLock'"):
                time.sleep(0.05)
            yield
        finally:
            self.sql(name, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'")
            locker.wait()

    def crash(self):
        postgres('crash', self.directory)

    def again(self):
        postgres('again', self.directory)


class Standby:
    """A server and one that follows it, as long as the context lasts."""

    def __enter__(self):
        self.primary, self.standby = (os.path.join(work, name) for name in ('primary', 'standby'))
        postgres('start', self.primary, '-c fsync=off')
        try:
            postgres('standby', self.standby, self.primary)
        except subprocess.CalledProcessError:
            postgres('stop', self.primary)
            raise
        return self

    def __exit__(self, *_):
        for directory in (self.primary, self.standby):
            postgres('stop', directory)
            shutil.rmtree(directory)

    def url(self):
        return f'postgresql://ifpp@/depot?host={self.primary},{self.standby}&target_session_attrs=read-write'

    def fail_over(self):
        """The primary is gone, with what it had not sent; the standby is made the new one."""
        postgres('crash', self.primary)
        postgres('promote', self.standby)


def outbox_of(name, chip, results, receipt):
    """An outbox as the daemon leaves it (Documentation/daemon.rst)."""
    where = os.path.join(work, name)
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(os.path.join(where, chip))
    for result in results:
        r = result['result']
        with open(os.path.join(where, chip, r['key_id'] + '.result'), 'w') as file:
            file.write(f'[Result]\nVersion=1\nEID={chip}\nKeyId={r["key_id"]}\nTransactionId={r["transaction_id"]}\n'
                       f'Status={r["status"]}\nReason={r["reason"]}\nApdus=12\nApduBytes=1584\nVerifyNs=1\nChipNs=2\n'
                       f'Time=2026-11-25T12:00:00Z\n' + (f'ProfileClass=2\nPIR={r["pir"]}\n' if r['pir'] else ''))
    if receipt:
        with open(os.path.join(where, chip, 'lock.receipt'), 'w') as file:
            file.write(f'[Receipt]\nVersion=1\nEID={chip}\nChallenge={receipt["lock"]["challenge"]}\n'
                       f'Receipt={receipt["lock"]["receipt"]}\nTime=2026-11-25T12:00:01Z\n')
        shutil.copy(os.path.join(work, 'data', chip + '.euicc'), os.path.join(where, chip, 'euicc.data'))
    return where


def fetch(build, port, chip, cache, code=0, says=None):
    return run(build, 'tools/ifppctl/ifppctl', '--json', '-d', chip, 'fetch', '--source', f'https://localhost:{port}',
               '--to', cache, '--cert', 'one.pem', '--key', 'one.key', '--ca', 'server-ca.pem', code=code, says=says)


def key_maker_says(name, code=0):
    return run('plain', 'tools/smdpf/ifpp-smdpf', 'verify-report', '--home', 'vault', '--json', name,
               code=code).objects()[-1]
