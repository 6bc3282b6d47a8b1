# SPDX-License-Identifier: GPL-2.0-or-later
"""A token, a test PKI, a Key Maker's home and chips, for the tests beside it; and one line for each test."""
import hashlib
import os
import subprocess

FIRST_EID = '89049032123451234512345678901235'
cases = []


def say(ok, what):
    cases.append(ok)
    print(f"{'ok' if ok else 'not ok'} {len(cases)} - {what}", flush=True)


def end():
    print(f'1..{len(cases)}')
    return not all(cases)


def run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def delivered(*directories):
    """The packages there: key id -> SHA-256; another one of the same key is told as "differs"."""
    found = {}
    for directory in directories:
        for name in os.listdir(directory):
            if name.startswith('.'):    # not whole yet
                continue
            with open(os.path.join(directory, name), 'rb') as file:
                package = file.read()
            key, digest = package[32:64].hex(), hashlib.sha256(package).hexdigest()
            found[key] = digest if found.get(key, digest) == digest else 'differs'
    return found


class World:
    def __init__(self, build, top):
        self.top = top
        self.smdpf, self.eum = (os.path.join(build, 'tools', name, 'ifpp-' + name) for name in ('smdpf', 'eum'))

    def path(self, *names):
        return os.path.join(self.top, *names)

    def token(self):
        for name in 'tokens', 'chips', 'data':
            os.makedirs(self.path(name))
        with open(self.path('softhsm2.conf'), 'w', encoding='ascii') as conf:
            conf.write(f"directories.tokendir = {self.path('tokens')}\n")
        with open(self.path('pin'), 'w', encoding='ascii') as pin:
            pin.write('1234\n')
        os.environ['SOFTHSM2_CONF'] = self.path('softhsm2.conf')
        run('softhsm2-util', '--init-token', '--free', '--label', 'k', '--so-pin', '12345678', '--pin', '1234')
        run(self.eum, 'pki', 'init', self.path('pki'))

    def home(self, name='home', *options):
        run(self.smdpf, 'init', '--home', self.path(name), '--key', 'pkcs11:token=k;object=dppb', '--pin-file',
            self.path('pin'), *options)
        if not os.path.exists(self.path('dppb.pem')):
            run(self.eum, 'pki', 'dppb', self.path('pki'), '--public-key', self.path(name, 'dppb.pub.pem'), '--out',
                self.path('dppb.pem'))
        run(self.smdpf, 'certificate', '--home', self.path(name), self.path('dppb.pem'), '--ci', self.path('pki', 'ci.pem'))

    def chips(self, count, keys):
        run(self.eum, 'personalise', '--pki', self.path('pki'), '--eid', FIRST_EID, '--keys', str(keys), '--count',
            str(count), '--chip', self.path('chips'), '--data', self.path('data'))

    def seal(self, home, *options):
        return [self.smdpf, 'seal', '--home', self.path(home), '--pin-file', self.path('pin'), *options]

    def check(self, home):
        return subprocess.run([self.smdpf, 'ledger', 'check', '--home', self.path(home), '--pin-file', self.path('pin')],
                              stdout=subprocess.DEVNULL, check=False).returncode == 0
