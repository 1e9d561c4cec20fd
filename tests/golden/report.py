#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reports of stored records, compared with stored pages and tables.

tests/golden/report/CASE/ holds records.jsonl and friends, and what must come out: expected.html,
expected.txt, expected.err. Pictures differ between versions of gnuplot, so the page is compared
with its <svg> elements emptied; what must hold for those is checked apart. The version in the
footer is left out too.

    tests/golden/report.py             compares (FEEDRATE_BUILD: the build folder)
    tests/golden/report.py --update    stores what comes out now; read the diff before committing
"""
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "report")
MAKE = os.path.join(os.environ.get("FEEDRATE_BUILD", "build/dev"), "tests", "report_make")
WRITTEN = ("report.html", "throughput.csv", "percent.csv", "throughput.png", "percent.png")


def make(folder, path=None):
    env = dict(os.environ, LC_ALL="C.UTF-8")
    if path is not None:
        env["PATH"] = path
    return subprocess.run([MAKE, folder], env=env, capture_output=True, timeout=150)


def normal(page):
    page = re.sub(r"(<svg [^>]*?)viewBox=\"[^\"]*\"([^>]*>).*?</svg>", r"\1\2</svg>", page, flags=re.S)
    return re.sub(r"<footer>feedrate [0-9.]+", "<footer>feedrate VERSION", page)


def differs(case, name, have, update):
    path = os.path.join(HERE, case, name)
    if update:
        with open(path, "w", encoding="utf-8") as file:
            file.write(have)
        return False
    with open(path, encoding="utf-8") as file:
        want = file.read()
    if have == want:
        return False
    print(f"{case}/{name} differs:")
    diff = difflib.unified_diff(want.splitlines(), have.splitlines(), "stored", "now", lineterm="", n=1)
    print("\n".join(line[:400] for line in diff))
    return True


def page_faults(page):
    """What holds for pages and pictures whatever drew them."""
    for loads in re.findall(r"<(?:img|script|link|iframe|object|embed|use|image)\b[^>]*(?:src|href)=[\"'](?!data:|#)[^>]*>", page):
        yield f"the page loads {loads}"
    for loads in re.findall(r"@import[^;]*|url\((?![\"']?(?:data:|#))[^)]*", page):
        yield f"the page loads {loads}"
    ids = re.findall(r"\sid=['\"]([^'\"]+)", page)
    if len(ids) != len(set(ids)):
        yield "ids of the page are not unique"
    for tool in ("gnuplot", "GNUPLOT", "xlink"):
        if any(tool in svg for svg in re.findall(r"<svg .*?</svg>", page, re.S)):
            yield f"a picture still holds {tool}"
    if page.count('class="wide"') != page.count('class="narrow"'):
        yield "a picture lacks its wide or its narrow form"


def check(case, work, update):
    folder = os.path.join(work, case)
    os.mkdir(folder)
    for name in ("records.jsonl", "environment.json", "profile.ini"):
        if os.path.exists(os.path.join(HERE, case, name)):
            shutil.copy(os.path.join(HERE, case, name), folder)
    done = make(folder)
    if done.returncode:
        print(f"{case}: exit {done.returncode}: {done.stderr.decode()}")
        return 1
    bad = False
    with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
        page = file.read()
    for name, text in (("html", normal(page)), ("txt", done.stdout.decode()), ("err", done.stderr.decode())):
        bad |= differs(case, "expected." + name, text.replace(folder, "DIR"), update)
    for fault in page_faults(page):
        print(f"{case}: {fault}")
        bad = True
    return bad


def check_without_gnuplot(work):
    """The page is written all the same, and says what is missing and what to do."""
    folder = os.path.join(work, "no-gnuplot")
    shutil.copytree(os.path.join(HERE, "quick"), folder)
    done = make(folder, path="/nonexistent")
    with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
        page = file.read()
    ok = (done.returncode == 0 and b"apt-get install gnuplot-nox" in done.stderr
          and "apt-get install gnuplot-nox" in page and "<svg" not in page
          and "synthetic: 953 at 1" in page and os.path.exists(os.path.join(folder, "throughput.csv")))
    if not ok:
        print("without gnuplot:", done.returncode, done.stderr.decode())
    return not ok


def record(source, rate, gpus=2, **more):
    part = {"images_per_s": rate, "pct_of_synthetic": more.pop("pct", None), "au": 0.5,
            "origin_bytes": more.pop("origin", None)}
    knobs = {name: {"value": value, "from": "option"} for name, value in more.pop("knobs", {}).items()}
    return {"schema": "feedrate-record/1", "run": f"{source}-{gpus}", "status": "ok", "source": source, "gpus": gpus,
            "accelerator": "a", "accelerator_label": "A", "epochs": 1, "synthetic_run": f"synthetic-{gpus}",
            "job": part if rate else None, "knobs": knobs, **more}


SYNTHETIC = record("synthetic", 1000)
# Records, and what must stand under the table.
VERDICTS = [
    ([SYNTHETIC, record("cached", 980, pct=98.0, origin=5, knobs={"remote.origin": "s3://b/x"})],
     "At 2 x A, with the remote at s3://b/x, cached reaches 98.0% of the rate of synthetic."),
    ([SYNTHETIC, record("cached", 980, pct=98.0, origin=5, knobs={"remote.origin": "s3://b/x", "remote.bandwidth": "9MB/s"}),
      record("remote", 500, pct=50.0, origin=5, knobs={"remote.origin": "s3://b/x", "remote.bandwidth": "9MB/s"})],
     "At 2 x A, with the remote at s3://b/x and the remote disk emulated at 9.00 MB/s and 0 ms, cached reaches 98.0% of the rate of synthetic; remote 50.0%."),
    ([SYNTHETIC, record("cached", 980, pct=98.0, origin=5,
                        knobs={"remote.origin": "s3://b/x", "bench.sources": "synthetic,cached,remote"})],
     "At 2 x A, with the remote at s3://b/x, cached reaches 98.0% of the rate of synthetic."),
    ([SYNTHETIC, record("remote", 980, pct=98.0, origin=5, knobs={"remote.path": "/mnt/d"})],
     "At 2 x A, with the remote at /mnt/d, remote reaches 98.0% of the rate of synthetic."),
    ([SYNTHETIC, record("remote", 980, pct=98.0, origin=5, knobs={"remote.latency": "5ms"})],
     "At 2 x A, with the remote emulated without a bandwidth limit and with 5 ms, remote reaches 98.0% of the rate of synthetic."),
    ([SYNTHETIC, record("external", 980, pct=98.0, knobs={"remote.bandwidth": "9M"})],
     "At 2 x A, external reaches 98.0% of the rate of synthetic."),
    ([SYNTHETIC], "At 2 x A, synthetic reaches 1,000 images/s at 50.0% accelerator utilization; nothing was compared with it."),
    ([SYNTHETIC, record("cached", None, status="failed", error="no"), record("cached", 500, 1, synthetic_run=None)],
     "At 2 x A, cached failed (no). 1 of 3 runs failed."),
    ([SYNTHETIC, record("cached", 500, 1, synthetic_run=None)], "At 2 x A, cached was not measured."),
    ([SYNTHETIC, record("cached", None)], "At 2 x A, cached has no figures."),
    ([SYNTHETIC, record("cached", 700, pct=70.0, accelerator="b")],
     "At 2 GPUs, cached on b reaches 70.0% of the rate of synthetic."),
    ([SYNTHETIC, record("cached", 700, pct=70.0, variant="mem"), record("cached", 900, pct=90.0, variant="disk", source_label="the cache")],
     "At 2 x A, cached (mem) reaches 70.0% of the rate of synthetic; the cache (disk) 90.0%."),
    ([dict(SYNTHETIC, status="failed", error=None)], "At 2 x A, no run finished. 1 of 1 runs failed."),
    ([{"schema": "feedrate-record/1"}], "No record could be read, so there is nothing to say."),
]


def check_verdicts(work):
    bad = 0
    for i, (records, want) in enumerate(VERDICTS):
        folder = os.path.join(work, f"verdict-{i}")
        os.mkdir(folder)
        with open(os.path.join(folder, "records.jsonl"), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(r) + "\n" for r in records)
        done = make(folder, path="/nonexistent")
        have = " ".join(done.stdout.decode().split("\n\n")[-1].split())
        if done.returncode or have != want:
            print(f"verdict {i}: exit {done.returncode}\n  want {want}\n  have {have}")
            bad += 1
    return bad


def check_bad_gnuplot(work):
    """One that fails, and one that draws nothing: the page is written and says so."""
    bad = 0
    for script, says in (("echo '   ^' >&2; echo 'line 3: no such font' >&2; exit 1", "gnuplot failed: line 3: no such font"),
                         ("exit 0", "gnuplot failed: no picture came out"),
                         ("echo nonsense", "gnuplot wrote something else than a picture")):
        folder = os.path.join(work, f"bad-gnuplot-{bad}-{len(script)}")
        shutil.copytree(os.path.join(HERE, "quick"), folder)
        with open(os.path.join(folder, "gnuplot"), "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(os.path.join(folder, "gnuplot"), 0o755)
        done = make(folder, path=folder)
        with open(os.path.join(folder, "report.html"), encoding="utf-8") as file:
            page = file.read()
        if done.returncode or says not in page or "<svg" in page:
            print(f"gnuplot that does '{script}':", done.returncode, done.stderr.decode())
            bad += 1
    return bad


def check_left_behind(work):
    """Nothing but the promised files is left in the folder."""
    have = set(os.listdir(os.path.join(work, "quick")))
    extra = have - set(WRITTEN) - {"records.jsonl", "environment.json", "profile.ini"}
    missing = set(WRITTEN) - have
    if extra or missing:
        print("quick: extra", sorted(extra), "missing", sorted(missing))
    return bool(extra or missing)


def check_no_records(work):
    done = make(os.path.join(work, "nothing-here"))
    ok = done.returncode == 1 and b"give a folder that run-bench wrote" in done.stderr
    if not ok:
        print("no records:", done.returncode, done.stderr.decode())
    return not ok


def main():
    if not shutil.which("gnuplot"):
        print("SKIP: gnuplot is not installed")
        return 77
    update = "--update" in sys.argv
    with tempfile.TemporaryDirectory() as work:
        bad = sum(check(case, work, update) for case in sorted(os.listdir(HERE)))
        bad += check_verdicts(work) + check_bad_gnuplot(work)
        bad += check_without_gnuplot(work) + check_left_behind(work) + check_no_records(work)
    return 1 if bad else 0


sys.exit(main())
