#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How fast synth-data makes data, beside what the disk takes by O_DIRECT in the same run.
#
#   tests/bench/generate.sh [FOLDER [ROUNDS [SIZE]]]      default: /tmp, 5 rounds of 2GB; a release build
#
# Each round writes SIZE with dd, as tfrecord and as imagefolder with 2 threads, in an order that
# rotates; all are durable when the clock stops. Medians are printed, and whether they reach 500 MB/s
# or 80% of the disk, whichever is less. What was written is removed at the end, not before: ext4
# looks long for inodes where many were just deleted.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-/tmp} rounds=${2:-5} size=${3:-2GB}
program=${FEEDRATE_BUILD:-build/release}/bin/synth-data
[ -x "$program" ] || { echo "generate.sh: cmake --preset release && cmake --build --preset release" >&2; exit 1; }

work=$(mktemp -d "$folder/feedrate-generate-XXXXXX")
trap 'rm -rf "$work"' EXIT
bytes=$("$program" "$work/probe" --samples 1 --json | jq .bytes) # the programs and folder work
bytes=$(numfmt --from=auto --suffix=B "$size" | tr -d B)
need=$((bytes * 3 * rounds + (1 << 30)))
have=$(($(df --output=avail -B1 "$work" | tail -1)))
[ "$have" -gt $need ] || { echo "generate.sh: $folder has $((have >> 30)) GiB, $((need >> 30)) are needed; give fewer rounds or a smaller size" >&2; exit 1; }

measure() { # WAY ROUND: MB/s
	local start
	case $1 in
	dd)
		start=$(date +%s%N)
		dd if=/dev/zero of="$work/dd-$2" bs=4M count=$((bytes / (4 << 20))) oflag=direct conv=fsync status=none
		echo $((bytes / (4 << 20) * (4 << 20) * 1000 / ($(date +%s%N) - start)))
		;;
	*) "$program" "$work/$1-$2" --format "$1" --bytes "$size" --threads 2 --json | jq '.bytes_per_s / 1e6 | floor' ;;
	esac
}

median() { sort -n | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

ways=(dd tfrecord imagefolder)
echo "$(nproc) CPUs, load $(cut -d' ' -f1-3 /proc/loadavg), $(findmnt -no FSTYPE,SOURCE -T "$work"), $rounds rounds of $size"
for ((round = 0; round < rounds; round++)); do
	for i in 0 1 2; do
		way=${ways[(i + round) % 3]}
		measure "$way" "$round" >>"$work/$way"
	done
	sync -f "$work"
done
disk=$(median <"$work/dd")
wanted=$(awk -v d="$disk" 'BEGIN {print d * .8 < 500 ? d * .8 : 500}')
printf '%-12s %5.0f MB/s  (%s)\n' "disk" "$disk" "$(paste -sd' ' "$work/dd")"
for way in tfrecord imagefolder; do
	rate=$(median <"$work/$way")
	printf '%-12s %5.0f MB/s  (%s)  %s\n' "$way" "$rate" "$(paste -sd' ' "$work/$way")" \
		"$(awk -v r="$rate" -v w="$wanted" 'BEGIN {printf "%s the %.0f MB/s wanted", (r >= w ? "reaches" : "misses"), w}')"
done
