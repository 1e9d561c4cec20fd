#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# script/bootstrap against a Debian that is three stubs: what is installed, what apt knows, what was
# asked of it. Nothing is installed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
	echo "FAILED: $*"
	exit 1
}

mkdir -p "$work/tree/script/packages" "$work/bin"
cp "$FEEDRATE_SOURCE/script/bootstrap" "$work/tree/script/"
printf '# comment\nhave\nlib1\nnew-name|old-name\n' >"$work/tree/script/packages/run"
echo 'have' >"$work/tree/script/packages/build"
echo 'lost' >"$work/tree/script/packages/test"
stub() { # NAME, its text on standard input
	{ echo '#!/bin/bash' && cat; } >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}
stub dpkg-query <<<'printf "ii  have\nii  lib1t64\nrc  new-name\n"'
stub apt-cache <<<'case $2 in old-name) ;; *) exit 100 ;; esac'
stub apt-get <<<"echo \"\$@\" >>$work/asked"
stub id <<<'echo "$FAKE_UID"'
for tool in bash env dirname paste cat; do ln -s "$(command -v "$tool")" "$work/bin/$tool"; done
bootstrap() { # UID GROUP...
	local uid=$1
	shift
	rm -f "$work/asked"
	FAKE_UID=$uid PATH=$work/bin "$work/tree/script/bootstrap" "$@" >"$work/out" 2>&1 </dev/null
}

bootstrap 0 build || fail "nothing is missing: $(cat "$work/out")"
[ ! -s "$work/out" ] && [ ! -e "$work/asked" ] || fail "asked apt although nothing is missing"

bootstrap 0 run build || fail "as root: $(cat "$work/out")"
grep -q '^-q .*install -y --no-install-recommends old-name$' "$work/asked" || fail "installed: $(cat "$work/asked")"

status=0
bootstrap 1000 run || status=$?
[ "$status" -eq 2 ] || fail "without root: exit $status"
grep -q 'apt-get install -y --no-install-recommends old-name$' "$work/out" || fail "without root: $(cat "$work/out")"
[ ! -e "$work/asked" ] || fail "asked apt without being root"

status=0
bootstrap 0 || status=$?
[ "$status" -eq 2 ] || fail "a package that is nowhere: exit $status"
grep -q '^bootstrap: lost: this release has no such package' "$work/out" || fail "nowhere: $(cat "$work/out")"

status=0
bootstrap 0 nonsense || status=$?
[ "$status" -eq 2 ] && grep -q 'there are: run, build, test' "$work/out" || fail "an unknown group: $(cat "$work/out")"
echo "bootstrap: fine"
