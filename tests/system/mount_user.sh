#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who may mount, and how: mount(8) and fstab find the installed program, an ordinary user mounts with
# fusermount3, and a mounter of its own hands over a descriptor (/dev/fd/N).
. "$(dirname "$0")/mount_lib.sh"

mkdir -p data/sub
echo hello >data/sub/file
head -c 2000000 /dev/urandom >data/big

# ---- installed; mount(8) looks in the usual places whatever PATH is ----
DESTDIR=$T/root cmake --install "$FEEDRATE_BUILD" >/dev/null || fail "cmake --install"
installed=$(dirname "$(find "$T/root" -path '*/bin/cachefs')")
PATH=$installed:${PATH#"$FEEDRATE_BIN:"}
[ "$(command -v cachefs)" = "$installed/cachefs" ]

if [ "$(id -u)" = 0 ] && [ -x /sbin/mount.fuse3 ] && mount --bind "$installed" /usr/local/bin; then
	for options in "" ro ro,noexec,disk.path="$T/tier" defaults,_netdev,nofail,fuse.open_mode=direct; do
		mount -t fuse.cachefs ${options:+-o "$options"} "$T/data" "$M"
		[ "$(<"$M/sub/file")" = hello ]
		PID=$(stat_of pid)
		stop
	done
	# /etc/fstab of this namespace
	mkdir 'da ta' fmnt
	echo x >'da ta/f'
	cat >fstab <<-END
	$T/data $M fuse.cachefs ro,_netdev,noauto,disk.path=$T/tier,fuse.max_threads=5 0 0
	dir:${T}/da\\040ta $T/fmnt fuse.cachefs defaults 0 0
	END
	mount --bind fstab /etc/fstab
	mount "$M"
	cmp data/big "$M/big"
	is fuse.max_threads -eq 5
	PID=$(stat_of pid)
	stop
	mount -a
	[ "$(<fmnt/f)" = x ]
	umount fmnt
	umount /etc/fstab
	# a bad option, as mount(8) tells it
	not mount -t fuse.cachefs -o fuse.open_mod=page "$T/data" "$M" 2>said
	grep -q "did you mean fuse.open_mode" said
	not mounted
	umount /usr/local/bin
fi

# ---- an ordinary user ----
if user_may_mount; then
	root_mnt=$M
	M=$T/home/mnt

	as_user cachefs data "$M" -o disk.path="$T/home/tier"
	as_user cmp data/big "$M/big"
	PID=$(as_user cachefs-ctl stats "$M" | sed -n 's/^pid //p')
	[ "$(ps -o uid= -p "$PID" | tr -d ' ')" = 65534 ]
	[ "$(as_user stat -c %u "$M/big")" = 65534 ]
	as_user cachefs-ctl stats "$M" | grep -q "readahead_why the kernel's own: only root"
	not ls "$M" 2>/dev/null # root may not without allow_other
	as_user fusermount3 -u "$M"
	ended "$PID"

	setpriv --reuid 65534 --regid 65534 --clear-groups cachefs data "$M" -f &
	PID=$!
	until_true mounted
	until_true as_user test -e "$M/big"
	kill -TERM $PID
	wait $PID
	not mounted

	as_user cachefs data "$M"
	PID=$(as_user cachefs-ctl stats "$M" | sed -n 's/^pid //p')
	kill -9 "$PID"
	ended "$PID"
	as_user cachefs data "$M" # detaches the dead one
	as_user cat "$M/sub/file" >/dev/null
	as_user fusermount3 -u "$M"

	echo >fuse.conf
	touch /etc/fuse.conf 2>/dev/null || true
	if mount --bind fuse.conf /etc/fuse.conf 2>/dev/null; then
		refused 1 "add the line user_allow_other to /etc/fuse.conf as root, or leave out" \
			setpriv --reuid 65534 --regid 65534 --clear-groups cachefs data "$M" -o allow_other
		echo user_allow_other >fuse.conf
		as_user cachefs data "$M" -o allow_other
		cat "$M/sub/file" >/dev/null
		as_user fusermount3 -u "$M"
	fi
	M=$root_mnt
	refused 1 "$M: cannot mount: .*; choose a folder that belongs to this user" setpriv --reuid 65534 --regid 65534 --clear-groups \
		cachefs data "$M"
	umount /dev/fuse
fi

# ---- a mounter of its own ----
cat >mounter.py <<'END'
import ctypes, os, subprocess, sys
source, where, options = sys.argv[1:4]
fd = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
data = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},default_permissions"
if libc.mount(b"handed", where.encode(), b"fuse.cachefs", 7, data.encode()):
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
p = subprocess.run(["cachefs", source, f"/dev/fd/{fd}", *options.split()], pass_fds=[fd])
os.close(fd)
sys.exit(p.returncode)
END
python3 mounter.py data "$M" "-f" &
front=$!
until_true mounted
until_true test -e "$M/sub/file"
cmp data/big "$M/big"
[ "$(findmnt -no SOURCE "$M")" = handed ]
bdi=/sys/class/bdi/$(findmnt -no MAJ:MIN "$M" | tr -d ' ')/read_ahead_kb
pid=$(stat_of pid)
if ! grep -qs ^fuse_connection "/proc/$pid/fdinfo/"*; then
	[ "$(stat_of fuse.readahead_why)" = "not known: this kernel does not tell which mount it is" ]
elif [ -w "$bdi" ]; then
	[ "$(<"$bdi")" = 1024 ] # the default of fuse.readahead; the kernel's own is 128
	[ "$(stat_of fuse.readahead_why)" = fuse.readahead ]
else
	[ "$(stat_of fuse.readahead_why)" = "the kernel's own: only root may set it" ]
fi
umount "$M"
wait $front
python3 mounter.py data "$M" "-o fuse.open_mode=direct"
cmp data/big "$M/big"
PID=$(stat_of pid)
kill -TERM "$PID" # ends the session; the mount stays its mounter's
ended "$PID"
mounted
not ls "$M" 2>/dev/null
umount "$M"
