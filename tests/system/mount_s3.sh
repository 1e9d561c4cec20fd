#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mounted bucket on a server that checks every signature: its bytes, keys that are revoked and replaced
# while it is mounted, and secrets that show nowhere.
. "$(dirname "$0")/mount_lib.sh"
. "$(dirname "$0")/s3_lib.sh"

mkdir -p 'data/class a' data/n02
for i in 1 2 3; do head -c $((i * 700001)) /dev/urandom >"data/class a/file+$i é&=%41"; done
for i in 1 2 3 4; do head -c 100 /dev/urandom >data/n02/small$i; done
export no_proxy=127.0.0.1
start_s3 data bucket

refused 1 'answered 403 AccessDenied; it was not signed' cachefs s3://bucket "$M" -o s3.endpoint="$S3"
sed 's/\(secret_access_key = \).*/\1wrongwrongwrong/' keys >wrong
chmod 600 wrong
refused 1 'answered 403 SignatureDoesNotMatch' cachefs s3://bucket "$M" \
	-o s3.endpoint="$S3",s3.credentials=wrong

# ---- bytes, and where the secret is not ----
secret=$(key_of aws_secret_access_key)
(export_keys && exec timeout 60 cachefs s3://bucket "$M" -o s3.endpoint="$S3",log.file="$T/log",log.level=debug)
PID=$(stat_of pid)
diff -r data "$M"
cachefs-ctl stats "$M" >stats
tr '\0' ' ' <"/proc/$PID/cmdline" >cmdline
for file in stats cmdline log; do
	not grep -qF "$secret" "$file"
done
grep -q 'http.signed true\|s3.signed true' stats
stop

# ---- revoked while mounted, and replaced: no new mount ----
start s3://bucket -o s3.endpoint="$S3",s3.credentials=keys,log.file="$T/log"
ls -lR "$M" >/dev/null
cmp data/n02/small1 "$M/n02/small1"
s3_keys revoke
not cat "$M/n02/small2" 2>said
grep -q 'Permission denied' said
grep -q 'cannot read n02/small2: answered 403 InvalidAccessKeyId: the access key is not known' log
cmp data/n02/small1 "$M/n02/small1"
s3_keys keys
cmp data/n02/small2 "$M/n02/small2"
s3_keys session
s3_keys revoke
not cat "$M/n02/small3" 2>said
s3_keys session
cmp data/n02/small3 "$M/n02/small3"
diff -r data "$M"
not grep -qF "$(key_of aws_secret_access_key)" log
stop
