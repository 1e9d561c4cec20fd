/* SPDX-License-Identifier: Apache-2.0 */
/* disk - the tier in files.
 *
 *      keep():  a block that landed in memory ─> queue ─> filler thread: evict, write, index, READY
 *      lend():  file and offset of a block; the reader reads and checks it
 *      fetch(): a held block checked here, else the layer below
 *
 * Its folder is disk.path/cachefs-HASH, of the origin, mode 0700, locked. A write that fails
 * (no space, I/O error) leaves the block out: reads go on from the origin, counted as a bypass.
 * Locks: index.lock, then cache.lock, then files.lock. The cache's is never held over I/O. */
#include "cachefs/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cachefs/cache.h"
#include "cachefs/pool.h"
#include "cachefs/stores/disk_files.h"
#include "cachefs/stores/disk_log.h"
#include "cachefs/stores/disk_read.h"
#include "cachefs/stores/disk_scrub.h"
#include "cachefs/stores/disk_write.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/topology.h"

extern const struct store_ops disk_ops;

#define FILL_THREADS_MAX 8
#define LOCK_WAIT_NS (6 * NSEC_PER_SEC) /* a cachefs ends within 5 s */

struct disk {
	struct store base;
	struct cache cache;
	struct disk_files files;
	struct disk_log log;
	struct disk_reader reader;
	struct scrub scrub;
	struct pool *fillers; /* NULL with cache.fill=sync */
	bool drop_pages;
	_Atomic bool
		lends; /* files of large objects may be read by somebody else: their pages stay */
	char *path;
	int dir, lock_fd;
};

static struct disk *disk_of(struct cache *c)
{
	return container_of(c, struct disk, cache);
}

/* ---- the tier's part of struct cache ---- */

static int disk_place(struct cache *c, struct block *b)
{
	return files_place(&disk_of(c)->files, c, b);
}

static void disk_unplace(struct cache *c, struct block *b, bool last)
{
	files_unplace(&disk_of(c)->files, b, last);
}

static void disk_erase(struct cache *c, struct block *b)
{
	struct disk *d = disk_of(c);

	disk_log_gone(&d->log, c, b);
	if (b->file->sealed)
		files_unlink(&d->files, b->file->tier);
	else
		files_punch(&d->files, c, b);
}

static const struct cache_ops disk_cache_ops = {
	.place = disk_place, .unplace = disk_unplace, .erase = disk_erase};

/* ---- reading ---- */

static int disk_lend(
	struct store *st, const struct object *obj, uint64_t off, size_t len, struct extent *ret)
{
	struct disk *d = container_of(st, struct disk, base);
	struct block *b = cache_pin(&d->cache, obj, block_number(&d->cache, off), true);

	if (!b)
		return store_lend(st->lower, obj, off, len, ret);
	cache_extent(&d->cache, b, off, len, ret);
	ret->off += files_offset(&d->cache, b);
	if (!files_get(&d->files, files_of(&d->files, b), &ret->fd)) {
		counter_add(st->counters, LAYER_hit_bytes, (int64_t)ret->len);
		return 0;
	}
	cache_reject(&d->cache, b);
	cache_unpin(&d->cache, b);
	return -EAGAIN;
}

static bool disk_holds(struct store *st, const struct object *obj, uint64_t off)
{
	struct disk *d = container_of(st, struct disk, base);

	return cache_holds(&d->cache, obj, block_number(&d->cache, off)) ||
	       store_holds(st->lower, obj, off);
}

static void disk_put(struct store *st, struct extent *ext)
{
	struct disk *d = container_of(st, struct disk, base);
	struct block *b = extent_block(&d->cache, ext);

	files_put(&d->files, files_of(&d->files, b));
	cache_unpin(&d->cache, b);
}

static int disk_read_extent(struct store *st, const struct extent *ext, void *buf)
{
	struct disk *d = container_of(st, struct disk, base);

	return disk_read(&d->reader, files_of(&d->files, extent_block(&d->cache, ext)), ext, buf);
}

static void disk_reject(struct store *st, struct extent *ext)
{
	struct disk *d = container_of(st, struct disk, base);

	cache_reject(&d->cache, extent_block(&d->cache, ext));
}

/* Reads and checks [off, off+len) of one block into a new buffer; -EAGAIN: not held. */
static int read_held(struct disk *d, const struct object *obj, uint64_t off, size_t len,
	char **ret_buf, size_t *ret_lead)
{
	struct block *b = cache_pin(&d->cache, obj, block_number(&d->cache, off), false);
	AUTO(free) char *buf = NULL;
	struct extent ext;
	int r = -ENOMEM;

	if (!b)
		return -EAGAIN;
	cache_extent(&d->cache, b, off, len, &ext);
	ext.off += files_offset(&d->cache, b);
	if (files_get(&d->files, files_of(&d->files, b), &ext.fd) < 0) {
		cache_unpin(&d->cache, b);
		return -EAGAIN;
	}
	buf = aligned_alloc(SPACE_ALIGN, space_round(ext.whole));
	if (buf)
		r = extent_read(&ext, buf);
	if (!r)
		r = extent_check(&ext, buf);
	if (!r || r == -ENOMEM)
		extent_put(&ext);
	else
		extent_reject(&ext);
	if (r)
		return -EAGAIN;
	*ret_lead = ext.lead;
	*ret_buf = TAKE(buf);
	return 0;
}

static int disk_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg)
{
	struct disk *d = container_of(st, struct disk, base);

	while (len) {
		uint32_t number = block_number(&d->cache, off);
		uint64_t end = (uint64_t)number * d->cache.block_size +
			       block_len(&d->cache, obj, number);
		size_t n = end - off < len ? (size_t)(end - off) : (size_t)len, lead;
		AUTO(free) char *buf = NULL;
		int r = read_held(d, obj, off, n, &buf, &lead);

		if (!r)
			r = each(arg, buf + lead, n);
		else
			r = store_fetch(st->lower, obj, off, n, each, arg);
		if (r)
			return r;
		off += n;
		len -= n;
	}
	return 0;
}

/* Files of packed objects are shared, and their ranges are used again. With disk.page_cache=drop nothing
 * shall stay in the page cache, where such a file's pages would. */
static int disk_backing(struct store *st, const struct object *obj, int *ret_fd)
{
	struct disk *d = container_of(st, struct disk, base);
	struct block *b = NULL;

	if (d->files.exact || (obj && obj->size <= PACKED_MAX))
		return -ENOTSUP;
	if (!obj) {
		*ret_fd = openat(d->dir, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		return *ret_fd < 0 ? -errno : 0;
	}
	d->lends = true;
	int r = cache_seal(&d->cache, obj, &b);

	if (r == -EINPROGRESS)
		scrub_ask(&d->scrub, block_slot(&d->cache, b));
	if (r < 0)
		return r;
	if (ret_fd)
		r = files_seal(&d->files, files_of(&d->files, b), obj->size, ret_fd);
	if (r == -EIO || r == -ENOENT) /* else it may be lent another time */
		cache_reject(&d->cache, b);
	cache_unpin(&d->cache, b);
	return r;
}

/* ---- filling ---- */

/* What may be lent to the kernel is read through pages of its own. */
static enum written_pages pages_of(const struct disk *d, const struct disk_file *f)
{
	if (!d->drop_pages || (!f->packed && d->lends))
		return PAGES_KEEP;
	return d->files.exact ? PAGES_NOTHING : PAGES_BEHIND;
}

static int write_block(struct disk *d, struct block *b, const void *data)
{
	struct disk_file *f = files_of(&d->files, b);

	return disk_write(&d->files, f, data, b->len, files_offset(&d->cache, b), pages_of(d, f));
}

/* Writes a whole block that lies in memory; whatever fails, the block is just not kept. */
static int fill(struct disk *d, const struct object *obj, uint64_t off, const struct extent *ext)
{
	struct block *b;
	int r = cache_reserve(&d->cache, obj, block_number(&d->cache, off), &b);

	if (r < 0)
		return r;
	r = write_block(d, b, ext->mem);
	if (r < 0) {
		files_punch(&d->files, &d->cache, b);
		cache_abort(&d->cache, b);
		counter_add(d->base.counters, LAYER_errors, 1);
		counter_add(d->base.counters, LAYER_bypasses, 1);
		counter_add(d->base.counters, LAYER_no_space, r == -ENOSPC);
		log_warn("%s: %s; the block is not kept", d->path, strerror(-r));
	} else {
		memcpy(block_crcs(b), ext->crc,
			(b->len + CHUNK_SIZE - 1) / CHUNK_SIZE * sizeof(uint32_t));
		counter_add(d->base.counters, LAYER_fills, 1);
		counter_add(d->base.counters, LAYER_fill_bytes, b->len);
		disk_log_put(&d->log, &d->cache, b);
		cache_commit(&d->cache, b, false);
	}
	return r;
}

/* A block that waits for a filler. */
struct fill_job {
	struct disk *d;
	struct object obj;
	uint64_t off;
	struct extent ext;
	char name[];
};

static void run_fill(void *arg)
{
	struct fill_job *job = arg;
	struct disk *d = job->d;

	fill(d, &job->obj, job->off, &job->ext);
	extent_put(&job->ext);
	free(job);
	files_reap(&d->files, &d->cache);
	disk_log_compact(&d->log, &d->cache);
}

static int queue_fill(struct disk *d, const struct object *obj, uint64_t off, struct extent *ext)
{
	size_t name_len = strlen(obj->name) + 1;
	struct fill_job *job = malloc(sizeof(*job) + name_len);

	if (!job)
		return -ENOMEM;
	*job = (struct fill_job){.d = d, .obj = *obj, .off = off, .ext = *ext};
	job->obj.name = memcpy(job->name, obj->name, name_len);
	int r = pool_submit(d->fillers, run_fill, job);

	if (r < 0) {
		free(job);
		counter_add(d->base.counters, LAYER_bypasses, 1);
	}
	return r;
}

static int disk_keep(struct store *st, const struct object *obj, uint64_t off, struct extent *ext)
{
	struct disk *d = container_of(st, struct disk, base);

	if (cache_holds(&d->cache, obj, block_number(&d->cache, off)))
		return -EEXIST;
	if (!cache_admits(&d->cache, ext->len)) {
		counter_add(st->counters, LAYER_bypasses, 1);
		return -ENOSPC;
	}
	if (d->fillers)
		return queue_fill(d, obj, off, ext);
	int r = fill(d, obj, off, ext);

	if (!r)
		extent_put(ext);
	files_reap(&d->files, &d->cache);
	disk_log_compact(&d->log, &d->cache);
	return r;
}

static int disk_drop(struct store *st, const char *name)
{
	struct disk *d = container_of(st, struct disk, base);
	int r = cache_drop(&d->cache, name);

	files_reap(&d->files, &d->cache);
	return r;
}

static void disk_describe(struct store *st, json_t *into)
{
	struct disk *d = container_of(st, struct disk, base);

	json_object_set_new(into, "path", json_string(d->path));
	json_object_set_new(into, "unverified_blocks", json_integer(cache_unverified(&d->cache)));
	json_object_set_new(
		into, "fill_queue", json_integer(d->fillers ? pool_queued(d->fillers) : 0));
	json_object_set_new(
		into, "fill_threads", json_integer(d->fillers ? pool_threads(d->fillers) : 0));
}

/* ---- opening ---- */

/* umount(8) returns before the cachefs that it ends has let go: so waits for that. */
static int lock_in_time(int fd)
{
	int64_t until_ns = clock_now_ns() + LOCK_WAIT_NS;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || clock_now_ns() > until_ns)
			return -errno;
		clock_sleep_until(clock_now_ns() + 10 * NSEC_PER_MSEC);
	}
	return 0;
}

/* Nobody else may have put it there, or write into it. */
static int check_private(struct disk *d, struct err *err)
{
	struct stat st;

	if (fstat(d->dir, &st) < 0 || st.st_uid != geteuid())
		return err_set(err, EPERM,
			"disk.path: %s belongs to another user; give another folder", d->path);
	if (st.st_mode & 077 && fchmod(d->dir, 0700) < 0)
		return err_set(err, errno, "disk.path: %s is open to others: %s; chmod 700 it",
			d->path, strerror(errno));
	return 0;
}

/* disk.path/cachefs-HASH, made, opened and locked. */
static int open_folder(
	struct disk *d, const struct config *cfg, const char *origin, struct err *err)
{
	const char *path = cfg->disk.path;

	if (!*path)
		return err_set(err, EINVAL, "layer disk needs a folder: give --disk.path=FOLDER");
	d->path = files_folder(path, origin);
	if (!d->path)
		return err_set(err, ENOMEM, "not enough memory for the disk tier");
	if (mkdir(d->path, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno,
			"disk.path: cannot make %s: %s; give a folder you may write to", d->path,
			strerror(errno));
	d->dir = open(d->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = d->dir < 0 ? 0 : check_private(d, err);

	if (r < 0)
		return r;
	d->lock_fd = d->dir < 0 ? -1
				: openat(d->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
					  0600);
	if (d->lock_fd < 0)
		return err_set(err, errno,
			"disk.path: cannot use %s: %s; remove that, or give another folder",
			d->path, strerror(errno));
	if (lock_in_time(d->lock_fd) < 0)
		return err_set(err, EBUSY,
			"disk.path: %s is in use by another cachefs; unmount that one or give another disk.path",
			d->path);
	return 0;
}

static int64_t capacity_of(struct disk *d, const struct config *cfg)
{
	int64_t free_bytes = 0;

	if (cfg->disk.capacity >= 0)
		return cfg->disk.capacity;
	file_free_bytes(d->path, &free_bytes);
	return (free_bytes + files_usage(d->dir)) / 5 * 4;
}

static int fill_threads(const struct config *cfg)
{
	struct topology t;
	int cpus = 1;

	if (cfg->cache.fill_threads > 0)
		return (int)cfg->cache.fill_threads;
	if (!topology_read("", &t, NULL))
		cpus = topology_count(&t, cfg->cpu.count);
	return cpus < FILL_THREADS_MAX ? cpus : FILL_THREADS_MAX;
}

static void disk_stop(struct store *st)
{
	struct disk *d = container_of(st, struct disk, base);

	pool_free(d->fillers);
	d->fillers = NULL;
	cache_stop(&d->cache);
	scrub_stop(&d->scrub);
}

/* What was set up so far goes; the folder stays as it is. */
static void disk_close(struct store *st)
{
	struct disk *d = container_of(st, struct disk, base);

	disk_stop(st);
	if (d->cache.block) {
		files_reap(&d->files, &d->cache);
		cache_check(&d->cache);
		files_done(&d->files, &d->cache);
		disk_log_done(&d->log);
		scrub_done(&d->scrub);
		cache_done(&d->cache);
	}
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	if (d->dir >= 0)
		close(d->dir);
	free(d->path);
	store_done(st);
	free(d);
}

static int set_up(struct disk *d, const struct config *cfg, const char *origin, struct err *err)
{
	int r = open_folder(d, cfg, origin, err);

	if (r < 0)
		return r;
	files_init(&d->files, d->dir, cfg->disk.page_cache == PAGE_CACHE_DROP);
	disk_reader_init(&d->reader, &d->files, d->base.counters, cfg);
	scrub_init(&d->scrub, &d->cache, &d->files, (double)cfg->disk.scrub);
	if (cache_init(&d->cache, &d->base, &disk_cache_ops, cfg, (uint64_t)capacity_of(d, cfg)) <
		0)
		return err_set(err, ENOMEM, "not enough memory for the disk tier's index");
	r = disk_log_open(&d->log, &d->cache, d->dir);
	if (r < 0)
		return err_set(
			err, -r, "disk.path: cannot write %s/index: %s", d->path, strerror(-r));
	files_tidy(&d->files, &d->cache);
	if (cfg->cache.fill == FILL_ASYNC &&
		!(d->fillers = pool_new(fill_threads(cfg), (int)cfg->cache.fill_queue)))
		return err_set(err, ENOMEM, "not enough memory for the fill queue");
	if (cache_start(&d->cache) < 0)
		return err_set(err, EAGAIN, "cannot start a thread: raise the limit of processes");
	return 0;
}

static struct store *disk_open(
	const struct config *cfg, const char *origin, struct store *lower, struct err *err)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (!d || store_init(&d->base, &disk_ops, lower) < 0) {
		free(d);
		err_set(err, ENOMEM, "not enough memory for the disk tier");
		return NULL;
	}
	d->dir = d->lock_fd = -1;
	d->drop_pages = disk_drops_pages(cfg);
	if (set_up(d, cfg, origin, err) < 0) {
		disk_close(&d->base);
		return NULL;
	}
	return &d->base;
}

const struct store_ops disk_ops = {
	.name = "disk",
	.summary = "Keeps blocks in files; survives a restart.",
	.open = disk_open,
	.stop = disk_stop,
	.close = disk_close,
	.fetch = disk_fetch,
	.lend = disk_lend,
	.holds = disk_holds,
	.put = disk_put,
	.read = disk_read_extent,
	.reject = disk_reject,
	.backing = disk_backing,
	.keep = disk_keep,
	.drop = disk_drop,
	.describe = disk_describe,
};
