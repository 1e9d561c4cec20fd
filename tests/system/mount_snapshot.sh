#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The metadata snapshot under a mount: the next one lists and stats without a request, also while the
# origin is down; it survives a kill, and what was dropped or is not trusted does not come back.
. "$(dirname "$0")/mount_lib.sh"

mkdir -p data/a data/b data/c/deep
for i in $(seq 300); do echo "$i" >"data/a/f$i"; done
echo b >data/b/only
echo c >data/c/deep/leaf
start_remote data

# Extra knobs.
start_mount()
{
	start s3://data -o "s3.endpoint=$URL,disk.path=tier,http.retries=0,http.timeout=2s,$1"
}

# Names, sizes and times of the whole tree.
tree()
{
	(cd "$1" && find . -printf '%P %s %y %TY-%Tm-%Td %TH:%TM\n' | sort)
}

# ---- the first mount asks, the second knows ----
start_mount ''
tree "$M" >first
[ "$(wc -l <first)" = 307 ]
cachefs-ctl warm "$M" >/dev/null
is origin.requests -ge 5
stop
[ "$(stat -c %a tier/cachefs-*/meta)" = 600 ]
start_mount ''
asked=$(stat_of origin.requests) # whether it is there
tree "$M" >second
cmp first second
[ ! -e "$M/a/absent" ]
is origin.requests -eq "$asked"
is layers.meta.snapshot.loaded -ge 306
stop

# ---- with the origin down it still mounts, lists, and reads what the disk tier holds ----
kill $REMOTE
wait $REMOTE || true
start_mount log.file="$T/log"
tree "$M" >third
cmp first third
diff -r data "$M"
is origin.bytes -eq 0
grep -q 'going on with what is known' "$T/log"
not cachefs-ctl refresh "$M" a 2>said
grep -q 'nothing is forgotten' said
tree "$M" >third
cmp first third
stop

# ---- entries that expired while nothing was mounted are asked for again, or served and counted ----
start_mount meta.expiration=1ms
tree "$M" >fourth
cmp first fourth
is layers.meta.stale -gt 0
stop

# ---- when it comes back, the mount goes on by itself ----
start_mount ''
address=${URL#http://}
synth-remote data --listen "${address%/}" >remote.out 2>&1 &
REMOTE=$!
until_true grep -q http:// remote.out
rm -r tier/cachefs-*/seg-* # what it held is gone: a read has to ask
until_true cmp data/a/f7 "$M/a/f7"
stop

# ---- without a snapshot nobody is let in whose origin is down ----
kill $REMOTE
wait $REMOTE || true
refused 1 'is the server up' cachefs s3://data "$M" -o s3.endpoint="$URL",http.retries=0
refused 1 'is the server up' cachefs s3://data "$M" -o s3.endpoint="$URL",http.retries=0,disk.path=tier,meta.snapshot=none

# ---- a dropped name does not come back, not even after a kill ----
start data -o disk.path=tier
tree "$M" >first
stop
start data -o disk.path=tier
cachefs-ctl drop "$M" a
kill -9 "$PID"
ended "$PID"
rm data/a/f1
start data -o disk.path=tier
[ ! -e "$M/a/f1" ]
stop

# ---- it is also written while the mount goes on ----
start data -o disk.path=tier
cachefs-ctl drop "$M"
tree "$M" >first
until_true compare layers.meta.snapshot.writes -ge 1
kill -9 "$PID"
ended "$PID"
start data -o disk.path=tier
is layers.meta.snapshot.loaded -ge 300
stop

# ---- refresh: what is new is seen, and no byte is fetched again that still is right ----
start data -o disk.path=tier
cachefs-ctl warm "$M" >/dev/null
stop
echo new >data/b/new
echo other >data/b/only
start data -o disk.path=tier
[ "$(ls "$M/b")" = only ]
[ "$(cachefs-ctl refresh "$M" b)" = 'refresh: b' ]
[ "$(ls "$M/b" | tr '\n' ' ')" = 'new only ' ]
[ "$(cachefs-ctl refresh "$M")" = 'refresh: all names and attributes' ]
diff -r data "$M"
is origin.bytes -eq 10
not cachefs-ctl refresh "$M" none 2>said
grep -q 'refresh failed for 1 files or folders; the first: none: No such file' said
stop
start data -o disk.path=tier
diff -r data "$M"
is origin.bytes -eq 0
stop

# ---- a damaged one is told, counted, and the mount asks ----
for f in tier/cachefs-*/meta; do printf x | dd of="$f" bs=1 seek=200 conv=notrunc 2>/dev/null; done
start data -o disk.path=tier,log.file="$T/log2"
diff -r data "$M"
is layers.meta.errors -ge 1
grep -q 'meta.snapshot: .*damaged' "$T/log2"
stop

# ---- a file of the user's own choice; never one that is something else ----
echo precious >mine
refused 1 'meta.snapshot: .*mine: it is no snapshot of cachefs' cachefs data "$M" -o meta.snapshot=mine
[ "$(cat mine)" = precious ]
start data -o meta.snapshot=own
tree "$M" >first
stop
start data -o meta.snapshot=own
is layers.meta.snapshot.loaded -ge 300
tree "$M" >second
cmp first second
stop
