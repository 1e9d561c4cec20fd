#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` leaves is where a distribution expects it, and runs from there, also when the
# whole tree was moved: programs find each other and the profiles.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
	echo "FAILED: $*"
	exit 1
}

DESTDIR=$work/staged cmake --install "$FEEDRATE_BUILD" --prefix /usr >"$work/log" || fail "$(tail "$work/log")"
mv "$work/staged/usr" "$work/moved"
cd "$work/moved"

programs=(run-bench cachefs-ctl synth-data synth-remote)
if [ -x "$FEEDRATE_BIN/cachefs" ]; then programs+=(cachefs); fi
for program in "${programs[@]}"; do
	[ -x "bin/$program" ] || fail "bin/$program is missing"
	"bin/$program" --version | grep '(feedrate) [0-9]' >/dev/null || fail "$program --version"
	head -n 1 "share/man/man1/$program.1" | grep -q "^\.TH $program 1" || fail "$program's manual page"
	bash -c 'source "$0" && complete -p "$1"' "share/bash-completion/completions/$program" "$program" \
		>/dev/null || fail "$program's completion"
done
for file in "$FEEDRATE_SOURCE"/profiles/*.ini; do
	cmp -s "$file" "share/feedrate/profiles/${file##*/}" || fail "${file##*/} is missing or another"
done
[ -f share/doc/feedrate/LICENSE ] || fail "no LICENSE"
grep -oE '\]\([a-zA-Z][^):#]*\)' share/doc/feedrate/README.md | tr -d ']()' | while read -r link; do
	[ -e "share/doc/feedrate/$link" ] || fail "README.md links to $link, which is not installed"
done
if [ -x bin/cachefs ]; then
	grep -q 'fuse.cachefs ro,_netdev' share/man/man1/cachefs.1 || fail "cachefs's manual page has no fstab example"
fi
if find . -type f ! -path './bin/*' -perm /111 | grep .; then fail "these are no programs"; fi

# Nothing of the source or build tree is in reach: no ./profiles here, another HOME, a PATH without us.
mkdir "$work/elsewhere"
cd "$work/elsewhere"
clean() {
	env -i PATH=/usr/bin:/bin HOME="$work/elsewhere" "$@"
}
clean "$work/moved/bin/run-bench" list profiles | grep '^quick' >/dev/null || fail "quick is not in its list"
clean "$work/moved/bin/run-bench" --sources synthetic,remote --gpus 1 --batch 8 --bench.steps=5 \
	-o "$work/result" >"$work/log" 2>&1 || fail "run-bench: $(cat "$work/log")"
[ "$(grep -c '"status":"ok"' "$work/result/records.jsonl")" -ge 2 ] || fail "runs: $(cat "$work/log")"
grep -q "profile:$work/moved/share/feedrate/profiles/quick.ini" "$work/result/records.jsonl" ||
	fail "the profile came from elsewhere"
grep -q '<h1>' "$work/result/report.html" || fail "no report"
echo "installed, moved, run: fine"
