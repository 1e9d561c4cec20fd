# SPDX-License-Identifier: Apache-2.0
# What mount tests share; sourced first. The rest of the test runs as process 1 of mount and process
# namespaces of its own: whatever happens in it, no mount, daemon or folder is left behind.
#
#   $T        a folder of the test's own
#   $M        an empty mount point in it; $T/tier: a folder for a disk tier
#   start ORIGIN [OPTION...]  mounts at $M; stop: unmounts and waits for the daemon's end
#   start_remote FOLDER       serves it by synth-remote: process $REMOTE at $URL, a bucket and a web server
#   as_user COMMAND...        as nobody, whom user_may_mount lets open /dev/fuse
#   on_terminal COMMAND...    on a terminal of its own; prints what it writes there
#   refused CODE PATTERN COMMAND...   it fails with CODE and one line on standard error like PATTERN,
#                                     and leaves nothing mounted
set -u

skip()
{
	echo "SKIP: $*"
	exit 77
}

fail()
{
	echo "FAIL: $*" >&2
	exit 1
}

if [ -z "${MOUNT_TEST_DIR:-}" ]; then
	[ -x "$FEEDRATE_BIN/cachefs" ] || skip "cachefs is not built (libfuse is missing)"
	ns=(unshare --mount --pid --fork --kill-child --mount-proc)
	[ "$(id -u)" = 0 ] || ns+=(--user --map-root-user)
	"${ns[@]}" true 2>/dev/null || skip "no namespaces for this user"
	MOUNT_TEST_DIR=$(mktemp -d)
	FEEDRATE_BIN=$(realpath "$FEEDRATE_BIN")
	export MOUNT_TEST_DIR FEEDRATE_BIN
	trap 'chmod -R u+w "$MOUNT_TEST_DIR"; rm -rf --one-file-system "$MOUNT_TEST_DIR"' EXIT
	"${ns[@]}" bash "$0" "$@"
	exit $?
fi

T=$MOUNT_TEST_DIR
M=$T/mnt
PATH=$FEEDRATE_BIN:$PATH
mkdir -p "$M" "$T/tier"
cd "$T" || exit 1
chmod 755 "$T"
[ -e /dev/fuse ] || skip "/dev/fuse is missing"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse may not be opened"
trap 'fail "line $LINENO: ${BASH_COMMAND%%$'"'\n'"'*}"' ERR # a "! command" never triggers it: write "not"

not()
{
	if "$@"; then
		return 1
	fi
}

mounted()
{
	findmnt --kernel --noheadings "${1:-$M}" >/dev/null
}

# A number or word of the statistics, such as fuse.mode.
stat_of()
{
	cachefs-ctl stats "${2:-$M}" | sed -n "s/^$1 //p"
}

# is KEY -lt NUMBER: of the statistics. compare: the same without a message.
compare()
{
	[ "$(stat_of "$1")" "$2" "$3" ]
}

is()
{
	compare "$@" || fail "$1 is $(stat_of "$1"), should be $2 $3"
}

start()
{
	local origin=$1
	shift
	timeout 60 cachefs "$origin" "$M" "$@" || return 1
	PID=$(stat_of pid)
}

ended()
{
	for _ in $(seq 200); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	fail "process $1 still runs: $(grep -h State: /proc/"$1"/task/*/status | sort | uniq -c)"
}

stop()
{
	umount "$M" || return 1
	ended "$PID"
}

refused()
{
	local want=$1 pattern=$2 code=0
	shift 2
	timeout 60 "$@" >"$T/said.out" 2>"$T/said" || code=$?
	[ "$code" = "$want" ] || fail "$*: exit code $code, not $want: $(cat "$T/said")"
	[ "$(wc -l <"$T/said")" = 1 ] || fail "$*: not one line: $(cat "$T/said")"
	grep -qE -- "$pattern" "$T/said" || fail "$*: not like '$pattern': $(cat "$T/said")"
	not mounted || fail "$*: left a mount behind"
}

# Waits up to 30 s for a command to succeed.
until_true()
{
	for _ in $(seq 600); do
		if "$@"; then
			return 0
		fi
		sleep 0.05
	done
	fail "never true: $*"
}

start_remote()
{
	unset AWS_ENDPOINT_URL
	export no_proxy=127.0.0.1
	synth-remote "$1" --listen 127.0.0.1:0 >remote.out &
	REMOTE=$!
	until_true grep -q http:// remote.out
	URL=$(grep -o 'http://[^ ]*' remote.out)
}

as_user()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# False: there is no other user here. Else ./home is that user's, with folders mnt and tier, until umount /dev/fuse.
user_may_mount()
{
	[ "$(id -u)" = 0 ] && as_user true 2>/dev/null && command -v fusermount3 >/dev/null || return 1
	mkdir dev home &&
		mount -t tmpfs -o mode=755 none dev &&
		mknod -m 666 dev/fuse c 10 229 &&
		mount --bind dev/fuse /dev/fuse &&
		chown 65534 home &&
		as_user mkdir home/mnt home/tier || fail "cannot let another user mount"
}

on_terminal()
{
	python3 -c '
import os, pty, sys
pid, terminal = pty.fork()
if not pid:
    os.execvp(sys.argv[1], sys.argv[1:])
try:
    while piece := os.read(terminal, 4096):
        sys.stdout.buffer.write(piece)
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))' "$@"
}
