#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What fs_read.c measures, as a Python loader does it: open(path, "rb") and read(), by N processes.

    fs_read.py PROCESSES SECONDS FILES ROOT LIST

LIST has "SIZE PATH" a line; its first FILES are dealt out to the processes, which go through theirs again
until SECONDS are over. A file that has not exactly SIZE bytes is an error.
"""
import os
import resource
import sys
import time


def work(files, seconds):
    """Reads the files: "FILES BYTES SECONDS CPU" in a line."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    done = total = 0
    while not done or time.monotonic() - start < seconds:
        for size, path in files:
            with open(path, "rb") as file:
                data = file.read()
            if len(data) != size:
                raise OSError(f"{path}: {len(data)} bytes, not {size}")
            done += 1
            total += size
    took, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{done} {total} {took} {cpu}\n"


def child(files, seconds, gate, out):
    code = 1
    try:
        os.read(gate, 1)
        os.write(out, work(files, seconds).encode())
        code = 0
    finally:
        os._exit(code)


def main():
    processes, seconds, count = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    root, files = sys.argv[4], []
    with open(sys.argv[5], encoding="utf-8") as lines:
        for line in lines:
            size, path = line.rstrip("\n").split(" ", 1)
            files.append((int(size), os.path.join(root, path)))
    files = files[:count]
    gate, answers = os.pipe(), os.pipe()
    for i in range(processes):
        if not os.fork():
            child(files[i::processes], seconds, gate[0], answers[1])
    os.close(answers[1])
    os.write(gate[1], b"x" * processes)
    with os.fdopen(answers[0]) as lines:
        rows = [[float(x) for x in line.split()] for line in lines]
    failed = any(os.wait()[1] for _ in range(processes))
    # Each at its own rate: who ends a little earlier is not charged for the others.
    rate = sum(row[0] / row[2] for row in rows)
    done, total, cpu = (sum(row[i] for row in rows) for i in (0, 1, 3))
    print(f"files={done:.0f} bytes={total:.0f} seconds={done / rate if rate else 0:.6f} cpu={cpu:.6f}")
    return 1 if failed or len(rows) != processes else 0


sys.exit(main())
