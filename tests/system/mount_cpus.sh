#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How many CPUs a mount takes itself to have: by affinity, by cpuset, and by the smallest CPU quota of real
# cgroups up to the root (v1, or v2 where it has the cpu controller); and what it does with that.
. "$(dirname "$0")/mount_lib.sh"

mkdir data
for i in $(seq 40); do head -c 200000 /dev/urandom >data/f$i; done
groups=()
drop_groups()
{
	local i
	trap - ERR
	umount "$M" 2>/dev/null
	for ((i = ${#groups[@]} - 1; i >= 0; i--)); do
		until rmdir "${groups[i]}" 2>/dev/null || ((SECONDS > 100)); do sleep 0.05; done
	done
}
trap drop_groups EXIT

# start_in GROUP [OPTION...]: start, from inside a cgroup.
start_in()
{
	(echo 0 >"$1/cgroup.procs" && exec timeout 60 cachefs data "$M" "${@:2}") || return 1
	PID=$(stat_of pid)
}

many_readers()
{
	local i jobs=()
	for i in $(seq 40); do
		cmp "data/f$i" "$M/f$i" &
		jobs+=($!)
	done
	for i in "${jobs[@]}"; do
		wait "$i" || return 1
	done
}

# ---- a number; what pools are sized for: a filler thread a CPU ----
# Fetches all again and again until there are so many fillers; at most so often.
fill()
{
	local i
	for ((i = 0; i < $2; i++)); do
		cachefs-ctl warm "$M" >/dev/null
		compare layers.disk.fill_threads -lt "$1" || return 0
		cachefs-ctl drop "$M" / >/dev/null
	done
}
start data -o cpu.count=1,disk.path=tier
is cpu.count -eq 1
[ "$(stat_of cpu.why)" = cpu.count ]
fill 2 5
is layers.disk.fill_threads -eq 1
stop
start data -o cpu.count=4,disk.path=tier
is cpu.count -eq 4
fill 2 100
is layers.disk.fill_threads -ge 2
is layers.disk.fill_threads -le 4
stop

# ---- affinity ----
first=$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')
taskset -c "$first" cachefs data "$M"
PID=$(stat_of pid)
is cpu.count -eq 1
[[ $(stat_of cpu.why) = "1 by affinity; "* ]]
stop

# ---- cpu.bind: nowhere, on one CPU, on all ----
# The CPUs of those threads that are bound to one, each once.
bound()
{
	sed -n 's/^Cpus_allowed_list:\t\([0-9]*\)$/\1/p' /proc/"$PID"/task/*/status | sort -u | wc -l
}
cpus=$(nproc)
if [ "$cpus" -gt 1 ]; then
	start data
	many_readers
	[ "$(bound)" = 0 ]
	is cpu.bound -eq 0
	stop
	for bind in compact spread; do
		for count in 1 2; do
			start data -o "cpu.bind=$bind,cpu.count=$count,fuse.open_mode=direct"
			until [ "$(bound)" = $count ] || ((SECONDS > 100)); do many_readers; done
			[ "$(bound)" = $count ] || fail "$bind: threads on $(bound) CPUs, not $count"
			is cpu.bound -eq $count
			stop
		done
	done
fi

# ---- real cgroups ----
group_of()
{
	sed -n "s/^[0-9]*:\([a-z,]*,\)\?$1\(,[a-z,]*\)\?://p" /proc/self/cgroup
}
new_group()
{
	mkdir "$1" 2>/dev/null || return 1
	groups+=("$1")
}
v1=/sys/fs/cgroup/cpu$(group_of cpu)
v1=${v1%/}/${T##*/}
v2=/sys/fs/cgroup/${T##*/}
if [ -n "$(group_of cpu)" ] && new_group "$v1" && new_group "$v1/inner"; then
	quota() { echo 100000 >"$1/cpu.cfs_period_us" && echo "$2" >"$1/cpu.cfs_quota_us"; }
	outer=$v1
elif grep -qsw cpu /sys/fs/cgroup/cgroup.subtree_control && new_group "$v2" && echo +cpu >"$v2/cgroup.subtree_control" &&
	new_group "$v2/inner"; then
	quota() { echo "$2 100000" >"$1/cpu.max"; }
	outer=$v2
else
	echo "no cpu cgroup may be made here: quotas are tested with fixtures only"
	exit 0
fi

# The smallest of all levels counts, wherever it stands; rounded as asked for; never above what affinity allows.
for where in "$outer" "$outer/inner"; do
	quota "$where" 60000
	start_in "$outer/inner"
	is cpu.count -eq 1
	[[ $(stat_of cpu.why) = *" by affinity; cgroup "*"${where#"${outer%/*}"} allows 0.6" ]] || fail "$(stat_of cpu.why)"
	stop
	quota "$where" -1 2>/dev/null || quota "$where" max
done
quota "$outer" 160000
for words in auto:2 ceil:2 floor:1; do
	start_in "$outer/inner" -o "cpu.count=${words%:*}"
	is cpu.count -eq $((${words#*:} < cpus ? ${words#*:} : cpus))
	stop
done
quota "$outer" 12800000
start_in "$outer/inner"
is cpu.count -eq "$cpus"
stop

# ---- a cpuset ----
set=/sys/fs/cgroup/cpuset$(group_of cpuset)
set=${set%/}/${T##*/}
if [ -n "$(group_of cpuset)" ] && new_group "$set"; then
	echo "$first" >"$set/cpuset.cpus"
	cat "${set%/*}/cpuset.mems" >"$set/cpuset.mems"
	start_in "$set"
	is cpu.count -eq 1
	stop
fi
