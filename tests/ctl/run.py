#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ifppctl against the real driver, with a daemon that is told what to answer. TAP.

usage (in the build root): tests/env/enter tests/kunit/uml-run tests/ctl/run.py BUILD_DIR
"""
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from relay import DELETE_KEYS, LOAD, LOCK, Relay  # noqa: E402

CTL = os.path.join(sys.argv[1], "tools/ifppctl/ifppctl")
WORK = tempfile.mkdtemp()
OUTBOX, PACKAGES = os.path.join(WORK, "outbox"), os.path.join(WORK, "packages")
POLICY = os.path.join(WORK, "policy")
with open(POLICY, "w") as policy:
    # These packages hold nothing: nobody could tell whether it is for tests.
    policy.write("[Target]\nAllowTestProfiles=true\n")
os.mkdir(OUTBOX)
os.mkdir(PACKAGES)
number = failed = 0


def eid(n):
    digits = "8904903212345123451234567890%02d" % n + "00"
    return digits[:30] + "%02d" % (98 - int(digits) % 97)


def key(n):
    return bytes([n]) * 32


def ctl(*args, timeout=300):
    done = subprocess.run([CTL, *args], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    for line in done.stderr.splitlines():
        assert line.startswith("ifppctl: "), line
    return done


def objects(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def package(chip, k, name=None, body=b"\x30\x80" + bytes(500)):
    path = os.path.join(PACKAGES, name or "%s-%s.ifpp" % (chip, key(k).hex()[:16]))
    with open(path, "wb") as f:
        f.write(struct.pack(">4sHHII16s32s", b"IFPP", 1, 64, len(body), 0, bytes.fromhex(chip), key(k)) + body)
    return path


def check(condition, text, detail=""):
    global number, failed
    number += 1
    failed += not condition
    print("%s %d - %s" % ("ok" if condition else "not ok", number, text), flush=True)
    if not condition:
        for line in str(detail).splitlines():
            print("# " + line)


def expect(done, code, says, text):
    check(done.returncode == code and says in done.stdout + done.stderr, text,
          "exit %d, wanted %d and %r\n%s%s" % (done.returncode, code, says, done.stdout, done.stderr))


def provision(*more):
    return ctl("--json", "provision", "--source", PACKAGES, "--outbox", OUTBOX, "--policy", POLICY, *more)


def closed():
    """An anchor with a typing error: told by list, and nobody locks the machine for it."""
    module = os.path.join("build", "module", "uml", "ifpp.ko")
    subprocess.run(["rmmod", "ifpp"], check=True)
    subprocess.run(["insmod", module, "anchor_nvmem=cmos_nvarm0"], check=True)
    expect(ctl("list"), 0, "This machine: CLOSED, its anchor cannot be read", "typo in the anchor's name: list says it")
    relay = Relay(eid(90), [key(1)], OUTBOX)
    path = package(eid(90), 1)
    expect(ctl("load", path), 4, "anchor cannot be read", "a load is refused, with the next step")
    os.unlink(path)
    relay.unplug()
    gateway = os.path.join(WORK, "closed.gateway")
    with open(gateway, "w") as f:
        f.write("[Gateway]\nChips=1\n")
    expect(ctl("--yes", "lock", "--host", "--if-finished", "--gateway", gateway), 75, "cannot be read",
           "and a host lock that asks whether all is finished is not for now")
    expect(ctl("list"), 0, "This machine: CLOSED", "it is CLOSED as before")
    check(not relay.locked and LOCK not in relay.seen, "no chip was locked", relay.seen)
    subprocess.run(["rmmod", "ifpp"], check=True)
    expect(ctl("monitor", "--seconds", "2"), 3, "Waiting for it", "monitor without a driver: it waits, and says for what")
    monitor = subprocess.Popen([CTL, "monitor", "--show-ids", "--seconds", "120"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    said = monitor.stderr.readline()
    subprocess.run(["insmod", module], check=True)
    first = monitor.stdout.readline()
    relay = Relay(eid(91), [key(1)], OUTBOX)
    event = monitor.stdout.readline()
    check("Waiting for it" in said and "This machine: not locked" in first and eid(91) + ": here" in event,
          "monitor waits for the driver and the first modem", said + first + event)
    monitor.send_signal(signal.SIGTERM)
    monitor.communicate(timeout=60)
    check(monitor.returncode == 0, "and ends as it is told to", monitor.returncode)
    relay.unplug()
    subprocess.run(["rmmod", "ifpp"], check=True)
    subprocess.run(["insmod", module], check=True)


def main():
    closed()
    a, b = eid(1), eid(2)
    expect(ctl("list"), 0, "No chip is here", "list without a chip")
    expect(ctl("info"), 3, "no chip is here", "info without a chip")
    expect(ctl("info", "-d", "ifpp7"), 3, "no such chip", "a node that is not there")

    one = Relay(a, [key(1), key(2), key(3), key(4)], OUTBOX)
    expect(ctl("list"), 0, "ifpp0", "list with a chip")
    found = objects(ctl("--json", "list"))
    check(found[0]["eid"] == a and found[0]["keys_unspent"] == 4 and found[1]["type"] == "host", "list --json", found)
    info = objects(ctl("info", "--json"))[0]
    check(info["eid"] == a and info["state"] == "FACTORY" and info["package_max"] == 262144, "info --json", info)
    expect(ctl("info", "-d", a), 0, "one-time keys are left", "a chip named by its EID")
    listed = objects(ctl("keys", "list", "--json"))
    check([k["state"] for k in listed] == ["unspent"] * 4, "keys list", listed)

    # The errnos of the design, as they come out of the real driver.
    expect(ctl("load", package(a, 1)), 0, "installed, 55 APDUs", "load")
    expect(ctl("load", package(a, 1)), 6, "spent", "replay")
    expect(ctl("load", package(b, 1)), 6, "another chip", "clone")
    expect(ctl("load", package(a, 77)), 6, "does not have", "a key that is not one of the chip's")
    seen = len(one.seen)
    cut = package(a, 2, "cut.ifpp")
    os.truncate(cut, 100)
    expect(ctl("load", cut), 5, "cut.ifpp", "truncated")
    empty = os.path.join(WORK, "empty.ifpp")
    open(empty, "w").close()
    expect(ctl("load", empty), 5, "is empty", "empty")
    expect(ctl("load", WORK), 5, "a directory", "a directory")
    check(len(one.seen) == seen, "the chip saw none of them", one.seen)
    os.unlink(cut)
    os.unlink(os.path.join(PACKAGES, "%s-%s.ifpp" % (a, key(77).hex()[:16])))
    one.plan = [(-129, 261)]
    expect(ctl("load", package(a, 2)), 6, "cms-signature", "the daemon's refusal is told by its name")
    one.plan = [(-121, 8)]
    expect(ctl("load", package(a, 2)), 8, "reason 8", "the chip's refusal is told by its name")
    os.unlink(os.path.join(PACKAGES, "%s-%s.ifpp" % (a, key(2).hex()[:16])))

    # Several at once, one after the other.
    monitor = subprocess.Popen([CTL, "monitor", "--json", "--seconds", "600"], stdout=subprocess.PIPE, text=True)
    time.sleep(10)  # nothing tells that it listens; a busy machine may stand still for some seconds
    one.gate = threading.Event()
    first = subprocess.Popen([CTL, "load", package(a, 3)], stdout=subprocess.PIPE, text=True)
    while one.seen[-1] != LOAD or len(one.seen) < seen + 3:
        time.sleep(0.05)
    second = subprocess.Popen([CTL, "load", package(a, 4)], stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    check(second.poll() is None, "a second client waits for the first")
    # The first client is killed: the load goes on.
    first.send_signal(signal.SIGKILL)
    first.wait()
    one.gate.set()
    out, _ = second.communicate(timeout=60)
    check(second.returncode == 0 and "installed" in out, "and is served after it", out)
    done = provision()
    last = objects(done)[-1]
    check(done.returncode == 0 and last["done"] == 3 and last["installed"] == 0,
          "provision reports what a killed client had begun as done", done.stdout + done.stderr)
    check(last["state"] == "DRAINED", "no key is left", last)
    expect(ctl("load", package(a, 5, "late.ifpp")), 6, "no one-time key left", "a load after the last key")
    os.unlink(os.path.join(PACKAGES, "late.ifpp"))

    # The lock.
    done = provision("--lock")
    answers = {o["type"]: o for o in objects(done)}
    check(done.returncode == 0 and answers["lock"]["stored"] and answers["provision"]["state"] == "LOCKED",
          "provision --lock", done.stdout + done.stderr)
    expect(ctl("load", package(a, 1)), 7, "for ever", "nothing is loaded any more")
    done = provision("--lock")
    check(done.returncode == 0 and one.seen.count(LOCK) == 1, "again: nothing left to do", done.stdout + done.stderr)
    expect(ctl("lock", "--outbox", OUTBOX), 0, "locked for life", "lock again: nothing to ask, a receipt for another challenge")

    # Two chips, a lost key, an unplug, and a lock that needs a second go.
    two = Relay(b, [key(1), key(2), key(3)], OUTBOX)
    expect(ctl("info"), 2, "ifpp0, ifpp1", "several chips: name one")
    two.drop = True
    done = ctl("load", "-d", two.node, package(b, 1))
    expect(done, 3, "gone", "the daemon goes in the middle of a load")
    two.join()
    two = Relay(b, [key(2), key(3)], OUTBOX, spent=1)
    # The daemon did write the result down before it went.
    done = ctl("--json", "provision", "--source", PACKAGES, "--outbox", OUTBOX, "-d", b)
    check(done.returncode == 0 and objects(done)[-1]["done"] == 1, "provision finds its result in the outbox",
          done.stdout + done.stderr)
    two.unplug()

    three = Relay(eid(3), [key(1), key(2)], OUTBOX)
    seen = len(three.seen)
    expect(ctl("lock", "-d", eid(3), "--outbox", OUTBOX), 2, "--yes", "lock_needs_answer: no terminal, nobody to ask")
    expect(ctl("lock", "-d", eid(3), "--json"), 2, "2 unused one-time keys are deleted", "    nor with --json; it says what it would do")
    expect(ctl("keys", "delete", "-d", eid(3)), 2, "--yes", "    nor are keys deleted")
    expect(ctl("lock", "--host"), 2, three.node + " (EID ", "    nor is the machine locked, and the chips are named")
    check(len(three.seen) == seen and objects(ctl("--json", "list"))[-1]["state"] == "FACTORY", "    nothing was done",
          three.seen)
    expect(ctl("--yes", "lock", "-d", eid(3), "--outbox", "/nowhere"), 9, "holds no lock receipt", "a lock nobody can prove later")
    four = Relay(eid(4), [key(1)], OUTBOX)
    four.lock_status = -121
    expect(ctl("--yes", "lock", "-d", eid(4), "--outbox", OUTBOX), 8, "cannot be undone", "a lock the chip fails")
    info = objects(ctl("info", "--json", "-d", eid(4)))[0]
    check(info["state"] == "LOCKING", "stays LOCKING", info)
    four.lock_status = 0
    expect(ctl("lock", "-d", eid(4), "--outbox", OUTBOX), 0, "locked for life", "and is finished by the next try")

    five = Relay(eid(5), [key(1), key(2)], OUTBOX)
    done = ctl("keys", "delete", "--yes", "--json", "-d", eid(5))
    check(done.returncode == 0 and objects(done)[0]["deleted"] == 2 and five.seen[-1] == DELETE_KEYS, "keys delete",
          done.stdout + done.stderr)

    # The host lock takes every chip with it.
    six = Relay(eid(6), [key(1)], OUTBOX)
    expect(ctl("--yes", "lock", "--host", "--if-finished"), 5, "Chips=N", "lock --host --if-finished: nobody said what to expect")
    gateway = os.path.join(WORK, "gateway")
    with open(gateway, "w") as f:
        f.write("[Gateway]\nChips=2\n")
    expect(ctl("--yes", "lock", "--host", "--gateway", gateway), 75, "not yet",
           "two_modems_host_lock: a chip is not locked yet, whoever asks")
    done = ctl("--yes", "lock", "--host")
    expect(done, 0, "This machine: LOCKED", "lock --host")
    states = {o["device"]: o["state"] for o in objects(ctl("--json", "list")) if o["type"] == "device"}
    check(states and set(states.values()) == {"LOCKED"}, "every attached chip is locked", states)
    expect(ctl("lock", "--host", "--if-finished"), 0, "This machine: LOCKED", "lock --host again")
    nobody = subprocess.run([CTL, "--yes", "lock", "--host"], capture_output=True, text=True, user=65534,
                            stdin=subprocess.DEVNULL)
    expect(nobody, 4, "CAP_SYS_ADMIN", "lock --host without rights")
    nobody = subprocess.run([CTL, "info", "-d", six.node], capture_output=True, text=True, user=65534, group=65534,
                            extra_groups=[], stdin=subprocess.DEVNULL)
    expect(nobody, 4, "group ifpp", "info without rights")

    # Every unit is in the report.
    done = ctl("report", "--outbox", OUTBOX, "--packages", PACKAGES, "-o", os.path.join(WORK, "report.json"))
    with open(os.path.join(WORK, "report.json")) as f:
        units = [json.loads(line) for line in f][1:-1]
    check(done.returncode == 0 and {a, b, eid(4)} <= {u["eid"] for u in units}, "report", done.stdout + done.stderr)
    by_eid = {u["eid"]: u for u in units}
    check(len(by_eid[a]["results"]) == 4 and not by_eid[a]["pending"] and by_eid[a]["lock"], "its first unit",
          by_eid[a])

    monitor.send_signal(signal.SIGTERM)
    out, _ = monitor.communicate(timeout=60)
    told = [json.loads(line) for line in out.splitlines()]
    events = [o["event"] for o in told if o["type"] == "event"]
    check(monitor.returncode == 0 and {"load-done", "dev-add", "dev-change", "dev-del", "host-change"} <= set(events),
          "monitor saw it all", events)
    gone = [o for o in told if o["type"] == "unit"]
    check(len(gone) == events.count("dev-del") and all(o["here_ns"] > 0 for o in gone),
          "and has a line of result for each unit that left", gone)
    loads = [o for o in told if o.get("event") == "load-done"]
    check(all(o["queue_ns"] + o["chip_ns"] <= o["duration_ns"] for o in loads) and any(o["queue_ns"] for o in loads),
          "and knows where the time went", loads)
    for relay in three, four, five, six, one:
        relay.unplug()
    print("1..%d" % number)
    return failed != 0


sys.exit(main())
