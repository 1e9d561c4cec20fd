#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A host that only measures needs no libfuse: -DFEEDRATE_CACHEFS=OFF configures, builds and runs
# where pkg-config knows no fuse3 and its headers cannot be included.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
	echo "FAILED: $*"
	exit 1
}
command -v ninja >/dev/null || { echo "SKIP: ninja is not installed" && exit 77; }

mkdir -p "$work/pkgconfig" "$work/poison/fuse3"
for folder in $(pkg-config --variable pc_path pkg-config | tr : ' '); do
	find "$folder" -name '*.pc' ! -name 'fuse3.pc' -exec ln -sf -t "$work/pkgconfig" {} + 2>/dev/null || true
done
for header in fuse.h fuse_lowlevel.h fuse_common.h; do
	echo '#error "libfuse is not for this build"' | tee "$work/poison/$header" >"$work/poison/fuse3/$header"
done
export PKG_CONFIG_LIBDIR=$work/pkgconfig
configure() {
	cmake -G Ninja -S "$FEEDRATE_SOURCE" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug -DFEEDRATE_TESTS=OFF \
		-DCMAKE_C_FLAGS="-O0 -isystem $work/poison" "$@" >"$work/log" 2>&1
}

if configure -DFEEDRATE_CACHEFS=ON; then fail "configured with cachefs but without libfuse"; fi
grep -q 'FEEDRATE_CACHEFS=OFF' "$work/log" || fail "no remedy is named: $(cat "$work/log")"
configure -DFEEDRATE_CACHEFS=OFF || fail "$(tail -n 20 "$work/log")"
cmake --build "$work/build" --parallel 2 >"$work/log" 2>&1 || fail "$(tail -n 20 "$work/log")"
[ ! -e "$work/build/bin/cachefs" ] || fail "cachefs was built"
"$work/build/bin/run-bench" list sources >"$work/sources"
grep -q '^external' "$work/sources" || fail "run-bench list sources: $(cat "$work/sources")"
echo "without libfuse: configured, built, run"
