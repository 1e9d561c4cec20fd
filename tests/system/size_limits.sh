#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# script/size_limits refuses what is one too big, and nothing that is just big enough.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

lines() { # NUMBER: that many statements
	for ((i = 0; i < $1; i++)); do printf '\tx++;\n'; done
}
nested() { # DEPTH: that many ifs in one another
	local tabs=
	for ((i = 0; i < $1; i++)); do
		tabs+=$'\t'
		printf '%sif (x)\n' "$tabs"
	done
	printf '%s\tx++;\n' "$tabs"
}
function_of() { # PARAMETERS BODY
	printf 'static int long_name(%s)\n{\n%s\n}\n' "$1" "$2"
}
parameters='int a, void (*b)(int, int), int c, int d, int e,
	int f'

function_of "$parameters" "$(lines 76; nested 3)" >fits.c
function_of "$parameters" "$(nested 4)" >>fits.c
function_of void "$(lines 80)" >>fits.c
function_of void "$(lines 81)" >long.c
function_of "$parameters, int g" "$(lines 1)" >wide.c
function_of void "$(nested 5)" >deep.c
lines 701 >file.c

if ! "$FEEDRATE_SOURCE/script/size_limits" fits.c; then
	echo "FAILED: refused what fits"
	exit 1
fi
"$FEEDRATE_SOURCE/script/size_limits" long.c wide.c deep.c file.c >found && { echo "FAILED: all was taken"; exit 1; }
diff - found <<'END'
long.c:1: long_name: 81 lines, more than 80
wide.c:2: long_name: 7 parameters, more than 6
deep.c:1: long_name: 5 levels of nesting, more than 4
file.c:1: file: 701 lines, more than 700
END
echo "size limits: fine"
