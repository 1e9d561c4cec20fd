#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An origin that stalls: another cachefs, stopped. Nothing hangs: reads and lookups end by their
# deadline, what the tiers hold is served, readers can be killed, and the mount can be left.
. "$(dirname "$0")/mount_lib.sh"

mkdir -p data/{direct,page} far mnt2
head -c 3000000 /dev/urandom >data/hot
head -c 9000000 /dev/urandom >data/cold
for i in $(seq 30); do head -c 1000000 /dev/urandom >data/cold-$i; done
NEAR=$M

# Mounts data at far, and that, with a deadline of 1 s, at $NEAR.
start_both()
{
	M=$T/far
	start data || return 1
	FAR=$PID
	M=$NEAR
	start far -o "http.timeout=500ms,http.streams=8,$1"
}

# Stops a process, with all its threads: a request that it has taken could not be given up.
stall()
{
	kill -STOP "$1"
	until_true all_stopped "$1"
}

all_stopped()
{
	not grep -q '^State:.[^T]' /proc/"$1"/task/*/status
}

idle()
{
	not pgrep -x cat >/dev/null
}

# The command fails, not before 0.8 s and by 5 s: the page cache tries a page that it read ahead once
# more by itself.
late()
{
	local start=$EPOCHREALTIME took
	if timeout 20 "$@" >/dev/null 2>late-said; then
		fail "$*: should fail"
	fi
	took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
	[ $took -ge 800 ] && [ $took -le 5000 ] || fail "$*: after $took ms: $(cat late-said)"
}

# ---- a mount whose cachefs hangs is told from one that is there ----
M=$T/mnt2
start data
STUCK=$PID
stall "$STUCK"
start_s=$SECONDS
{
	M=$T/mnt2 refused 1 "no answer for 20 s.*fusermount3 -uz" \
		sh -c "cachefs-ctl stats $M; c=\$?; umount -l $M; exit \$c"
	echo $((SECONDS - start_s)) >gave-up
} &
M=$NEAR

for mode in direct page; do
	start_both fuse.open_mode=$mode
	cmp data/hot "$M/hot"
	ls "$M" >/dev/null
	stall "$FAR"
	for i in $(seq 30); do # more than there are FUSE threads and fetch threads
		cat "$M/cold-$i" >/dev/null 2>&1 &
	done
	late cat "$M/cold"
	late stat "$M/$mode/not-known"
	cmp data/hot "$M/hot" # while all that waits
	[ "$(stat -c %s "$M/cold-7")" = 1000000 ]
	cat "$M/cold" >/dev/null 2>&1 &
	reader=$!
	sleep 0.1
	kill -9 $reader
	wait $reader || true
	if [ $mode = direct ]; then # a read of the page cache waits for its page
		t0=$EPOCHREALTIME
		timeout -s INT 0.2 cat "$M/cold" >/dev/null 2>&1 || true
		[ $((${EPOCHREALTIME/./} - ${t0/./})) -lt 700000 ]
		is fuse.interrupts -ge 1
	fi
	kill -CONT "$FAR"
	until_true cmp -s data/cold "$M/cold"
	until_true idle
	stop
	PID=$FAR M=$T/far stop
	M=$NEAR
done

# ---- signals with a handler do not fail a stat or a read; one that kills does end it ----
cat >ticking.py <<'EOF'
import os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
size = os.stat(sys.argv[1]).st_size
with open(sys.argv[1], "rb", buffering=0) as file:
    while size:
        size -= len(file.read(1 << 20))
signal.setitimer(signal.ITIMER_REAL, 0)
EOF
start_both fuse.open_mode=direct,http.timeout=30s
stall "$FAR"
python3 ticking.py "$M/cold" &
reader=$!
sleep 0.5
kill -CONT "$FAR"
wait $reader
stall "$FAR"
python3 ticking.py "$M/cold-9" &
reader=$!
sleep 0.5
kill -9 $reader
until_true not kill -0 $reader
kill -CONT "$FAR"
stop
PID=$FAR M=$T/far stop
M=$NEAR

# ---- left while the origin stalls: by umount and by a signal ----
for how in umount term; do
	start_both fuse.open_mode=direct
	ls "$M" >/dev/null
	stall "$FAR"
	cat "$M/cold" >/dev/null 2>&1 &
	reader=$!
	sleep 0.2
	if [ $how = umount ]; then
		umount -l "$M"
	else
		kill -TERM "$PID"
	fi
	wait $reader || true
	ended "$PID"
	not mounted
	kill -CONT "$FAR"
	PID=$FAR M=$T/far stop
	M=$NEAR
done

# ---- fuse.dispatch=inline: FUSE threads do wait, but no longer than the deadline ----
start_both fuse.open_mode=direct,fuse.dispatch=inline,fuse.max_threads=2
ls -l "$M" >/dev/null
cmp data/hot "$M/hot"
stall "$FAR"
cat "$M/cold" >/dev/null 2>&1 &
head -c 4000000 "$M/cold" >/dev/null 2>&1 &
sleep 0.2
late dd if="$M/cold" of=/dev/null bs=1M count=1 skip=3
kill -TERM "$PID"
ended "$PID"
kill -CONT "$FAR"
PID=$FAR M=$T/far stop

until_true test -s gave-up
[ "$(<gave-up)" -ge 19 ]
kill -KILL "$STUCK"

# ---- a stuck mount in the way ----
M=$NEAR
start data
stall "$PID"
timeout 30 cachefs data "$M" 2>said || [ $? = 2 ]
grep -q "a stuck fuse.cachefs mount is here.*fusermount3 -uz" said
kill -KILL "$PID"
