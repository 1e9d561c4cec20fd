# SPDX-License-Identifier: Apache-2.0
# What fs.sh needs; sourced by it after mount_lib.sh: data, origins, mounts of each system, and what daemons and
# the disk have done. SYSTEM is the one that is measured, KEPT the folder of its cache, DAEMON its process.
NGINX=$(PATH=$PATH:/usr/sbin command -v nginx) || skip "nginx is missing: apt-get install nginx-light"
command -v jq >/dev/null || skip "jq is missing"
SYSTEM=native KEPT='' DAEMON='' GROUP='' GROUP_CPU=''

is_cachefs()
{
	case $SYSTEM in native | rclone | s3fs) return 1 ;; esac
}

find_systems()
{
	local all name
	all="native $(cachefs --help fuse.open_mode | sed -n 's/^  one of *//p' | tr -d ,) rclone s3fs"
	DEFAULT=$(cachefs --help fuse.open_mode | sed -n 's/^  default *//p')
	SYSTEM_LIST=() FIO=fio
	for name in ${SYSTEMS:-$all}; do
		case $name in
		rclone | s3fs) command -v $name >/dev/null || { echo "SKIP: $name is missing: apt-get install $name"; continue; } ;;
		esac
		SYSTEM_LIST+=("$name")
	done
	command -v fio >/dev/null || { FIO=no && echo "SKIP: fio is missing: apt-get install fio"; }
}

# ---- data: small (100 folders), large, mixed (both), in $T/src; $T/list.SET in the order in which it is read ----

make_data()
{
	local need have
	need=$((${#SYSTEM_LIST[@]} * 4 * (FILES * 110000 + LARGE * LARGE_BYTES) / 2 + (1 << 30)))
	have=$(df --output=avail -B1 "$T" | tail -n 1)
	[ "$have" -gt "$need" ] || fail "$T has $((have >> 30)) GiB, $((need >> 30)) are needed: set TMPDIR"
	mkdir -p src/large src/mixed tier
	python3 - "$FILES" "$LARGE" "$LARGE_BYTES" <<-'END'
		import os, random, sys
		files, large, size = map(int, sys.argv[1:])
		random.seed(1)
		lists = {"small": [], "large": []}
		for i in range(files):
		    name, n = f"c{i % 100:02}/f{i:05}", int(110000 * random.uniform(0.5, 1.5))
		    os.makedirs(f"src/small/c{i % 100:02}", exist_ok=True)
		    with open(f"src/small/{name}", "wb") as file:
		        file.write(os.urandom(n))
		    lists["small"].append((n, name))
		for i in range(large):
		    with open(f"src/large/f{i:02}", "wb") as file:
		        for left in range(size, 0, -(1 << 20)):
		            file.write(os.urandom(min(left, 1 << 20)))
		    lists["large"].append((size, f"f{i:02}"))
		half = lists["small"][:files // 2] + lists["large"][:large // 2]
		for _, name in half:
		    os.makedirs(os.path.dirname(f"src/mixed/{name}"), exist_ok=True)
		    folder = "small" if "/" in name else "large"
		    os.link(f"src/{folder}/{name}", f"src/mixed/{name}")
		lists["mixed"] = half
		for key, rows in lists.items():
		    random.shuffle(rows)
		    with open(f"list.{key}", "w") as file:
		        file.writelines(f"{n} {name}\n" for n, name in rows)
	END
	sync -f src
}

# ---- origins ----

free_port()
{
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# far: synth-remote with latency. near: nginx, as a web server that lists folders for cachefs, and as a bucket for
# peers: it serves the same files by sendfile, and passes listings on to a synth-remote for each set.
start_origins()
{
	local set port lists=''
	HTTP=$(free_port) S3=$(free_port)
	for set in small large mixed; do
		port=$(free_port)
		synth-remote "src/$set" --listen "127.0.0.1:$port" >/dev/null &
		ORIGINS+=($!)
		lists+="location /$set { error_page 418 = @$set; if (\$args ~ list-type) { return 418; } try_files \$uri =404; }
			location @$set { proxy_pass http://127.0.0.1:$port; }"
	done
	FAR=$(free_port)
	synth-remote src/small --listen "127.0.0.1:$FAR" --remote.latency="$LATENCY" --remote.bandwidth="$BANDWIDTH" >/dev/null &
	ORIGINS+=($!)
	cat >nginx.conf <<-END
		daemon off; worker_processes auto; pid $T/nginx.pid; error_log $T/nginx.errors; worker_rlimit_nofile 8192;
		$([ "$(id -u)" != 0 ] || echo "user root;")
		events { worker_connections 2048; }
		http {
			access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
			client_body_temp_path $T/tmp; proxy_temp_path $T/tmp; fastcgi_temp_path $T/tmp;
			uwsgi_temp_path $T/tmp; scgi_temp_path $T/tmp;
			server { listen 127.0.0.1:$HTTP; root $T/src; autoindex on; autoindex_format json; }
			server { listen 127.0.0.1:$S3; root $T/src; $lists }
		}
	END
	"$NGINX" -c "$T/nginx.conf" -e "$T/nginx.errors" &
	ORIGINS+=($!)
	until_true curl -sfo /dev/null "http://127.0.0.1:$HTTP/small/"
	until_true curl -sfo /dev/null "http://127.0.0.1:$FAR/?list-type=2"
	for i in "${ORIGINS[@]}"; do
		mapfile -t -O ${#ORIGINS[@]} ORIGINS < <(pgrep -P "$i")
	done
}

# Nobody can fetch anything while it is stopped. s3fs asks at each open whether the object is still the same, so for it
# alone the origin goes on.
stop_origin()
{
	[ "$SYSTEM" = s3fs ] || kill -STOP "${ORIGINS[@]}"
}

continue_origin()
{
	kill -CONT "${ORIGINS[@]}"
}

# ---- mounts ----

# In a group of its own, so that its memory and time can be told; where that cannot be, /proc must do.
group_new()
{
	local path
	GROUP='' GROUP_CPU=''
	path=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/feedrate-$$-$RANDOM
	if [ -d /sys/fs/cgroup/memory ] && mkdir "$path" 2>/dev/null; then
		GROUP=$path
		path=/sys/fs/cgroup/cpuacct$(sed -n 's/^[0-9]*:\(cpu,\)\?cpuacct://p' /proc/self/cgroup)/feedrate-$$-$RANDOM
		mkdir "$path" 2>/dev/null && GROUP_CPU=$path
	elif path=/sys/fs/cgroup/feedrate-$$-$RANDOM && [ -e /sys/fs/cgroup/cgroup.controllers ] && mkdir "$path" 2>/dev/null; then
		GROUP=$path GROUP_CPU=$path
		[ -e "$path/memory.stat" ] || group_end
	fi
}

group_end()
{
	[ -z "$GROUP_CPU" ] || rmdir "$GROUP_CPU" 2>/dev/null
	[ -z "$GROUP" ] || rmdir "$GROUP" 2>/dev/null
	GROUP='' GROUP_CPU=''
}

in_group()
{
	local group
	for group in "$GROUP" "$GROUP_CPU"; do
		[ -z "$group" ] || echo 0 >"$group/cgroup.procs"
	done
	exec "$@"
}

# mount_system SET|far [OPTION...]: SYSTEM at $M, its cache in $KEPT.
mount_system()
{
	local set=$1 url bucket=$1 s3=http://127.0.0.1:$S3 option
	url=http://127.0.0.1:$HTTP/$set/
	[ "$set" != far ] || { url=http://127.0.0.1:$FAR/ s3=http://127.0.0.1:$FAR bucket=small; }
	option=disk.path=$KEPT$([ $# -lt 2 ] || printf ',%s' "${@:2}")
	group_new
	case $SYSTEM in
	rclone)
		(in_group env -i PATH="$PATH" HOME="$T" no_proxy=127.0.0.1 rclone mount ":s3:$bucket" "$M" --config /dev/null \
			--s3-provider Other --s3-endpoint "$s3" --s3-list-version 2 --s3-force-path-style --s3-no-head-object \
			--use-server-modtime --read-only --no-modtime --no-checksum --vfs-fast-fingerprint \
			--dir-cache-time 9999h --attr-timeout 1h --poll-interval 0 --vfs-cache-mode full \
			--vfs-cache-max-age 9999h --vfs-read-ahead 128M --buffer-size 16M --max-read-ahead 1M \
			--cache-dir "$KEPT" >"$T/rclone.log" 2>&1) &
		DAEMON=$!
		;;
	s3fs)
		(in_group s3fs "$bucket" "$M" -f -o "ro,url=$s3,use_path_request_style,public_bucket=1,listobjectsv2" \
			-o "use_cache=$KEPT,kernel_cache,max_stat_cache_size=1000000,stat_cache_expire=86400,parallel_count=32" \
			-o multireq_max=32,entry_timeout=3600,attr_timeout=3600 >"$T/s3fs.log" 2>&1) &
		DAEMON=$!
		;;
	*)
		(in_group timeout 60 cachefs "$url" "$M" -o "fuse.open_mode=$SYSTEM,$option") || fail "$SYSTEM: no mount"
		DAEMON=$(stat_of pid)
		;;
	esac
	until_true mounted
}

unmount_system()
{
	umount "$M" || umount -l "$M"
	for _ in $(seq 100); do
		kill -0 "$DAEMON" 2>/dev/null || break
		sleep 0.1
	done
	kill -9 "$DAEMON" 2>/dev/null
	wait "$DAEMON" 2>/dev/null
	DAEMON=''
	group_end
}

# Fetches everything while readers read; by the plan of the epoch where cachefs-ctl knows plans.
warm_in_background()
{
	if cachefs-ctl --help | grep -q -- --plan; then
		{ echo "# epoch 0" && cut -d' ' -f2- list.small; } >plan
		cachefs-ctl warm "$M" --plan plan >/dev/null 2>&1 &
	else
		cachefs-ctl warm "$M" >/dev/null 2>&1 &
	fi
	WARM=$!
}

# Where files have to be verified before the kernel may read them by itself, waits until they are.
settle()
{
	local before='' now
	case $SYSTEM in passthrough | auto) ;; *) return 0 ;; esac
	for _ in $(seq 40); do
		now=$(stat_of layers.disk.unverified_blocks)
		[ "$now" != "$before" ] || return 0
		before=$now
		sleep 0.5
	done
}

# drop_pages SET FILES: every page of the data, in the mount and in what the system keeps.
drop_pages()
{
	sync -f "$T"
	if [ "$DROP" = caches ]; then
		echo 1 >/proc/sys/vm/drop_caches
		return
	fi
	timeout 60 "$READ" -d -n "$2" "$M" "$T/list.$1" >/dev/null || fail "$SYSTEM: dropping pages"
	[ "$SYSTEM" != native ] || return 0
	find "$KEPT" -type f -printf '%s %P\n' >kept
	"$READ" -d "$KEPT" kept >/dev/null
}

# ---- what they have done ----

# CPU seconds of the daemon.
daemon_cpu()
{
	if [ -z "$DAEMON" ]; then
		echo 0
	elif [ -e "$GROUP_CPU/cpuacct.usage" ]; then
		awk '{ printf "%.6f\n", $1 / 1e9 }' "$GROUP_CPU/cpuacct.usage"
	elif [ -e "$GROUP_CPU/cpu.stat" ]; then
		awk '$1 == "usage_usec" { printf "%.6f\n", $2 / 1e6 }' "$GROUP_CPU/cpu.stat"
	else
		awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/$DAEMON/stat"
	fi
}

# CPU seconds of all origins.
origin_cpu()
{
	local stats=("${ORIGINS[@]/%//stat}")
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); n += $12 + $13 } END { print n / hz }' "${stats[@]/#//proc/}"
}

# Bytes of memory that are the daemon's: rss, shmem, and what the kernel holds for it; the page cache is not.
daemon_memory()
{
	if [ -z "$DAEMON" ]; then
		echo 0
	elif [ -e "$GROUP/memory.kmem.usage_in_bytes" ]; then
		awk '$1 == "rss" || $1 == "shmem" { n += $2 } NF == 1 { n += $1 } END { printf "%.0f\n", n }' \
			"$GROUP/memory.stat" "$GROUP/memory.kmem.usage_in_bytes"
	elif [ -n "$GROUP" ]; then
		awk '$1 == "anon" || $1 == "shmem" || $1 == "kernel" { n += $2 } END { printf "%.0f\n", n }' "$GROUP/memory.stat"
	else
		awk '$1 == "RssAnon:" || $1 == "RssShmem:" { n += $2 } END { printf "%.0f\n", n * 1024 }' "/proc/$DAEMON/status"
	fi
}

# Bytes that the disk under $T has read, by its own count.
disk_read()
{
	awk '{ printf "%.0f\n", $3 * 512 }' "/sys/dev/block/$(stat -c %Hd:%Ld "$T")/stat" 2>/dev/null || echo 0
}

describe_machine()
{
	printf '%s CPUs (%s), %s, Linux %s, %s on %s, load %s; %s; %s; %s rounds, pages dropped by %s\n' "$(nproc)" \
		"$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		"$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)" "$(uname -r)" \
		"$(findmnt -no FSTYPE -T "$T")" "$(findmnt -no SOURCE -T "$T")" "$(cut -d' ' -f1-3 /proc/loadavg)" \
		"$(cachefs --version | head -n 1)" \
		"$( (rclone version 2>/dev/null | head -n 1; s3fs --version 2>/dev/null | head -n 1; "$NGINX" -v 2>&1) | paste -sd, )" \
		"$ROUNDS" "$DROP"
}

leave()
{
	trap - ERR
	kill -CONT "${ORIGINS[@]}" 2>/dev/null
	[ -z "$DAEMON" ] || unmount_system 2>/dev/null
}
ORIGINS=()
trap leave EXIT
