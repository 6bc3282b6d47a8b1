# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon with a chip in it: the relay's end of the driver, answering as it is told."""
import base64
import ctypes
import fcntl
import os
import select
import struct
import threading

ATTACH = 0xBD << 8 | 0x40
LOAD, DELETE_KEYS, LOCK, REFRESH = 1, 2, 3, 4
FACTORY, DRAINED, LOCKED = 0, 1, 3
REQ, REPLY, KEY = "=IIQIIII", "=IIQIiIIIIIIIIQQ", "=32sII"
REPORT = 1


def tlv(tag, value):
    return bytes.fromhex("%02x" % tag if tag < 256 else "%04x" % tag) + (
        bytes([len(value)]) if len(value) < 128 else b"\x81" + bytes([len(value)])) + value


class Relay(threading.Thread):
    """One chip. `plan` holds (status, reason) for the next loads; `gate`, if set, holds them."""

    def __init__(self, eid, keys, outbox, spent=0):
        super().__init__(daemon=True)
        self.eid, self.keys, self.outbox = bytes.fromhex(eid), list(keys), outbox
        self.spent, self.locked = spent, False
        self.plan, self.gate, self.lock_status, self.drop = [], None, 0, False
        self.seen = []
        self.wake = os.pipe()
        self.attach()
        self.start()

    def attach(self):
        self.fd = os.open("/dev/ifpp-relay", os.O_RDWR)
        keys = b"".join(struct.pack(KEY, k, 0, 0) for k in self.keys)
        buf = bytearray(keys or b"\0")
        address = (ctypes.c_char * len(buf)).from_buffer(buf)
        arg = bytearray(struct.pack("=IIII16sIIQ", 48, 0, 0, self.state(), self.eid, self.spent,
                                    len(self.keys), ctypes.addressof(address)))
        fcntl.ioctl(self.fd, ATTACH, arg)
        self.node = "ifpp%d" % struct.unpack_from("=III", arg)[2]

    def state(self):
        return LOCKED if self.locked else FACTORY if self.keys else DRAINED

    def record(self, name, text):
        path = os.path.join(self.outbox, self.eid.hex())
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, name), "w") as f:
            f.write(text)

    def spend(self, key):
        if key in self.keys:
            self.keys.remove(key)
            self.spent += 1

    def load(self, data):
        key = data[32:64]
        status, reason = self.plan.pop(0) if self.plan else (0, 0)
        if self.gate:
            self.gate.wait()
        if reason >= 256:
            return status, reason, b"", 0
        self.spend(key)
        pir = b"\xbf\x37\x00"
        self.record(key.hex() + ".result",
                    "[Result]\nVersion=1\nEID=%s\nKeyId=%s\nTransactionId=01\nStatus=%d\nReason=%d\nApdus=55\n"
                    "ApduBytes=13000\nVerifyNs=1\nChipNs=2\nTime=2026-11-23T00:00:00Z\nPIR=%s\n" %
                    (self.eid.hex(), key.hex(), status, reason, base64.b64encode(pir).decode()))
        return status, reason, pir, 55

    def lock(self, challenge):
        if self.lock_status:
            return self.lock_status, b""
        while self.keys:
            self.spend(self.keys[0])
        self.locked = True
        receipt = tlv(0x30, tlv(0x80, self.eid) + tlv(0x81, challenge) + tlv(0x82, b"\1") +
                      tlv(0x83, bytes([self.spent]))) + tlv(0x5F37, bytes(64))
        self.record("lock.receipt",
                    "[Receipt]\nVersion=1\nEID=%s\nChallenge=%s\nReceipt=%s\nTime=2026-11-23T00:00:01Z\n" %
                    (self.eid.hex(), challenge.hex(), base64.b64encode(receipt).decode()))
        return 0, receipt

    def answer(self, request):
        _, kind, ident, _, _, _, _ = struct.unpack_from(REQ, request)
        data = request[struct.calcsize(REQ):]
        status = reason = apdus = deleted = 0
        out = b""
        self.seen.append(kind)
        if kind == LOAD:
            status, reason, out, apdus = self.load(data)
        elif kind == DELETE_KEYS:
            deleted = len(self.keys)
            while self.keys:
                self.spend(self.keys[0])
        elif kind == LOCK:
            status, out = self.lock(data)
        if self.drop:
            return None
        keys = b"".join(struct.pack(KEY, k, 0, 0) for k in self.keys)
        return struct.pack(REPLY, struct.calcsize(REPLY), kind, ident, REPORT, status, reason, self.state(), self.spent,
                           len(self.keys), len(out), apdus, apdus * 250, deleted, 1000, 2000) + keys + out

    def run(self):
        try:
            while True:
                ready, _, _ = select.select([self.fd, self.wake[0]], [], [])
                if self.wake[0] in ready:
                    break
                reply = self.answer(os.read(self.fd, 300000))
                if reply is None:
                    break
                try:
                    os.write(self.fd, reply)
                except OSError:
                    pass
        finally:
            os.close(self.fd)

    def unplug(self):
        os.write(self.wake[1], b"x")
        self.join()
