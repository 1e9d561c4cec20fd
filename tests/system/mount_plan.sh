#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Plans: fetched ahead in their order and once, by the knob and by cachefs-ctl.
. "$(dirname "$0")/mount_lib.sh"

mkdir -p data/a data/b 'data/odd names'
for i in $(seq 100); do head -c $((20000 + 500 * i)) /dev/urandom >data/a/f$i; done
for i in $(seq 100); do head -c 100000 /dev/urandom >data/b/g$i; done
head -c 4000000 /dev/urandom >data/big
head -c 70000 /dev/urandom >'data/odd names/100% #1'
bytes=$(cat data/a/* data/b/* data/odd*/* | wc -c)
(cd data && find a b -type f | shuf --random-source=big) >plan
echo 'odd%20names/100%25%20%231' >>plan

job_done()
{
	cachefs-ctl stats "$M" --json | python3 -c '
import json, sys
jobs = json.load(sys.stdin)["warm"]["jobs"]
sys.exit(not jobs or jobs[-1]["state"] != sys.argv[1])' "${1:-done}"
}

# ---- the knob: all is there, fetched once, before anybody reads ----
for tier in mem.capacity=64M disk.path=tier,mem.capacity=1M; do
	start data -o fuse.open_mode=page,cache.plan=plan,$tier # opens are seen
	until_true job_done
	is origin.bytes -eq "$bytes"
	is plan.fetched -eq 201
	is plan.failed -eq 0
	for f in a b 'odd names'; do diff -r "data/$f" "$M/$f"; done
	is origin.bytes -eq "$bytes"
	is plan.hits -eq 201
	is plan.late -eq 0
	cmp data/big "$M/big" # what is not in the plan comes as ever
	stop
done
rm -r tier/*

# ---- cachefs-ctl: quiet in a pipe, with progress on a terminal ----
start data -o mem.capacity=64M
cachefs-ctl warm "$M" --plan plan >out 2>err
grep -qE '^warm: 201 lines, [0-9.]+ MB in .*/s\)$' out
[ ! -s err ]
is origin.bytes -eq "$bytes"
cachefs-ctl warm "$M" --plan plan --json >out # again: nothing to do
python3 -c '
import json
j = json.load(open("out"))
assert j["state"] == "done" and j["files"] == j["files_done"] == 201 and j["bytes_added"] == 0, j
assert j["plan"].endswith("/plan") and j["error"] is None, j'
is origin.bytes -eq "$bytes"
stop
start data -o 'cache.stack=meta\,mem\,throttle,throttle.bandwidth=20M'
on_terminal cachefs-ctl warm "$M" --plan plan >out
python3 - <<'PYTHON'
import re
text = open("out", "rb").read()
assert re.search(rb"warm: \d+ of 201 lines, [\d.]+ \wB, [\d.]+ \wB/s", text), text
assert b"warm: 201 lines" in text.rstrip().splitlines()[-1], text
PYTHON
stop

# ---- a plan larger than the tier: at the readers' pace, in order, nothing twice ----
start data -o mem.capacity=4M,http.streams=8,fuse.open_mode=direct
cachefs-ctl warm "$M" --plan plan >out
grep -qE '^warm: [0-9]+ of 201 lines, [0-9.]+ MB; the rest comes as these are read$' out
first=$(sed 's/^warm: \([0-9]*\) of.*/\1/' out)
[ "$first" -lt 100 ] || fail "$first files ahead with 4 MiB of memory"
ahead=$(stat_of origin.bytes)
# What is there is the front of the plan.
head -n "$first" plan | while read -r f; do cmp "data/$f" "$M/$f" || exit 1; done
fetched=$(stat_of origin.bytes)
sed 1,"${first}d" plan | sed '$d' | while read -r f; do
	cmp "data/$f" "$M/$f" || exit 1
	sleep 0.002
done
until_true job_done
cmp 'data/odd names/100% #1' "$M/odd names/100% #1"
is origin.bytes -eq "$bytes"
[ "$(stat_of plan.hits)" -gt 150 ] || fail "only $(stat_of plan.hits) hits"
[ "$fetched" -ge "$ahead" ]
stop

# ---- another plan ends the one before; drop and warm go on meanwhile ----
start data -o mem.capacity=4M,http.streams=8
cachefs-ctl warm "$M" --plan plan >out
job_done pacing
cachefs-ctl warm "$M" a/f1 >out # has a thread of its own
cachefs-ctl drop "$M" >out
printf 'a/f1\na/f2\n' >short
cachefs-ctl warm "$M" --plan short >out
grep -q '^warm: 2 lines' out
diff -r data "$M"
stop

# ---- unmounted in the middle ----
start data -o 'cache.stack=meta\,mem\,throttle,throttle.bandwidth=1M,cache.plan=plan'
umount "$M"
ended "$PID"
start data -o mem.capacity=4M,cache.plan=plan
until_true job_done pacing
stop

# ---- changed meanwhile: the plan's file as it is now, never a mix ----
start data -o mem.capacity=64M,meta.expiration=1h
ls "$M/a" >/dev/null
for i in $(seq 100); do head -c $((20000 + 500 * i)) /dev/urandom >data/a/f$i; done
cachefs-ctl warm "$M" --plan plan >out
diff -r data/a "$M/a" >out 2>&1 || diff -r data/a "$M/a" # ESTALE once, where an old listing is believed
stop

# ---- what is wrong is told ----
printf 'a/f1\n\n/etc/passwd\n' >bad
refused 2 "cache.plan: .*/bad:3: no path below the mount" cachefs data "$M" -o cache.plan=bad
refused 2 "cache.plan: .*/none: cannot read the plan: No such file" cachefs data "$M" -o cache.plan=none
refused 2 "cache.plan: .*: a plan is a regular file" cachefs data "$M" -o cache.plan=data
told()
{
	local code=0
	cachefs-ctl "${@:3}" >out 2>said || code=$?
	[ $code = "$1" ] || fail "cachefs-ctl ${*:3}: exit code $code, not $1"
	[ "$(wc -l <said)" = 1 ] || fail "cachefs-ctl ${*:3}: not one line: $(cat said)"
	grep -qE -- "$2" said || fail "cachefs-ctl ${*:3}: not like '$2': $(cat said)"
}
cp plan data/plan
start data
told 2 "/bad:3: no path below the mount" warm "$M" --plan bad
told 2 "none: cannot read the plan: No such file" warm "$M" --plan none
told 2 "not both" warm "$M" --plan plan a
told 2 "goes with warm" drop "$M" --plan plan
told 2 "lies in the mount itself" warm "$M" --plan "$M/plan"
printf 'a/f1\nnone\n' >missing
told 1 "warm failed for 1 files or folders; the first: none: No such file" warm "$M" --plan missing
python3 - "$M" <<'PYTHON'
import fcntl, json, os, sys
CONTROL = 3 << 30 | 16000 << 16 | ord("F") << 8 | 0xca
fd = os.open(sys.argv[1] + "/.cachefs", os.O_RDONLY)
def send(message):
    buf = bytearray(16000)
    buf[:len(message)] = message.encode()
    fcntl.ioctl(fd, CONTROL, buf, True)
    return json.loads(bytes(buf).split(b"\0")[0])
assert "lies in the mount" in send(json.dumps({"op": "warm", "plan": sys.argv[1] + "/plan"}))["error"]
assert "job" in send(json.dumps({"op": "warm", "plan": "/dev/zero"}))
PYTHON
until_true job_done
stop
start data -o mem.capacity=0
told 1 "no tier keeps anything" warm "$M" --plan plan
stop
