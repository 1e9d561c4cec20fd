#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/bench/meta.sh runs and fills its table; figures of so few files say nothing.
set -euo pipefail

export SHAPES='3x20 -x2500' NATIVE=yes
code=0
table=$("$(dirname "$0")/../bench/meta.sh" 2>said) || code=$?
if [ "$code" = 77 ]; then
	echo "$table"
	exit 77
fi
rows=$(grep -cE '^\| (3x20|-x2500)( \| [0-9.-]+){10} \|$' <<<"$table" || true)
if [ "$code" != 0 ] || [ "$rows" != 2 ]; then
	printf 'FAIL: exit code %s, %s rows\n%s\n' "$code" "$rows" "$table"
	cat said
	exit 1
fi
