#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fuse.open_mode=passthrough and auto: when the kernel reads files of the disk tier by itself, when it
# does not, and that it never reads zeros, another version or a mix.
. "$(dirname "$0")/mount_lib.sh"

SIZE=5000000
mkdir data
for i in $(seq 6); do head -c $SIZE /dev/urandom >data/large$i; done
for i in $(seq 80); do head -c 5000 /dev/urandom >data/small$i; done

# Starts with the tier's folder $1 and more options.
start_on()
{
	mkdir -p "$1"
	start data -o "fuse.open_mode=${MODE:-passthrough},mem.capacity=4M,disk.path=$1${2:+,$2}"
}

warm()
{
	cachefs-ctl warm "$M" "$@" >/dev/null
}

# No READ comes while a command runs.
without_reads()
{
	local before
	before=$(stat_of fuse.reads)
	"$@"
	local after
	after=$(stat_of fuse.reads)
	# the statistics are read through the mount, too: at most a READ each time
	[ $((after - before)) -le 2 ] || fail "$*: $((after - before)) READs"
}

letters()
{
	head -c $SIZE /dev/zero | tr '\0' "$1"
}

tier_bytes()
{
	du -s --block-size=1 "$1" | cut -f1
}

# ---- without the privilege: page, and auto without asking ----
if user_may_mount; then
	for mode in passthrough auto; do
		as_user cachefs data home/mnt -o fuse.open_mode=$mode,disk.path=home/tier
		as_user cachefs-ctl warm home/mnt >/dev/null
		for _ in 1 2; do as_user cmp data/large1 home/mnt/large1; done
		as_user cachefs-ctl stats home/mnt >said
		grep -q "^fuse.mode_why passthrough takes root" said
		grep -q "^fuse.passthrough_opens 0" said
		if [ $mode = auto ]; then
			grep -q "^fuse.mode noopen" said
			grep -q "^fuse.opens 1$" said
		else
			grep -q "^fuse.mode page" said
		fi
		PID=$(sed -n 's/^pid //p' said)
		as_user fusermount3 -u home/mnt
		ended "$PID"
	done
	umount /dev/fuse
fi

# ---- without files that the kernel could read ----
for options in mem.capacity=64M disk.path=tier,disk.page_cache=drop \
	'cache.stack=meta\,mem\,throttle\,disk,disk.path=tier' 'cache.stack=meta\,mem\,delay\,disk,disk.path=tier' \
	'cache.stack=meta\,mem\,fault\,disk,disk.path=tier'; do
	for mode in passthrough auto; do
		start data -o "fuse.open_mode=$mode,$options"
		warm
		for _ in 1 2; do cmp data/large1 "$M/large1"; done
		stat_of fuse.mode_why | grep -q "^no files that the kernel could read"
		is fuse.passthrough_opens -eq 0
		[ "$(stat_of fuse.mode)" = "$([ $mode = auto ] && echo noopen || echo page)" ]
		stop
	done
done
rm -rf tier/*

# ---- with it, if this is root on a kernel that can ----
start_on tier
case $(stat_of fuse.mode_why) in
*"takes root"* | *"no passthrough"*) skip "$(stat_of fuse.mode_why)" ;;
esac
[ "$(stat_of fuse.mode)" = passthrough ]

# not here yet: page; and page as long as somebody has it open so
exec 3<"$M/large1"
head -c 100 <&3 >/dev/null
is fuse.fallback_partial -eq 1
warm
cmp data/large1 "$M/large1"
is fuse.fallback_open -eq 1
is fuse.passthrough_opens -eq 0
exec 3<&-
until_true cmp data/large1 "$M/large1" # RELEASE comes some time after close
is fuse.fallback_partial -le 2
cmp data/large1 "$M/large1"
is fuse.passthrough_opens -ge 1

# read by the kernel, in every way
for i in $(seq 2 6); do without_reads cmp data/large$i "$M/large$i"; done
without_reads python3 - "$M/large2" data/large2 <<'END'
import mmap, os, sys
want = open(sys.argv[2], "rb").read()
fd = os.open(sys.argv[1], os.O_RDONLY)
with mmap.mmap(fd, len(want), flags=mmap.MAP_SHARED, prot=mmap.PROT_READ) as view:
    assert view[:] == want
direct = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
with mmap.mmap(-1, 1 << 20) as buf:
    assert os.preadv(direct, [buf], 1 << 20) == 1 << 20
    assert buf[:] == want[1 << 20:2 << 20]
assert os.pread(fd, 100, len(want) - 10) == want[-10:]
assert os.pread(fd, 100, len(want)) == b""
assert os.lseek(fd, 0, os.SEEK_END) == len(want) == os.fstat(fd).st_size
END
for i in 1 2 3; do cmp data/small$i "$M/small$i"; done
is fuse.fallback_small -eq 3
until_true compare fuse.backings -eq 0

# what was read through the page cache of the mount is forgotten there, attributes included, when the tier
# has it: seen by the question for them
cachefs-ctl drop "$M" large1 >/dev/null
exec 3<"$M/large1"
cat <&3 >/dev/null
warm large1
stat "$M/large1" >/dev/null
asked=$(stat_of fuse.getattrs)
stat "$M/large1" >/dev/null
is fuse.getattrs -eq "$asked"
exec 3<&-
forgotten()
{
	stat "$M/large1" >/dev/null
	compare fuse.getattrs -gt "$asked"
}
until_true forgotten
cmp data/large1 "$M/large1"

# dropped under an open handle: that reads on, and the room comes back when it is closed
exec 3<"$M/large1" 4<"$M/large2"
head -c 1000 <&3 | cmp -n 1000 - data/large1
cachefs-ctl drop "$M"
is layers.disk.used_bytes -eq 0
[ "$(ls tier/cachefs-*/ | grep -c obj)" = 0 ]
tail -c +1001 data/large1 | cmp - <(cat <&3)
for i in 1 2 3; do cmp data/large$i "$M/large$i"; done
exec 3<&-
cmp data/large2 - <&4
exec 4<&-
warm
for i in $(seq 6); do cmp data/large$i "$M/large$i"; done
stop

# ---- after a restart: page until it was read back ----
start_on tier disk.scrub=0
cmp data/large1 "$M/large1"
cmp data/large1 "$M/large1"
is fuse.fallback_unverified -ge 1
is fuse.passthrough_opens -eq 0
is layers.disk.unverified_blocks -gt 0
is origin.bytes -eq 0
stop
start_on tier disk.scrub=1G
opened_by_kernel()
{
	cmp data/large1 "$M/large1"
	compare fuse.passthrough_opens -gt 0
}
until_true opened_by_kernel
until_true compare layers.disk.scrubbed_bytes -eq $((6 * SIZE))
is layers.disk.unverified_blocks -eq 80 # the small ones, which share a file
for i in $(seq 2 6); do without_reads cmp data/large$i "$M/large$i"; done
stop

# ---- rot that the scrub finds: fetched again, into another file ----
for f in tier/cachefs-*/obj-*; do
	printf 'rot' | dd of="$f" bs=1 seek=2000000 conv=notrunc 2>/dev/null
done
start_on tier disk.scrub=1G
for _ in 1 2 3; do
	for i in $(seq 6); do cmp data/large$i "$M/large$i"; done
done
until_true compare layers.disk.crc_errors -ge 6
warm
for i in $(seq 6); do cmp data/large$i "$M/large$i"; done
for i in $(seq 6); do without_reads cmp data/large$i "$M/large$i"; done
stop

# ---- evicted under open handles; then killed, and a smaller tier over the same files ----
rm -rf tier
start_on tier disk.capacity=16M
warm large1
warm large2
exec 3<"$M/large1" 4<"$M/large2"
is fuse.passthrough_opens -eq 2
for _ in 1 2; do
	for i in $(seq 6); do cmp data/large$i "$M/large$i"; done
done
is layers.disk.evictions -gt 10
is layers.disk.used_bytes -le 16777216
cmp data/large1 - <&3
cmp data/large2 - <&4
exec 3<&- 4<&-
until_true compare fuse.backings -eq 0
[ "$(tier_bytes tier)" -le $((16777216 + 300000)) ]
warm large3
exec 3<"$M/large3"
is fuse.backings -eq 1
kill -9 "$PID"
ended "$PID"
umount -l "$M"
start_on tier disk.capacity=7M
for _ in 1 2; do
	for i in 1 2 4 5 6; do cmp data/large$i "$M/large$i"; done
done
cmp data/large3 - <&3
exec 3<&-
stop

# ---- changed at the origin while open ----
rm -rf tier
letters a >data/changes
start_on tier meta.expiration=300ms
warm changes
exec 3<"$M/changes"
is fuse.passthrough_opens -eq 1
letters b >new
mv new data/changes
letters a >old
seen()
{
	cmp -s data/changes "$M/changes"
}
until_true seen
cmp old - <&3
warm changes
seen
is fuse.passthrough_opens -ge 2
exec 3<&-
rm data/changes
stop

# ---- auto ----
MODE=auto
start_on tier
[ "$(stat_of fuse.mode)" = passthrough ]
warm
for _ in $(seq 20); do
	for i in $(seq 6); do cmp data/large$i "$M/large$i"; done
done
is fuse.passthrough_opens -eq 120
[ "$(stat_of fuse.mode)" = passthrough ]
# small ones: noopen, but not while the kernel reads a file by itself: opening that would be EIO
exec 3<"$M/large1"
for _ in 1 2; do
	for i in $(seq 80); do cmp data/small$i "$M/small$i"; done
	cmp data/large1 "$M/large1"
done
[ "$(stat_of fuse.mode)" = passthrough ]
exec 3<&-
until_true compare fuse.backings -eq 0
for i in $(seq 64); do cmp data/small$i "$M/small$i"; done
[ "$(stat_of fuse.mode)" = noopen ]
stat_of fuse.mode_why | grep -q "small"
opens=$(stat_of fuse.opens)
for i in $(seq 6); do cmp data/large$i "$M/large$i"; done
for i in $(seq 80); do cmp data/small$i "$M/small$i"; done
is fuse.opens -eq "$opens"
cachefs-ctl drop "$M"
for i in $(seq 6); do cmp data/large$i "$M/large$i"; done
stop

# ---- a tier on a stacked filesystem ----
MODE=passthrough
mkdir lower upper work over
if mount -t tmpfs none upper && mkdir upper/{u,w} &&
	mount -t overlay -o lowerdir=lower,upperdir=upper/u,workdir=upper/w none over 2>/dev/null; then
	start_on over/tier
	[ "$(stat_of fuse.mode)" = passthrough ]
	warm
	for i in $(seq 6); do without_reads cmp data/large$i "$M/large$i"; done
	is fuse.passthrough_opens -ge 6
	stop
	umount over
fi
