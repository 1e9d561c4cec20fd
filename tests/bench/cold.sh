#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Cold reads over HTTP against curl, from the same throttled server, in one run: the rate of 1, 8 and 32 readers
# of a file each, beside curl with as many streams, and the time to the first byte of a file whose attributes are known.
# Then small files of such a latency, in random order by 16 threads, beside bare sockets that ask one after another; and
# both sizes without a throttle, with the CPU time of cachefs.
# A mount has its defaults and is new each round; rounds are interleaved; figures are medians.
#
#   FEEDRATE_BIN=$PWD/build/release/bin FEEDRATE_BUILD=$PWD/build/release tests/bench/cold.sh
#
# ROUNDS=5  BYTES=1073741824 (of all files together)  FILES=10000 (small)  BANDWIDTH=1.25G  LATENCY=10ms
# OPTIONS= (of the mount)
. "$(dirname "$0")/../system/mount_lib.sh"

ROUNDS=${ROUNDS:-5}
BYTES=${BYTES:-1073741824}
FILES=${FILES:-10000}
BANDWIDTH=${BANDWIDTH:-1.25G}
LATENCY=${LATENCY:-10ms}
OPTIONS=${OPTIONS:-}
export no_proxy=127.0.0.1
command -v curl >/dev/null || skip "curl is missing"
[ -x "$FEEDRATE_BUILD/tests/bench_fs_read" ] || skip "bench_fs_read is not built"

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

# serve OPTION...: another server; its URL.
serve()
{
	[ -z "${REMOTE:-}" ] || kill "$REMOTE"
	: >remote.out
	synth-remote data --listen 127.0.0.1:0 "$@" >remote.out &
	REMOTE=$!
	until_true grep -q http:// remote.out
	URL=$(grep -o 'http://[^ ]*' remote.out)
}

# cold_pass NAME THREADS LIST: reads a list over a new mount; files/s, MB/s and CPU seconds a GB.
cold_pass()
{
	local cpu
	new_mount
	cpu=$(stat_of cpu_s)
	"$FEEDRATE_BUILD/tests/bench_fs_read" -j "$2" -b 262144 "$M" "$3" >pass
	echo "$(cat pass) daemon=$(stat_of cpu_s) before=$cpu requests=$(stat_of origin.requests)" | tr ' =' '\n ' | awk '{ v[$1] = $2 } END {
		print v["files"] / v["seconds"], v["bytes"] / v["seconds"] / 1e6, (v["daemon"] - v["before"]) / v["bytes"] * 1e9, v["requests"] }' >>"$1"
	stop
}

column()
{
	awk -v k="$2" '{ print $k }' "$1" | median
}

for n in 1 8 32; do
	mkdir -p "data/r$n"
	for ((i = 0; i < n; i++)); do truncate -s $((BYTES / n)) "data/r$n/f$i"; done
done
mkdir data/first
for ((i = 0; i < 50; i++)); do truncate -s 110000 "data/first/f$i"; done
mkdir data/small
(cd data/small && seq -f 'f%.0f' 0 $((FILES - 1)) | xargs -n 1000 truncate -s 110000)
seq -f '110000 small/f%.0f' 0 $((FILES - 1)) | shuf --random-source=<(yes) >small
for ((i = 0; i < 8; i++)); do echo "$((BYTES / 8)) r8/f$i"; done >large
serve --remote.bandwidth="$BANDWIDTH" --remote.latency="$LATENCY"

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
serve --remote.latency="$LATENCY"
for ((round = 0; round < ROUNDS; round++)); do
	"$FEEDRATE_BUILD/tests/bench_range_load" "${URL}small/f" "$FILES" 0 16 3 | sed 's|.*requests/s=||; s| .*||' >>sockets
	cold_pass epoch 16 small
done
serve
for ((round = 0; round < ROUNDS; round++)); do
	cold_pass free.small 8 small
	cold_pass free.large 8 large
done
kill "$REMOTE"

printf 'cold, %s and %s, %s bytes in all, median of %s\n\n' "$BANDWIDTH" "$LATENCY" "$BYTES" "$ROUNDS"
printf '| readers | curl | cachefs | of curl | bytes asked of the origin, of the data |\n|---|---|---|---|---|\n'
for n in 1 8 32; do
	awk -v n=$n -v bytes="$BYTES" -v curl="$(median <"curl.$n")" -v mount="$(median <"mount.$n")" \
		-v asked="$(median <"bytes.$n")" 'BEGIN {
		printf "| %d | %.0f MB/s | %.0f MB/s | %.1f%% | %.1f%% |\n", n, bytes / curl, bytes / mount,
			100 * curl / mount, 100 * asked / bytes }'
done
printf '\nfirst byte of a known file: curl %s us, cachefs %s us\n' "$(median <curl.first)" "$(median <mount.first)"
printf '\n%s files of 110 kB, %s, random order, 16 threads: %.0f files/s with %.0f requests; 16 sockets: %.0f\n' "$FILES" "$LATENCY" \
	"$(column epoch 1)" "$(column epoch 4)" "$(median <sockets)"
printf '\nwithout a throttle, 8 threads: small %.0f files/s, %.2f CPU s/GB; large %.0f MB/s, %.2f CPU s/GB\n' "$(column free.small 1)" \
	"$(column free.small 3)" "$(column free.large 2)" "$(column free.large 3)"
