# SPDX-License-Identifier: GPL-2.0-or-later
"""Stations whose HTTP is malformed, or well-formed and unusual: each gets an answer, or its connection ends, and the
depot goes on."""
import contextlib
import os
import socket
import ssl

from stock import stocked
from world import Https, eid, expect, in_time, work


class Raw:
    """A station that says its bytes itself, and reads little at a time."""

    def __init__(self, port, window=None):
        context = ssl.create_default_context(cafile=os.path.join(work, 'server-ca.pem'))
        context.load_cert_chain(os.path.join(work, 'one.pem'), os.path.join(work, 'one.key'))
        plain = socket.socket()
        if window:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        plain.settimeout(20)
        plain.connect(('127.0.0.1', port))
        self.socket = context.wrap_socket(plain, server_hostname='localhost')
        self.read = b''

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(700)
        self.read += data
        return data

    def answer(self, body=True):
        """The next one: its status, its body."""
        while b'\r\n\r\n' not in self.read:
            in_time(self.more(), 'closed in the head of an answer')
        head, self.read = self.read.split(b'\r\n\r\n', 1)
        lines = head.decode().split('\r\n')
        headers = {k.lower(): v.strip() for k, v in (line.split(':', 1) for line in lines[1:])}
        length = int(headers.get('content-length', 0)) if body else 0
        while len(self.read) < length:
            in_time(self.more(), 'closed in an answer')
        found, self.read = self.read[:length], self.read[length:]
        return int(lines[0].split()[1]), found

    def last(self):
        """All up to the end of the connection: the status, or nothing."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError, ssl.SSLError):
            while self.more():
                pass
        return int(self.read.split()[1]) if self.read else None

    def close(self):
        self.socket.close()


def answers_in_a_row(build, url):
    """Many questions at once, with and without a body in the answer, to one who reads slowly: nothing is missing."""
    depot = stocked(build, url)
    with depot.serve('--rate', '10000') as (port, _):
        one = Https(port)
        key = one.json('POST', '/v1/claims', {'eid': eid(0)})['packages'][0]['key_id']
        answer, package = one.ask('GET', '/v1/packages/' + key)
        etag = answer.headers['ETag']
        one.close()
        raw = Raw(port, 2048)
        kinds = (('GET', '', 200, package), ('HEAD', '', 200, None), ('GET', 'Range: bytes=10-19\r\n', 206, package[10:20]),
                 ('GET', f'If-None-Match: {etag}\r\n', 304, None), ('GET', 'Range: bytes=999999-\r\n', 416, b''),
                 ('PATCH', '', 405, ...))
        for turn in range(30):
            raw.send(b''.join(f'{method} /v1/packages/{key} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n'.encode()
                              for method, header, _, _ in kinds))
            for method, header, status, body in kinds:
                got, found = raw.answer(body is not None)
                in_time(got != 503, 'too late')
                expect(got == status and body in (None, ..., found), f'{turn}: {method} {header}: {got}, {found[:80]}')
        # the last of all has no body: its head does not wait for anything
        raw.send(f'HEAD /v1/packages/{key} HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode())
        expect(raw.answer(False)[0] == 200 and not raw.read, 'after the last')
        raw.close()


def malformed_http(build, url):
    depot = stocked(build, url)
    claim = b'{"eid": "' + eid(1).encode() + b'"}'
    head = b'POST /v1/claims HTTP/1.1\r\nHost: localhost\r\n'
    requests = {
        'a huge header': head + b'X: ' + b'x' * 100000 + b'\r\n\r\n',
        'many headers': head + b''.join(b'X%d: x\r\n' % i for i in range(20000)) + b'\r\n',
        'a huge address': b'GET /' + b'x' * 100000 + b' HTTP/1.1\r\nHost: localhost\r\n\r\n',
        'a negative length': head + b'Content-Length: -1\r\n\r\n',
        'a length that overflows': head + b'Content-Length: 18446744073709551616\r\n\r\n' + claim,
        'a length in hexadecimal': head + b'Content-Length: 0x10\r\n\r\n' + claim,
        'two lengths': head + b'Content-Length: 5\r\nContent-Length: %d\r\n\r\n' % len(claim) + claim,
        'a length and chunks': head + b'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n' % len(claim) +
        claim + b'\r\n0\r\n\r\n',
        'another encoding': head + b'Transfer-Encoding: gzip\r\n\r\n' + claim,
        'a chunk of a negative size': head + b'Transfer-Encoding: chunked\r\n\r\n-5\r\n' + claim,
        'a chunk of a size that overflows': head + b'Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n' + claim,
        'no host': b'GET /v1/status HTTP/1.1\r\n\r\n',
        'no version': b'GET /v1/status\r\n\r\n',
        'another protocol': b'SSH-2.0-OpenSSH_9.9\r\n\r\n',
        'zero bytes': b'\0' * 4096 + b'\r\n\r\n',
        'a zero in a header': b'GET /v1/status HTTP/1.1\r\nHost: local\0host\r\n\r\n',
        'a folded header': b'GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n',
        'a space before the colon': b'GET /v1/status HTTP/1.1\r\nHost : localhost\r\n\r\n',
        'bare line feeds': b'GET /v1/status HTTP/1.1\nHost: localhost\n\n',
        'a method without end': b'G' * 100000,
    }
    with depot.serve('--timeout', '3', '--access-log', 'malformed.log') as (port, process):
        for name, request in requests.items():
            raw, status = Raw(port), None
            with contextlib.suppress(ConnectionResetError, BrokenPipeError, ssl.SSLError):
                raw.send(request)
            status = raw.last()
            # 200: what an HTTP server may put up with, and nothing that changes anything
            expect(status is None or status >= 400 or (status == 200 and request.startswith(b'GET')), f'{name}: {status}')
            raw.close()
            expect(process.poll() is None, f'{name}: the depot has ended')
        expect(depot.states() == {'free': 12}, f'something was claimed: {depot.states()}')
        # a body that is shorter than announced, and one that brings another request
        raw = Raw(port)
        raw.send(head + b'Content-Length: 1000\r\n\r\n' + claim)
        expect(raw.last() in (None, 408), 'a body without its end is answered')
        raw.close()
        raw = Raw(port)
        raw.send(head + b'Content-Length: %d\r\n\r\n' % len(claim) + claim + b'GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n')
        expect([raw.answer()[0], raw.answer()[0]] == [200, 200], 'two in a row')
        raw.close()
        expect(depot.states() == {'free': 10, 'reserved': 2}, depot.states())
        expect(Https(port).json('GET', '/v1/status')['station'] == 'station-1', 'does not serve any more')
    with open(os.path.join(work, 'malformed.log'), encoding='ascii') as log:
        expect(all(line[0] == '2' and ' status=' in line for line in log), 'a line of the log that is none')


def operate(test, build, fresh):
    test('http_answers_in_a_row', answers_in_a_row, build, fresh('row'))
    test('http_malformed', malformed_http, build, fresh('malformed'))
