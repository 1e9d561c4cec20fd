#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What users get wrong, and what machines refuse: one clear line, the right exit code, nothing left."""
import http.server
import os
import shutil
import subprocess
import threading

import bench_lib

SMALL = ("-p", "small.ini", "--gpus=1")


def test_usage(bench):
    for args, says in (
        (("--bench.stepz=3",), ("bench.stepz", "did you mean", "bench.steps")),
        (("--bensh.steps=3",), ("bensh.steps", "did you mean")),
        (("--gpus=0",), ("bench.gpus=0", "1,2,4,8")),
        (("--gpus=1,two",), '"two"'),
        (("--batch=-1",), ("bench.batch", "out of range")),
        (("--bench.decode=soon",), "bench.decode"),
        (("--sources=",), ("bench.sources", "list sources")),
        (("--sources=synthetic,remot",), ("remot", "did you mean remote?")),
        (("--sources=external",), ("external.path", "run-bench PATH")),
        (("--sources=stack", "--origin=http://127.0.0.1:1/"), "use source cached"),
        (("--sources=tape",), ("tape", "list sources")),
        (("--bench.accelerator=v100-articel",), ("did you mean v100-article?",)),
        (("--remote.preset=los",), ("remote.preset=los", "did you mean oss?")),
        (("-p", "quik"), "did you mean quick?"),
        (("-p", "./none.ini"), "none.ini"),
        (("-x",), "--help"),
        (("rum",), ("did you mean run?", "./rum")),
        (("run", "now"), "now"),
        (("list", "layer"), "did you mean layers?"),
        (("list",), "list: give one of knobs"),
        (("-p", "accelerators"), ("accelerators.ini", "nothing to run")),
        (("--bench.cpus=0-999",), ("bench.cpus=0-999: CPU ", "not for this process")),
        (("--gpu-rate=fast",), "a number such as"),
        (("report",), "results/latest"),
        (("--data.shards=4",), ("data.shards", "data.seed", "synth-data")),
        (("--dry-run=yes",), "takes no value"),
    ):
        bench.fails(*args, code=2, says=says)
    bench.fails("report", "nowhere", code=1, says="nowhere")
    assert not os.path.exists(bench.path("results")), "a mistake made a folder"


def test_profiles(bench):
    for text, says in (
        ("[bensh]\nsteps = 3\n", (":1:", "[bensh]", "did you mean [bench]?")),
        ("[bench]\nstepz = 3\n", (":2:", "stepz", "did you mean", "steps")),
        ("[bench]\nsteps = many\n", (":2:", "bench.steps", "many")),
        ("[bench]\ngpus = " + "1," * 150 + "1\n", (":2:", "line longer than")),
        ("[bench]\nsteps\n", ":2:"),
        ("include = gone.ini\n", (":1", "gone.ini")),
        ("[bench]\nsteps = 3\0\n", "NUL"),
        ("[accelerator.mine]\nbatch = 3\n[bench]\naccelerator = mine\n", "images_per_s: missing"),
        ("[variant.a]\nbase = b\n", ("variant.b",)),
    ):
        bench.write("bad.ini", text)
        bench.fails("-p", "bad.ini", "--dry-run", code=2, says=says)
        bench.fails("-p", "bad.ini", code=2, says=says)


def test_an_output_that_cannot_be(bench):
    bench.write("file", "")
    bench.fails(*SMALL, "-o", "file", code=1, says="file")
    bench.fails(*SMALL, "-o", "/proc/results", code=1, says=("/proc/results", "-o"))


def test_two_runs_in_one_folder(bench):
    p = bench.start(*SMALL, "-o", "same", "--sources=synthetic", "--bench.steps=400")
    bench.wait_for(lambda: os.path.exists(bench.path("same", "profile.ini")))
    q = bench.run(*SMALL, "-o", "same", "--sources=synthetic", "--bench.steps=400", code=1)
    assert "another run-bench" in q.err, q.err
    out, err = p.communicate(timeout=30)
    assert p.returncode == 0, out + err
    assert len(bench.records("same")) == 1


def test_too_much_memory(bench):
    bench.fails(*SMALL, "--batch=1M", "--bench.steps=1", "--sources=synthetic", code=1, says=("more than half of RAM", "--batch"))


def test_a_tier_that_cannot_be(bench):
    """Refused as by cachefs, before anything is made."""
    bench.fails(*SMALL, "--disk.path=/nonexistent/tier", "-o", "t1", code=2,
                says=("disk.path: /nonexistent/tier: no such folder", "mkdir -p"))
    bench.fails(*SMALL, "--disk.path=" + bench.path("gone"), "--sources=synthetic", "-o", "t2", code=2, says="no such folder")
    assert not os.path.exists(bench.path("gone"))
    bench.fails(*SMALL, "--mem.capacity=100T", "-o", "t3", code=2, says=("mem.capacity", "this machine's memory"))
    bench.fails(*SMALL, "--cache.watermark_high=0.5", "-o", "t4", code=2, says="cache.watermark_low")


def test_no_gnuplot(bench):
    p = bench.run("-p", "small.ini", "-o", "plain", env=dict(bench.env, PATH="/nonexistent"))
    assert "gnuplot" in p.err and "apt-get install" in p.err, p.err
    assert os.path.getsize(bench.path("plain", "report.html")) > 1000
    assert not os.path.exists(bench.path("plain", "throughput.png"))


def failed_record(bench, name, source):
    record = bench.records(name)[-1]
    assert record["source"] == source and record["status"] == "failed", record["status"]
    assert record["steady"] is None and record["job"] is None and record["doubts"] == []
    return record["error"]


def external(bench, name, path, says):
    """A run on a folder that is no good fails; the synthetic run beside it does not."""
    p = bench.run(*SMALL, "--sources=synthetic,external", "--external.path", path, "-o", name, code=1)
    error = failed_record(bench, name, "external")
    for part in says:
        assert part in error and part in p.err, (error, p.err)
    quiet = bench.run(*SMALL, "--sources=external", "--external.path", path, "-o", name + "q", "-q", code=1)
    assert quiet.err == f"run-bench: external, 1 GPU: {error}\n", quiet.err
    assert bench.records(name)[0]["status"] == "ok"
    assert os.path.exists(bench.path(name, "report.html"))
    bench.nothing_left()


def test_data_that_are_none(bench):
    os.mkdir(bench.path("empty"))
    external(bench, "e1", bench.path("empty"), ["empty", "TFRecord", "class folders"])
    external(bench, "e2", bench.path("gone"), ["gone", "No such file"])
    external(bench, "e3", bench.write("afile", "x"), ["afile"])


def make_data(bench, *args):
    subprocess.run([os.path.join(bench_lib.BIN, "synth-data"), bench.path("data"), "--samples=400",
                    "--data.shards=4", *args], check=True, capture_output=True, timeout=60)
    return bench.path("data")


def test_a_short_and_a_wrong_read_fail_the_run(bench):
    data = make_data(bench)
    shard = sorted(name for name in os.listdir(data) if not name.startswith("manifest"))[0]
    path = os.path.join(data, shard)
    whole = open(path, "rb").read()
    with open(path, "r+b") as file:
        file.truncate(len(whole) // 2)
    external(bench, "s1", data, [shard])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    with open(path, "wb") as file:
        file.write(flipped)
    external(bench, "s2", data, [shard])
    os.remove(path)
    external(bench, "s3", data, [shard])
    with open(path, "wb") as file:
        file.write(whole)
    bench.run(*SMALL, "--sources=synthetic,external", "--external.path", data, "-o", "s4")


def test_an_origin_that_fails_below_the_cache(bench):
    source = "cached" if bench_lib.fuse_works() else "stack"
    bench.run(*SMALL, "--sources=" + source, "--cache.stack=meta,mem,disk,fault", "--fault.error_rate=1",
              "-o", "fault", code=1)
    assert "Input/output error" in failed_record(bench, "fault", source)
    bench.nothing_left()


def test_a_program_that_is_missing(bench):
    """run-bench alone in a folder: its siblings are gone."""
    os.mkdir(bench.path("bin"))
    program = shutil.copy(bench_lib.PROGRAM, bench.path("bin"))
    for source, says in (("remote", "synth-data is not found"), ("stack", "synth-data is not found")):
        p = subprocess.run([program, *SMALL, "--sources", source, "-o", "alone-" + source, "--data.seed=99"],
                           cwd=bench.dir, env=dict(bench.env, PATH="/nonexistent"), capture_output=True,
                           text=True, timeout=60, check=False)
        assert p.returncode == 1 and says in p.stderr, p.stderr
    p = subprocess.run([program, *SMALL, "--sources=cached", "-o", "alone"], cwd=bench.dir, timeout=60,
                       env=dict(bench.env, PATH="/nonexistent"), capture_output=True, text=True, check=False)
    assert p.returncode == 1 and "cachefs is not built" in p.stderr, p.stderr


class Answer(http.server.BaseHTTPRequestHandler):
    """Whatever is asked: the server's code and body."""

    def do_GET(self):
        self.send_response(self.server.code)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.server.body)

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


def test_origins_that_answer_nonsense(bench):
    if not bench_lib.fuse_works():
        print("without FUSE: no origin of one's own")
        return
    for code, body, says in ((404, b"not here", "404"), (500, b"sorry", "500"), (403, b"no", "403"),
                             (200, b"<html>hello", ""), (200, b"\0\xff{[" * 1000, "")):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        server.code, server.body = code, body
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/data"
        name = f"origin{code}-{len(body)}"
        p = bench.run(*SMALL, "--sources=synthetic,cached", "--origin", url, "--http.backoff=1ms", "-o", name,
                      code=1, timeout=60)
        error = failed_record(bench, name, "cached")
        assert says in error and error in p.err, (code, error, p.err)
        assert "/work/" not in error, f"a folder of ours in place of the origin: {error}"
        bench.nothing_left()
        server.shutdown()
        server.server_close()
    bench.run(*SMALL, "--sources=cached", "--origin=http://127.0.0.1:1/", "--http.retries=0", "-o", "refused", code=1)
    assert "127.0.0.1:1" in failed_record(bench, "refused", "cached")


def what_was_begun_is_gone_on_with(bench, args, name, env):
    """Data that have taken the room are those that the next invocation uses."""
    steps = bench.records(name)[0]["steps"]
    with open(bench.path(name, "records.jsonl"), encoding="utf-8") as file:
        lines = file.readlines()
    with open(bench.path(name, "records.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(lines[:-1])
    bench.run(*args, name, env=env)
    assert [r["steps"] for r in bench.records(name)] == [steps] * len(lines)
    bench.run(*args, "another", env=env)
    assert bench.records("another")[0]["steps"] == steps
    sets = os.path.join(env["XDG_CACHE_HOME"], "feedrate", "data")
    assert len(os.listdir(sets)) == 1, os.listdir(sets)
    os.remove(os.path.join(sets, os.listdir(sets)[0], "manifest.txt"))  # as if it were half made
    out = bench.run(*args, "third", "--dry-run", env=env).out
    assert f" {steps} steps an epoch" in out, (steps, out)


def test_a_small_disk(bench):
    if os.geteuid():
        print("only root can mount a small disk")
        return
    disk = bench.path("disk")
    os.mkdir(disk)
    env = dict(bench.env, XDG_CACHE_HOME=disk)
    for size, code in (("100M", 1), ("330M", 0)):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "none", disk], check=True)
        try:
            args = ("-p", "small.ini", "--gpus=2", "-o")
            p = bench.run(*args, "disk" + size, env=env, code=code)
            if not code:
                what_was_begun_is_gone_on_with(bench, args, "disk" + size, env)
        finally:
            subprocess.run(["umount", disk], check=True)
        if code:
            assert "free at" in p.err and "XDG_CACHE_HOME" in p.err and "--bench.steps" in p.err, p.err
            continue
        assert "Scaled down: " in p.err, p.err
        for record in bench.records("disk" + size):
            assert 10 <= record["steps"] < 50 and record["scale"]["steps_asked"] == 50
            assert "steps an epoch" in record["scale"]["why"] and "too-short" in record["doubts"]


bench_lib.main([
    test_usage,
    test_profiles,
    test_an_output_that_cannot_be,
    test_two_runs_in_one_folder,
    test_too_much_memory,
    test_no_gnuplot,
    test_data_that_are_none,
    test_a_short_and_a_wrong_read_fail_the_run,
    test_an_origin_that_fails_below_the_cache,
    test_a_program_that_is_missing,
    test_origins_that_answer_nonsense,
    test_a_small_disk,
])
