#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cachefs in each open mode beside the native file system and peers that Debian packages (rclone mount with its full
# VFS cache, s3fs with use_cache and kernel_cache): the same data, the same nginx, one run. Writes OUT/fs.csv (each
# pass of each round), OUT/table.md and OUT/fs.svg. docs/performance.md says what the rows are.
#
#   FEEDRATE_BUILD=build/release tests/bench/fs.sh [OUT]          default: fs-results; about 17 minutes
#
# ROUNDS=5  FILES=10000 (of 110 KB)  LARGE=16 (of LARGE_BYTES=67108864)  PEER_FILES=3000 (what peers read of a list:
# they are slow)  HOT_S=0.5 (a hot pass lasts so long at least)  COLD_S=4 (a cold one of a peer at most)
# FIO_MS=1000  SETS="small large mixed epoch"  SYSTEMS= (all that are there)  LATENCY=10ms  BANDWIDTH=1.25G (both of the epoch)
# DROP=caches: drop_caches, which is felt by the whole machine (root's default); DROP=fadvise: files one by one
# TMPDIR is on the disk that is measured. Needs nginx-light; peers: apt-get install rclone s3fs; fio.
if [ -z "${MOUNT_TEST_DIR:-}" ]; then
	here=$(realpath "$(dirname "$0")")
	FEEDRATE_BUILD=$(realpath "${FEEDRATE_BUILD:-$here/../../build/release}")
	OUT=$(realpath -m "${1:-fs-results}")
	set -- "$OUT"
	export FEEDRATE_BUILD FEEDRATE_BIN=${FEEDRATE_BIN:-$FEEDRATE_BUILD/bin} FEEDRATE_BENCH=$here OUT
	mkdir -p "$OUT"
fi
. "$(dirname "$0")/../system/mount_lib.sh"
. "$FEEDRATE_BENCH/fs_lib.sh"

ROUNDS=${ROUNDS:-5} FILES=${FILES:-10000} LARGE=${LARGE:-16} LARGE_BYTES=${LARGE_BYTES:-67108864}
PEER_FILES=${PEER_FILES:-3000} HOT_S=${HOT_S:-0.5} COLD_S=${COLD_S:-4} FIO_MS=${FIO_MS:-1000}
SETS=${SETS:-small large mixed epoch}
LATENCY=${LATENCY:-10ms} BANDWIDTH=${BANDWIDTH:-1.25G}
DROP=${DROP:-$([ -w /proc/sys/vm/drop_caches ] && echo caches || echo fadvise)}
export no_proxy=127.0.0.1
READ=$FEEDRATE_BUILD/tests/bench_fs_read
[ -x "$READ" ] || skip "bench_fs_read is missing: cmake --preset release && cmake --build --preset release"

# ---- one pass ----

# pass ROW COMMAND...: runs what prints "files= bytes= seconds= cpu=", and notes it with what daemon, origin and disk did.
pass()
{
	local row=$1 line cpu origin disk
	shift
	cpu=$(daemon_cpu) origin=$(origin_cpu) disk=$(disk_read)
	line=$(timeout 120 "$@") || fail "$SYSTEM, $row: $* said: $line"
	awk -v head="$ROUND,$row,$SYSTEM" -v cpu0="$cpu" -v cpu1="$(daemon_cpu)" -v disk0="$disk" -v disk1="$(disk_read)" \
		-v origin0="$origin" -v origin1="$(origin_cpu)" -v memory="$(daemon_memory)" '{
		for (i = 1; i <= NF; i++) { split($i, kv, "="); v[kv[1]] = kv[2] }
		printf "%s,%.0f,%.0f,%.6f,%.6f,%.6f,%.2f,%.0f,%.0f\n", head, v["files"], v["bytes"], v["seconds"], v["cpu"],
			cpu1 - cpu0, origin1 - origin0, disk1 - disk0, memory }' <<<"$line" >>"$OUT/fs.csv"
}

# Lists a tree with all attributes, as find does; in the words of pass.
list_tree()
{
	local from=$EPOCHREALTIME n
	n=$(find "$1" -type f -printf '%s\n' | wc -l)
	awk -v n="$n" -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { print "files=" n, "bytes=0 cpu=0 seconds=" b - a }'
}

# fio's own view: random 4 KiB reads of the large files, two threads, in the words of pass.
fio_random()
{
	local names
	names=$(cut -d' ' -f2- "$T/list.large" | sed "s|^|$1/|" | paste -sd:)
	fio --name=random --readonly --thread --numjobs=2 --group_reporting --ioengine=psync --rw=randread --bs=4k \
		--norandommap --invalidate=0 --time_based --runtime="${FIO_MS}ms" --filename="$names" --output-format=json |
		jq -r '.jobs[0] | "files=\(.read.total_ios) bytes=\(.read.io_bytes) seconds=\(.read.runtime / 1000)" +
			" cpu=\((.usr_cpu + .sys_cpu) / 100 * .read.runtime / 1000 * 2)"'
}
export -f list_tree fio_random
export T FIO_MS

# ---- what is done with a mount ----

# first_files SET. Peers are slow: they get the first part of the list, always the same one.
first_files()
{
	case $SYSTEM:$1 in
	rclone:mixed | s3fs:mixed) echo $((PEER_FILES / 3 + 1)) ;;
	rclone:* | s3fs:*) echo "$PEER_FILES" ;;
	*) echo 1000000000 ;;
	esac
}

cold()
{
	local set=$1 limit=0
	case $SYSTEM in rclone | s3fs) [ "$ROUND" = 0 ] || limit=$COLD_S ;; esac
	"$READ" "$T/src/$set" "$T/list.$set" >/dev/null # the server has it in memory
	pass "$set list" bash -c "list_tree $M"
	pass "$set cold" "$READ" -j 8 -x "$limit" -n "$(first_files "$set")" "$M" "$T/list.$set"
}

hot()
{
	local set=$1 n
	n=$(first_files "$set")
	timeout 60 "$READ" -x 30 -n "$n" "$M" "$T/list.$set" >/dev/null || fail "$SYSTEM, $set: reading"
	stop_origin
	pass "$set hot" "$READ" -s "$HOT_S" -x 5 -n "$n" "$M" "$T/list.$set"
	case $set in
	small) pass "small hot python" python3 "$FEEDRATE_BENCH/fs_read.py" 2 "$HOT_S" "$((n < FILES ? n : FILES))" "$M" "$T/list.small" ;;
	large) [ "$FIO" = no ] || pass "large hot fio" bash -c "fio_random $M" ;;
	esac
	check_bytes "$set" "$n"
	continue_origin
}

from_disk()
{
	local set=$1 n
	n=$(first_files "$set")
	timeout 60 "$READ" -x 30 -n "$n" "$M" "$T/list.$set" >/dev/null || fail "$SYSTEM, $set: reading"
	[ "$set" = small ] || settle
	stop_origin
	drop_pages "$set" "$n"
	pass "$set disk" "$READ" -x 20 -n "$n" "$M" "$T/list.$set"
	check_bytes "$set" "$n"
	continue_origin
}

# Once for each way: every byte is what the source holds.
check_bytes()
{
	[ "$ROUND" = 0 ] && [ "$SYSTEM" != native ] || return 0
	timeout 120 "$READ" -n "$2" -c "$T/src/$1" "$M" "$T/list.$1" >/dev/null || fail "$SYSTEM, $1: wrong bytes"
}

visit_native()
{
	M=$T/src/$1
	hot "$1"
	from_disk "$1"
	M=$T/mnt
}

# A mount from cold to hot, and its tier once more without memory.
visit_cachefs()
{
	KEPT=$T/tier/fresh
	mkdir "$KEPT"
	mount_system "$1"
	cold "$1"
	timeout 120 cachefs-ctl warm "$M" >/dev/null || fail "$SYSTEM: warm"
	hot "$1"
	unmount_system
	mount_system "$1" mem.capacity=0
	from_disk "$1"
	unmount_system
	rm -rf "$KEPT"
}

# What the first round has fetched is kept for the hot and disk passes of all rounds; cold passes begin anew.
visit_peer()
{
	local set=$1 all=$T/tier/$SYSTEM.$1
	KEPT=$T/tier/fresh
	[ "$ROUND" != 0 ] || KEPT=$all
	mkdir "$KEPT"
	mount_system "$set"
	cold "$set"
	unmount_system
	rm -rf "$T/tier/fresh"
	KEPT=$all
	mount_system "$set"
	hot "$set"
	from_disk "$set"
	unmount_system
}

visit()
{
	case $SYSTEM in
	native) visit_native "$1" ;;
	rclone | s3fs) visit_peer "$1" ;;
	*) visit_cachefs "$1" ;;
	esac
}

# A cold epoch from far away: listed before the clock starts, then 16 workers in random order. Peers' rates are those of
# the first seconds.
epoch()
{
	local limit=0
	case $SYSTEM in native) return ;; rclone | s3fs) limit=$COLD_S ;; esac
	KEPT=$T/tier/fresh
	mkdir "$KEPT"
	mount_system far
	pass "epoch list" bash -c "list_tree $M"
	pass "epoch cold" "$READ" -j 16 -x "$limit" "$M" "$T/list.small"
	unmount_system
	rm -rf "$KEPT"
	[ "$SYSTEM" = "$DEFAULT" ] || return 0
	mkdir "$KEPT"
	mount_system far
	list_tree "$M" >/dev/null
	warm_in_background
	pass "epoch warmed" "$READ" -j 16 "$M" "$T/list.small"
	kill "$WARM" 2>/dev/null
	unmount_system
	rm -rf "$KEPT"
}

# What depends little on the open mode is measured in the default one and in auto.
wanted()
{
	case $1 in small | large) return 0 ;; esac
	case $SYSTEM in native | rclone | s3fs | auto | "$DEFAULT") return 0 ;; esac
	[ -n "${SYSTEMS:-}" ]
}

# ---- all of it ----

find_systems
make_data
start_origins
echo round,row,system,files,bytes,seconds,cpu_reader,cpu_daemon,cpu_origin,disk_bytes,memory_bytes >"$OUT/fs.csv"
for ((ROUND = 0; ROUND < ROUNDS; ROUND++)); do
	for set in $SETS; do
		for ((i = 0; i < ${#SYSTEM_LIST[@]}; i++)); do
			SYSTEM=${SYSTEM_LIST[(i + ROUND) % ${#SYSTEM_LIST[@]}]}
			wanted "$set" || continue
			if [ "$set" = epoch ]; then epoch; else visit "$set"; fi
		done
	done
	echo "round $((ROUND + 1)) of $ROUNDS: $SECONDS s" >&2
done
describe_machine >"$OUT/machine"
python3 "$FEEDRATE_BENCH/fs_table.py" "$OUT" "$DEFAULT" "$(numfmt --from=si "$BANDWIDTH")" || fail "no table"
