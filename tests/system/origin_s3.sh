#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A bucket on a server that checks every signature: listings in pages, names that need care, ranges, keys
# from environment and file, with and without a session, both styles; and what is said when it refuses.
. "$(dirname "$0")/origin_lib.sh"
. "$(dirname "$0")/s3_lib.sh"

make_tree data
start_s3 data bucket
at=(--s3.endpoint="$S3")

# ---- keys in a file ----
same data s3://bucket "${at[@]}" --s3.credentials=keys
same "data/a b/c+d%41" "s3://bucket/a b/c+d%41" "${at[@]}" --s3.credentials=keys
[ "$(origin_read "${at[@]}" --s3.credentials=keys s3://bucket/many tree | wc -l)" = 1200 ]
grep -q 'continuation-token=' server.log || fail "no second page was asked for"
sed 's/default/other/' keys >profiles
chmod 600 profiles
same "data/a b" "s3://bucket/a b" "${at[@]}" --s3.credentials=profiles --s3.profile=other
same "data/a b" "s3://bucket/a b" --s3.endpoint="${S3/127.0.0.1/localhost}" --s3.style=host --s3.credentials=keys

# ---- keys in the environment, of a user and of a session ----
(export_keys && same "data/a b" "s3://bucket/a b" "${at[@]}")
s3_keys session
(export_keys && same "data/a b" "s3://bucket/a b" "${at[@]}")
(export_keys && AWS_ENDPOINT_URL=$S3 AWS_REGION=eu-west-1 same "data/a b" "s3://bucket/a b")
(export_keys && AWS_SESSION_TOKEN=${AWS_SESSION_TOKEN}x refused 'answered 400 InvalidToken: the session token' \
	origin_read "${at[@]}" s3://bucket tree)

# ---- refused, in one line without the keys ----
s3_keys keys
sed 's/\(secret_access_key = \).*/\1wrongwrongwrong/' keys >wrong
sed 's/\(access_key_id = \).*/\1AKIAWRONG/' keys >unknown
cp keys open
chmod 600 wrong unknown
chmod 644 open
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
refused 'answered 403 AccessDenied; it was not signed: set AWS_ACCESS_KEY_ID' origin_read "${at[@]}" s3://bucket tree
refused 'answered 403 SignatureDoesNotMatch: the secret key' \
	origin_read "${at[@]}" --s3.credentials=wrong s3://bucket tree
if grep -q wrongwrong said; then fail "the secret is told: $(cat said)"; fi
refused 'answered 403 InvalidAccessKeyId: the access key' \
	origin_read "${at[@]}" --s3.credentials=unknown s3://bucket tree
refused 'open can be read or changed by others \(mode 0644\); chmod 600' \
	origin_read "${at[@]}" --s3.credentials=open s3://bucket tree
refused 'absent: No such file' origin_read "${at[@]}" --s3.credentials=absent s3://bucket tree
refused "profile 'nobody': there is no such profile" \
	origin_read "${at[@]}" --s3.credentials=keys --s3.profile=nobody s3://bucket tree
refused 'answered 404 NoSuchBucket; check the path' \
	origin_read "${at[@]}" --s3.credentials=keys s3://bukcet tree
echo "signed S3 as origin: fine"
