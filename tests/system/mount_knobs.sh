#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Knobs of the FUSE session and of threads: each has its effect, or the statistics say why not.
. "$(dirname "$0")/mount_lib.sh"

mkdir data
for i in $(seq 60); do head -c 300000 /dev/urandom >data/f$i; done

# Sixty readers at once, each of its own file, behind a delay: FUSE threads get something to do.
sixty()
{
	local job
	for i in $(seq 60); do
		cmp data/f$i "$M/f$i" &
	done
	for job in $(jobs -p); do
		wait "$job" || return 1
	done
}

# ---- threads: as many as asked for, kept or not ----
start data -o fuse.max_threads=3
sixty
is fuse.threads -le 4 # libfuse counts its own first one beside them
created=$(stat_of fuse.threads_created)
stop
start data -o fuse.max_threads=16
sixty
is fuse.threads -ge 2
is fuse.threads_busy -ge 1 # the one that answers this
stop
start data -o fuse.max_threads=16,fuse.max_idle_threads=1,fuse.open_mode=direct
sixty
sixty
is fuse.threads_created -gt 16
stop
[ "$created" -le 4 ]

# ---- dispatch=inline: as many requests wait at once as there are threads; pool: all of them ----
slow='cache.stack=meta\,mem\,delay,delay.latency=300ms,fuse.open_mode=direct'
for way in inline pool; do
	start data -o "$slow,fuse.dispatch=$way,fuse.max_threads=2"
	ls -l "$M" >/dev/null
	t0=$EPOCHREALTIME
	for i in 1 2 3 4 5 6 7 8; do
		cmp data/f$i "$M/f$i" &
	done
	for job in $(jobs -p); do
		wait "$job"
	done
	t1=$EPOCHREALTIME
	took=$(((${t1/./} - ${t0/./}) / 1000))
	case $way in
	inline) [ $took -ge 1100 ] || fail "8 waits of 300 ms on 2 threads in $took ms" ;;
	pool) [ $took -lt 1100 ] || fail "8 waits of 300 ms at once in $took ms" ;;
	esac
	stop
done

# ---- clone_fd: a descriptor a worker ----
devices()
{
	find "/proc/$PID/fd" -lname /dev/fuse | wc -l
}
start data
sixty
[ "$(devices)" = 1 ]
stop
start data -o fuse.clone_fd=yes
sixty
[ "$(devices)" -gt 1 ]
stop

# ---- readahead: the kernel's, in its own words; 0 reads page by page ----
for kib in 128 1024 4096; do
	start data -o fuse.readahead=${kib}K
	bdi=/sys/class/bdi/$(findmnt -no MAJ:MIN "$M" | tr -d ' ')/read_ahead_kb
	if [ -w "$bdi" ]; then
		[ "$(<"$bdi")" = $kib ]
		[ "$(stat_of fuse.readahead_why)" = fuse.readahead ]
	else
		[ "$(stat_of fuse.readahead_why)" != fuse.readahead ]
	fi
	is fuse.readahead -gt 0
	stop
done

# ---- max_background ----
start data -o fuse.max_background=7
is fuse.max_background -eq 7
stop

# ---- timeouts: 0 asks for each name each time; never asks once ----
start data -o fuse.entry_timeout=0,fuse.attr_timeout=0
for _ in $(seq 20); do stat "$M/f1" >/dev/null; done
is fuse.lookups -ge 20
stop
start data
for _ in $(seq 20); do stat "$M/f1" >/dev/null; done
is fuse.lookups -lt 20
stop

# ---- open modes: noopen opens once for the whole mount, and saves opens ever after ----
for mode in direct page noopen; do
	start data -o fuse.open_mode=$mode
	for i in $(seq 30); do
		cat "$M/f$i" >/dev/null
	done
	cat "$M"/f* >/dev/null
	reads=$(stat_of fuse.reads)
	cat "$M"/f* >/dev/null
	more=$(($(stat_of fuse.reads) - reads))
	if [ $mode = direct ]; then
		[ $more -ge 60 ] || fail "direct: $more READs for 60 files"
	else
		[ $more -lt 30 ] || fail "$mode: $more READs for 60 files in the page cache"
	fi
	if [ $mode = noopen ]; then
		is fuse.opens -le 2
	else
		is fuse.opens -ge 120
	fi
	stop
done

# ---- cpu.count, cpu.bind ----
start data -o cpu.count=1,cpu.bind=compact
sixty
is cpu.count -eq 1
[ "$(stat_of cpu.why)" = cpu.count ]
if [ "$(nproc)" -gt 1 ]; then
	bound=$(cat "/proc/$PID/task"/*/status | grep -cE '^Cpus_allowed_list:\s[0-9]+$' || true)
	[ "$bound" -ge 1 ] || fail "no thread is bound to one CPU"
	is fuse.threads -ge "$bound"
fi
stop
start data
is cpu.count -le "$(nproc)"
stop
start data -o cache.fill_threads=1,disk.path=tier
cachefs-ctl warm "$M" >/dev/null
stop

# ---- where a knob's value came from; a comma in a value ----
start data --fuse.max_threads=5 -o meta.expiration=10m
cachefs-ctl stats "$M" --json | python3 -c '
import json, sys
k = json.load(sys.stdin)["knobs"]
assert k["fuse.max_threads"]["value"] == "5" and k["fuse.max_threads"]["from"] != "default"
assert k["meta.expiration"]["value"] == "10m" and k["cpu.count"]["from"] == "default"'
stop
mkdir 'da,ta' 'ti,er'
echo x >'da,ta/f'
start 'da,ta' -o 'disk.path=ti\,er'
[ "$(<"$M/f")" = x ]
[ "$(findmnt -no SOURCE "$M")" = "$T/da,ta" ]
[ "$(stat_of layers.disk.path | cut -d/ -f1-4)" = "$T/ti,er" ]
stop
