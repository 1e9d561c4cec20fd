# SPDX-License-Identifier: Apache-2.0
# Servers for tests of origins; sourced. Runs in a folder of its own, $T, which goes away with all
# servers at the end.
#
#   start_nginx CONF      serves ./data at $PORT with CONF inside its server block, which may use $PORT_TLS
#   start_remote FOLDER [OPTIONS]   synth-remote; $URL is its address
#   origin_read ...       tests/origin_read.c
set -euo pipefail

skip()
{
	echo "SKIP: $*"
	exit 77
}

fail()
{
	echo "FAIL: $*" >&2
	exit 1
}

servers=()
end_servers()
{
	for pid in "${servers[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	servers=()
}

T=$(mktemp -d)
trap 'end_servers; rm -rf "$T"' EXIT
trap 'echo "FAIL: line $LINENO: $BASH_COMMAND" >&2' ERR
cd "$T"
chmod 755 "$T"
PATH=$FEEDRATE_BIN:$PATH:/usr/sbin
unset AWS_ENDPOINT_URL
export no_proxy=127.0.0.1

origin_read()
{
	timeout 60 "$FEEDRATE_BUILD/tests/origin_read" --http.backoff=10ms --http.retries=1 "$@"
}

free_port()
{
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

PORT=$(free_port)
PORT_TLS=$(free_port)

until_true()
{
	for _ in $(seq 200); do
		if "$@" 2>/dev/null; then
			return 0
		fi
		sleep 0.05
	done
	fail "never true: $*"
}

answers()
{
	(exec 3<>"/dev/tcp/127.0.0.1/$1")
}

start_nginx()
{
	cat >nginx.conf <<-END
		daemon off;
		pid $T/nginx.pid;
		error_log $T/nginx.errors;
		$([ "$(id -u)" != 0 ] || echo "user root;")
		events { }
		http {
			log_format protocol '\$server_protocol \$request_uri';
			access_log $T/nginx.log protocol;
			client_body_temp_path $T/tmp; proxy_temp_path $T/tmp; fastcgi_temp_path $T/tmp;
			uwsgi_temp_path $T/tmp; scgi_temp_path $T/tmp;
			server { listen 127.0.0.1:$PORT; root $T/data; $1 }
		}
	END
	nginx -c "$T/nginx.conf" -e "$T/nginx.errors" &
	servers+=($!)
	until_true answers "$PORT"
}

start_remote()
{
	synth-remote "$@" --listen 127.0.0.1:0 >remote.out &
	servers+=($!)
	until_true grep -q http:// remote.out
	URL=$(grep -o 'http://[^ ]*' remote.out | head -n 1)
}

# refused PATTERN COMMAND...: exit code 2, and one line on standard error like PATTERN.
refused()
{
	local pattern=$1 code=0
	shift
	"$@" >said.out 2>said || code=$?
	[ "$code" = 2 ] || fail "$*: exit code $code: $(cat said)"
	[ "$(wc -l <said)" = 1 ] || fail "$*: not one line: $(cat said)"
	grep -qE -- "$pattern" said || fail "$*: not like '$pattern': $(cat said)"
}

# Everything below an origin is what a folder holds, names included.
same()
{
	local folder=$1 origin=$2
	shift 2
	rm -rf copy
	mkdir copy
	origin_read "$@" "$origin" copy copy
	diff -r "$folder" copy || fail "$origin: not the same as $folder"
}

# A tree with names that need care in URLs, XML and JSON, sizes around the block size, and a large folder.
make_tree()
{
	mkdir -p "$1/a b/c+d%41/&<é>'\"" "$1/many"
	local i=0 name
	for name in plain 'with space' 'per%20cent' 'plus+' 'a&b=c' 'hash#' 'what?' "quote'" 'double"' '<xml>' \
		'back\slash' 'ünïcödé' ';semi,comma' '..hidden' 'tilde~' '*'; do
		head -c $((i * 70000)) /dev/urandom >"$1/$name"
		cp "$1/$name" "$1/a b/c+d%41/&<é>'\"/"
		i=$((i + 1))
	done
	for size in 1 1048575 1048576 1048577 5000000; do
		head -c $size /dev/urandom >"$1/a b/$size"
	done
	(cd "$1/many" && seq -f 'file-%05.0f' 1200 | xargs touch)
}
