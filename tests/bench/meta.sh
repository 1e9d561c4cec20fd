#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Names and attributes of many files: how long it takes to mount and to list them, the first time, by the
# next mount from the metadata snapshot (the origin has stopped by then), and from the kernel's memory;
# beside `find` over as many files of the native file system; and the daemon's memory for each file.
# The origin is a bucket made of arithmetic (many_files.c), so that its own cost is small.
#
#   FEEDRATE_BIN=build/release/bin FEEDRATE_BUILD=build/release tests/bench/meta.sh
#
# SHAPES="1000x1000 -x1000000" (folders x files each; -: one folder)  NATIVE=yes (makes that many
# empty files in $TMPDIR, removed at the end)  OPTIONS= (of the mount)
. "$(dirname "$0")/../system/mount_lib.sh"

SHAPES=${SHAPES:-1000x1000 -x1000000}
NATIVE=${NATIVE:-yes}
OPTIONS=${OPTIONS:-}
export no_proxy=127.0.0.1
unset AWS_ENDPOINT_URL

seconds()
{
	local from=${EPOCHREALTIME/[.,]/}
	"$@" >"$T/out"
	awk -v us=$((${EPOCHREALTIME/[.,]/} - from)) 'BEGIN { printf "%.2f", us / 1e6 }'
}

# Asks for the attributes of each file.
list()
{
	find "$1" -size +1000000k
}

# Bytes of the daemon's own memory.
memory()
{
	awk '/^Anonymous:/ { print $2 * 1024 }' "/proc/$PID/smaps_rollup"
}

mount_it()
{
	timeout 60 cachefs s3://many "$M" -o "s3.endpoint=$URL,disk.path=$T/tier,http.retries=0${OPTIONS:+,$OPTIONS}"
}

make_native()
{
	local folders=$1 files=$2 f
	mkdir native
	for ((f = 0; f < folders; f++)); do
		mkdir "native/n$f"
		(cd "native/n$f" && seq -f "n${f}_%.0f.JPEG" "$files" | xargs -n 2000 touch)
	done
}

printf '| files | mount, s | list, s | unmount, s | next mount, s | its list, s | from the kernel, s | native, s | native again, s | bytes a file | of it listings |\n'
printf '|---|---|---|---|---|---|---|---|---|---|---|\n'
for shape in $SHAPES; do
	folders=${shape%x*}
	files=${shape#*x}
	n=$files
	[ "$folders" = - ] || n=$((folders * files))
	rm -rf tier native
	mkdir tier
	"$FEEDRATE_BUILD/tests/bench_many_files" "$folders" "$files" >url &
	ORIGIN=$!
	until_true grep -q http url
	URL=$(cat url)
	first_mount=$(seconds mount_it)
	PID=$(stat_of pid)
	before=$(memory)
	first_list=$(seconds list "$M")
	after=$(memory)
	is fuse.inodes -ge "$n"
	away=$(seconds stop)
	kill $ORIGIN
	wait $ORIGIN || true
	next_mount=$(seconds mount_it)
	PID=$(stat_of pid)
	listings=$(($(memory) - before))
	next_list=$(seconds list "$M")
	again=$(seconds list "$M")
	is origin.bytes -eq 0
	[ -z "$(cat "$T/out")" ]
	stop
	native=- native_again=-
	if [ "$NATIVE" = yes ]; then
		[ "$folders" = - ] && make_native 1 "$files" || make_native "$folders" "$files"
		echo 2 2>/dev/null >/proc/sys/vm/drop_caches || true
		native=$(seconds list native)
		native_again=$(seconds list native)
	fi
	printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s | %d | %d |\n' "$shape" "$first_mount" "$first_list" "$away" \
		"$next_mount" "$next_list" "$again" "$native" "$native_again" $(((after - before) / n)) $((listings / n))
done
