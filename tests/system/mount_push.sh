#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Small files of a plan are in the kernel's page cache before they are read, and are what they should be,
# whatever happens meanwhile.
. "$(dirname "$0")/mount_lib.sh"

mkdir -p data/a data/b
for i in $(seq 150); do
	head -c $((20000 + 500 * i)) /dev/urandom >data/a/f$i
	head -c 100000 /dev/urandom >data/b/g$i
done
head -c 3000000 /dev/urandom >data/b/large
: >data/b/empty
(cd data && find a b -type f | shuf --random-source=b/large) >plan
small=300

read_plan() # FILE [PAUSE]: reads what the plan names, in its order, and compares; pauses after ten
{
	python3 - "$M" "$1" "${2:-0}" <<'PYTHON'
import os, sys, time
for n, line in enumerate(open(sys.argv[2])):
    if n % 10 == 0: time.sleep(float(sys.argv[3]))
    name = line.strip()
    with open("data/" + name, "rb") as f: want = f.read()
    with open(sys.argv[1] + "/" + name, "rb", buffering=0) as f: got = f.read(1 << 25)
    assert got == want, name
PYTHON
}

is_root=$(($(id -u) == 0))
# Whether many are pushed, and no more are for half a second.
pushed_all()
{
	local before
	before=$(stat_of plan.pushed)
	sleep 0.5
	[ "$before" -ge $((small - 30)) ] && [ "$(stat_of plan.pushed)" = "$before" ]
}

# ---- all is pushed: no small file costs a READ ----
for mode in page noopen; do
	start data -o cache.plan=plan,mem.capacity=64M,fuse.open_mode=$mode
	[ "$(stat_of push.helper)" != off ]
	until_true compare plan.fetched -ge $small
	case $(stat_of push.helper) in
	needs*) skip "no helper here: $(stat_of push.helper)" ;;
	esac
	until_true pushed_all
	before=$(stat_of fuse.reads)
	read_plan plan
	after=$(stat_of fuse.reads)
	# stats.json itself and the large file are read; with noopen, one file in a 32nd of the budget
	most=25
	[ $mode = noopen ] || most=8
	[ $((after - before)) -le $most ] || fail "$mode: $((after - before)) READs for $small pushed files"
	is plan.pushed -ge $((small - 30))
	read_plan plan
	stop
done

# ---- a small budget: pushed as they are read ----
for mode in page noopen; do
	start data -o cache.plan=plan,mem.capacity=64M,fuse.open_mode=$mode,fuse.push=8M
	until_true compare plan.pushed -ge 50
	sleep 0.3
	is plan.pushed_bytes -le 9000000
	read_plan plan 0.05
	until_true compare plan.pushed -ge 100
	stop
done

# ---- off; and never in mode direct ----
start data -o cache.plan=plan,mem.capacity=64M,fuse.push=0
read_plan plan
is plan.pushed -eq 0
stop
start data -o cache.plan=plan,mem.capacity=64M,fuse.open_mode=direct
read_plan plan
is plan.pushed -eq 0
stop

# ---- more than there is memory for: not at all ----
start data -o cache.plan=plan,mem.capacity=64M,fuse.push=64G
until_true compare plan.held_back -ge 1
is plan.pushed -eq 0
read_plan plan
stop

# ---- unmounted, or ended, in the middle, with readers and without; nothing hangs ----
for i in $(seq 8); do
	start data -o cache.plan=plan,mem.capacity=64M,fuse.open_mode=noopen,fuse.push=4M
	if [ $((i % 2)) = 0 ]; then
		read_plan plan >/dev/null 2>&1 &
		reader=$!
	fi
	sleep "0.0$((i * 7 % 10))"
	if [ $((i % 4)) -lt 2 ]; then kill -TERM "$PID"; else umount -l "$M"; fi
	ended "$PID"
	[ $((i % 2)) = 1 ] || wait $reader || true
	until_true not mounted
	not pgrep -f "look-names-up $M" >/dev/null || until_true not pgrep -f "look-names-up $M"
done
# umount is not kept busy by the helper
start data -o cache.plan=plan,mem.capacity=64M
until_true compare plan.pushed -ge 1
stop

# ---- dropped in the middle, after a change that only a drop shows ----
start data -o cache.plan=plan,mem.capacity=64M,fuse.open_mode=noopen
until_true compare plan.pushed -ge 50
for i in $(seq 50); do
	head -c 100000 /dev/urandom >data/b/new
	mv data/b/new data/b/g$i
done
cachefs-ctl drop "$M" >out
diff -r data "$M"
stop

# ---- files that change all the time: each read is of one version ----
mkdir versions
python3 - "$M" plan2 <<'PYTHON'
import os, random, sys
names = [f"v{i}" for i in range(100)]
for name in names:
    with open("versions/" + name, "wb") as f: f.write(b"%07d\n" % 0 * 10000)
with open("plan2", "w") as plan:
    for epoch in range(40):
        print("# epoch", epoch, file=plan)
        random.shuffle(names)
        for name in names: print(name, file=plan)
PYTHON
for mode in page noopen; do
	start versions -o cache.plan=plan2,mem.capacity=4M,meta.expiration=200ms,fuse.open_mode=$mode,fuse.push=1M
	python3 - "$M" <<'PYTHON'
import errno, os, random, sys, threading
stop, mount = threading.Event(), sys.argv[1]
def write():
    n = 0
    while not stop.is_set():
        n += 1
        name = f"versions/v{random.randrange(100)}"
        with open("versions.new", "wb") as f: f.write(b"%07d\n" % n * (10000 + n % 3))
        os.rename("versions.new", name)
        stop.wait(0.001)
threading.Thread(target=write).start()
stale = seen = 0
try:
    for line in open("plan2"):
        if line.startswith("#"): continue
        try:
            with open(mount + "/" + line.strip(), "rb", buffering=0) as f:
                size = os.fstat(f.fileno()).st_size
                data = b""
                while piece := f.read(1 << 20): data += piece
        except OSError as e:
            assert e.errno in (errno.ESTALE, errno.ENOENT), e
            stale += 1
            continue
        assert len(data) == size and data == data[:8] * (len(data) // 8), (line, len(data), size)
        seen += data[:8] != b"0000000\n"
finally:
    stop.set()
assert seen > 100, seen
PYTHON
	[ $is_root = 0 ] || is plan.pushed -ge 1
	stop
done
