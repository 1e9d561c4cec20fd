# SPDX-License-Identifier: Apache-2.0
# An S3 server for tests; sourced after origin_lib.sh or mount_lib.sh. It comes from PyPI, into the build
# folder, once.
#
#   start_s3 FOLDER BUCKET   serves the folder; $S3 is its address
#   s3_keys COMMAND          keys, session or revoke (s3_server.py): $T/keys is a credentials file then
#   export_keys              puts the keys of $T/keys into the environment
S3_PARTS=$FEEDRATE_BUILD/parts/s3
S3_PACKAGES="moto==5.2.5 werkzeug==3.1.9 flask==3.1.3 flask-cors==6.0.5 py-partiql-parser==0.6.3
	pyyaml==6.0.4 boto3==1.44.8 botocore==1.44.8"

install_s3()
{
	[ "$(cat "$S3_PARTS/packages" 2>/dev/null)" != "$S3_PACKAGES" ] || return 0
	rm -rf "$S3_PARTS"
	mkdir -p "$S3_PARTS"
	python3 -m venv "$S3_PARTS" 2>"$T/install" || skip "python3-venv is missing"
	# shellcheck disable=SC2086
	if ! timeout 120 "$S3_PARTS/bin/pip" install --quiet --disable-pip-version-check --retries 1 \
		$S3_PACKAGES 2>"$T/install"; then
		grep -qE 'Connection|Temporary failure|unreachable|timed out|NewConnection' "$T/install" ||
			fail "pip: $(tail -n 3 "$T/install")"
		skip "PyPI cannot be reached"
	fi
	echo "$S3_PACKAGES" >"$S3_PARTS/packages"
}

start_s3()
{
	local port
	mkdir -p "$FEEDRATE_BUILD/parts"
	exec 8>"$FEEDRATE_BUILD/parts/s3.lock"
	flock 8
	install_s3
	exec 8>&-
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	coproc SERVER {
		cd "$T" && exec "$S3_PARTS/bin/python" "$FEEDRATE_SOURCE/tests/system/s3_server.py" \
			"$port" "$1" "$2" 2>"$T/server.log"
	}
	S3=http://127.0.0.1:$port
	s3_keys keys || fail "no S3 server: $(tail -n 3 "$T/server.log")"
}

s3_keys()
{
	local line
	echo "$1" >&"${SERVER[1]}" || return 1
	(umask 077 && echo "[default]" >"$T/keys.new")
	while read -r -t 30 line <&"${SERVER[0]}" && [ -n "$line" ]; do
		echo "$line" >>"$T/keys.new"
	done
	[ "$1" = revoke ] || grep -q key_id "$T/keys.new" || return 1
	[ "$1" = revoke ] || mv "$T/keys.new" "$T/keys"
}

key_of()
{
	sed -n "s/^$1 = //p" "$T/keys"
}

export_keys()
{
	AWS_ACCESS_KEY_ID=$(key_of aws_access_key_id)
	AWS_SECRET_ACCESS_KEY=$(key_of aws_secret_access_key)
	AWS_SESSION_TOKEN=$(key_of aws_session_token)
	export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
}
unset AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION
