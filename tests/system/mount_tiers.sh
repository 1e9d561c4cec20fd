#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tiers under a mount: what survives a restart, what happens when they are full, absent or shared,
# and the layers that slow a mount down or spoil it on purpose.
. "$(dirname "$0")/mount_lib.sh"

mkdir data data/sub tier-sync tier-async
head -c 10000000 /dev/urandom >data/big
for i in $(seq 100); do head -c $((i * 1000)) /dev/urandom >data/sub/f$i; done
bytes=$(($(stat -c %s data/big) + 5050000))

# Starts with open_mode direct, so that reads reach the tiers.
start_direct()
{
	start data -o "fuse.open_mode=direct,$1"
}

read_all()
{
	diff -r data "$M"
}

origin_bytes()
{
	stat_of origin.bytes
}

# ---- the disk tier survives: an unmount, a kill, and another size of the memory tier ----
start_direct disk.path=tier
cachefs-ctl warm "$M" >/dev/null
[ "$(stat -c %a tier/cachefs-*)" = 700 ]
stop
for how in stop kill stop; do
	start_direct disk.path=tier,mem.capacity=1M
	read_all
	is origin.bytes -eq 0
	is layers.disk.used_bytes -ge $bytes
	is layers.disk.crc_errors -eq 0
	if [ $how = kill ]; then
		kill -9 "$PID"
		ended "$PID"
	else
		stop
	fi
done

# ---- rot in its files is found, and fetched again ----
for f in tier/cachefs-*/obj-* tier/cachefs-*/seg-*; do
	printf 'rot' | dd of="$f" bs=1 seek=70000 conv=notrunc 2>/dev/null
done
start_direct disk.path=tier,mem.capacity=0
read_all
is layers.disk.crc_errors -ge 2
is origin.bytes -gt 0
is origin.bytes -lt 3000000
stop

# ---- a smaller capacity than what is there ----
start_direct disk.path=tier,mem.capacity=0,disk.capacity=5M
read_all
is layers.disk.used_bytes -le 5242880
stop
rm -r tier/*

# ---- capacity 0: nothing is kept; one read is one fetch of the block ----
for stack in mem.capacity=0 mem.capacity=0,disk.path=tier,disk.capacity=0; do
	start_direct $stack
	read_all
	first=$(origin_bytes)
	[ "$first" -ge $bytes ]
	read_all
	is origin.bytes -ge $((2 * bytes))
	stop
done
rm -rf tier/*

# ---- policy none: when full nothing goes ----
start_direct cache.policy=none,mem.capacity=4M
read_all
read_all
is layers.mem.evictions -eq 0
is layers.mem.bypasses -gt 0
is layers.mem.used_bytes -le 4194304
is layers.mem.hits -gt 0
stop
start_direct cache.policy=lru,mem.capacity=4M
read_all
is layers.mem.evictions -gt 0
stop

# ---- fill=sync, async: written soon after the read, which waits for neither ----
for fill in sync async; do
	start_direct cache.fill=$fill,disk.path=tier-$fill,mem.capacity=0
	cat "$M/sub/f100" >/dev/null
	until_true compare layers.disk.blocks -eq 1
	stop
done

# ---- one tier, two mounts: not the same origin, but another one beside it ----
start_direct disk.path=tier
mkdir mnt2
code=0
cachefs data mnt2 -o disk.path=tier 2>said || code=$?
[ $code = 1 ]
grep -q "disk.path: $T/tier/cachefs-.* is in use by another cachefs; unmount that one or give another disk.path" said
not mounted "$T/mnt2"
cachefs data/sub mnt2 -o disk.path=tier
cmp data/sub/f7 mnt2/f7
umount mnt2
stop
rm -r tier/*

# ---- a full disk: reads go on from the origin, and it is counted ----
mkdir small
if mount -t tmpfs -o size=4M none small 2>/dev/null; then
	for drop in keep drop; do
		start_direct disk.path=small,disk.capacity=64M,disk.page_cache=$drop,log.file="$T/log"
		read_all
		read_all
		until_true compare layers.disk.errors -gt 0
		is layers.disk.bypasses -gt 0
		is layers.disk.no_space -gt 0
		grep -q "No space left on device; the block is not kept" log
		[ "$(wc -l <log)" -le 300 ]
		stop
		rm -r small/* log
	done
	umount small
fi

# ---- throttle: the origin's rate, not that of what is kept ----
start_direct 'cache.stack=meta\,mem\,throttle,throttle.bandwidth=20M'
t0=$EPOCHREALTIME
cmp data/big "$M/big"
t1=$EPOCHREALTIME
cmp data/big "$M/big"
t2=$EPOCHREALTIME
cold=$((${t1/./} - ${t0/./})) hot=$((${t2/./} - ${t1/./}))
[ $cold -ge 400000 ] || fail "10 MB at 20 MB/s in $cold us"
[ $hot -lt $((cold / 2)) ] || fail "hot: $hot us, cold: $cold us"
is layers.throttle.waited_ns -gt 0
stop

# ---- delay, above and below what is kept ----
for stack in 'meta\,mem\,delay' 'meta\,delay\,mem'; do
	start_direct "cache.stack=$stack,delay.latency=100ms"
	cat "$M/sub/f1" >/dev/null
	t0=$EPOCHREALTIME
	cat "$M/sub/f1" >/dev/null
	t1=$EPOCHREALTIME
	took=$((${t1/./} - ${t0/./}))
	if [ "$stack" = 'meta\,mem\,delay' ]; then
		[ $took -lt 100000 ] || fail "below: $took us"
	else
		[ $took -ge 100000 ] || fail "above: $took us"
	fi
	stop
done

# ---- fault: an error is told as one, and passes ----
start_direct 'cache.stack=meta\,mem\,fault,fault.error_rate=1'
code=0
cat "$M/sub/f1" 2>said || code=$?
[ $code = 1 ]
grep -q "Input/output error" said
is fuse.errors -gt 0
stop
start_direct 'cache.stack=meta\,mem\,fault,fault.error_rate=0.5'
for _ in $(seq 20); do cmp data/sub/f9 "$M/sub/f9" 2>/dev/null || true; done
cmp data/sub/f9 "$M/sub/f9"
stop

# ---- 64 readers of one cold file: fetched once ----
start_direct mem.capacity=64M
for _ in $(seq 64); do
	cmp data/big "$M/big" &
done
for job in $(jobs -p); do
	wait "$job"
done
is origin.bytes -eq 10000000
stop
