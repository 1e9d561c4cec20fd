#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon's memory in a cgroup of its own: anonymous, shared and the kernel's, with FILES files read by 32 cold
# readers and then by 16 FUSE threads, stays within mem.capacity and 64 MiB. What the page cache holds is the
# kernel's to take back, and left out.
#
#   FILES=200000 tests/system/mount_memory.sh     more files
. "$(dirname "$0")/mount_lib.sh"

FILES=${FILES:-10000}
CAPACITY=64
MOST=$((CAPACITY + 64))

# A new cgroup below that of this process that counts memory: v1, else v2.
make_group()
{
	local v1=/sys/fs/cgroup/memory v2
	v2=$(findmnt --noheadings --output TARGET --types cgroup2 | head -1)
	if [ -e $v1/memory.stat ] && mkdir "$v1/feedrate-$$" 2>/dev/null; then
		G=$v1/feedrate-$$
	elif [ -n "$v2" ] && grep -qw memory "$v2/cgroup.subtree_control" 2>/dev/null && mkdir "$v2/feedrate-$$" 2>/dev/null; then
		G=$v2/feedrate-$$
	else
		skip "no cgroup that counts memory can be made here (root, and v1 memory or v2 with +memory)"
	fi
	trap 'rmdir "$G"' EXIT
}

# MiB in use but for the page cache; v1's "shmem" is in its cache, and may be missing.
used()
{
	awk -v kernel="$(cat "$G/memory.kmem.usage_in_bytes" 2>/dev/null)" '
		$1 == "total_rss" || $1 == "anon" || $1 == "total_shmem" || $1 == "shmem" && v2 { n += $2 }
		$1 == "anon" { v2 = 1 }
		$1 == "kernel" { n += $2 }
		END { printf "%d\n", (n + kernel) / 1048576 + 1 }' "$G/memory.stat"
}

within()
{
	local now
	now=$(used)
	echo "$1: $now MiB of $MOST"
	[ "$now" -le $MOST ] || fail "$1: $now MiB are in use, more than mem.capacity=${CAPACITY}M and 64 MiB"
}

read_all()
{
	xargs -P "$1" -n 100 cat <names >/dev/null
}

make_group
mkdir data
for ((i = 0; i < FILES; i++)); do
	[ $((i % 1000)) != 0 ] || { folder=data/n$((i / 1000)) && mkdir $folder; }
	echo "$folder/n01440764_$i.JPEG"
done | tee names.data | xargs truncate -s 20000
sed "s,^data,$M," names.data >names
start_remote data

# The daemon is started from within the group, and stays there. direct: each read reaches it.
start_in_group()
{
	sh -c 'echo $$ >"$0/cgroup.procs" && exec cachefs "$@"' "$G" "$URL" "$M" -o \
		"disk.path=tier,mem.capacity=${CAPACITY}M,fuse.max_threads=16,fuse.open_mode=direct,log.file=$T/log"
	PID=$(stat_of pid)
}
start_in_group
[ "$(stat_of layers.mem.capacity_bytes)" = $((CAPACITY << 20)) ]
grep -qx "$PID" "$G/cgroup.procs" || fail "the daemon is not in the cgroup"
empty=$(used)
[ "$empty" -lt 32 ] || fail "an idle mount takes $empty MiB"
echo "idle: $empty MiB"
read_all 32
is layers.mem.used_bytes -gt 60000000
within "read cold by 32"
read_all 16
within "read again by 16"
until_true compare layers.disk.fill_queue -eq 0
echo "$FILES files: $((($(used) - empty - CAPACITY) * 1048576 / FILES)) bytes each beside mem.capacity; threads $(stat_of fuse.threads)"
stop
kill $REMOTE

# ---- a limit below mem.capacity is told of ----
until_true rmdir "$G"
mkdir "$G"
limit=$G/memory.limit_in_bytes
[ -e "$limit" ] || limit=$G/memory.max
echo 100M >"$limit"
sh -c 'echo $$ >"$0/cgroup.procs" && exec cachefs "$@"' "$G" data "$M" -o mem.capacity=200M 2>said
PID=$(stat_of pid)
grep -q "mem.capacity: .* is more than the cgroup's memory limit of .*; give less, or auto" said || fail "not told of the limit: $(cat said)"
stop
