#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mount from its first to its last moment: in front and behind, ready when it says so, ended by
# signals, umount and fusermount3, dead ones cleared away.
. "$(dirname "$0")/mount_lib.sh"

mkdir -p data/sub
echo hello >data/sub/file

start_in_front()
{
	cachefs data "$M" -f "$@" &
	PID=$!
	until_true mounted
	until_true test -e "$M/sub/file"
}

# ---- in front: each way to end it gives exit code 0 and takes the mount away ----
for how in "kill -INT" "kill -TERM" "kill -HUP" umount "fusermount3 -u"; do
	start_in_front
	case $how in
	kill*) $how $PID ;;
	*) $how "$M" ;;
	esac
	wait $PID || fail "$how: exit code $?"
	not mounted || fail "$how: still mounted"
done

# ---- behind: usable the moment it returns, in a session of its own, away from everything ----
for _ in 1 2 3 4 5; do
	start data
	[ "$(<"$M/sub/file")" = hello ]
	stop
done
start data
[ "$(ps -o sid= -p "$PID" | tr -d ' ')" = "$PID" ]
[ "$(readlink /proc/"$PID"/cwd)" = / ]
for fd in 0 1 2; do
	[ "$(readlink /proc/"$PID"/fd/$fd)" = /dev/null ]
done
findmnt -no FSTYPE,SOURCE,OPTIONS "$M" >info
grep -q "^fuse.cachefs $T/data ro,nosuid,nodev,noatime," info || fail "mounted as: $(cat info)"
kill -TERM "$PID"
ended "$PID"
not mounted

# ---- again at once, with the same disk tier, all CPUs busy: its lock is waited for ----
busy=()
for _ in $(seq $(($(nproc) < 4 ? $(nproc) : 4))); do
	timeout 60 sh -c 'while :; do :; done' &
	busy+=($!)
done
for _ in 1 2 3 4 5 6 7 8; do
	start data -o disk.path="$T/tier"
	cat "$M/sub/file" >/dev/null
	umount "$M"
done
kill "${busy[@]}"
wait "${busy[@]}" || true
ended "$PID"

# ---- an interrupt before it is mounted leaves nothing ----
code=0
timeout -s INT 1 cachefs data "$M" -o 'cache.stack=meta\,mem\,delay,delay.latency=30s' || code=$?
[ $code = 124 ]
none_runs()
{
	not pgrep -x cachefs >/dev/null
}
until_true none_runs
not mounted

# ---- a dead mount at the mount point is found and detached ----
start data
kill -9 "$PID"
ended "$PID"
not ls "$M" 2>/dev/null
refused 1 "a dead mount.*fusermount3 -uz" sh -c "cachefs-ctl stats $M; c=\$?; umount -l $M; exit \$c"
start data
kill -9 "$PID"
ended "$PID"
start data
[ "$(<"$M/sub/file")" = hello ]

# ---- in use: umount says so; detached, it serves who has it open and then ends ----
exec 5<"$M/sub/file"
not umount "$M" 2>/dev/null
umount -l "$M"
[ "$(cat <&5)" = hello ]
kill -0 "$PID"
exec 5<&-
ended "$PID"

# ---- ended while in use: gone all the same ----
start data
exec 5<"$M/sub/file"
kill -TERM "$PID"
ended "$PID"
not mounted
not cat <&5 2>/dev/null
exec 5<&-

# ---- another mount at the same place is not ours to take away ----
start data
exec 5<"$M/sub/file"
umount -l "$M"
FIRST=$PID
start data
kill -TERM "$FIRST"
ended "$FIRST"
[ "$(<"$M/sub/file")" = hello ]
exec 5<&-
stop

# ---- ended at any moment under load: in time, and the disk tier is none the worse ----
for i in $(seq 40); do head -c 700000 /dev/urandom >data/load-$i; done
for round in $(seq 12); do
	start data -o fuse.open_mode=direct,mem.capacity=2M,disk.path="$T/tier",disk.capacity=16M,fuse.clone_fd=$(
		[ $((round % 2)) = 0 ] && echo yes || echo no
	)
	for i in $(seq 8); do
		while cat "$M"/load-*$i >/dev/null 2>&1; do :; done &
	done
	sleep 0.$((RANDOM % 30 + 10))
	case $((round % 3)) in
	0) kill -TERM "$PID" ;;
	1) umount -l "$M" ;;
	2) kill -KILL "$PID" ;;
	esac
	if [ $((round % 3)) = 2 ]; then
		ended "$PID"
		umount -l "$M"
	fi
	wait $(jobs -p)
	ended "$PID"
	not mounted
done
start data -o fuse.open_mode=direct,mem.capacity=0,disk.path="$T/tier",disk.capacity=16M
diff -r data "$M"
is layers.disk.crc_errors -eq 0
stop
rm data/load-*

# ---- mount points of all kinds ----
mkdir 'with space' $'new\nline' real
ln -s real link
for where in 'with space' $'new\nline' link real/ ./real/../real; do
	M=$where
	start data
	[ "$(<"$M/sub/file")" = hello ]
	kill -9 "$PID"
	ended "$PID"
	start data # over the dead one
	[ "$(<"$M/sub/file")" = hello ]
	refused_code=0
	cachefs data "$M" 2>said || refused_code=$?
	[ $refused_code = 2 ]
	grep -q "already a cachefs mount" said
	stop
done
M=$T/mnt

# ---- log file ----
start data -o log.file=log,log.level=info
dd if="$M/sub/file" of=/dev/null bs=1 count=1 2>/dev/null
stop
[ "$(stat -c %a log)" = 600 ]
grep -qE "^[0-9T:.-]+Z cachefs info $M: mounted $T/data; [0-9]+ CPUs \(.*\), 16 FUSE threads at most$" log
grep -q "cachefs info $M: leaving" log

# ---- standard mount options ----
start data -o uid=1234,gid=1235,file_mode=0440,dir_mode=0550,noexec,allow_other,_netdev,noauto,nofail
[ "$(stat -c '%u %g %a' "$M/sub/file" "$M/sub" | tr '\n' ' ')" = "1234 1235 440 1234 1235 550 " ]
findmnt -no OPTIONS "$M" | grep -q noexec.*allow_other
stop

cachefs --version | grep -q '^cachefs '
cachefs --help | grep -q fuse.open_mode || cachefs --help | grep -q open_mode
