/* SPDX-License-Identifier: Apache-2.0 */
/* Mount points: see mount.h. */
#include "cachefs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define FUSE_DEVICE makedev(10, 229) /* devices.txt of the kernel */
#define PROBE_NS (5 * NSEC_PER_SEC)

extern char **environ;

void mount_unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
			s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + s[3] - '0');
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* "36 35 0:31 / /mnt rw,noatime shared:1 - fuse.cachefs source rw,..." (proc(5)). */
static bool parse_line(char *line, const char *path, struct mount_entry *ret)
{
	char *tail = strstr(line, " - "), *at = NULL;
	unsigned major, minor;
	int from = 0;

	if (!tail || sscanf(line, "%*d %*d %u:%u %*s %n", &major, &minor, &from) < 2 || !from)
		return false;
	*tail = '\0';
	at = line + from;
	at[strcspn(at, " ")] = '\0';
	mount_unescape(at);
	if (strcmp(at, path))
		return false;
	*ret = (struct mount_entry){.major = major, .minor = minor};
	sscanf(tail + 3, "%63s %511s", ret->type, ret->source);
	mount_unescape(ret->source);
	return true;
}

int mount_find(const char *mountinfo, const char *path, struct mount_entry *ret)
{
	AUTO(fclose) FILE *in = fopen(mountinfo, "re");
	AUTO(free) char *line = NULL;
	size_t size = 0;
	int r = -ENOENT;

	if (!in)
		return -errno;
	while (getline(&line, &size, in) > 0) /* later lines lie above earlier ones */
		if (parse_line(line, path, ret))
			r = 0;
	return r;
}

int mount_given_fd(const char *path)
{
	static const char prefix[] = "/dev/fd/";
	char *end;
	long fd;

	if (strncmp(path, prefix, strlen(prefix)) || !path[strlen(prefix)])
		return -1;
	fd = strtol(path + strlen(prefix), &end, 10);
	return *end || fd < 0 || fd > INT_MAX ? -1 : (int)fd;
}

int mount_check_fd(int fd, struct err *err)
{
	struct stat st;

	if (!fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == FUSE_DEVICE)
		return 0;
	return err_set(err, EINVAL,
		"/dev/fd/%d: no /dev/fuse is open there; whoever gives a descriptor opens it, "
		"mounts with fd=%d and passes it on",
		fd, fd);
}

/* realpath() of a path whose last component must not be touched. */
static char *resolve_parent(const char *path)
{
	AUTO(free) char *copy = strdup(path);
	AUTO(free) char *parent = NULL;
	char *slash, *ret;

	if (!copy)
		return NULL;
	for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	slash = strrchr(copy, '/');
	if (slash)
		*slash = '\0';
	parent = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
	if (!parent || asprintf(&ret, "%s/%s", strcmp(parent, "/") ? parent : "",
			       slash ? slash + 1 : copy) < 0)
		return NULL;
	return ret;
}

char *mount_resolve(const char *path, struct err *err)
{
	AUTO(free) char *here = resolve_parent(path);
	struct mount_entry there;
	char *ret;

	if (here && !mount_find(MOUNTINFO, here, &there))
		return TAKE(here);
	ret = realpath(path, NULL);
	if (!ret && errno == ENOENT)
		err_set(err, ENOENT, "%s: no such folder; make the mount point first: mkdir -p %s",
			path, path);
	else if (!ret)
		err_set(err, errno, "%s: %s; choose another mount point", path, strerror(errno));
	return ret;
}

/* Whether the filesystem mounted at path answers. A stat could come from the kernel's cache long
 * after the filesystem has ended, so statfs, which never does; and as that may hang without end, in
 * a child. -ENOTCONN: it is dead; -ETIMEDOUT. */
static int probe(const char *path)
{
	int64_t until_ns = clock_now_ns() + PROBE_NS;
	struct statfs fs;
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(statfs(path, &fs) < 0 ? errno : 0);
	while (pid > 0 && clock_now_ns() < until_ns) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
		clock_sleep_until(clock_now_ns() + NSEC_PER_MSEC);
	}
	if (pid > 0)
		kill(pid, SIGKILL);
	return pid > 0 ? -ETIMEDOUT : -EAGAIN;
}

static int run_fusermount(const char *path)
{
	char *argv[] = {"fusermount3", "-u", "-q", "-z", "--", (char *)(uintptr_t)path, NULL};
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ))
		return -ENOENT;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EPERM;
}

int mount_detach(const char *path)
{
	if (!umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW))
		return 0;
	return errno == EPERM ? run_fusermount(path) : -errno;
}

static int check_empty(const char *path, struct err *err)
{
	AUTO(closedir) DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return err_set(err, EINVAL, "%s: %s; choose a folder this user may enter", path,
			strerror(errno));
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			return err_set(err, EINVAL,
				"%s: mount point is not empty; its files would be hidden: choose an "
				"empty folder, or add -o nonempty",
				path);
	return 0;
}

/* What is mounted at path stands in the way; a dead cachefs is detached. */
static int clear_mount(const char *path, const struct mount_entry *there, struct err *err)
{
	bool ours = !strcmp(there->type, MOUNT_TYPE);
	int r = probe(path);

	if (r == -ENOTCONN && ours && !mount_detach(path))
		return 0;
	if (r == -ENOTCONN || r == -ETIMEDOUT)
		return err_set(err, EINVAL,
			"%s: a %s %s mount is here; take it away first%s: fusermount3 -uz %s", path,
			r == -ENOTCONN ? "dead" : "stuck", there->type,
			ours ? ", as its owner" : "", path);
	if (ours)
		return err_set(err, EINVAL,
			"%s: already a cachefs mount, of %s; unmount it first: fusermount3 -u %s",
			path, there->source, path);
	return 0;
}

int mount_prepare(const char *path, bool nonempty, struct err *err)
{
	struct mount_entry there;
	struct stat st;
	int r = mount_find(MOUNTINFO, path, &there) ? 0 : clear_mount(path, &there, err);

	if (r < 0)
		return r;
	r = stat(path, &st) < 0 ? errno : 0;
	if (r || !S_ISDIR(st.st_mode))
		return err_set(err, EINVAL, "%s: %s; a mount point is a folder", path,
			r ? strerror(r) : "not a folder");
	return nonempty ? 0 : check_empty(path, err);
}

int mount_check_device(struct err *err)
{
	AUTO(close) int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == FUSE_DEVICE)
		return 0;
	if (fd >= 0)
		return err_set(err, ENODEV,
			"/dev/fuse: not the FUSE device (char 10:229), something else lies over it; "
			"take that away, or start the container with --device /dev/fuse");
	if (errno == EACCES || errno == EPERM)
		return err_set(err, errno,
			"/dev/fuse: not permitted to this user or container; as root: chmod 666 "
			"/dev/fuse, or start the container with --device /dev/fuse --cap-add "
			"SYS_ADMIN");
	return err_set(err, errno,
		"/dev/fuse: %s; as root: modprobe fuse, or start the container with --device "
		"/dev/fuse",
		strerror(errno));
}

int mount_of_fd(const char *fdinfo, struct mount_entry *ret)
{
	static const char key[] = "fuse_connection:";
	AUTO(fclose) FILE *in = fopen(fdinfo, "re");
	AUTO(free) char *line = NULL;
	unsigned long long dev;
	size_t size = 0;

	if (!in)
		return -errno;
	while (getline(&line, &size, in) > 0)
		if (!strncmp(line, key, strlen(key)) &&
			sscanf(line + strlen(key), "%llu", &dev) == 1) {
			/* As the kernel keeps it: 20 bits of minor below the major. */
			*ret = (struct mount_entry){
				.major = (unsigned)(dev >> 20), .minor = (unsigned)(dev & 0xfffff)};
			return 0;
		}
	return -ENOENT;
}

static void readahead_path(const struct mount_entry *mount, char *ret, size_t size)
{
	snprintf(ret, size, "/sys/class/bdi/%u:%u/read_ahead_kb", mount->major, mount->minor);
}

int mount_get_readahead(const struct mount_entry *mount, int64_t *ret)
{
	char file[64];
	int64_t kib;

	readahead_path(mount, file, sizeof(file));
	AUTO(fclose) FILE *in = fopen(file, "re");

	if (!in)
		return -errno;
	if (fscanf(in, "%" SCNd64, &kib) != 1)
		return -EIO;
	*ret = kib << 10;
	return 0;
}

int mount_set_readahead(const struct mount_entry *mount, int64_t bytes)
{
	char file[64];

	readahead_path(mount, file, sizeof(file));
	AUTO(close) int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dprintf(fd, "%" PRId64 "\n", bytes >> 10) < 0)
		return -errno;
	return 0;
}
