# SPDX-License-Identifier: GPL-2.0-or-later
"""Transfers that break anywhere."""
import os
import shutil
import subprocess
import threading

from transfer import CutWire, OddDepot
from world import TOP, Failed, eid, environment, expect, fetch, package_of, work


def only_whole(cache, names=()):
    """Nothing but whole, right files is there, under no name at all."""
    for name in os.listdir(cache):
        with open(os.path.join(cache, name), 'rb') as file:
            expect(name.endswith('.ifpp') and file.read() == package_of(name[33:49]), name + ' is not right')
    expect(set(names) <= set(os.listdir(cache)), f'not all are there: {os.listdir(cache)}')


def test_odd_depots(build, step):
    """Transfers that break anywhere, and servers that resume as they please."""
    chip, cache = eid(2), os.path.join(work, f'odd-{build}')
    names = sorted(n for n in os.listdir(os.path.join(work, 'packages')) if n.startswith(chip))
    good, other = (package_of(name[33:49]) for name in names)
    size, mid = len(good), len(good) // 2
    flipped = good[:-1] + bytes([good[-1] ^ 1])

    def part(wanted, body=good, first=None, total=size, content_range=None):
        at = wanted or 0
        first = at if first is None else first
        return '206 Partial Content', {
            'Content-Range': content_range or f'bytes {first}-{first + size - at - 1}/{total}'}, body[at:], None

    def whole(body=good, cut=None, **headers):
        return '200 OK', headers, body, cut

    def go(what, answer, code, asked=None, says=None):
        shutil.rmtree(cache, ignore_errors=True)
        os.mkdir(cache)
        try:
            with OddDepot(os.path.join(work, 'server.pem'), os.path.join(work, 'server.key'), chip, good, answer) as depot:
                fetch(build, depot.port, chip, cache, code, says)
            expect(asked is None or depot.asked == asked, f'asked for {depot.asked}')
            only_whole(cache, [] if code else names[:1])
            expect(not code or not os.listdir(cache), 'something is there')
        except Failed as error:
            raise type(error)(f'{what}: {error}') from None

    for cut in sorted({0, 1, 2, 63, 64, 65, size - 1, *range(7, size, step)}):
        go(f'cut after {cut}', lambda n, wanted, cut=cut: whole(cut=cut) if n == 1 else part(wanted) if wanted else whole(),
           0, [None, cut or None])
        go(f'cut after {cut}, Range ignored', lambda n, wanted, cut=cut: whole(cut=cut if n == 1 else None), 0)

    def after(answer):
        """Cut in the middle first, then that, then as it should be."""
        return lambda n, wanted: whole(cut=mid) if n == 1 else answer(wanted) if n == 2 else part(wanted) if wanted else whole()

    # another part than was asked for: begun anew, and right in the end
    for what, answer in (('from the start', lambda wanted: part(0)), ('of another total', lambda w: part(w, total=size + 1)),
                         ('without Content-Range', lambda w: ('206 Partial Content', {}, good[w:], None)),
                         ('with a Content-Range of nonsense', lambda w: part(w, content_range='bytes */9')),
                         ('one byte beside', lambda w: part(w, first=w + 1)), ('too long', lambda w: part(w, good + b'x')),
                         ('with a long Content-Range', lambda w: part(w, content_range='bytes ' + '9' * 9000))):
        go('a part ' + what, after(answer), 0, [None, mid, None])
    # in many parts
    go('a few bytes at a time', lambda n, wanted: whole(cut=100) if n == 1 else (*part(wanted)[:3], 100), 0)
    # what is wrong is wrong however it came
    go('other bytes in the right part', after(lambda w: part(w, flipped)), 6, says='not the package that was claimed')
    go('another version after the cut', after(lambda w: whole(other, ETag='"another"')), 6, says='not the package')
    go('a flipped bit', lambda n, w: whole(flipped), 6, says='not the package that was claimed')
    go('another package', lambda n, w: whole(other), 6, says='not the package that was claimed')
    go('too long', lambda n, w: whole(good + b'x'), 6, says='not the package that was claimed')
    go('too short', lambda n, w: whole(good[:-1]), 6, says='not the package that was claimed')
    go('nothing', lambda n, w: whole(b''), 6, says='not the package that was claimed')
    go('a flood', lambda n, w: whole(good * 600), 6, says='more than a depot would')
    go('416', after(lambda w: ('416 Range Not Satisfiable', {'Content-Range': f'bytes */{mid}'}, b'', None)), 6, says='416')
    go('no end of cuts', lambda n, w: whole(cut=mid), 75, [None, mid, mid, mid, mid], says='cannot be reached')
    # killed in the middle of it
    hold, stopped = threading.Event(), threading.Event()

    def stall(n, wanted):
        stopped.set()
        hold.wait(20)
        return whole()

    shutil.rmtree(cache)
    os.mkdir(cache)
    with OddDepot(os.path.join(work, 'server.pem'), os.path.join(work, 'server.key'), chip, good, stall) as depot:
        port = depot.port
        process = subprocess.Popen(
            [os.path.join(TOP, 'build', 'unit-' + build, 'tools/ifppctl/ifppctl'), '-d', chip, 'fetch', '--to', cache,
             '--cert', 'one.pem', '--key', 'one.key', '--ca', 'server-ca.pem', '--source', f'https://localhost:{port}'],
            cwd=work, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stopped.wait(20)
        process.kill()
        process.wait()
        hold.set()
    expect(not os.listdir(cache), os.listdir(cache))


def test_cut_wire(depot, cuts):
    """The wire to a real depot is cut after any number of bytes, in the handshake, the claim or a package."""
    chip, cache = eid(2), os.path.join(work, 'wire-' + depot.build)
    names = sorted(n for n in os.listdir(os.path.join(work, 'packages')) if n.startswith(chip))
    with depot.serve('--rate', '100000') as (port, _):
        depot('release', chip)
        shutil.rmtree(cache, ignore_errors=True)
        os.mkdir(cache)
        with CutWire(port, 1 << 40) as wire:
            fetch(depot.build, wire.port, chip, cache)
            all_bytes = wire.passed
        only_whole(cache, names)
        at_once = 0
        for i in range(cuts):
            cut = 1 + i * all_bytes // cuts
            shutil.rmtree(cache)
            os.mkdir(cache)
            with CutWire(port, cut) as wire:
                try:
                    fetch(depot.build, wire.port, chip, cache)
                    at_once += 1
                except Failed as error:
                    if 'cannot be reached' not in str(error):
                        raise type(error)(f'cut after {cut} of {all_bytes}: {error}') from None
                only_whole(cache)
                fetch(depot.build, wire.port, chip, cache)
            only_whole(cache, names)
        expect(0 < at_once < cuts, f'{at_once} of {cuts} went through at once')
