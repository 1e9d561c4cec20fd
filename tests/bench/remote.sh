#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# synth-remote without limits beside nginx: the same files, the same clients, in alternating pairs.
#
#   tests/bench/remote.sh [ROUNDS [SECONDS]]      default: 7 rounds of 1 s; a release build
#
# Ranges of 128 KiB and 1 MiB of one object, and whole small files of ImageNet's sizes, at 1 and 32
# connections, from the page cache. Prints medians over the rounds: GB/s, requests/s and CPU seconds of the
# server per GB, and the median of the ratios of each pair. nginx: sendfile, no access log, as many
# workers as CPUs. Needs nginx-light.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-7} seconds=${2:-1}
bin=${FEEDRATE_BUILD:-build/release}

command -v nginx >/dev/null || { echo "remote.sh: nginx is missing; apt-get install nginx-light" >&2; exit 1; }
[ -x "$bin/tests/bench_range_load" ] || { echo "remote.sh: cmake --preset release && cmake --build --preset release" >&2; exit 1; }

work=$(mktemp -d)
trap 'kill "${remote_pid:-}" "${nginx_pid:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
chmod 755 "$work" # nginx's workers are another user's
size=$((256 << 20)) files=1000
mkdir "$work/data"
head -c $size /dev/urandom >"$work/data/object"
"$bin/bin/synth-data" "$work/pictures" --samples $files --format imagefolder --data.classes=1
i=0
for file in "$work"/pictures/*/*.JPEG; do mv "$file" "$work/data/small-$((i++))"; done

"$bin/bin/synth-remote" "$work/data" >"$work/url" &
remote_pid=$!
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/nginx.conf" <<-EOF
	worker_processes auto;
	pid $work/nginx.pid;
	error_log $work/nginx.log;
	daemon off;
	worker_rlimit_nofile 8192;
	events { worker_connections 2048; }
	http {
		access_log off;
		sendfile on;
		tcp_nopush on;
		keepalive_requests 1000000000;
		server { listen 127.0.0.1:$port; root $work/data; }
	}
EOF
nginx -c "$work/nginx.conf" 2>"$work/nginx.err" &
nginx_pid=$!
for _ in $(seq 100); do
	[ -s "$work/url" ] && curl -sfo /dev/null -r 0-0 "http://127.0.0.1:$port/object" && break
	sleep .05
done
declare -A url=([synth-remote]=$(cat "$work/url") [nginx]=http://127.0.0.1:$port/)

# Clock ticks that a process and its children have taken.
ticks() {
	local pid sum=0
	for pid in "$1" $(pgrep -P "$1" || true); do
		sum=$((sum + $(awk '{sub(/.*\) /, ""); print $12 + $13}' "/proc/$pid/stat")))
	done
	echo "$sum"
}

measure() { # SERVER PATH SIZE RANGE CONNECTIONS: "MB/s requests/s CPU-s/GB"
	local pid=$remote_pid before line
	[ "$1" = nginx ] && pid=$nginx_pid
	before=$(ticks "$pid")
	line=$("$bin/tests/bench_range_load" "${url[$1]}$2" "$3" "$4" "$5" "$seconds") || { echo "remote.sh: $1: $line" >&2; exit 1; }
	awk -v ticks=$(($(ticks "$pid") - before)) -v hz="$(getconf CLK_TCK)" -v s="$seconds" '{
		for (i = 1; i <= NF; i++) { split($i, kv, "="); v[kv[1]] = kv[2] }
		print v["MB/s"], v["requests/s"], ticks / hz / (v["MB/s"] * s / 1000) }' <<<"$line"
}

median() { sort -n | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

cell() { # NAME PATH SIZE RANGE CONNECTIONS
	local round order server name
	for ((round = 0; round < rounds; round++)); do
		order="synth-remote nginx"
		((round % 2)) && order="nginx synth-remote"
		for server in $order; do measure "$server" "${@:2}" >>"$work/$server"; done
	done
	for server in synth-remote nginx; do
		name=$server
		printf '%-10s %3d  %-12s %6.2f GB/s  %7.0f req/s  %5.3f CPU s/GB' "$1" "$5" "$name" \
			"$(awk '{print $1 / 1000}' "$work/$server" | median)" \
			"$(awk '{print $2}' "$work/$server" | median)" "$(awk '{print $3}' "$work/$server" | median)"
		if [ "$server" = nginx ]; then
			paste -d' ' "$work/synth-remote" "$work/nginx" >"$work/both"
			printf '   synth-remote is %.2f x as fast, %.2f x the CPU' \
				"$(awk '{print $2 / $5}' "$work/both" | median)" "$(awk '{print $3 / $6}' "$work/both" | median)"
		fi
		echo
	done
	rm "$work/synth-remote" "$work/nginx"
}

echo "$(nproc) CPUs, load $(cut -d' ' -f1-3 /proc/loadavg), $(nginx -v 2>&1 | sed 's/.*: //'), $rounds rounds of $seconds s"
cell warm-up object $size $((128 << 10)) 4 >/dev/null
for connections in 1 32; do
	cell "128 KiB" object $size $((128 << 10)) $connections
	cell "1 MiB" object $size $((1 << 20)) $connections
	cell "small" small- $files 0 $connections
done
