#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run-bench ended from outside: after Ctrl-C or SIGTERM at any moment nothing is left, and the same
command goes on; after kill -9 no process or mount stays, and the next start removes the rest."""
import os
import signal
import time

import bench_lib

SOURCES = "synthetic,cached,remote" if bench_lib.fuse_works() else "synthetic,stack,remote"
ARGS = ("-p", "small.ini", "--gpus=2", "--sources", SOURCES)
# Seconds after the start: while data are made, children start, epochs run, mounts come and go.
MOMENTS = (0.02, 0.1, 0.2, 0.35, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1)


def ended(bench, p, code):
    out, err = p.communicate(timeout=15)
    assert p.returncode == code, f"exit code {p.returncode}, not {code}\n{out}{err}"
    return err


def test_ctrl_c_at_any_moment(bench):
    codes = set()
    for i, moment in enumerate(MOMENTS):
        p = bench.start(*ARGS, "-o", f"int{i}", "--bench.repeats=3", f"--data.seed={i % 2 + 1}")
        time.sleep(moment)
        p.send_signal(signal.SIGTERM if i % 3 == 2 else signal.SIGINT)
        out, err = p.communicate(timeout=15)
        # Before the handler is set there is nothing to clean up: the signal just ends it.
        assert p.returncode in (130, -2, -15), f"{moment} s: exit code {p.returncode}\n{out}{err}"
        assert p.returncode != 130 or "interrupted" in err, err
        codes.add(p.returncode)
        bench.nothing_left()
    assert 130 in codes


def test_interrupted_runs_go_on(bench):
    args = (*ARGS, "-o", "on", "--bench.repeats=2")
    p = bench.start(*args)
    bench.wait_for(lambda: os.path.exists(bench.path("on", "records.jsonl")), 40)
    time.sleep(0.3)
    p.send_signal(signal.SIGINT)
    err = ended(bench, p, 130)
    assert "the same command with -o on goes on" in err, err
    before = bench.records("on")
    assert 0 < len(before) < 6
    bench.run(*args)
    after = bench.records("on")
    assert after[:len(before)] == before and len(after) == 6
    assert all(record["status"] == "ok" for record in after)


def test_kill_leaves_what_the_next_start_removes(bench):
    for i, name in enumerate(("clean", "run", "run")):
        p = bench.start(*ARGS, "-o", f"kill{i}")
        # First with a cache mounted, then while data are made, then a little later.
        children = 2 if i == 0 and bench_lib.fuse_works() else 1
        bench.wait_for(lambda n=children: len(bench.processes()) >= n, 40)
        time.sleep(0.1 * i)
        p.kill()
        ended(bench, p, -9)
        bench.wait_for(lambda: not bench.processes() and not bench.mounts(), 10)
        assert len(bench.work()) == 1, bench.work()
        if name == "clean":
            assert "1 dead run" in bench.run("clean").out
        else:
            assert "1 dead run" in bench.run(*ARGS, "-o", f"kill{i}").err
        bench.nothing_left()


def test_a_second_ctrl_c_does_not_wait(bench):
    p = bench.start(*ARGS, "-o", "twice")
    bench.wait_for(lambda: os.path.exists(bench.path("twice", "records.jsonl")), 40)
    os.kill(p.pid, signal.SIGINT)
    time.sleep(0.01)
    os.kill(p.pid, signal.SIGINT)
    begin = time.monotonic()
    p.communicate(timeout=15)
    assert p.returncode == 130 and time.monotonic() - begin < 3
    bench.wait_for(lambda: not bench.processes() and not bench.mounts(), 10)
    bench.run("clean")
    bench.nothing_left()


def test_a_living_run_keeps_its_folder(bench):
    p = bench.start(*ARGS, "-o", "lives")
    bench.wait_for(lambda: os.path.exists(bench.path("lives", "records.jsonl")), 40)
    out = bench.run("clean").out
    assert "1 run still going on" in out and "1 data set in use" in out, out
    ended(bench, p, 0)
    bench.nothing_left()


bench_lib.main([
    test_ctrl_c_at_any_moment,
    test_interrupted_runs_go_on,
    test_kill_leaves_what_the_next_start_removes,
    test_a_second_ctrl_c_does_not_wait,
    test_a_living_run_keeps_its_folder,
])
