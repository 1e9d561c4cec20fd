#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a plan is worth for small files, against none, in one run: the first pass over files that the tiers
# hold, with and without pushing them into the page cache; and a cold epoch in random order from a throttled server.
# Rounds are interleaved, each with a new mount; figures are medians.
#
#   FEEDRATE_BIN=$PWD/build/release/bin FEEDRATE_BUILD=$PWD/build/release tests/bench/plan.sh
#
# ROUNDS=5  FILES=10000 (of 110 KB)  READERS=2 (first pass)  WORKERS=16 (epoch)  BANDWIDTH=1.25G  LATENCY=10ms
# OPTIONS= (of every mount)  EPOCHS_ONLY=, PASSES_ONLY= (1: that part alone)
. "$(dirname "$0")/../system/mount_lib.sh"

ROUNDS=${ROUNDS:-5}
FILES=${FILES:-10000}
READERS=${READERS:-2}
WORKERS=${WORKERS:-16}
BANDWIDTH=${BANDWIDTH:-1.25G}
LATENCY=${LATENCY:-10ms}
OPTIONS=${OPTIONS:-}
export no_proxy=127.0.0.1
READ=${FEEDRATE_BUILD:?}/tests/bench_fs_read
[ -x "$READ" ] || skip "bench_fs_read is not built"

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

python3 - "$FILES" <<'PYTHON'
import os, random, sys
random.seed(1)
files, block = [], os.urandom(1 << 20)
for i in range(int(sys.argv[1])):
    name, n = f"c{i % 100:02}/f{i:05}", int(110000 * random.uniform(0.5, 1.5))
    os.makedirs(f"src/c{i % 100:02}", exist_ok=True)
    with open("src/" + name, "wb") as f: f.write(block[i % 800000:][:n].ljust(n, b"x"))
    files.append((n, name))
random.shuffle(files)
with open("list", "w") as out, open("plan", "w") as plan:
    for n, name in files:
        print(n, name, file=out)
        print(name, file=plan)
print(sum(n for n, _ in files), file=open("bytes", "w"))
PYTHON
bytes=$(<bytes)

serve() # OPTION...: a new server; URL is where
{
	if [ -n "${SERVER:-}" ]; then kill "$SERVER" && wait "$SERVER" || true; fi
	rm -f url
	synth-remote src --listen 127.0.0.1:0 "$@" >url &
	SERVER=$!
	until_true grep -q http url
	URL=$(grep -o 'http://[^ ]*' url | head -n 1)
}

cpu_of() { stat_of cpu_s; }

# pass NAME THREADS: reads everything, appends files a second and the daemon's CPU microseconds a file.
pass()
{
	local before after line seconds
	before=$(cpu_of)
	line=$("$READ" -j "$2" "$M" list)
	after=$(cpu_of)
	seconds=${line#*seconds=}
	seconds=${seconds%% *}
	awk -v s="$seconds" -v n="$FILES" 'BEGIN { print n / s }' >>"$1.rate"
	awk -v b="$before" -v a="$after" -v n="$FILES" 'BEGIN { print (a - b) * 1e6 / n }' >>"$1.cpu"
}

row() # NAME [BYTES A SECOND that are the limit]
{
	local rate
	rate=$(median <"$1.rate")
	awk -v name="$1" -v r="$rate" -v c="$(median <"$1.cpu")" -v b="$bytes" -v n="$FILES" -v limit="${2:-0}" 'BEGIN {
		printf "%-28s %9.0f files/s %8.1f MB/s %7.1f us CPU a file", name, r, r * b / n / 1e6, c
		if (limit) printf "   %5.1f%% of the limit", 100 * r * b / n / limit
		print "" }'
}

settled() # pushing has come to rest
{
	local before
	before=$(stat_of plan.pushed)
	sleep 0.5
	[ "$before" -gt 0 ] && [ "$(stat_of plan.pushed)" = "$before" ]
}

first_passes()
{
	local hot=mem.capacity=$((bytes * 4 / 3)),fuse.open_mode=noopen${OPTIONS:+,$OPTIONS}

	serve
	start "$URL" -o "disk.path=tier,fuse.open_mode=noopen${OPTIONS:+,$OPTIONS}"
	cachefs-ctl warm "$M" --plan plan
	stop
	for _ in $(seq "$ROUNDS"); do
		start "$URL" -o "disk.path=tier,fuse.push=0,fuse.open_mode=noopen${OPTIONS:+,$OPTIONS}"
		ls -R "$M" >/dev/null
		pass from-disk-tier "$READERS"
		stop
		for how in from-memory-tier pushed-before pushed-meanwhile; do
			case $how in
			from-memory-tier) push=0 ;;
			pushed-before) push=$((bytes * 2)) ;;
			pushed-meanwhile) push=64M ;;
			esac
			start "$URL" -o "$hot,fuse.push=$push"
			cachefs-ctl warm "$M" --plan plan >out
			[ $push != 0 ] || ls -R "$M" >/dev/null
			[ $push = 0 ] || until_true settled
			pass $how "$READERS"
			[ $how != pushed-before ] || pass read-again "$READERS"
			stop
		done
	done
	for how in from-disk-tier from-memory-tier pushed-meanwhile pushed-before read-again; do row $how; done
}

epochs()
{
	local limit how
	limit=$(numfmt --from=si "${BANDWIDTH%B/s}")
	serve --remote.bandwidth="$BANDWIDTH" --remote.latency="$LATENCY"
	for _ in $(seq "$ROUNDS"); do
		for how in cold-without-plan cold-with-plan cold-with-plan-unpushed; do
			push=64M
			[ $how != cold-with-plan-unpushed ] || push=0
			start "$URL" -o "fuse.open_mode=noopen,mem.capacity=512M,fuse.push=$push${OPTIONS:+,$OPTIONS}"
			ls -R "$M" >/dev/null # as ImageFolder does
			[ $how = cold-without-plan ] || cachefs-ctl warm "$M" --plan plan >out &
			pass $how "$WORKERS"
			wait %% 2>/dev/null || true
			stop
		done
	done
	for how in cold-without-plan cold-with-plan-unpushed cold-with-plan; do row $how "$limit"; done
}

[ -n "${EPOCHS_ONLY:-}" ] || first_passes
[ -n "${PASSES_ONLY:-}" ] || epochs
kill "$SERVER"
