#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mounts over HTTP: by URL and as a bucket, with an origin that is not there, hangs, or comes back.
. "$(dirname "$0")/mount_lib.sh"

mkdir -p 'data/class a' data/n02
for i in 1 2 3; do head -c $((i * 700001)) /dev/urandom >"data/class a/file $i"; done
head -c 100 /dev/urandom >data/n02/small
start_remote data

# ---- each way to name it ----
for origin in "$URL" "${URL}data" s3://data; do
	start "$origin" -o s3.endpoint="$URL",disk.path=
	diff -r data "$M"
	stop
done
start "${URL}class a"
diff -r 'data/class a' "$M"
stop

# ---- a file that no listing told of: attributes and bytes in one request ----
start s3://data -o s3.endpoint="$URL"
[ -d "$M/n02" ]
before=$(stat_of origin.requests)
cmp data/n02/small "$M/n02/small"
is origin.requests -eq $((before + 1))
stop

# ---- small reads here and there in a large file: what is fetched for them has a bound ----
mkdir wide
truncate -s 400M wide/file
synth-remote wide --listen 127.0.0.1:0 >wide.out &
WIDE=$!
until_true grep -q http:// wide.out
start "$(grep -o 'http://[^ ]*' wide.out)" -o cache.amplification=2,readahead.max=0,fuse.open_mode=direct
/usr/bin/python3 -c '
import os, random, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
random.seed(1)
for i in range(4000):
    assert os.pread(fd, 4096, random.randrange(100000) * 4096) == bytes(4096)' "$M/file"
is origin.bytes -gt 64000000
is origin.bytes -lt $((64 * 1048576 + 2 * 4000 * 4096 + 10000))
[ "$(stat_of amplification | cut -d. -f1)" -lt 7 ]
stop
kill $WIDE
rm wide/file

# ---- what is not there ----
refused 1 'answered 404 NoSuchKey; check the path' cachefs "${URL}absent" "$M"
refused 1 'is the server up' cachefs http://127.0.0.1:1/ "$M" -o http.retries=0
refused 1 'no bucket' cachefs s3:// "$M"

# ---- an origin that hangs: readers get an error in time, and the mount ends without it ----
start "$URL" -o http.timeout=500ms,http.retries=0,meta.expiration=never
ls -lR "$M" >/dev/null
kill -STOP $REMOTE
not timeout 20 cat "$M/n02/small" 2>said
grep -qE 'Input/output error|timed out' said
kill -CONT $REMOTE
cmp data/n02/small "$M/n02/small"
stop

start "$URL"
ls -lR "$M" >/dev/null
kill -STOP $REMOTE
not timeout 1 cat "$M/n02/small"
SECONDS=0
stop
[ $SECONDS -lt 5 ] || fail "unmounting waited $SECONDS s for a dead origin"
kill -CONT $REMOTE

# ---- names of one folder are looked up side by side, not one round trip after another ----
mkdir flat
for i in $(seq 8); do echo $i >flat/$i; done
synth-remote flat --listen 127.0.0.1:0 --remote.latency=500ms >far.out &
until_true grep -q http:// far.out
start "$(grep -o 'http://[^ ]*' far.out)"
before=$(date +%s%N)
for i in $(seq 8); do stat "$M/$i" >/dev/null & done
wait $(jobs -p | tail -n 8)
ms=$((($(date +%s%N) - before) / 1000000))
[ $ms -lt 2500 ] || fail "8 lookups of 500 ms took $ms ms"
stop

# ---- a folder whose listing takes longer than a request may, as long as the origin goes on ----
mkdir long
touch long/{1..600}
synth-remote long --listen 127.0.0.1:0 --remote.latency=60ms --remote.page_size=10 >long.out &
until_true grep -q http:// long.out
start "$(grep -o 'http://[^ ]*' long.out)" -o http.timeout=1s
SECONDS=0
[ "$(ls "$M" | wc -l)" = 600 ]
[ $SECONDS -ge 2 ] || fail "listed in less than a request's time"
stop

# ---- what the tiers hold is served without it ----
start "$URL" -o disk.path="$T/tier"
diff -r data "$M"
kill $REMOTE
wait $REMOTE || true
diff -r data "$M"
stop
