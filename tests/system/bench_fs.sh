#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/bench/fs.sh from one end to the other with little data: each row has its figure, hot and disk passes
# need no origin, and a wrong byte ends it. Peers that are missing are not measured.
. "$(dirname "$0")/mount_lib.sh"

BENCH=$FEEDRATE_SOURCE/tests/bench
small()
{
	env -u MOUNT_TEST_DIR ROUNDS=1 FILES=40 LARGE=2 LARGE_BYTES=1500000 PEER_FILES=20 HOT_S=0.02 COLD_S=1 FIO_MS=50 \
		LATENCY=1ms DROP=fadvise SETS="small large epoch" timeout 100 bash "$BENCH/fs.sh" "$T/out" >said 2>&1
}
code=0
small || code=$?
[ $code != 77 ] || skip "$(sed -n 's/^SKIP: //p' said)"
[ $code = 0 ] || fail "$(tail -n 3 said)"

modes=$(cachefs --help fuse.open_mode | sed -n 's/^  one of *//p' | tr -d ,)
for mode in $modes; do
	for row in "small list" "small cold" "small hot" "small hot python" "small disk" "large cold" "large hot" "large disk"; do
		grep -q "^0,$row,$mode,[1-9]" out/fs.csv || fail "no pass of $row, $mode"
	done
done
grep -q "^0,epoch cold,$(cachefs --help fuse.open_mode | sed -n 's/^  default *//p'),[1-9]" out/fs.csv
grep -q "^0,small disk,native,40," out/fs.csv
[ "$(grep -c '^| small, hot |' out/table.md)" = 5 ] # rate, CPU, CPUs busy, memory, spread
grep -q 'of native | of best peer' out/table.md
[ -s out/fs.svg ] || not command -v gnuplot

# What is compared is compared: another byte, another length, a file that is missing.
read=$FEEDRATE_BUILD/tests/bench_fs_read
mkdir a b
head -c 300000 /dev/urandom >a/f
cp a/f b/f
echo "300000 f" >list
[ "$("$read" -j 1 -c a b list | cut -d' ' -f1,2)" = "files=1 bytes=300000" ]
printf x | dd of=b/f bs=1 seek=299999 conv=notrunc 2>/dev/null
not "$read" -j 1 -c a b list >said 2>&1
truncate -s 299999 b/f
not "$read" -j 1 b list >said 2>&1
not python3 "$BENCH/fs_read.py" 1 0 1 b list >said 2>&1
rm b/f
not "$read" -j 1 b list >said 2>&1
