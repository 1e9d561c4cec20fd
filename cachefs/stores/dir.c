/* SPDX-License-Identifier: Apache-2.0 */
/* dir - a folder as the origin: files and folders beneath it, other kinds of files are not there.
 *
 * Links are followed as long as they stay beneath the root; one that leads out is not there. The
 * version of a file is its size, mtime and ctime (which rename(2) and a reset mtime change too; an
 * inode number would not be the same after remounting some network filesystems). A fetch looks at
 * them again after each piece it has read and before it hands the piece up, so bytes of another
 * version never pass for this one's. */
#include "cachefs/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/beneath.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"

#define PIECE (256 << 10) /* read at once: stays in a core's cache until it is handed up */

extern const struct store_ops dir_ops;

struct dir {
	struct store base;
	int root;
};

static struct store *dir_open(
	const struct config *cfg, const char *origin, struct store *lower, struct err *err)
{
	AUTO(close) int root = open(origin, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0) {
		err_set(err, errno,
			"%s: %s; ORIGIN is a folder, http(s)://HOST/PATH or s3://BUCKET/PREFIX",
			origin, strerror(errno));
		return NULL;
	}
	struct dir *d = calloc(1, sizeof(*d));

	if (!d || store_init(&d->base, &dir_ops, lower) < 0) {
		free(d);
		err_set(err, ENOMEM, "not enough memory for origin dir");
		return NULL;
	}
	d->root = take_fd(&root);
	return &d->base;
}

static void dir_close(struct store *st)
{
	struct dir *d = container_of(st, struct dir, base);

	close(d->root);
	store_done(st);
	free(d);
}

static int64_t nanoseconds(struct timespec t)
{
	return (int64_t)t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

/* -ENOENT: of a kind that is not shown. */
static int to_object(const struct stat *st, struct object *ret)
{
	char text[3 * 17];

	*ret = (struct object){
		.is_dir = S_ISDIR(st->st_mode), .mtime_ns = nanoseconds(st->st_mtim)};
	if (ret->is_dir)
		return 0;
	if (!S_ISREG(st->st_mode))
		return -ENOENT;
	ret->size = (uint64_t)st->st_size;
	snprintf(text, sizeof(text), "%" PRIx64 "-%" PRIx64 "-%" PRIx64, ret->size,
		(uint64_t)ret->mtime_ns, (uint64_t)nanoseconds(st->st_ctim));
	ret->version = store_version(text, 0, 0);
	return 0;
}

/* What says that a name leads nowhere, or out of the root. */
static bool is_absent(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -EXDEV || r == -ELOOP || r == -ENAMETOOLONG;
}

static int count_request(struct store *st, int r)
{
	counter_add(st->counters, ORIGIN_requests, 1);
	if (r < 0 && r != -ENOENT && r != -ENOTDIR && r != -ESTALE)
		counter_add(st->counters, ORIGIN_errors, 1);
	return r;
}

static int stat_name(struct dir *d, const char *name, struct object *ret)
{
	AUTO(close) int fd = beneath_open(d->root, name, O_PATH);
	struct stat st;

	if (fd < 0)
		return is_absent(fd) ? -ENOENT : fd;
	return fstat(fd, &st) < 0 ? -errno : to_object(&st, ret);
}

static int dir_stat(struct store *st, const char *name, enum store_wait wait, struct object *ret)
{
	struct dir *d = container_of(st, struct dir, base);

	if (wait == STORE_NOWAIT)
		return -EAGAIN; /* the folder may lie on a network */
	return count_request(st, stat_name(d, name, ret));
}

static DIR *open_folder(int root, const char *name, int *ret_error)
{
	AUTO(close) int fd = beneath_open(root, name, O_RDONLY | O_DIRECTORY);
	DIR *ret = NULL;

	if (fd >= 0 && (ret = fdopendir(fd)))
		take_fd(&fd);
	else
		*ret_error = fd >= 0 ? -errno : fd != -ENOTDIR && is_absent(fd) ? -ENOENT : fd;
	return ret;
}

static int list_folder(struct dir *d, const char *name, list_fn *each, void *arg)
{
	const struct dirent *entry;
	int r = 0;
	AUTO(closedir) DIR *folder = open_folder(d->root, name, &r);

	while (folder && !r && (errno = 0, entry = readdir(folder))) {
		struct object obj;
		struct stat st;

		if (!store_component_valid(entry->d_name) ||
			beneath_stat_entry(d->root, name, folder, entry, &st) < 0 ||
			to_object(&st, &obj) < 0)
			continue; /* ".", "..", gone meanwhile, or nothing that is shown */
		obj.name = entry->d_name;
		r = each(arg, &obj);
	}
	return folder && !r ? -errno : r;
}

static int dir_list(
	struct store *st, const char *name, enum store_wait wait, list_fn *each, void *arg)
{
	struct dir *d = container_of(st, struct dir, base);

	if (wait == STORE_NOWAIT)
		return -EAGAIN;
	return count_request(st, list_folder(d, name, each, arg));
}

/* 0 while fd is the version that obj names. */
static int check_version(int fd, const struct object *obj)
{
	struct object now;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return to_object(&st, &now) < 0 || now.version != obj->version ? -ESTALE : 0;
}

static int dir_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg)
{
	/* Not thread-local: each thread of the program would have one, and libc clears it. */
	AUTO(free) char *piece = malloc(len < PIECE ? (size_t)len : PIECE);
	AUTO(close)
	int fd = beneath_open(container_of(st, struct dir, base)->root, obj->name, O_RDONLY);
	int r = 0;

	if (fd < 0)
		r = is_absent(fd) ? -ESTALE : fd;
	else if (!piece)
		r = -ENOMEM;
	else
		posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_WILLNEED);
	for (uint64_t done = 0; done < len && !r;) {
		size_t n = len - done < PIECE ? (size_t)(len - done) : PIECE;

		r = file_pread_all(fd, piece, n, (off_t)(off + done));
		int changed = check_version(fd, obj);

		if (r || changed)
			r = changed ? changed : r;
		else
			r = each(arg, piece, n);
		counter_add(st->counters, ORIGIN_bytes, (int64_t)n);
		done += n;
	}
	return count_request(st, r);
}

const struct store_ops dir_ops = {
	.name = "dir",
	.summary = "A folder of this machine.",
	.origin = true,
	.open = dir_open,
	.close = dir_close,
	.stat = dir_stat,
	.list = dir_list,
	.fetch = dir_fetch,
};
