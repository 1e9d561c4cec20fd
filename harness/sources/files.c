/* SPDX-License-Identifier: Apache-2.0 */
/* Plain files under a root folder: see files.h. */
#include "harness/sources/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/dataset.h"
#include "harness/deadline.h"
#include "harness/page_cache.h"

#define EVICT_SHARE 4 /* of external.timeout, for dropping pages before a run: a quarter */

/* Filesystems whose data may be cached out of this process's sight, or lie elsewhere. */
static const unsigned long remote_magic[] = {
	FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
	CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC, V9FS_MAGIC, CODA_SUPER_MAGIC, 0x0bd00bd0UL, /* Lustre */
	0x47504653UL,                                                                  /* GPFS */
};

static bool is_local(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(remote_magic); i++)
		if ((unsigned long)st.f_type == remote_magic[i])
			return false;
	return true;
}

/* Opens a folder and asks what it lies on, under a deadline. */
struct opening {
	struct deadline_call call; /* first */
	char *path;
	int fd;
	bool local;
};

static int open_root(struct deadline_call *call)
{
	struct opening *o = (struct opening *)call;

	o->fd = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->fd < 0)
		return -errno;
	o->local = is_local(o->fd);
	return 0;
}

static void opening_free(struct deadline_call *call)
{
	struct opening *o = (struct opening *)call;

	if (!o)
		return;
	deadline_destroy(call);
	if (o->fd >= 0)
		close(o->fd);
	free(o->path);
	free(o);
}

AUTO_FREE(opening, struct deadline_call, opening_free);

int files_open(struct files *fs, const char *root, const struct config *cfg, struct err *err)
{
	struct opening *o = calloc(1, sizeof(*o));
	AUTO(opening) struct deadline_call *call = o ? &o->call : NULL;
	int r;

	*fs = (struct files){.root = -1, .path = strdup(root)};
	if (!o || !fs->path)
		return err_set(err, ENOMEM, "out of memory");
	deadline_init(call, open_root, opening_free);
	o->fd = -1;
	o->path = strdup(root);
	if (!o->path)
		return err_set(err, ENOMEM, "out of memory");
	r = deadline_run(&call, cfg->external.timeout, NULL);
	if (r < 0)
		return err_set(err, -r, "%s: %s; give a folder that exists and is readable", root,
			strerror(-r));
	fs->root = take_fd(&o->fd);
	fs->local = o->local;
	fs->direct = fs->local && cfg->bench.page_cache == 0;
	return 0;
}

void files_close(struct files *fs)
{
	if (fs->root >= 0)
		close(fs->root);
	fs->root = -1;
	free(fs->path);
	fs->path = NULL;
}

int files_file_open(struct files *fs, const char *path, struct source_file *ret)
{
	const int root = fs->root; /* fs may be gone when openat() returns: see source.h */
	const bool direct = fs->direct;
	int fd = -1;

	if (direct)
		fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (fd < 0 && (!direct || errno == EINVAL))
		fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = (struct source_file){.fd = fd};
	return 0;
}

ssize_t files_pread(const struct source_file *f, void *buf, size_t len, uint64_t off)
{
	ssize_t n;

	do
		n = pread(f->fd, buf, len, (off_t)off);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

void files_file_close(struct source_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static int drop_host_caches(struct err *err)
{
	AUTO(close) int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0 || write(fd, "3", 1) != 1)
		return err_set(err, errno,
			"bench.drop_caches: cannot write /proc/sys/vm/drop_caches: %s; run as root or "
			"leave the knob off",
			strerror(errno));
	return 0;
}

/* Drops a file's pages; returns the bytes that stayed, or -errno. */
static int64_t evict(int root, const char *path)
{
	AUTO(close) int fd = openat(root, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (page_cache_resident(fd) == 0)
		return 0;
	fdatasync(fd); /* dirty pages cannot be dropped, and a sync costs */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return page_cache_resident(fd);
}

/* Evicts files one after another, under a deadline. */
struct eviction {
	struct deadline_call call; /* first */
	int root;                  /* its own */
	const struct dataset *data;
	int64_t left, until_ns;
};

/* -EAGAIN: there are too many for the time. */
static int evict_all(struct deadline_call *call)
{
	struct eviction *e = (struct eviction *)call;
	int r = 0;

	for (uint32_t i = 0; !deadline_passed(call) && i < e->data->n_files; i++) {
		if (clock_now_ns() > e->until_ns)
			return -EAGAIN;
		int64_t left = evict(e->root, e->data->files[i].path);

		if (left < 0)
			r = (int)left;
		else
			e->left += left;
	}
	return r;
}

static void eviction_free(struct deadline_call *call)
{
	struct eviction *e = (struct eviction *)call;

	if (!e)
		return;
	deadline_destroy(call);
	close(e->root);
	free(e);
}

AUTO_FREE(eviction, struct deadline_call, eviction_free);

/* Bytes that stayed in the page cache, or -errno. */
static int64_t evict_in_time(int root, const struct source_spec *spec)
{
	struct eviction *e = calloc(1, sizeof(*e));
	AUTO(eviction) struct deadline_call *call = e ? &e->call : NULL;
	int r;

	if (!e)
		return -ENOMEM;
	deadline_init(call, evict_all, eviction_free);
	e->root = fcntl(root, F_DUPFD_CLOEXEC, 0);
	e->data = spec->data;
	e->until_ns = clock_now_ns() + spec->cfg->external.timeout / EVICT_SHARE;
	r = deadline_run(&call, spec->cfg->external.timeout, spec->stop);
	return r < 0 ? r : e->left;
}

int files_chill(struct files *fs, const struct source_spec *spec, struct err *err)
{
	const struct config *cfg = spec->cfg;
	int64_t left;
	int r = 0;

	if (cfg->bench.drop_caches)
		r = drop_host_caches(err);
	if (r < 0)
		return r;
	if (!fs->local && cfg->bench.page_cache == 0)
		left = 0; /* readers drop what they read, before and after */
	else
		left = evict_in_time(fs->root, spec);
	if (left == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT,
			"%s: its files could not be dropped from the page cache within "
			"external.timeout; the storage hangs, or raise it",
			fs->path);
	if (left == -EINTR)
		return err_set(err, EINTR, "interrupted");
	if (!fs->local)
		return err_set(err, ENOTSUP,
			"%s is not a local filesystem: what it caches itself stays warm", fs->path);
	if (left == -EAGAIN)
		return err_set(err, ENOTSUP,
			"%s: so many files that dropping them from the page cache takes too long",
			fs->path);
	if (left < 0)
		return err_set(err, ENOTSUP, "%s: cannot see what is cached of it: %s", fs->path,
			strerror((int)-left));
	if (left > 0)
		return err_set(err, ENOTSUP, "%s: %lld bytes stayed in the page cache", fs->path,
			(long long)left);
	return 0;
}
