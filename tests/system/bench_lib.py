# SPDX-License-Identifier: Apache-2.0
"""What the tests of run-bench share: a scratch folder with its own cache home and profile, running
the program, reading records, and looking for what a run must not leave behind."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

BIN = os.environ["FEEDRATE_BIN"]
SOURCE = os.environ["FEEDRATE_SOURCE"]
PROGRAM = os.path.join(BIN, "run-bench")

# A quarter of a second of work an epoch at two GPUs, 700 images.
PROFILE = """\
[bench]
gpus = 1,2
gpu_rate = 1400
batch = 7
steps = 50
sources = synthetic,remote
page_cache = none
[remote]
bandwidth = 500MB/s
latency = 1ms
[fuse]
open_mode = direct
[disk]
page_cache = drop
"""


def fuse_works():
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError:
        return False
    return os.geteuid() == 0 and os.path.exists(os.path.join(BIN, "cachefs"))


class Bench:
    """A folder of its own: cwd of the runs, ./profiles as in the source, $XDG_CACHE_HOME in it."""

    def __init__(self, cache=None):
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="feedrate-bench."))
        self.cache = cache or os.path.join(self.dir, "cache")
        self.env = dict(os.environ, XDG_CACHE_HOME=self.cache, LC_ALL="C.UTF-8", TERM="dumb")
        os.symlink(os.path.join(SOURCE, "profiles"), self.path("profiles"))
        self.write("small.ini", PROFILE)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, *args, **more):
        more = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                    cwd=self.dir, env=self.env) | more
        return subprocess.Popen([PROGRAM, *args], **more)

    def run(self, *args, code=0, timeout=90, **more):
        p = self.start(*args, **more)
        try:
            out, err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            raise AssertionError(f"run-bench {args}: no end within {timeout} s\n{out}{err}") from None
        assert p.returncode == code, f"run-bench {args}: exit code {p.returncode}, not {code}\n{out}{err}"
        p.out, p.err = out, err
        return p

    def fails(self, *args, code, says, **more):
        """One line that says what is wrong; nothing left behind."""
        p = self.run(*args, code=code, **more)
        lines = [line for line in p.err.splitlines() if line.startswith("run-bench: ")]
        assert lines, f"run-bench {args}: no message\n{p.out}{p.err}"
        for part in [says] if isinstance(says, str) else says:
            assert part in p.err, f"run-bench {args}: {part!r} is not in {p.err!r}"
        self.nothing_left()
        return p

    def records(self, name):
        with open(self.path(name, "records.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def mounts(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            return [line.split()[4] for line in file if self.dir in line or self.cache in line]

    def processes(self):
        """Command lines of processes that work in this folder."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if int(pid) != os.getpid() and (self.dir in line or self.cache in line):
                found.append(f"{pid} {line}")
        return found

    def work(self):
        root = os.path.join(self.cache, "feedrate", "work")
        return os.listdir(root) if os.path.isdir(root) else []

    def nothing_left(self, work=True):
        assert not self.mounts(), f"still mounted: {self.mounts()}"
        assert not self.processes(), f"still running: {self.processes()}"
        assert not work or not self.work(), f"work folders left: {self.work()}"

    def wait_for(self, what, timeout=20):
        until = time.monotonic() + timeout
        while not what():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.02)

    def remove(self):
        for path in reversed(self.mounts()):
            subprocess.run(["umount", "-l", path], check=False)
        for line in self.processes():
            try:
                os.kill(int(line.split()[0]), signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)


def main(tests):
    """Runs each test(bench) on one Bench; exit code 0 or 1."""
    bench = Bench()
    failed = []
    try:
        for test in tests:
            begin = time.monotonic()
            try:
                test(bench)
            except Exception:  # the others still run
                traceback.print_exc(file=sys.stdout)
                failed.append(test.__name__)
            print(f"{time.monotonic() - begin:5.1f} s  {test.__name__}")
    finally:
        bench.remove()
    if failed:
        print("failed: " + ", ".join(failed))
    sys.exit(1 if failed else 0)
