#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The emulated object store as the origin: by URL and as a bucket, at its root and below, in pages, and
# while it goes away and comes back.
. "$(dirname "$0")/origin_lib.sh"

make_tree bucket
start_remote bucket --remote.page_size=7

# ---- the same tree under each of its names ----
same bucket "$URL"
same bucket "${URL}bucket"
same "bucket/a b" "${URL}a b"
same "bucket/a b" "${URL}bucket/a%20b/"
same bucket s3://bucket --s3.endpoint="$URL"
same "bucket/a b/c+d%41" 's3://bucket/a b/c+d%41/' --s3.endpoint="$URL"
AWS_ENDPOINT_URL=$URL same "bucket/a b" 's3://bucket/a b'
[ "$(origin_read "${URL}many" tree | wc -l)" = 1200 ]

# ---- what is not there ----
refused 'check the path' origin_read "${URL}absent" tree
refused 'nothing is there; check the path' origin_read --s3.endpoint="$URL" s3://bucket/absent tree
refused 'check the path' origin_read --s3.endpoint="$URL" s3://other tree
refused 'check the path' origin_read --s3.endpoint="$URL" s3://many tree # a folder, but no bucket
refused 'answered 400' origin_read --http.listing=autoindex "$URL" tree

# ---- a slow remote is slow, and whole ----
end_servers
start_remote bucket --remote.latency=20ms --remote.bandwidth=20M
same "bucket/a b" "${URL}a b"

end_servers
refused 'is the server up' origin_read "$URL" tree
echo "synth-remote as origin: fine"
