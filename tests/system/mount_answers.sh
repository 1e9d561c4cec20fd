#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What programs are told about names: listings, attributes, errors, limits; in each open mode.
. "$(dirname "$0")/mount_lib.sh"

# ---- a tree with whatever a name may be ----
mkdir -p data/deep/{1,2}/3/4/5 data/empty data/many 'data/with space'
printf '' >data/none
printf 'x' >data/one
head -c 3000000 /dev/urandom >data/big
long=$(printf 'n%.0s' $(seq 255))
touch "data/$long" data/$'new\nline' data/ünïcode data/$'not-utf8-\xff' "data/with space/ a " data/.hidden
(cd data/many && seq -f 'file-%05.0f' 5000 | xargs touch)
ln -s ../one data/deep/inner
ln -s /etc/passwd data/outer
mkfifo data/fifo
mkdir data/.cachefs
touch -d '2001-02-03 04:05:06.789' data/one

list()
{
	(cd "$1" && find . -mindepth 1 -path ./.cachefs -prune -o \( -type f -o -type d \) \
		-printf '%P|%y|%T@|' \( -type f -printf '%s\n' -o -printf '\n' \) | LC_ALL=C sort)
}

# What is shown: the origin's files and folders, inner links as what they lead to.
cp -a data shown
rm -r shown/.cachefs shown/outer shown/fifo shown/deep/inner
cp -a data/one shown/deep/inner
for d in . deep; do touch -r "data/$d" "shown/$d"; done
list shown | sed -E '/^[^|]*\|d\|/s/\|d\|.*/|d|/' >expected

for mode in direct page noopen passthrough; do
	start data -o fuse.open_mode=$mode,disk.path=tier
	list "$M" | sed -E '/^[^|]*\|d\|/s/\|d\|.*/|d|/' >got
	diff expected got >/dev/null || fail "$mode: other names: $(diff expected got | head -5)"
	list "$M" | sed -E '/^[^|]*\|d\|/s/\|d\|.*/|d|/' | cmp - expected
	[ "$(find "$M/many" -type f | wc -l)" = 5000 ]
	diff -r data/many "$M/many"
	cmp data/big "$M/big"

	# control is there for who asks, and only then
	not grep -q cachefs <(ls -a "$M")
	[ "$(ls -A "$M/.cachefs")" = stats.json ]
	[ -d "$M/.cachefs" ]
	grep -q '"uptime_s"' "$M/.cachefs/stats.json"
	not ls "$M/.cachefs/other" 2>/dev/null
	[ "$(stat_of fuse.mode)" = $mode ] || [ $mode = passthrough ]

	# attributes
	[ "$(stat -c '%s %a %F %h' "$M/one")" = "1 444 regular file 1" ]
	[ "$(stat -c '%a %F' "$M/deep")" = "555 directory" ]
	[ "$(stat -c %Y.%y "$M/one")" = "$(stat -c %Y.%y data/one)" ]
	[ "$(stat -c %b "$M/big")" = 5860 ]
	[ "$(du -sb --apparent-size "$M/big" | cut -f1)" = 3000000 ]

	python3 - "$M" <<-'PYTHON'
	import errno, os, sys
	root = sys.argv[1]
	def fails(code, call, *args):
	    try:
	        call(*args)
	    except OSError as e:
	        if e.errno in (code if isinstance(code, tuple) else (code,)):
	            return
	        sys.exit(f"{call.__name__}{args}: {e}")
	    sys.exit(f"{call.__name__}{args}: should fail")
	os.chdir(root)
	fails(errno.ENOENT, os.stat, "nothing")
	fails(errno.ENOENT, os.stat, "deep/nothing/more")
	fails(errno.ENOENT, os.stat, "outer")
	fails(errno.ENOENT, os.stat, "fifo")
	fails(errno.ENOTDIR, os.stat, "one/more")
	fails(errno.ENOTDIR, os.listdir, "one")
	fails(errno.EISDIR, os.read, os.open("deep", os.O_RDONLY), 1)
	fails(errno.ENAMETOOLONG, os.stat, "n" * 256)
	fails(errno.ENOTSUP, os.getxattr, "one", "user.x")
	fails((errno.EROFS, errno.ENOTSUP), os.setxattr, "one", "user.x", b"x")
	fails(errno.EROFS, os.open, "one", os.O_WRONLY)
	fails(errno.EROFS, os.open, "new", os.O_WRONLY | os.O_CREAT)
	fails(errno.EROFS, os.unlink, "one")
	fails(errno.EROFS, os.mkdir, "new")
	fails(errno.EROFS, os.rename, "one", "two")
	fails(errno.EROFS, os.chmod, "one", 0o777)
	fails(errno.EROFS, os.utime, "one")
	fails(errno.EROFS, os.truncate, "one", 0)
	fails(errno.ENOTTY, __import__("fcntl").ioctl, os.open("one", os.O_RDONLY), 0x5401)
	vfs = os.statvfs(".")
	if not vfs.f_flag & os.ST_RDONLY or vfs.f_namemax != 255:
	    sys.exit(f"statvfs: {vfs}")
	fd = os.open("one", os.O_RDONLY)
	if os.pread(fd, 10, 0) != b"x" or os.pread(fd, 10, 1) or os.pread(fd, 10, 1 << 40):
	    sys.exit("reading at and past the end")
	if os.read(os.open("none", os.O_RDONLY), 10):
	    sys.exit("an empty file has bytes")
	if os.lseek(fd, 0, os.SEEK_DATA) != 0 or os.lseek(fd, 0, os.SEEK_HOLE) != 1:
	    sys.exit("lseek")
	# a folder read in several ways: rewound, in pieces, by two at once
	names = sorted(os.listdir("many"))
	a, b = os.scandir("many"), os.scandir("many")
	mixed = [(next(a).name, next(b).name) for _ in range(len(names))]
	if sorted(x for x, _ in mixed) != names or sorted(y for _, y in mixed) != names:
	    sys.exit("two readers of one folder disturb each other")
	if len(names) != 5000 or sorted(os.listdir("many")) != names:
	    sys.exit("a listing that changes")
	PYTHON
	stop
done

# ---- another user: not without allow_other; then by the permission bits ----
if [ "$(id -u)" = 0 ] && as_user true 2>/dev/null; then
	start data
	not as_user ls "$M" 2>/dev/null
	stop
	start data -o allow_other,file_mode=0440
	as_user ls "$M" >/dev/null
	not as_user cat "$M/one" 2>/dev/null
	stop
	start data -o allow_other
	[ "$(as_user cat "$M/one")" = x ]
	as_user cachefs-ctl stats "$M" >/dev/null
	not as_user cachefs-ctl drop "$M" 2>said
	grep -q "only root and the user who mounted it" said
	stop
fi
