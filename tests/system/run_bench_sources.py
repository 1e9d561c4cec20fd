#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What run-bench does where: without FUSE `stack` stands in for `cached`; a user's own origin, both
formats, small caches and none, the page cache."""
import copy
import os
import shutil
import subprocess

import bench_lib

SMALL = ("-p", "small.ini", "--gpus=1")
# A /dev of its own for one program.
OWN_DEV = """mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9 &&
mkdir -m 777 /dev/shm && """
AS_NOBODY = 'exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'


def in_own_dev(bench, then, *args):
    command = ["unshare", "--mount", "sh", "-c", OWN_DEV + then, "sh", bench_lib.PROGRAM, *args]
    return subprocess.run(command, cwd=bench.dir, env=bench.env, capture_output=True, text=True, timeout=90, check=False)


def without_fuse(bench, *args):
    return in_own_dev(bench, 'exec "$@"', *args)


def by_source(bench, name):
    return {record["source"]: record for record in bench.records(name)}


def test_without_fuse_stack_stands_in(bench):
    if os.geteuid():
        print("only root can hide /dev/fuse")
        return
    bench.write("cached.ini", "include = small.ini\n[bench]\nsources = synthetic,cached\n")
    p = without_fuse(bench, "-p", "cached.ini", "--gpus=1", "-o", "nofuse")
    assert p.returncode == 0, p.stdout + p.stderr
    assert "/dev/fuse is missing" in p.stderr and "stands in" in p.stderr, p.stderr
    records = by_source(bench, "nofuse")
    assert set(records) == {"synthetic", "stack"} and records["stack"]["stands_in_for"] == "cached"
    assert records["stack"]["status"] == "ok" and records["stack"]["steady"]["hit_ratio"] > 0.99
    verdict = " ".join(p.stdout.split())
    assert "instead of the cache" in verdict or "stands in for" in verdict, p.stdout
    # Who names it wants it.
    p = without_fuse(bench, "-p", "cached.ini", "--gpus=1", "--sources=synthetic,cached", "-o", "named")
    assert p.returncode == 1 and "source cached: /dev/fuse is missing" in p.stderr, p.stderr
    assert not os.path.exists(bench.path("named"))
    # With FUSE back the other source is another run of the same command.
    if bench_lib.fuse_works():
        bench.run("-p", "cached.ini", "--gpus=1", "-o", "nofuse")
        assert set(by_source(bench, "nofuse")) == {"synthetic", "stack", "cached"}
    bench.nothing_left()


def test_an_ordinary_user(bench):
    if os.geteuid() or not os.path.exists("/dev/fuse") or not shutil.which("fusermount3"):
        print("only root can become another, and FUSE is wanted")
        return
    os.chmod(bench.dir, 0o755)
    os.mkdir(bench.path("nobody"))
    os.chmod(bench.path("nobody"), 0o777)
    user = copy.copy(bench)
    user.env = dict(bench.env, XDG_CACHE_HOME=bench.path("nobody", "cache"), HOME=bench.path("nobody"))
    if subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", bench_lib.PROGRAM, "--version"],
                      capture_output=True, check=False).returncode:
        print("others may not read this build")
        return
    args = ("-p", "cached.ini", "--gpus=1", "-o")
    p = in_own_dev(user, "mknod -m 666 /dev/fuse c 10 229 && " + AS_NOBODY, *args, "nobody/open")
    assert p.returncode == 0, p.stdout + p.stderr
    record = by_source(bench, "nobody/open")["cached"]
    assert record["steady"]["hit_ratio"] > 0.99 and record["page_cache"]["verified"], record["page_cache"]
    p = in_own_dev(user, "mknod -m 600 /dev/fuse c 10 229 && " + AS_NOBODY, *args, "nobody/shut")
    assert p.returncode == 0 and "/dev/fuse: Permission denied" in p.stderr, p.stderr
    assert by_source(bench, "nobody/shut")["stack"]["stands_in_for"] == "cached"
    bench.nothing_left()
    assert os.listdir(bench.path("nobody", "cache", "feedrate", "work")) == []


def test_an_own_origin_over_http(bench):
    if not bench_lib.fuse_works():
        print("without FUSE: no origin of one's own")
        return
    data = bench.path("mine")
    subprocess.run([os.path.join(bench_lib.BIN, "synth-data"), data, "--samples=900", "--data.shards=8"],
                   check=True, capture_output=True, timeout=60)
    before = {name: os.stat(os.path.join(data, name)).st_mtime_ns for name in os.listdir(data)}
    server = subprocess.Popen([os.path.join(bench_lib.BIN, "synth-remote"), data], stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        bench.run(*SMALL, "--sources=synthetic,cached", "--origin", url, "-o", "own")
        record = by_source(bench, "own")["cached"]
        assert record["cold"]["origin_bytes"] >= record["cold"]["bytes_consumed"] > 30e6
        assert record["steady"]["origin_bytes"] < 0.5 * record["cold"]["origin_bytes"]
        assert record["samples"]["crc_errors"] == 0 and record["samples"]["checked"] == 700
        assert record["knobs"]["remote.origin"] == {"value": url, "from": "option"}
        assert record["cpu_s"]["cachefs"] > 0 and record["cpu_s"]["remote"] is None
        bench.run(*SMALL, "--sources=cached", "--origin", url, "--bench.max_bytes=5M", "-o", "limited")
        record = by_source(bench, "limited")["cached"]
        assert record["ended_early"] and record["job"]["bytes_consumed"] < 12e6, record["job"]
        assert "too-short" in record["doubts"]
    finally:
        server.terminate()
        server.wait(10)
    assert before == {name: os.stat(os.path.join(data, name)).st_mtime_ns for name in os.listdir(data)}
    bench.run(*SMALL, "--sources=cached", "--origin=dir:" + data, "-o", "dir")
    # The emulated disk holds other data: a profile's `remote` is left out, and told.
    bench.write("all.ini", "include = small.ini\n[bench]\nsources = synthetic,cached,remote\n")
    p = bench.run("-p", "all.ini", "--gpus=1", "--origin=dir:" + data, "--bench.repeats=2", "-o", "without")
    assert {r["source"] for r in bench.records("without")} == {"synthetic", "cached"}
    assert "Source remote is left out" in p.err and "has no record" not in p.out, p.err + p.out
    assert p.err.count("listed in") == 1, p.err  # of two cells
    bench.nothing_left()


def test_the_format_of_own_data(bench):
    """A tree of both: what was asked for is read; of pictures alone, as pictures are."""
    tree = bench.path("tree")
    for name, fmt in (("shards", "tfrecord"), ("pictures", "imagefolder")):
        subprocess.run([os.path.join(bench_lib.BIN, "synth-data"), os.path.join(tree, name), "--samples=400",
                        "--data.format=" + fmt, "--data.shards=4", "--data.classes=4"],
                       check=True, capture_output=True, timeout=60)
        os.remove(os.path.join(tree, name, "manifest.txt"))
    args = (*SMALL, "--sources=synthetic,external", "--external.path")
    bench.run(*args, tree, "--bench.format=imagefolder", "-o", "mixed")
    record = by_source(bench, "mixed")["external"]
    assert record["data"]["files"] == 400 and record["readers"] == 8, record["data"]
    bench.run(*args, tree, "-o", "either")  # shards are a little larger
    assert by_source(bench, "either")["external"]["data"]["files"] == 4
    p = bench.run(*args, os.path.join(tree, "pictures"), "-o", "pictures-only")
    for record in by_source(bench, "pictures-only").values():
        assert record["readers"] == 8 and record["knobs"]["bench.format"]["value"] == "imagefolder"
    assert "pictures in class folders" in p.err, p.err
    with open(bench.path("pictures-only", "profile.ini"), encoding="utf-8") as file:
        assert "format = imagefolder" in file.read()


def test_the_disks_are_probed(bench):
    """Native reads of the tier's own files, also on a disk of one's choice; of embedded data for `remote`."""
    source = "cached" if bench_lib.fuse_works() else "stack"
    os.mkdir(bench.path("ssd"))
    bench.run(*SMALL, "--sources=remote," + source, "--disk.path", bench.path("ssd"), "-o", "probed")
    records = by_source(bench, "probed")
    assert records["remote"]["tier_native_bytes_per_s"] is None and records[source]["data_native_bytes_per_s"] is None
    with open(os.path.join(bench.path("ssd"), "x"), "wb") as file:
        file.write(bytes(4096))
    try:
        os.close(os.open(file.name, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        print("no O_DIRECT here: no rates")
        return
    assert records[source]["tier_native_bytes_per_s"] > 1e6
    assert records["remote"]["data_native_bytes_per_s"] > 1e6
    bench.run(*SMALL, "--sources=" + source, "--bench.page_cache=any", "-o", "unprobed")
    assert by_source(bench, "unprobed")[source]["tier_native_bytes_per_s"] is None


def test_pictures(bench):
    cached = "cached" if bench_lib.fuse_works() else "stack"
    bench.run(*SMALL, "--sources=synthetic,remote," + cached, "--bench.format=imagefolder", "-o", "pictures")
    records = by_source(bench, "pictures")
    for record in records.values():
        assert record["status"] == "ok" and record["readers"] == 8
    record = records[cached]
    assert record["samples"] == {"checked": 700, "twice": 0, "missing": 0, "crc_errors": 0}
    assert record["cold"]["origin_bytes"] >= record["cold"]["bytes_consumed"]
    assert record["page_cache"]["verified"], record["page_cache"]


def test_a_cache_that_is_too_small_and_none(bench):
    source = "cached" if bench_lib.fuse_works() else "stack"
    args = (*SMALL, "--sources=" + source, "--bench.epochs=3", "--cache.block_size=256K")
    bench.run(*args, "--bench.cache_ratio=0", "--mem.capacity=0", "-o", "none")
    none = by_source(bench, "none")[source]
    assert none["capacity_bytes"] == 0 and not none["has_tier"]
    assert none["steady"]["hit_ratio"] < 0.05, none["steady"]["hit_ratio"]
    bench.run(*args, "--bench.cache_ratio=0.5", "--cache.policy=none", "--mem.capacity=4M", "-o", "half")
    half = by_source(bench, "half")[source]
    assert 0.3 < half["steady"]["hit_ratio"] < 0.9, half["steady"]["hit_ratio"]
    assert half["cold"]["images"] == 350 and half["job"]["images"] == 1050


def test_the_page_cache_is_seen(bench):
    """Tier files that stay in memory are not storage."""
    source = "cached" if bench_lib.fuse_works() else "stack"
    args = ("-p", "small.ini", "--gpus=2", "--sources=" + source)
    bench.run(*args, "--disk.page_cache=keep", "-o", "kept")
    kept = by_source(bench, "kept")[source]
    assert kept["page_cache"]["asked"] == 0 and kept["page_cache"]["max_seen"] > 50e6, kept["page_cache"]
    assert not kept["page_cache"]["verified"] and "page-cache-served" in kept["doubts"]
    bench.run(*args, "--disk.page_cache=keep", "--bench.page_cache=any", "--fuse.open_mode=page", "-o", "any")
    free = by_source(bench, "any")[source]
    assert free["page_cache"]["asked"] is None and free["page_cache"]["verified"]
    assert "page-cache-served" not in free["doubts"]
    if source == "cached":  # pages that no reader of the mount can drop are kept out
        bench.run(*args, "--fuse.open_mode=auto", "--disk.page_cache=auto", "-o", "auto")
        auto = by_source(bench, "auto")[source]
        assert auto["counters"][-1]["counters"]["cachefs"]["fuse"]["mode"] == "noopen", auto["counters"][-1]


bench_lib.main([
    test_without_fuse_stack_stands_in,
    test_an_ordinary_user,
    test_an_own_origin_over_http,
    test_the_format_of_own_data,
    test_the_disks_are_probed,
    test_pictures,
    test_a_cache_that_is_too_small_and_none,
    test_the_page_cache_is_seen,
])
