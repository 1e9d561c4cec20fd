#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bad input: each gets one line that says what to do, exit code 2 (usage) or 1 (failed), and leaves
# nothing mounted and nobody running.
. "$(dirname "$0")/mount_lib.sh"

mkdir data full
echo x >data/f
echo x >full/f
echo x >file

none_runs()
{
	not pgrep -x cachefs >/dev/null
}

# ---- the command line ----
refused 2 "usage: cachefs ORIGIN MOUNTPOINT" cachefs
refused 2 "usage: cachefs ORIGIN MOUNTPOINT" cachefs data
refused 2 "usage: cachefs ORIGIN MOUNTPOINT" cachefs data "$M" more
refused 2 "unknown option.*did you mean --fuse.open_mode" cachefs data "$M" --fuse.open_mod=page
refused 2 "fuse.open_mod: unknown knob; did you mean fuse.open_mode" cachefs data "$M" -o fuse.open_mod=page
refused 2 "allow_othr: unknown option; did you mean allow_other" cachefs data "$M" -o allow_othr
refused 2 "fuse.max_threads: 0 is out of range; give 1 to 4096" cachefs data "$M" -o fuse.max_threads=0
refused 2 "is none of direct, page, noopen" cachefs data "$M" -o fuse.open_mode=splice
refused 2 "is not a size such as" cachefs data "$M" -o mem.capacity=lots
refused 2 "bench.gpus" cachefs data "$M" -o bench.gpus=8
refused 2 "cachefs is read-only; leave rw out or say ro" cachefs data "$M" -o rw
refused 2 "uid=me: give a number" cachefs data "$M" -o uid=me
refused 2 "octal" cachefs data "$M" -o file_mode=999

# ---- the mount point ----
refused 2 "none: no such folder; make the mount point first: mkdir -p" cachefs data none
refused 2 "file: not a folder; a mount point is a folder" cachefs data file
refused 2 "full: mount point is not empty.*or add -o nonempty" cachefs data full
cachefs data full -o nonempty
[ "$(ls full)" = f ]
code=0
cachefs data full 2>said || code=$?
[ $code = 2 ]
grep -q "full: already a cachefs mount, of $T/data; unmount it first: fusermount3 -u" said
code=0
cachefs data full -o nonempty 2>said || code=$?
[ $code = 2 ]
umount full
until_true none_runs

# ---- the origin ----
refused 2 "none: No such file or directory; ORIGIN is a folder, http\(s\)://HOST/PATH or s3://BUCKET" \
	cachefs none "$M"
refused 2 "dir:none: No such file or directory; ORIGIN is a folder" cachefs dir:none "$M"
refused 1 "file: Not a directory; ORIGIN is a folder" cachefs file "$M"
refused 1 "file: Not a directory" cachefs file "$M" -f
refused 2 "ftp://host/path: No such file or directory; ORIGIN is a folder" cachefs ftp://host/path "$M"
refused 1 "127.0.0.1:1" cachefs http://127.0.0.1:1/data "$M" -o http.timeout=1s,http.retries=0

# ---- layers, tiers, log ----
refused 1 "cache.stack: ssd is no layer; take meta, mem, disk, throttle, delay or fault" \
	cachefs data "$M" -o 'cache.stack=meta\,ssd'
refused 1 "cache.stack: mem stands there twice" cachefs data "$M" -o 'cache.stack=mem\,mem'
refused 1 "layer disk needs a folder: give --disk.path" cachefs data "$M" -o 'cache.stack=mem\,disk'
# ---- knobs of the tiers that cannot be meant so ----
refused 2 "mem.capacity: .* is more than this machine's memory of .*; give less, or auto" \
	cachefs data "$M" -o mem.capacity=100T
refused 2 "mem.capacity: .* is less than one block of .* \(cache.block_size\); give more, or 0 for no tier" \
	cachefs data "$M" -o mem.capacity=64K
refused 2 "disk.capacity: .* is less than one block of .*; give more, or 0 for no tier" \
	cachefs data "$M" -o disk.path=tier,disk.capacity=1M,cache.block_size=4M
refused 2 "cache.watermark_low: 0.9 is not below cache.watermark_high=0.8; give a smaller one" \
	cachefs data "$M" -o cache.watermark_high=0.8,cache.watermark_low=0.9
mkdir full/tier "$M/tier"
refused 2 "disk.path: $T/full/tier lies in the origin $T/full, so the tier's own files would be data; give a folder" \
	cachefs full "$M" -o disk.path=full/tier
refused 2 "disk.path: $M/tier lies in the mount point $M, which hides it; give a folder outside" \
	cachefs data "$M" -o nonempty,disk.path="$M/tier"
rmdir "$M/tier" full/tier
mkdir fixed
if mount -t tmpfs -o ro none fixed 2>/dev/null; then
	refused 2 "disk.path: cannot write to $T/fixed: Read-only file system; give a folder you may write to" \
		cachefs data "$M" -o disk.path=fixed
	umount fixed
fi
cachefs data full -o nonempty # another mount of ours is no place for a tier either
refused 2 "disk.path: cannot write to $T/full: Read-only file system" cachefs data "$M" -o disk.path=full
umount full

# ---- somebody else's folder in the tier's place ----
start data -o disk.path=tier
folder=$(stat_of layers.disk.path)
stop
rm -r "$folder"
mkdir elsewhere
echo mine >elsewhere/index
ln -s "$T/elsewhere" "$folder"
refused 1 "disk.path: cannot use $folder: .*; remove that, or give another folder" \
	cachefs data "$M" -o disk.path=tier
[ "$(cat elsewhere/index)" = mine ]
rm "$folder"
mkdir -m 755 "$folder"
start data -o disk.path=tier
[ "$(stat -c %a "$folder")" = 700 ]
stop
if chown 65534 "$folder" 2>/dev/null; then
	refused 1 "disk.path: $folder belongs to another user; give another folder" \
		cachefs data "$M" -o disk.path=tier
fi
rm -rf tier/*

refused 2 "disk.path: $T/file: not a folder" cachefs data "$M" -o disk.path=file
refused 2 "disk.path: $T/none/tier: no such folder; make it with mkdir -p, or check the spelling" \
	cachefs data "$M" -o disk.path=none/tier
[ ! -e none ]
refused 2 "cannot open log file: .*choose another log.file" cachefs data "$M" -o log.file=none/log
mkdir closed
chmod 500 closed
if setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null; then
	as_user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	mkdir ours
	chown 65534 ours
	if [ "$(id -u)" = 0 ]; then
		# as a user that may open /dev/fuse, so that the tier is what fails
		mkdir dev
		mount -t tmpfs -o mode=755 none dev
		mknod -m 666 dev/fuse c 10 229
		mount --bind dev/fuse /dev/fuse
		refused 2 "disk.path: cannot write to .*/closed: Permission denied; give a folder you may write to" \
			"${as_user[@]}" cachefs data ours -o disk.path=closed
		chmod 600 dev/fuse
		refused 1 "/dev/fuse: not permitted to this user or container; as root: chmod 666 /dev/fuse" \
			"${as_user[@]}" cachefs data ours
		umount /dev/fuse
		chmod 700 data
		refused 2 "data/sub: Permission denied" "${as_user[@]}" cachefs "$T/data/sub" ours
	fi
fi

# ---- /dev/fuse: not there; not allowed ----
if mkdir -p dev && mount -t tmpfs none dev 2>/dev/null; then
	mount --bind dev /dev 2>/dev/null && {
		refused 1 "/dev/fuse: No such file or directory; as root: modprobe fuse, or start the container with" \
			cachefs data "$M"
		umount /dev
	}
fi
if mount --bind /dev/null /dev/fuse 2>/dev/null; then
	refused 1 "/dev/fuse: not the FUSE device" cachefs data "$M"
	umount /dev/fuse
fi
refused 2 "/dev/fd/77: no /dev/fuse is open there" cachefs data /dev/fd/77
refused 2 "/dev/fd/0: no /dev/fuse is open there" sh -c "cachefs data /dev/fd/0 </dev/null"

until_true none_runs
