/* SPDX-License-Identifier: Apache-2.0 */
/* File helpers: see file.h. */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* the same on every architecture; Debian 12's headers lack it */
#endif

int file_pread_all(int fd, void *buf, size_t len, off_t off)
{
	char *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_pwrite_all(int fd, const void *buf, size_t len, off_t off)
{
	const char *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_read(const char *path, size_t max, char **ret_data, size_t *ret_len)
{
	AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO(free) char *data = NULL;
	size_t len = 0, size = 4096;

	if (fd < 0)
		return -errno;
	for (;;) { /* by reading until the end: size is 0 in /proc */
		char *bigger = realloc(data, size + 1);

		if (!bigger)
			return -ENOMEM;
		data = bigger;
		ssize_t n = read(fd, data + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (!n)
			break;
		if (len > max)
			return -EFBIG;
		if (len == size)
			size *= 2;
	}
	data[len] = '\0';
	*ret_len = len;
	*ret_data = TAKE(data);
	return 0;
}

/* Makes the renamed name durable: the folder's own data. */
static int sync_folder_of(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	AUTO(close) int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int write_and_sync(const char *path, const void *data, size_t len, mode_t mode)
{
	AUTO(close)
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = file_pwrite_all(fd, data, len, 0);
	if (!r && fsync(fd) < 0)
		r = -errno;
	return r;
}

int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
	AUTO(free) char *tmp = NULL;
	int r;

	if (asprintf(&tmp, "%s.tmp.%d", path, (int)getpid()) < 0)
		return err_set(err, ENOMEM, "out of memory");
	r = write_and_sync(tmp, data, len, mode);
	if (!r && rename(tmp, path) < 0)
		r = -errno;
	if (!r)
		r = sync_folder_of(path);
	if (r < 0) {
		unlink(tmp);
		return err_set(err, -r, "%s: cannot write: %s%s", path, strerror(-r),
			r == -ENOSPC ? "; free space or choose another folder" : "");
	}
	return 0;
}

int file_make_dirs(const char *path, mode_t mode)
{
	AUTO(free) char *copy = strdup(path);
	struct stat st;

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (!mkdir(copy, mode))
		return 0;
	if (errno != EEXIST)
		return -errno;
	return !stat(copy, &st) && S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int file_remove_tree(const char *path)
{
	/* FTW_MOUNT: a filesystem still mounted below is not ours to empty. */
	if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int64_t file_tree_bytes(const char *path)
{
	char *const paths[] = {(char *)path, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	int64_t bytes = 0;
	FTSENT *e;

	while (tree && (e = fts_read(tree)))
		if (e->fts_info == FTS_F || e->fts_info == FTS_D)
			bytes += (int64_t)e->fts_statp->st_blocks * 512;
	if (tree)
		fts_close(tree);
	return bytes;
}

char *file_cache_home(void)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *ret = NULL;
	int n;

	if (xdg && xdg[0] == '/')
		n = asprintf(&ret, "%s/feedrate", xdg);
	else
		n = asprintf(&ret, "%s/.cache/feedrate", home && *home ? home : "/tmp");
	return n < 0 ? NULL : ret;
}

int64_t file_cached_pages(int fd, off_t off, size_t len)
{
	uint64_t range[2] = {(uint64_t)off, len}; /* struct cachestat_range */
	uint64_t found[5];                        /* struct cachestat: nr_cache first */

	return syscall(SYS_cachestat, fd, range, found, 0) < 0 ? -errno : (int64_t)found[0];
}

int file_free_bytes(const char *path, int64_t *ret_bytes)
{
	char copy[PATH_MAX];
	struct statvfs vfs;

	snprintf(copy, sizeof(copy), "%s", path);
	while (statvfs(copy, &vfs) < 0) {
		if (errno != ENOENT)
			return -errno;
		char *parent = dirname(copy);

		if (parent != copy)
			memmove(copy, parent, strlen(parent) + 1);
	}
	*ret_bytes = (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;
	return 0;
}

/* NAME in one of the folders of $PATH. */
static char *search_path(const char *name)
{
	const char *dirs = getenv("PATH");
	AUTO(free) char *copy = strdup(dirs ? dirs : "/usr/bin:/bin");
	char *save = NULL;

	if (!copy)
		return NULL;
	for (char *d = strtok_r(copy, ":", &save); d; d = strtok_r(NULL, ":", &save)) {
		AUTO(free) char *path = NULL;

		if (asprintf(&path, "%s/%s", d, name) < 0)
			return NULL;
		if (!access(path, X_OK))
			return TAKE(path);
	}
	return NULL;
}

char *file_beside_program(const char *path)
{
	char self[PATH_MAX];
	AUTO(free) char *beside = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return NULL;
	self[n] = '\0';
	if (asprintf(&beside, "%s/%s", dirname(self), path) < 0)
		return NULL;
	return realpath(beside, NULL);
}

char *file_sibling_program(const char *name)
{
	AUTO(free) char *path = file_beside_program(name);

	return path && !access(path, X_OK) ? TAKE(path) : search_path(name);
}
