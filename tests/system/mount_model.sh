#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random operations by many threads, compared with the plain folder: each open mode over each kind of
# stack. SECONDS_EACH and SEED may be given, to run it longer or to repeat a run.
. "$(dirname "$0")/mount_lib.sh"

SEED=${SEED:-$RANDOM}
SECONDS_EACH=${SECONDS_EACH:-1}

mkdir -p data/a/b data/c rot bad
n=0
for size in 0 1 4095 4096 4097 50000 131071 131072 131073 300000 1048575 1048576 1048577 2500000 9000001; do
	for dir in . a a/b c; do
		head -c $size /dev/urandom >"data/$dir/file-$((n++))"
	done
done

# Large files are whole in the tier now and then, so that the kernel gets to read them by itself.
warm()
{
	while sleep 0.1; do
		timeout 20 cachefs-ctl warm "$M" a c >/dev/null 2>&1 || true
	done
}

run()
{
	local mode=$1 options=$2 warmer
	shift 2
	SEED=$((SEED + 1))
	echo "$mode, $options"
	start data -o "fuse.open_mode=$mode,$options" || return 1
	warm &
	warmer=$!
	timeout 150 python3 "$FEEDRATE_SOURCE/tests/system/mount_model.py" data "$M" "$SECONDS_EACH" $SEED "$@" || return 1
	cachefs-ctl stats "$M" | grep -E "^fuse.(mode|opens|passthrough_opens|reads) " | tr '\n' ' '
	echo
	kill $warmer
	wait $warmer || true
	until_true umount "$M" 2>/dev/null # the warmer's last breath
	ended "$PID"
}

for mode in direct page noopen passthrough auto; do
	map=may-map
	[ $mode != direct ] || map=
	mkdir "tier-$mode"
	run $mode mem.capacity=8M $map
	run $mode mem.capacity=0 $map
	run $mode mem.capacity=8M,disk.path="$T/tier-$mode" $map # all fits
	run $mode mem.capacity=2M,disk.path="$T/tier-$mode" $map # as it was left
	run $mode "mem.capacity=2M,disk.path=$T/tier-$mode,disk.capacity=24M" $map # evicted under open handles
	run $mode "mem.capacity=2M,disk.path=$T/tier,disk.capacity=16M,disk.page_cache=drop,cache.block_size=256K" $map
	run $mode "cache.stack=meta\,mem\,fault\,disk,disk.path=$T/rot,disk.capacity=24M,mem.capacity=0,fault.corrupt_rate=0.2,fault.seed=$SEED" $map
	run $mode "cache.stack=meta\,mem\,disk\,fault,disk.path=$T/bad,disk.capacity=24M,mem.capacity=4M,fault.error_rate=0.05,fault.seed=$SEED" may-fail
done
