# SPDX-License-Identifier: GPL-2.0-or-later
"""What can go wrong between a station and its depot: a depot of our own with odd ideas of HTTP, and a
wire that is cut after so many bytes."""
import contextlib
import hashlib
import json
import re
import socket
import ssl
import struct
import threading

KEY_OFFSET = 32     # of the key id in a package's header


def reset(connection):
    """As a machine that died; what is on its way may be lost with it."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        connection.shutdown(socket.SHUT_RD)     # wakes who reads from it
    connection.close()


class Served:
    """A listening socket and a thread for each connection, for the time of a with."""

    def __enter__(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        number = 0
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.guarded, args=(connection, number), daemon=True).start()
                number += 1

    def guarded(self, connection, number):
        with contextlib.suppress(OSError, ValueError, IndexError):
            self.serve(connection, number)


class OddDepot(Served):
    """One chip, one package. @answer is asked for each GET: (number, first byte wanted or None) -> (status line's
    rest, headers, body, bytes of the body that are sent before the connection dies or None)."""

    def __init__(self, cert, key, chip, package, answer):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.chip, self.package, self.answer = chip, package, answer
        self.asked = []

    def claim(self):
        return json.dumps({'version': 1, 'eid': self.chip, 'lease': '2030-01-01T00:00:00Z', 'packages': [{
            'key_id': self.package[KEY_OFFSET:KEY_OFFSET + 32].hex(), 'bytes': len(self.package),
            'sha256': hashlib.sha256(self.package).hexdigest()}]}).encode()

    def serve(self, connection, number):
        tls = self.context.wrap_socket(connection, server_side=True)
        text = b''
        while True:
            while b'\r\n\r\n' not in text:
                got = tls.recv(65536)
                if not got:
                    return
                text += got
            head, text = text.split(b'\r\n\r\n', 1)
            if head.startswith(b'POST'):
                length = int(re.search(rb'(?i)content-length: *(\d+)', head)[1])
                while len(text) < length:
                    text += tls.recv(65536)
                text = text[length:]
                status, headers, body, cut = '200 OK', {}, self.claim(), None
            else:
                wanted = re.search(rb'(?i)\r\nrange: *bytes=(\d+)-', head)
                wanted = int(wanted[1]) if wanted else None
                self.asked.append(wanted)
                status, headers, body, cut = self.answer(len(self.asked), wanted)
            headers = {'Content-Length': str(len(body)), **headers}
            lines = [f'HTTP/1.1 {status}', *(f'{name}: {value}' for name, value in headers.items()), '', '']
            tls.sendall('\r\n'.join(lines).encode() + (body if cut is None else body[:cut]))
            if cut is not None:
                # no TLS alert; what was sent arrives
                socket.socket.shutdown(tls, socket.SHUT_WR)
                while socket.socket.recv(tls, 65536):
                    pass
                return


class CutWire(Served):
    """Before a real depot: the first connection dies after @cut bytes from there."""

    def __init__(self, port, cut):
        self.depot, self.cut, self.passed = port, cut, 0

    def serve(self, connection, number):
        depot = socket.create_connection(('127.0.0.1', self.depot))
        threading.Thread(target=self.pump, args=(connection, depot), daemon=True).start()
        left = self.cut if number == 0 else 1 << 40
        while left:
            data = depot.recv(min(left, 65536))
            if not data:
                break
            connection.sendall(data)
            left -= len(data)
            self.passed += len(data)
        if left:
            connection.shutdown(socket.SHUT_WR)
        else:
            reset(connection)
            reset(depot)

    def pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
