#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nginx as the origin: listings by autoindex_format json, ranges compared with the files, changes, TLS
# and HTTP/2, and what is said about an nginx that cannot be one.
. "$(dirname "$0")/origin_lib.sh"
command -v nginx >/dev/null || skip "nginx is missing"

make_tree data
find data -name '.*' -type f -delete # nginx never lists these
mkdir data/html data/secret
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
	-addext subjectAltName=IP:127.0.0.1 \
	-keyout key -out cert 2>/dev/null || touch no-tls
tls="listen 127.0.0.1:$PORT_TLS ssl http2; ssl_certificate $T/cert; ssl_certificate_key $T/key;"
[ ! -e no-tls ] || tls=
start_nginx "$tls
	location /down/ { return 302 http://127.0.0.1:$PORT/; }
	location / { autoindex on; autoindex_format json; }
	location /html/ { autoindex on; }
	location /secret/ { return 403; }"
url=http://127.0.0.1:$PORT
rm -r data/html data/secret

# ---- names, ranges, attributes by listing and by request ----
same data "$url/"
same data "$url" --http.listing=autoindex
same "data/a b" "$url/a b"
same "data/a b/c+d%41" "$url/a%20b/c+d%2541/"
[ "$(origin_read "$url/many" tree | wc -l)" = 1200 ]

# ---- connections are kept: far fewer than requests ----
ORIGIN_STATS=1 origin_read --http.streams=2 "$url/" rate 1 >rate 2>stats
connections=$(sed -n 's/.*"connections": \([0-9]*\).*/\1/p' stats)
[ "$connections" -le 3 ] || fail "$connections connections for 2 streams"

# ---- what is no origin ----
mkdir data/html data/secret
refused 'answered no listing.*autoindex_format json' origin_read "$url/html" tree
refused 'answered 403; only what is open' origin_read "$url/secret" tree
refused 'answered 404; check the path' origin_read "$url/absent" tree
refused 'answered no listing' origin_read --http.listing=s3 "$url" tree
rm -r data/html data/secret

# ---- HTTP versions, TLS ----
refused 'answered by HTTP/1 where http.version=2' origin_read --http.version=2 "$url" tree
if [ ! -e no-tls ]; then
	secure=https://127.0.0.1:$PORT_TLS
	refused 'certificate' origin_read "$secure" tree
	: >nginx.log
	same data "$secure" --http.verify=no
	same "data/a b" "$secure/a b" --http.ca="$T/cert" --http.version=2
	refused 'certificate' origin_read --http.ca="$T/absent" "$secure" tree
	refused 'certificate|SSL' origin_read --http.ca="$T/key" "$secure" tree
	grep -q '^HTTP/2.0 ' nginx.log || fail "no HTTP/2 over TLS: $(head -n 3 nginx.log)"
	: >nginx.log
	same "data/a b" "$secure/a b" --http.verify=no --http.version=1.1
	if grep -q '^HTTP/2' nginx.log; then fail "HTTP/2 in spite of http.version=1.1"; fi
	refused 'not supported|disabled' origin_read --http.verify=no "$secure/down/" tree
fi
end_servers
refused 'is the server up' origin_read "$url" tree
echo "nginx as origin: fine"
