#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""run-bench PATH: an answer for any folder or mount within a minute, nothing written there, and one
line where there is nothing to measure or the mount is dead."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import bench_lib

TROUBLED = os.path.join(os.environ["FEEDRATE_BUILD"], "tests", "troubled_fuse")
# A quarter of a second of steps: what matters here is not how long they are.
QUICK = ("--gpus", "2", "--gpu-rate", "400", "--batch", "2")


def tree(path):
    """What a write would change. Reading changes times of access only."""
    seen = {}
    for folder, names, files in os.walk(path):
        for name in [*names, *files, "."]:
            st = os.lstat(os.path.join(folder, name))
            seen[os.path.join(folder, name)] = (st.st_mode, st.st_size, st.st_mtime_ns, st.st_ino)
    return seen


def run_quick(bench, path, name, *more, **other):
    """Runs, checks that the tree stays as it is, and returns the program and its last record."""
    before = tree(path)
    p = bench.run(path, *QUICK, "-o", name, *more, **other)
    assert tree(path) == before, "the tree has changed"
    bench.nothing_left_but(path)
    record = bench.records(name)[-1]
    assert record["source"] == "external" and record["status"] == "ok", record["error"]
    return p, record


class Bench(bench_lib.Bench):
    def synth_data(self, name, *args):
        if not os.path.isdir(self.path(name)):
            subprocess.run([os.path.join(bench_lib.BIN, "synth-data"), self.path(name), *args],
                           check=True, capture_output=True)
        return self.path(name)

    def shards(self):
        return self.synth_data("shards", "--data.samples=1500", "--data.shards=24")

    def pictures(self):
        return self.synth_data("pictures", "--data.format=imagefolder", "--data.samples=300", "--data.classes=10")

    def nothing_left_but(self, mount):
        assert [m for m in self.mounts() if m != mount] == []
        assert not self.work(), f"work folders left: {self.work()}"
        assert not [line for line in self.processes() if "run-bench" in line]


def test_an_answer_in_a_minute(bench):
    path = bench.shards()
    before, begin = tree(path), time.monotonic()
    p = bench.run(path, "--gpus", "8", "--gpu-rate", "400", "--batch", "256", timeout=100)
    took = time.monotonic() - begin
    assert took <= 60, f"{took:.1f} s"
    assert tree(path) == before, "the tree has changed"
    bench.nothing_left()
    # What it found, what it will cost, and what it lowered, in this order; then the answer.
    said = re.search(r"24 TFRecord shards, about \d+ MB, by their manifest in .*\n"
                     r"Up to .* will be read from it in about \d+ requests by 1 run, .*nothing is written there\n"
                     r"Probed: \d+ images/s, .*B/s\n"
                     r"2 runs, .*\n.*batch scaled [\d.]+x, \d+ instead of 256, so that 50 steps end in 15 s\n",
                     p.err)
    assert said, p.err
    answer = re.search(r"^external, 8 GPUs: AU ([\d.]+)%, ([\d.]+)% of synthetic; "
                       r"(the GPUs are the limit|the storage is the limit|this machine's CPUs are the limit|what limits cannot be told).*"
                       r"\(.*B/s.* asked for\)", p.out, re.M)
    assert answer and "Read it with care: " in p.out and "/report.html" in p.out, p.out
    record = bench.records("results/latest")[-1]
    scale = record["scale"]
    assert scale["batch_asked"] == 256 and abs(scale["batch_factor"] - 256 / record["batch"]) < 1e-9
    assert record["steps"] == 50 and abs(record["steady"]["au"] * 100 - float(answer[1])) < 0.06
    assert record["limit"] in ("gpus", "storage", "harness", "unknown")
    assert record["data"]["files"] == 24 and record["data"]["manifest"]
    # 1,500 samples do not last for 50 steps; that is said, and every read still comes from the disk.
    assert "sample-count" in record["doubts"] and "page-cache-served" not in record["doubts"]
    assert record["samples"]["checked"] == record["job"]["images"]
    assert os.path.getsize(bench.path("results/latest/report.html")) > 1000


def test_a_profile_and_its_variants(bench):
    """Its values hold, but for what is measured."""
    bench.write("two.ini", "[bench]\nsteps = 30\nsources = cached\n[variant.ahead]\nbench.prefetch = 3\n[variant.more]\n"
                "bench.readers = 4\n")
    bench.run(bench.pictures(), *QUICK, "-p", "two.ini", "-o", "two")
    records = bench.records("two")
    assert [(r["source"], r["variant"]) for r in records if r["source"] == "external"] == \
        [("external", "ahead"), ("external", "more")] and len(records) == 4, records
    assert all(r["steps"] == 30 and r["status"] == "ok" for r in records)


def test_image_folders_and_several_gpu_counts(bench):
    path = bench.pictures()
    before = tree(path)
    p = bench.run(path, "--gpus", "1,2", "--gpu-rate", "400", "--batch", "2", "-o", "several", "--json")
    records = [json.loads(line) for line in p.out.splitlines()]
    assert [(r["source"], r["gpus"]) for r in records] == \
        [("synthetic", 1), ("external", 1), ("synthetic", 2), ("external", 2)]
    assert p.err == "" and records == bench.records("several") and tree(path) == before
    for r in records:
        assert r["knobs"]["bench.format"]["value"] == "imagefolder"
        assert r["source"] == "synthetic" or r["data"]["samples"] == 300


def test_a_foreign_tree(bench):
    """Nested, links, upper case, noise beside it, no manifest; no rate given either."""
    top = bench.path("foreign")
    source = bench.pictures()
    os.makedirs(os.path.join(top, "ILSVRC/Data/train/deep"))
    for n, (folder, _, files) in enumerate(sorted(os.walk(source))):
        for name in files:
            if name.endswith(".JPEG") and n < 6:
                to = os.path.join(top, f"ILSVRC/Data/train/class {n}")
                os.makedirs(to, exist_ok=True)
                shutil.copy(os.path.join(folder, name), os.path.join(to, name.replace(".JPEG", ".JPG")))
    os.symlink("..", os.path.join(top, "ILSVRC/Data/train/up"))
    os.symlink("ILSVRC/Data/train/class 3", os.path.join(top, "alias"))
    os.symlink("nowhere", os.path.join(top, "broken"))
    for name in ("manifest.txt", "LOC_solution.csv", "one.tfrecord", "ILSVRC/labels.txt"):
        with open(os.path.join(top, name), "w", encoding="utf-8") as file:
            file.write("not what you think\n")
    p = bench.run(top + "/", "--gpus", "1", "--bench.steps=3", "-o", "foreign-out")
    assert "pictures in class folders" in p.err and "listed in" in p.err, p.err
    assert "1 TFRecord shards beside them are left out" in p.err, p.err
    assert "No --gpu-rate given: each GPU is a v100-article" in p.err, p.err
    record = bench.records("foreign-out")[-1]
    assert record["status"] == "ok" and record["accelerator"] == "v100-article"
    assert not record["data"]["manifest"] and record["data"]["samples"] > 100
    assert "too-short" in record["doubts"] and record["steps"] == 3


def test_shards_without_a_manifest(bench):
    path = bench.path("bare")
    shutil.copytree(bench.shards(), path, ignore=lambda _, names: [n for n in names if "manifest" in n])
    p, record = run_quick(bench, path, "bare-out")
    assert "24 TFRecord shards, about 1" in p.err and "listed in" in p.err, p.err
    assert record["data"]["samples"] is None and record["samples"]["checked"] >= record["job"]["images"]
    assert abs(record["data"]["bytes"] - sum(v[1] for k, v in tree(path).items() if "of-" in k)) \
        < 0.2 * record["data"]["bytes"]


def test_it_goes_on(bench):
    """With the batch that it began with, whatever the storage would give now."""
    bench.run(bench.shards(), *QUICK, "-o", "goes-on", "--batch", "9")
    with open(bench.path("goes-on/records.jsonl"), encoding="utf-8") as file:
        lines = file.readlines()
    with open(bench.path("goes-on/records.jsonl"), "w", encoding="utf-8") as file:
        file.write(lines[0])
    p = bench.run(bench.shards(), *QUICK, "-o", "goes-on", "--batch", "9")
    assert "1 of 2 runs are in goes-on already" in p.err and "Probed" not in p.err, p.err
    assert [r["batch"] for r in bench.records("goes-on")] == [9, 9]
    assert bench.records("goes-on")[1]["steady"]["pct_of_synthetic"] is not None


def test_limits_are_kept(bench):
    path = bench.shards()
    p, record = run_quick(bench, path, "bytes", "--batch", "64", "--bench.max_bytes=20M")
    assert "within bench.max_bytes" in p.err, p.err
    assert record["steps"] == 50 and record["batch"] == 1 and record["job"]["bytes_consumed"] <= 20 << 20
    _, record = run_quick(bench, path, "time", "--gpus", "1", "--gpu-rate", "3", "--batch", "1", "--bench.max_time=2s")
    assert "too-short" in record["doubts"] and record["ended_early"] and record["job"]["seconds"] < 3


def test_dry_run_reads_nothing(bench):
    before = sorted(os.listdir(bench.dir))
    p = bench.run(bench.shards(), *QUICK, "--dry-run")
    assert "Probed" not in p.err and p.out.startswith("2 runs, about "), p.out + p.err
    assert sorted(os.listdir(bench.dir)) == before


def test_what_cannot_be_measured(bench):
    os.mkdir(bench.path("empty"))
    os.mkdir(bench.path("texts"))
    bench.write("texts/notes.txt", "nothing to see\n")
    bench.write("file", "")
    for path, says in (("./empty", "neither TFRecord shards"), ("./texts", "neither TFRecord shards"),
                       ("./file", "Not a directory"), ("./missing", "No such file")):
        p = bench.fails(path, *QUICK, code=1, says=says)
        assert len(p.err.splitlines()) == 1 and p.out == "", p.err
    for args, says in ((("--gpus", "none"), "bench.gpus"), (("--sources", "cashed"), "cached"),
                       (("--external.path=/elsewhere",), "/elsewhere"),
                       (("--sources", "synthetic"), "without external"), (("-o", "shards/out"), "nothing is written")):
        p = bench.fails(bench.shards(), *args, code=2, says=says)
        assert len(p.err.splitlines()) == 1, p.err
    assert not os.path.exists(bench.path("shards/out"))
    if os.geteuid() == 0:  # nobody may not read it
        os.chmod(bench.path("texts"), 0)
        os.chmod(bench.dir, 0o755)
        p = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "--regid=65534", bench_lib.PROGRAM,
                            bench.path("texts")], env=dict(bench.env, XDG_CACHE_HOME="/nowhere"),
                           cwd="/", capture_output=True, text=True, timeout=60)
        assert p.returncode == 1 and "Permission denied" in p.stderr and p.stderr.count("\n") == 1, p.stderr


def test_interrupted(bench):
    p = bench.start(bench.shards(), "--gpus", "1", "--gpu-rate", "10", "--batch", "8", "-o", "stopped")
    bench.wait_for(bench.work)
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=30)
    assert p.returncode == 130 and "interrupted" in err, err
    bench.nothing_left()


# ---- mounts ----

class Troubled:
    """A mount that gets into trouble after some reads."""

    def __init__(self, bench, trouble, reads):
        self.path = bench.path("mnt")
        os.makedirs(self.path, exist_ok=True)
        self.p = subprocess.Popen([TROUBLED, bench.shards(), self.path, trouble, str(reads)],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.p.stdout.readline() == "ready\n"

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()
        subprocess.run(["umount", "-l", self.path], check=True)


def fails_in_time(bench, path, seconds, says):
    begin = time.monotonic()
    p = bench.run(path, *QUICK, "--external.timeout=2s", "-q", "-o", "trouble", code=1, timeout=60)
    took = time.monotonic() - begin
    assert took < seconds, f"{took:.1f} s: {p.err}"
    text = p.err + p.out
    for part in says:
        assert part in text, f"{part!r} is not in {text!r}"
    shutil.rmtree(bench.path("trouble"), ignore_errors=True)
    return p


def test_a_dead_mount(bench):
    with Troubled(bench, "die", 0) as path:
        try:
            os.stat(path)
        except OSError:
            pass
        p = fails_in_time(bench, path, 5, ["not connected", "mount it again"])
        assert len(p.err.splitlines()) == 1, p.err
    bench.nothing_left()


def test_a_hung_mount(bench):
    with Troubled(bench, "hang", 0) as path:
        p = fails_in_time(bench, path, 6, ["no answer", "external.timeout"])
        assert p.err.count("run-bench: /") == 1, p.err
    bench.wait_for(lambda: not bench.processes())
    bench.nothing_left()


def test_it_hangs_in_the_middle(bench):
    with Troubled(bench, "hang", 40) as path:
        fails_in_time(bench, path, 30, ["train-", "no answer for", "hangs"])
    bench.wait_for(lambda: not bench.processes())
    bench.nothing_left()


def test_it_fails_in_the_middle(bench):
    with Troubled(bench, "eio", 40) as path:
        fails_in_time(bench, path, 30, ["train-", "failed: Input/output error"])
        bench.nothing_left_but(path)
    with Troubled(bench, "die", 40) as path:
        fails_in_time(bench, path, 30, ["train-"])
    bench.nothing_left()


def test_cachefs_over_a_folder(bench):
    path = bench.path("mnt")
    os.makedirs(path, exist_ok=True)
    subprocess.run([os.path.join(bench_lib.BIN, "cachefs"), f"dir:{bench.pictures()}", path], check=True, timeout=60)
    try:
        p, record = run_quick(bench, path, "cachefs-out")
        assert "300 pictures in class folders" in p.err, p.err
        # Only its owner knows what a filesystem has cached.
        assert "not-cold" in record["doubts"] and record["cold"]["images"] is None
        assert os.path.ismount(path)
    finally:
        subprocess.run(["umount", path], check=True)
    bench.wait_for(lambda: not bench.processes())
    bench.nothing_left()


TESTS = [test_an_answer_in_a_minute, test_a_profile_and_its_variants, test_image_folders_and_several_gpu_counts, test_a_foreign_tree,
         test_shards_without_a_manifest, test_it_goes_on, test_limits_are_kept, test_dry_run_reads_nothing,
         test_what_cannot_be_measured, test_interrupted]
MOUNTS = [test_a_dead_mount, test_a_hung_mount, test_it_hangs_in_the_middle, test_it_fails_in_the_middle,
          test_cachefs_over_a_folder]

if __name__ == "__main__":
    bench_lib.Bench = Bench
    if not (bench_lib.fuse_works() and os.path.exists(TROUBLED)):
        print("no FUSE here: mounts are left out")
        MOUNTS = []
    bench_lib.main(TESTS + MOUNTS)
