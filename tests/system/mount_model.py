#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random operations by many threads on a mount, each compared with the plain folder behind it.

    mount_model.py FOLDER MOUNT SECONDS SEED [may-fail] [may-map]

may-fail: reads may end with EIO (layer fault), but never with other bytes. may-map: shared mappings
work. Prints what was done; exit code 1 and the first difference otherwise.
"""
import errno
import mmap
import os
import random
import subprocess
import sys
import threading
import time

THREADS = 24

folder, mount, seconds, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
may_fail, may_map = "may-fail" in sys.argv, "may-map" in sys.argv
files = sorted(os.path.relpath(os.path.join(d, n), folder)
               for d, _, names in os.walk(folder) for n in names)
folders = sorted({os.path.dirname(f) for f in files})
content = {f: open(os.path.join(folder, f), "rb").read() for f in files}
done, failures = {}, []
until = time.monotonic() + seconds


class Wrong(Exception):
    pass


def same(what, got, want):
    if may_fail and got and isinstance(got, bytes) and got == want[:len(got)]:
        return  # what was read before the error; that comes with the next call
    if got != want:
        at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        raise Wrong(f"{what}: {len(got)} bytes, should be {len(want)}; differs at {at}")


def pick_range(rng, size):
    """Offset and length as programs choose them: all, records, pages, the end, past the end."""
    way = rng.randrange(5)
    if way == 0:
        return 0, size + 1
    if way == 1:
        return rng.randrange(size + 1), rng.choice((1, 100, 4096, 65536, 262144, 3 << 20))
    if way == 2:
        return rng.randrange(size + 1) // 4096 * 4096, 4096 * rng.randrange(1, 300)
    if way == 3:
        return max(0, size - rng.randrange(1, 70000)), 1 << 20
    return size + rng.randrange(3), 4096


def read_ranges(rng, name, fd):
    data = content[name]
    for _ in range(rng.randrange(1, 6)):
        off, length = pick_range(rng, len(data))
        same(f"pread {name} {off}+{length}", os.pread(fd, length, off), data[off:off + length])


def read_through(rng, name, fd):
    """From the start in pieces, as loaders do."""
    data, at, piece = content[name], 0, rng.choice((8192, 131072, 262144, 1 << 20))
    while True:
        got = os.read(fd, piece)
        same(f"read {name} {at}+{piece}", got, data[at:at + piece])
        if not got:
            return
        at += len(got)


def read_direct(rng, name, fd):
    data = content[name]
    fd = os.open(os.path.join(mount, name), os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, 1 << 20) as buf:
            off = rng.randrange(len(data) + 1) // 4096 * 4096
            n = os.preadv(fd, [buf], off)
            same(f"O_DIRECT {name} {off}", buf[:n], data[off:off + len(buf)])
    finally:
        os.close(fd)


def read_mapped(rng, name, fd):
    data = content[name]
    if not data:
        return
    flags = mmap.MAP_SHARED if may_map else mmap.MAP_PRIVATE
    with mmap.mmap(fd, len(data), flags=flags, prot=mmap.PROT_READ) as view:
        for _ in range(5):
            off = rng.randrange(len(data))
            same(f"mmap {name} {off}", view[off:off + 5000], data[off:off + 5000])


def hint(rng, name, fd):
    off, length = pick_range(rng, len(content[name]))
    os.posix_fadvise(fd, off, length, rng.choice((os.POSIX_FADV_WILLNEED, os.POSIX_FADV_DONTNEED)))


def look(rng, name, fd):
    st = os.stat(os.path.join(mount, name))
    want = os.stat(os.path.join(folder, name))
    same(f"stat {name}", (st.st_size, st.st_mtime_ns), (want.st_size, want.st_mtime_ns))
    where = rng.choice(folders)
    same(f"listing of {where}", sorted(os.listdir(os.path.join(mount, where))),
         sorted(os.listdir(os.path.join(folder, where))))
    try:
        os.stat(os.path.join(mount, where, f"no-{rng.randrange(1000)}"))
        raise Wrong("a name that is not there is found")
    except FileNotFoundError:
        pass


def drop(rng, name, fd):
    if rng.randrange(10) == 0:
        subprocess.run(["cachefs-ctl", "drop", mount, rng.choice((name, os.path.dirname(name), "."))],
                       check=True, timeout=60)


# A page that a mapping could not get is a SIGBUS, so none where reads may fail.
OPERATIONS = [read_ranges, read_ranges, read_through, read_direct, hint, look, drop]
if not may_fail:
    OPERATIONS.append(read_mapped)


def work(number):
    rng = random.Random(seed * 1000 + number)
    while time.monotonic() < until and not failures:
        name, operation = rng.choice(files), rng.choice(OPERATIONS)
        try:
            fd = os.open(os.path.join(mount, name), os.O_RDONLY)
            try:
                operation(rng, name, fd)
            finally:
                os.close(fd)
            done[operation.__name__] = done.get(operation.__name__, 0) + 1
        except OSError as e:
            if not (may_fail and e.errno == errno.EIO):
                failures.append(f"{operation.__name__} {name}: {e}")
            done["failed"] = done.get("failed", 0) + 1
        except Exception as e:  # whatever it is, the main thread tells it
            failures.append(f"{type(e).__name__}: {e}")


threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
for t in threads:
    t.start()
for t in threads:
    t.join(120)
    if t.is_alive():
        failures.append("a thread hangs")
        break
print(f"seed {seed}:", ", ".join(f"{k} {v}" for k, v in sorted(done.items())))
if failures:
    print(failures[0], file=sys.stderr)
    sys.stdout.flush()
    os._exit(1)
if may_fail:  # once errors pass, what is read is whole
    for name in files:
        for attempt in range(100):
            try:
                with open(os.path.join(mount, name), "rb") as f:
                    same(f"{name} at the end", f.read(), content[name])
                break
            except OSError as e:
                if e.errno != errno.EIO or attempt == 99:
                    raise
