#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cold reads over HTTP against curl, from the same throttled server, in one run: the rate of 1, 8 and 32 readers
# of a file each, beside curl with as many streams, and the time to the first byte of a file whose attributes are known.
# A mount has its defaults and is new each round; rounds are interleaved; figures are medians.
#
#   FEEDRATE_BIN=build/release/bin tests/bench/cold.sh
#
# ROUNDS=5  BYTES=1073741824 (of all files together)  BANDWIDTH=1.25G  LATENCY=10ms  OPTIONS= (of the mount)
. "$(dirname "$0")/../system/mount_lib.sh"

ROUNDS=${ROUNDS:-5}
BYTES=${BYTES:-1073741824}
BANDWIDTH=${BANDWIDTH:-1.25G}
LATENCY=${LATENCY:-10ms}
OPTIONS=${OPTIONS:-}
export no_proxy=127.0.0.1
command -v curl >/dev/null || skip "curl is missing"

now_us()
{
	echo "${EPOCHREALTIME/[.,]/}"
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# timed N COMMAND: runs it for each of N files at once; microseconds until all are done.
timed()
{
	local n=$1 command=$2 from pids=() i
	from=$(now_us)
	for ((i = 0; i < n; i++)); do
		"$command" "r$n/f$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	echo $(($(now_us) - from))
}

by_curl()
{
	curl --silent --fail --output /dev/null "$URL$1"
}

by_mount()
{
	dd if="$M/$1" of=/dev/null bs=256K status=none
}

new_mount()
{
	timeout 60 cachefs "$URL" "$M" ${OPTIONS:+-o "$OPTIONS"}
	PID=$(stat_of pid)
	ls -lR "$M" >/dev/null
}

for n in 1 8 32; do
	mkdir -p "data/r$n"
	for ((i = 0; i < n; i++)); do truncate -s $((BYTES / n)) "data/r$n/f$i"; done
done
mkdir data/first
for ((i = 0; i < 50; i++)); do truncate -s 110000 "data/first/f$i"; done
synth-remote data --listen 127.0.0.1:0 --remote.bandwidth="$BANDWIDTH" --remote.latency="$LATENCY" >remote.out &
REMOTE=$!
until_true grep -q http:// remote.out
URL=$(grep -o 'http://[^ ]*' remote.out)

for ((round = 0; round < ROUNDS; round++)); do
	for n in 1 8 32; do
		timed $n by_curl >>"curl.$n"
		new_mount
		timed $n by_mount >>"mount.$n"
		stat_of origin.bytes >>"bytes.$n"
		stop
	done
	new_mount
	for ((i = 0; i < 10; i++)); do
		curl --silent --output /dev/null --range 0-110000 --write-out '%{time_starttransfer}\n' \
			"${URL}first/f$((round * 10 % 50 + i))" | awk '{ print $1 * 1e6 }' >>curl.first
		/usr/bin/python3 -c '
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
start = time.perf_counter()
os.pread(fd, 4096, 0)
print(round((time.perf_counter() - start) * 1e6))' "$M/first/f$((round * 10 % 50 + i))" >>mount.first
	done
	stop
done
kill $REMOTE

printf 'cold, %s and %s, %s bytes in all, median of %s\n\n' "$BANDWIDTH" "$LATENCY" "$BYTES" "$ROUNDS"
printf '| readers | curl | cachefs | of curl | bytes asked of the origin, of the data |\n|---|---|---|---|---|\n'
for n in 1 8 32; do
	awk -v n=$n -v bytes="$BYTES" -v curl="$(median <"curl.$n")" -v mount="$(median <"mount.$n")" \
		-v asked="$(median <"bytes.$n")" 'BEGIN {
		printf "| %d | %.0f MB/s | %.0f MB/s | %.1f%% | %.1f%% |\n", n, bytes / curl, bytes / mount,
			100 * curl / mount, 100 * asked / bytes }'
done
printf '\nfirst byte of a known file: curl %s us, cachefs %s us\n' "$(median <curl.first)" "$(median <mount.first)"
