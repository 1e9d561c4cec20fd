#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files that change at the origin while they are read through a mount.

    mount_change.py FOLDER MOUNT BOUND      mounted with meta.expiration = BOUND / 2 seconds

Files are filled with one letter, the letter of their version, so a mix shows. A change has to be seen
within BOUND (and two seconds for a busy machine); who has the old version open reads that, or an error.
"""
import errno
import os
import sys
import threading
import time

SIZE = 3_500_000
SLACK = 2.0

folder, mount, bound = sys.argv[1], sys.argv[2], float(sys.argv[3])
GONE = (errno.ESTALE, errno.EIO)  # EIO: what the page cache makes of it


def put(name, letter, size=SIZE):
    """Another version, replaced at once."""
    with open(os.path.join(folder, ".new"), "wb") as f:
        f.write(letter.encode() * size)
    os.rename(os.path.join(folder, ".new"), os.path.join(folder, name))


def letter_of(data, what):
    if data.count(data[:1]) != len(data):
        sys.exit(f"{what}: a mix of versions {sorted(map(chr, set(data)))}")
    return data[:1].decode()


def read(name):
    """Letter and size as read from start to end, or the error's number."""
    try:
        with open(os.path.join(mount, name), "rb", buffering=0) as f:
            data = b""
            while piece := f.read(400_000):
                data += piece
            if len(data) != os.fstat(f.fileno()).st_size:
                sys.exit(f"{name}: {len(data)} bytes of {os.fstat(f.fileno()).st_size}")
            return letter_of(data, name), len(data)
    except OSError as e:
        return e.errno, 0


def within_bound(what, get, want, before):
    start = time.monotonic()
    while (got := get()) != want:
        if got not in before:
            sys.exit(f"{what}: {got}, neither old nor new")
        if time.monotonic() > start + bound + SLACK:
            sys.exit(f"{what}: still {got} after {bound + SLACK} s")
        time.sleep(0.02)


def check_changes():
    put("f", "a")
    assert read("f") == ("a", SIZE), read("f")
    old = open(os.path.join(mount, "f"), "rb", buffering=0)
    old.read(1000)
    stale = [(e, 0) for e in GONE]
    for letter, size in (("b", SIZE), ("c", SIZE + 1), ("d", 1000), ("e", SIZE)):
        before = read("f")
        put("f", letter, size)
        within_bound(f"change to {letter}", lambda: read("f"), (letter, size), [before] + stale)
        try:
            old.seek(0)
            while piece := old.read(400_000):
                if letter_of(piece, "old handle") != "a":
                    sys.exit("an old handle reads a new version")
        except OSError as e:
            if e.errno not in GONE:
                raise


def check_names():
    """A name that comes, one that goes, a file that becomes a folder; by name and in the listing."""
    listed = lambda n: n in os.listdir(mount)
    assert read("g") == (errno.ENOENT, 0) and not listed("g")
    put("g", "x", 10)
    within_bound("new name", lambda: read("g"), ("x", 10), [(errno.ENOENT, 0)])
    within_bound("new name listed", lambda: listed("g"), True, [False])
    os.unlink(os.path.join(folder, "g"))
    gone = [("x", 10)] + [(e, 0) for e in GONE]
    within_bound("name gone", lambda: read("g"), (errno.ENOENT, 0), gone)
    within_bound("name not listed", lambda: listed("g"), False, [True])
    os.mkdir(os.path.join(folder, "g"))
    within_bound("now a folder", lambda: os.path.isdir(os.path.join(mount, "g")), True, [False])


def check_race():
    """Replaced all the time under many readers."""
    over, failures = threading.Event(), []

    def reader():
        while not over.is_set():
            try:
                got = read("f")
                if isinstance(got[0], int) and got[0] not in GONE + (errno.ENOENT,):
                    failures.append(os.strerror(got[0]))
            except SystemExit as e:
                failures.append(str(e))
                return

    threads = [threading.Thread(target=reader) for _ in range(16)]
    for t in threads:
        t.start()
    for n in range(40):
        put("f", chr(ord("a") + n % 26), SIZE + n % 3)
        time.sleep(0.01)
    over.set()
    for t in threads:
        t.join(60)
    if failures:
        sys.exit(failures[0])
    last = (chr(ord("a") + n % 26), SIZE + n % 3)
    start = time.monotonic()
    while (got := read("f")) != last:
        if time.monotonic() > start + bound + SLACK:
            sys.exit(f"after the race: {got}, not {last}")
        time.sleep(0.02)


check_changes()
check_names()
check_race()
