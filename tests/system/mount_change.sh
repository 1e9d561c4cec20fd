#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files that change at the origin: seen within meta.expiration + fuse.entry_timeout, never mixed.
. "$(dirname "$0")/mount_lib.sh"

# Each on a mount of its own, all at once: most of the time goes by waiting.
changes()
{
	mkdir "$T/$1" && cd "$T/$1" && mkdir data mnt tier || return 1
	M=$PWD/mnt
	start data -o "$3" &&
		timeout 100 python3 "$FEEDRATE_SOURCE/tests/system/mount_change.py" data "$M" "$2" &&
		stop
}

jobs=()
for mode in direct page noopen passthrough auto; do
	changes $mode 1 fuse.open_mode=$mode,meta.expiration=500ms,meta.negative=500ms,mem.capacity=4M,disk.path=tier &
	jobs+=($!)
done
changes off 0 meta.enabled=no &
jobs+=($!)
changes kernel 1 meta.expiration=1s,meta.negative=1s,fuse.entry_timeout=0 &
jobs+=($!)
for job in "${jobs[@]}"; do
	wait "$job"
done

# ---- names known for ever (the default): ESTALE leads to the new version, drop to what is there now ----
for mode in direct page noopen passthrough auto; do
	rm -rf data
	mkdir data
	printf 'old%.0s' $(seq 1000000) >data/f
	echo old >data/small
	start data -o fuse.open_mode=$mode,mem.capacity=1M
	ls "$M" >/dev/null
	head -c 100 "$M/f" >/dev/null
	[ "$(<"$M/small")" = old ]
	printf 'new%.0s' $(seq 1000000) >data/f.new
	mv data/f.new data/f
	echo new >data/small
	not cat "$M/f" >/dev/null 2>&1 # what was not read yet is not there any more
	until_true cmp -s data/f "$M/f"
	small=$(cat "$M/small" 2>/dev/null || echo gone) # it may have made room meanwhile
	[[ $small =~ ^(old|new|gone)$ ]]
	cachefs-ctl drop "$M"
	[ "$(<"$M/small")" = new ]
	cmp data/f "$M/f"
	stop
done
