#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Statistics and control: cachefs-ctl stats, drop, warm, and the ioctl below them.
. "$(dirname "$0")/mount_lib.sh"

mkdir -p data/train data/val
head -c 8000000 /dev/urandom >data/train/big
for i in $(seq 50); do head -c 20000 /dev/urandom >data/val/f$i; done

# ---- stats ----
start data -o fuse.open_mode=direct
cmp data/train/big "$M/train/big"
cachefs-ctl stats "$M" >flat
for key in layers.mem.hits layers.meta.stats layers.dir.latency.fetch.p99_ms fuse.threads fuse.mode \
	origin.bytes origin_url uptime_s cpu_s cpu.count pid version; do
	grep -q "^$key " flat || fail "no $key in the statistics"
done
not grep -q '^knobs' flat
grep -qx 'fuse.entry_timeout_s [0-9]*' flat
on_terminal cachefs-ctl stats "$M" >out
python3 - <<'PYTHON'
import re
text = open("out", "rb").read()
lines = text.decode().splitlines()
assert len(lines) < 12, text
for like in (r"origin +/.*/data, 8\.00 MB fetched", r"mount +mode direct, \d+ threads", r"read +8\.00 MB in [1-9]",
             r"mem +[\d.]+% hits, 8\.\d+ MB of .* held", r"errors +0$"):
    assert any(re.match(like, line) for line in lines), (like, text)
PYTHON
is fuse.read_bytes -eq 8000000
is origin.bytes -eq 8000000
cachefs-ctl stats "$M" --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s["order"] == ["meta", "mem", "dir"], s["order"]
assert s["knobs"]["fuse.open_mode"] == {"value": "direct", "from": "mount option"} or \
       s["knobs"]["fuse.open_mode"]["value"] == "direct", s["knobs"]["fuse.open_mode"]
assert s["fuse"]["max_write"] == 1 << 20 and s["fuse"]["max_background"] == 128'
python3 - "$M" <<'PYTHON'
import json, os, sys
path = sys.argv[1] + "/.cachefs/stats.json"
old = open(path)
a, b = json.load(open(path)), json.load(open(path))
assert b["uptime_s"] > a["uptime_s"], "a snapshot that stands still"
assert os.stat(path).st_ino != os.fstat(old.fileno()).st_ino
assert json.load(old)["uptime_s"] < a["uptime_s"], "a snapshot that moves"
PYTHON
stop

# ---- warm: everything is there afterwards; quiet in a pipe, with progress on a terminal ----
start data -o fuse.open_mode=direct,disk.path=tier,mem.capacity=1M
cachefs-ctl warm "$M" >out 2>err
grep -qE '^warm: 51 files, 9.* in .*/s\)$' out
[ ! -s err ]
fetched=$(stat_of origin.bytes)
diff -r data "$M"
is origin.bytes -eq "$fetched"
cachefs-ctl warm "$M" >out # again: nothing to do
grep -qx 'warm: 51 files, 9.00 MB, were there already' out
is origin.bytes -eq "$fetched"
stop
rm -r tier/*

start data -o 'cache.stack=meta\,mem\,throttle,throttle.bandwidth=8M'
on_terminal cachefs-ctl warm "$M" >out
python3 - <<'PYTHON'
import re
text = open("out", "rb").read()
assert re.search(rb"warm: \d+ of 51 files, [\d.]+ \wB of 9\.00 MB, [\d.]+ \wB/s, [\d.]+s left", text), text
assert text.rstrip().splitlines()[-1].find(b"warm: 51 files, 9.00 MB in") >= 0, text
PYTHON
stop

start data -o mem.capacity=64M
cachefs-ctl warm "$M" train "$M/val/f1" ./val/f2/ >out
grep -q '^warm: 3 files' out
cachefs-ctl warm "$M" --json val >out
python3 -c '
import json
j = json.load(open("out"))
assert j["state"] == "done" and j["files"] == j["files_done"] == 50 and j["bytes_done"] == 1000000, j
assert j["errors"] == 0 and j["error"] is None, j'

# ---- drop: of one file, of a folder, of all; what is open stays readable ----
for mode in direct page noopen; do
	M=$T/mnt-$mode
	mkdir "$M"
	start data -o fuse.open_mode=$mode,mem.capacity=64M
	diff -r data "$M"
	exec 5<"$M/train/big"
	for what in train/big val . ''; do
		before=$(stat_of origin.bytes)
		cachefs-ctl drop "$M" ${what:+"$what"}
		diff -r data "$M"
		case $what in
		train/big) more=8000000 ;;
		val) more=1000000 ;;
		*) more=9000000 ;;
		esac
		is origin.bytes -eq $((before + more))
	done
	cmp - data/train/big <&5
	exec 5<&-
	stop
done
M=$T/mnt
stop

# ---- what is wrong is told ----
told()
{
	local code=0
	cachefs-ctl "${@:3}" >out 2>said || code=$?
	[ $code = "$1" ] || fail "cachefs-ctl ${*:3}: exit code $code, not $1"
	[ "$(wc -l <said)" = 1 ] || fail "cachefs-ctl ${*:3}: not one line: $(cat said)"
	grep -qE -- "$2" said || fail "cachefs-ctl ${*:3}: not like '$2': $(cat said)"
}
start data -o mem.capacity=2M
told 1 "not a cachefs mount.*findmnt" stats "$T"
told 1 "no such folder" stats "$T/none"
told 1 "not a cachefs mount" stats "$T/data/train/big"
told 2 "usage: cachefs-ctl" stats
told 2 "did you mean stats" stat "$M"
told 2 "unknown option" stats "$M" --jsn
told 1 "warm failed for 1 files or folders; the first: none: No such file" warm "$M" none
told 1 "drop failed for 1 files or folders; the first: none: No such file" drop "$M" none
cachefs-ctl drop "$M" train/big val >out
[ "$(<out)" = $'drop: train/big\ndrop: val' ]
cachefs-ctl drop "$M" >out
[ "$(<out)" = 'drop: all that was kept' ]
told 1 "without leading '/' and \"\.\.\"" warm "$M" ../x
told 1 "do not fit into tier mem of 2.1 MB; raise mem.capacity|do not fit into tier mem" warm "$M"
told 1 "too many or too long paths" drop "$M" $(seq -f 'some/folder/%.0f' 2000)
stop
start data -o mem.capacity=2M,cache.policy=none
told 1 "no space left in the tier: [0-9]+ of 51 files are in, [0-9]+ are not" warm "$M"
stop
start data -o mem.capacity=0
told 1 "no tier keeps anything; mount with mem.capacity or disk.path" warm "$M" val
stop

# ---- a full disk: told at once, with what is in ----
mkdir small
if mount -t tmpfs -o size=4M none small 2>/dev/null; then
	for memory in 64M 0; do
		start data -o disk.path=small,disk.capacity=1G,mem.capacity=$memory
		t0=$SECONDS
		told 1 "no space left in the tier: [0-9]+ of 51 files are in, [0-9]+ are not" warm "$M"
		[ $((SECONDS - t0)) -lt 15 ] || fail "$((SECONDS - t0)) s to find a full disk"
		stop
		rm -r small/*
	done
	umount small
fi

# ---- unmounted while warming: told, and nothing hangs ----
start data -o 'cache.stack=meta\,mem\,throttle,throttle.bandwidth=1M'
cachefs-ctl warm "$M" 2>said &
warm=$!
sleep 0.5
umount -l "$M"
ended "$PID"
not wait $warm
[ "$(wc -l <said)" = 1 ]

# ---- the ioctl takes nothing but its own ----
start data
python3 - "$M" <<'PYTHON'
import errno, fcntl, json, os, sys
CONTROL = 3 << 30 | 16000 << 16 | ord("F") << 8 | 0xca
fd = os.open(sys.argv[1] + "/.cachefs", os.O_RDONLY)
def send(message, fd=fd, command=CONTROL, size=16000):
    buf = bytearray(size)
    buf[:len(message)] = message
    fcntl.ioctl(fd, command, buf, True)
    return json.loads(bytes(buf).split(b"\0")[0])
def refused(code, *args):
    try:
        send(*args)
    except OSError as e:
        assert e.errno == code, (args, e)
        return
    raise SystemExit(f"taken: {args}")
assert "job" in send(b'{"op":"drop","paths":[""]}')
for bad in (b"", b"{", b"[]", b'{"op":"x","paths":[""]}', b'{"op":"drop"}', b'{"op":"drop","paths":[1]}',
            b'{"op":"drop","paths":["../x"]}', b"\xff" * 16000, b"[" * 16000):
    assert "error" in send(bad), bad
root = os.open(sys.argv[1], os.O_RDONLY)
refused(errno.ENOTTY, b"{}", root)
refused(errno.ENOTTY, b"{}", fd, CONTROL + 1)
refused(errno.ENOTTY, b"{}", fd, CONTROL - (8000 << 16), 8000)
for _ in range(100): # more than wait at once
    send(b'{"op":"warm","paths":["val"]}')
PYTHON
stop
