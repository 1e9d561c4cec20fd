/* SPDX-License-Identifier: Apache-2.0 */
/* Opening beneath a root: see beneath.h. */
#include "common/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

#define NAME_BYTES_MAX 4095
#define RENAME_TRIES 64

/* openat2 refuses flags that mean nothing with O_PATH. */
static int with_guards(int flags)
{
	return flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY | O_NONBLOCK);
}

/* Sandboxes refuse unknown system calls with either. */
static bool openat2_missing(int error)
{
	return error == ENOSYS || error == EPERM;
}

static int open_resolved(int root, const char *name, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)with_guards(flags),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	/* EAGAIN: a rename went on meanwhile, so the kernel cannot tell; see openat2(2) */
	for (int i = 0; i < RENAME_TRIES; i++) {
		fd = syscall(SYS_openat2, root, *name ? name : ".", &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

int beneath_open(int root, const char *name, int flags)
{
	static atomic_bool missing;

	if (!atomic_load_explicit(&missing, memory_order_relaxed)) {
		int fd = open_resolved(root, name, flags);

		if (fd >= 0 || !openat2_missing(-fd))
			return fd;
		/* EPERM may also be the file's own; only "." cannot be refused so. */
		int probe = open_resolved(root, "", O_PATH);

		if (probe >= 0) {
			close(probe);
			return fd;
		}
		atomic_store_explicit(&missing, true, memory_order_relaxed);
	}
	return beneath_open_walk(root, name, flags);
}

/* Opens the next component of *rest below dir; the last one with the caller's flags. */
static int open_component(int dir, const char **rest, int flags)
{
	char part[256];
	size_t len = strcspn(*rest, "/");
	bool last = !(*rest)[len] || !(*rest)[len + 1]; /* "a/" names the folder a */

	if (!len || len >= sizeof(part))
		return len ? -ENAMETOOLONG : -ENOENT;
	memcpy(part, *rest, len);
	part[len] = '\0';
	if (!strcmp(part, "..") || !strcmp(part, "."))
		return -EXDEV;
	*rest += (*rest)[len] ? len + 1 : len;
	int fd = openat(dir, part, with_guards((last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW));

	return fd < 0 ? -errno : fd;
}

int beneath_open_walk(int root, const char *name, int flags)
{
	if (name[0] == '/')
		return -EXDEV;
	AUTO(close) int dir = openat(root, ".", with_guards(*name ? O_PATH : flags));

	if (dir < 0)
		return -errno;
	while (*name) {
		int next = open_component(dir, &name, flags);

		if (next < 0)
			return next;
		close(dir);
		dir = next;
	}
	return take_fd(&dir);
}

int beneath_stat_entry(
	int root, const char *dir_name, DIR *dir, const struct dirent *entry, struct stat *ret)
{
	char path[NAME_BYTES_MAX + 1 + sizeof(entry->d_name)];
	size_t len = strlen(dir_name);

	if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
		return fstatat(dirfd(dir), entry->d_name, ret, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
											: 0;
	snprintf(path, sizeof(path), "%s%s%s", dir_name, len && dir_name[len - 1] != '/' ? "/" : "",
		entry->d_name);
	AUTO(close) int fd = beneath_open(root, path, O_PATH);

	if (fd < 0)
		return fd;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

bool beneath_plain(const char *key)
{
	if (!*key || strlen(key) > NAME_BYTES_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(key, "/");

		if (!len || (key[0] == '.' && (len == 1 || (len == 2 && key[1] == '.'))))
			return false;
		if (!key[len])
			return true;
		key += len + 1;
	}
}
