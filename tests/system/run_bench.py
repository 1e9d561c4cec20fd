#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run-bench on a small profile: records have every promised field, runs resume, reports are made
from records alone, and `clean` removes what runs left and nothing else."""
import fcntl
import json
import os
import re
import shutil
import subprocess
import time

import bench_lib

NUMBER = (int, float)
NULL = type(None)

PART = {
    "images": NUMBER, "seconds": NUMBER, "images_per_s": NUMBER, "pct_of_synthetic": (*NUMBER, NULL),
    "au": NUMBER, "au_per_gpu": list, "origin_bytes": (*NUMBER, NULL), "page_cache_bytes": (*NUMBER, NULL),
    "bytes_consumed": NUMBER, "hit_ratio": (*NUMBER, NULL), "step_wait_p50_ms": NUMBER,
    "step_wait_p99_ms": NUMBER, "read_p50_ms": (*NUMBER, NULL), "read_p99_ms": (*NUMBER, NULL),
}

# The names that scripts may rely on.
RECORD = {
    "schema": str, "run": str, "status": str, "error": (str, NULL), "profile": str, "variant": (str, NULL),
    "source": str, "gpus": int, "accelerator": str, "nominal_images_per_s": NUMBER, "batch": int,
    "steps": int, "queue_depth": int, "scale": dict, "repeat": int, "synthetic_run": (str, NULL), "startup_s": NUMBER,
    "allreduce_s": NUMBER, "cold": dict, "steady": dict, "job": dict, "page_cache": (dict, NULL),
    "chilled": (bool, NULL), "queue_start": int, "queue_end": int, "knobs": dict, "cpu_s": dict,
    "late_steps": int, "doubts": list, "counters": list, "env": dict,
}


def check_types(what, have, want):
    for name, types in want.items():
        assert name in have, f"{what}: {name} is missing"
        types = types if isinstance(types, tuple) else (types,)
        assert isinstance(have[name], types) and (bool in types or not isinstance(have[name], bool)), \
            f"{what}: {name} is {have[name]!r}"


def check_part(record, name):
    part, what = record[name], f"{record['run']}.{name}"
    check_types(what, part, PART)
    if part["images"] is None:
        return
    rate = part["images"] / part["seconds"]
    assert abs(part["images_per_s"] - rate) < 1e-6 * rate, f"{what}: images_per_s"
    assert 0 < part["au"] <= 1.0000001 and len(part["au_per_gpu"]) == record["gpus"], f"{what}: au"
    assert part["hit_ratio"] is None or 0 <= part["hit_ratio"] <= 1, f"{what}: hit_ratio"


def check_record(record, by_id):
    check_types(record["run"], record, RECORD)
    assert record["schema"] == "feedrate-record/1" and record["status"] == "ok"
    for name in ("cold", "steady", "job"):
        if name == "cold" and record["source"] == "synthetic":
            assert all(value is None for value in record["cold"].values())
        else:
            check_part(record, name)
    reference = by_id[record["synthetic_run"]]
    assert reference["source"] == "synthetic" and reference["gpus"] == record["gpus"]
    pct = 100 * record["steady"]["images_per_s"] / reference["steady"]["images_per_s"]
    assert abs(record["steady"]["pct_of_synthetic"] - pct) < 1e-6
    for name in ("harness", "cachefs", "remote"):
        assert name in record["cpu_s"]
    assert record["cpu_s"]["harness"] > 0
    for name, knob in record["knobs"].items():
        assert set(knob) == {"value", "from"}, name
    assert record["knobs"]["bench.batch"] == {"value": "7", "from": "profile:small.ini:4"}
    assert record["knobs"]["bench.decode"]["from"] == "default"
    if record["source"] != "synthetic":
        assert set(record["page_cache"]) == {"asked", "max_seen", "verified"}
        assert record["page_cache"]["asked"] == 0


def sources():
    return "synthetic,stack,remote" + (",cached" if bench_lib.fuse_works() else "")


def test_records_have_every_field(bench):
    p = bench.run("-p", "small.ini", "--sources", sources(), "-o", "out")
    records = bench.records("out")
    assert len(records) == 2 * (sources().count(",") + 1)
    by_id = {record["run"]: record for record in records}
    assert len(by_id) == len(records), "run ids are not unique"
    for record in records:
        check_record(record, by_id)
    kinds = {(record["source"], record["gpus"]) for record in records}
    assert kinds == {(s, g) for s in sources().split(",") for g in (1, 2)}
    assert records[0]["source"] == "synthetic"
    for name in ("report.html", "throughput.png", "percent.png", "profile.ini", "environment.json"):
        assert os.path.getsize(bench.path("out", name)) > 0, name
    assert "out/report.html" in p.out and "images" not in p.err.split("\n")[0]
    assert "\r" not in p.err and "\x1b" not in p.err, "a pipe gets plain lines"
    bench.nothing_left()


def test_cached_bytes_come_from_the_origin_once(bench):
    for record in bench.records("out"):
        if record["source"] not in ("cached", "stack"):
            continue
        consumed = record["cold"]["bytes_consumed"]
        assert record["chilled"] and record["cold"]["origin_bytes"] >= consumed
        assert record["steady"]["origin_bytes"] < 0.01 * consumed, "a second epoch was fetched again"
        assert record["steady"]["hit_ratio"] > 0.99 and record["cold"]["hit_ratio"] == 0
        assert record["page_cache"]["verified"] and record["page_cache"]["max_seen"] < 1 << 20
        assert "not-cold" not in record["doubts"] and "page-cache-served" not in record["doubts"]
        assert record["samples"] == {"checked": 2 * record["gpus"] * 350, "twice": 0, "missing": 0, "crc_errors": 0}


def test_the_profile_repeats_itself(bench):
    bench.write("variants.ini", "include = profiles/accelerators.ini\ninclude = small.ini\n[variant.plain]\n"
                "[variant.slow]\nbase = plain\nremote.bandwidth = 50MB/s\n")
    bench.run("-p", "variants.ini", "--gpus", "1", "-o", "variants")
    first = {(r["source"], r["variant"]): r for r in bench.records("variants")}
    # Both variants ask the GPUs for the same work: one synthetic run serves both.
    assert set(first) == {("synthetic", "plain"), ("remote", "plain"), ("remote", "slow")}, set(first)
    assert first["remote", "slow"]["synthetic_run"] == first["synthetic", "plain"]["run"]
    assert first["remote", "slow"]["steady"]["au"] < first["remote", "plain"]["steady"]["au"]
    again = bench.run("-p", "variants/profile.ini", "--dry-run").out
    assert again == bench.run("-p", "variants.ini", "--gpus", "1", "--dry-run").out


def test_the_same_command_resumes(bench):
    args = ("-p", "small.ini", "-o", "resumed", "--bench.repeats=2")
    bench.run(*args)
    path = bench.path("resumed", "records.jsonl")
    with open(path, encoding="utf-8") as file:
        lines = file.readlines()
    assert len(lines) == 8
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(lines[:5])
        file.write(lines[5][:100])  # cut off by a crash
    p = bench.run(*args)
    assert "5 of 8 runs are in resumed already" in p.err, p.err
    with open(path, encoding="utf-8") as file:
        now = file.readlines()
    assert now[:5] == lines[:5], "a finished run was done again"
    done = [(r["source"], r["gpus"], r["repeat"]) for r in map(json.loads, now[:5] + now[6:])]
    assert sorted(done) == sorted({(s, g, n) for s in ("synthetic", "remote") for g in (1, 2) for n in (0, 1)})
    before = os.path.getmtime(path)
    assert "8 of 8 runs" in bench.run(*args).err
    assert os.path.getmtime(path) == before, "nothing was left to do"


def test_another_command_does_not_resume(bench):
    before = open(bench.path("resumed", "records.jsonl"), "rb").read()
    bench.fails("-p", "small.ini", "-o", "resumed", code=2, says="another command")
    assert before == open(bench.path("resumed", "records.jsonl"), "rb").read()


def test_results_latest_and_their_names(bench):
    for _ in range(2):
        bench.run("-p", "small.ini", "--gpus", "1", "--sources", "synthetic", "--bench.steps=1", "-q")
    names = sorted(os.listdir(bench.path("results")))
    assert len(names) == 3 and "latest" in names, names
    latest = os.readlink(bench.path("results", "latest"))
    assert latest in names and latest.split("-")[1] == "small", latest


def test_report_is_made_from_records_alone(bench):
    page = bench.path("out", "report.html")
    before = open(page, encoding="utf-8").read()
    os.remove(page)
    os.remove(bench.path("out", "throughput.png"))
    p = bench.run("report", "out")
    assert open(page, encoding="utf-8").read() == before
    assert os.path.exists(bench.path("out", "throughput.png")) and "synthetic" in p.out
    # Anywhere else, by records only.
    os.mkdir(bench.path("copy"))
    shutil.copy(bench.path("out", "records.jsonl"), bench.path("copy"))
    bench.run("report", "copy")
    assert os.path.getsize(bench.path("copy", "report.html")) > 1000


def test_quiet_json_and_dry_run(bench):
    args = ("-p", "small.ini", "--gpus", "1", "--sources", "synthetic", "--bench.steps=2")
    p = bench.run(*args, "-o", "quiet", "--quiet")
    assert p.err == "" and p.out.count("\n") > 3
    p = bench.run(*args, "-o", "json", "--json")
    records = [json.loads(line) for line in p.out.splitlines()]
    assert p.err == "" and records == bench.records("json")
    before = sorted(os.listdir(bench.dir))
    p = bench.run("-p", "small.ini", "--dry-run", "-o", "nowhere", "--bench.seed=7", "--data.seed=7")
    assert p.out.startswith("4 runs, about ") and p.out.count("\n") == 5, p.out
    assert " of memory" in p.out and " of data are made in " in p.out and " requests" in p.out
    assert sorted(os.listdir(bench.dir)) == before, "a dry run wrote something"
    p = bench.run("-p", "small.ini", "--dry-run", "--bench.repeats=2", "--bench.repeats_last=0", "--gpus=1,1")
    assert "1 GPU   repeat 1 of 2" in p.out and "repeat 2 of 2" in p.out and "1 GPUs" not in p.out, p.out
    runs = json.loads(bench.run("-p", "small.ini", "--dry-run", "--json").out)["runs"]
    assert len(runs) == 4 and runs[0]["source"] == "synthetic" and runs[0]["seconds"] > 0, runs
    bench.nothing_left()


def test_a_dry_run_mounts_nothing(bench):
    alone = bench.path("alone")
    os.mkdir(alone)
    shutil.copy(bench_lib.PROGRAM, alone)
    with open(os.path.join(alone, "cachefs"), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\ntouch '" + bench.path("started") + "'\nexit 1\n")
    os.chmod(file.name, 0o755)
    p = subprocess.run([os.path.join(alone, "run-bench"), "-p", "small.ini", "--gpus=1", "--sources=synthetic,cached",
                        "--origin=s3://nowhere/at/all", "--dry-run"],
                       cwd=bench.dir, env=bench.env, capture_output=True, text=True, timeout=60, check=False)
    if bench_lib.fuse_works():
        assert p.returncode == 0 and "First s3://nowhere/at/all is listed" in p.stdout, p.stdout + p.stderr
    assert not os.path.exists(bench.path("started"))


def test_lists(bench):
    for what in ("knobs", "sources", "layers", "policies", "accelerators", "remotes", "profiles"):
        rows = json.loads(bench.run("list", what, "--json").out)
        text = bench.run("list", what).out.splitlines()
        assert [row["name"] for row in rows] == [line.split()[0] for line in text], what
        assert len(rows) > 1 or what == "profiles"
    names = [row["name"] for row in json.loads(bench.run("list", "profiles", "--json").out)]
    assert "quick" in names and "accelerators" not in names and "remotes" not in names, "tables are no jobs"
    assert re.search(r"^lan-nas +360MB/s, 2.8ms; bandwidth: ", bench.run("list", "remotes").out, re.M)
    help = " ".join(bench.run("--help").out.split())
    assert "`clean` removes what ended runs left" in help and "remotes|profiles" in help, help


def test_clean_leaves_what_lives(bench):
    data = os.path.join(bench.cache, "feedrate", "data")
    sets = sorted(os.listdir(data))
    dead = os.path.join(bench.cache, "feedrate", "work", "999999-AbCdEf")
    os.makedirs(os.path.join(dead, "1", "tier"))
    with open(os.path.join(dead, "lock"), "w", encoding="utf-8"):
        pass
    with open(os.path.join(dead, "1", "tier", "x"), "wb") as file:
        file.write(bytes(100000))
    os.utime(dead, (time.time() - 1000,) * 2)
    stranger = os.path.join(data, "mine")
    os.mkdir(stranger)
    held = os.open(os.path.join(data, sets[0]), os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    look = bench.run("clean", "--dry-run").out
    assert "Would remove" in look and os.path.isdir(dead), look
    out = bench.run("clean").out
    assert "1 dead run" in out and "1 data set in use" in out, out
    assert not os.path.exists(dead) and sorted(os.listdir(data)) == sorted([sets[0], "mine"])
    os.close(held)
    out = bench.run("clean").out
    assert "1 data set" in out and " MB" in out, out
    assert os.listdir(data) == ["mine"]
    assert bench.run("clean").out == "Nothing to remove\n"


bench_lib.main([
    test_records_have_every_field,
    test_cached_bytes_come_from_the_origin_once,
    test_the_profile_repeats_itself,
    test_the_same_command_resumes,
    test_another_command_does_not_resume,
    test_results_latest_and_their_names,
    test_report_is_made_from_records_alone,
    test_quiet_json_and_dry_run,
    test_a_dry_run_mounts_nothing,
    test_lists,
    test_clean_leaves_what_lives,
])
