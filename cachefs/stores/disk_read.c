/* SPDX-License-Identifier: Apache-2.0 */
/* Reading tier files: see disk_read.h. */
#include "cachefs/stores/disk_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/topology.h"

#define CREDIT_SHARE 4 /* of the memory that is free */
#define AGAIN_S 10     /* a region of which most went unread is read around again after that time */
#define STRETCH (4 << 20) /* of a large file, that is forgotten when the one after it was read */

bool disk_drops_pages(const struct config *cfg)
{
	if (cfg->disk.page_cache == PAGE_CACHE_AUTO)
		return cfg->fuse.open_mode != OPEN_DIRECT;
	return cfg->disk.page_cache == PAGE_CACHE_DROP;
}

static int64_t credit_of(const struct config *cfg)
{
	struct memory_room memory;

	if (cfg->disk.read_around != KNOB_VALUE_AUTO)
		return cfg->disk.read_around;
	topology_memory("", &memory);
	return cfg->disk.page_cache == PAGE_CACHE_DROP ? 0 : memory.free_bytes / CREDIT_SHARE;
}

void disk_reader_init(struct disk_reader *rd, struct disk_files *files, struct counter_set *count,
	const struct config *cfg)
{
	*rd = (struct disk_reader){
		.files = files, .counters = count, .drop = disk_drops_pages(cfg)};
	credit_init(&rd->credit, credit_of(cfg));
	rd->exact = cfg->disk.page_cache == PAGE_CACHE_DROP;
}

/* ---- reading around ---- */

/* Whether nobody did lately, or most of what came along was asked for since. */
static bool claim_region(struct region *region)
{
	uint32_t now_s = (uint32_t)(clock_now_ns() / NSEC_PER_SEC) + 1;
	uint32_t last_s = atomic_load(&region->at_s);

	if (last_s && now_s - last_s < AGAIN_S && atomic_load(&region->unread) > AROUND_SIZE / 2)
		return false;
	if (!atomic_compare_exchange_strong(&region->at_s, &last_s, now_s))
		return false;
	atomic_store(&region->unread, AROUND_SIZE);
	return true;
}

/* Bytes of the region were asked for; returns how many of them nobody had asked for before. */
static int32_t ask_for(struct region *region, int32_t bytes)
{
	int32_t unread = atomic_load(&region->unread), n;

	do {
		n = unread < bytes ? unread : bytes;
	} while (n > 0 && !atomic_compare_exchange_weak(&region->unread, &unread, unread - n));
	return n > 0 ? n : 0;
}

/* Asks the disk for the region that a cold read begins in; true: the bytes come through the page cache. */
static bool read_around(struct disk_reader *rd, struct disk_file *f, int fd, off_t off)
{
	off_t from = off / AROUND_SIZE * AROUND_SIZE;

	if (!credit_spend(&rd->credit, AROUND_SIZE))
		return false;
	if (!claim_region(&f->around[off / AROUND_SIZE])) {
		credit_earn(&rd->credit, AROUND_SIZE);
		return false;
	}
	counter_add(rd->counters, LAYER_read_around_bytes, AROUND_SIZE);
	return !posix_fadvise(fd, from, AROUND_SIZE, POSIX_FADV_WILLNEED);
}

/* ---- reading ---- */

static void forget(int fd, off_t off, size_t len)
{
	posix_fadvise(fd, off, (off_t)space_round(len), POSIX_FADV_DONTNEED);
}

/* Past the page cache, to the end of the last page, for which there is room; false: not possible. */
static bool read_direct(
	struct disk_reader *rd, struct disk_file *f, void *buf, size_t len, off_t off)
{
	int fd = (uintptr_t)buf % SPACE_ALIGN || off % SPACE_ALIGN ? -1
								   : files_get_direct(rd->files, f);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, space_round(len), off);

	return n >= (ssize_t)len;
}

static int read_dropping(int fd, void *buf, size_t len, off_t off)
{
	struct iovec iov = {buf, len};

	if (preadv2(fd, &iov, 1, off, RWF_DONTCACHE) == (ssize_t)len)
		return 0;
	int r = file_pread_all(fd, buf, len, off);

	forget(fd, off, len);
	return r;
}

/* A large file, as the kernel reads ahead in it. Forgotten is what lies well behind: a folio that reaches
 * beyond what is forgotten stays, and one that is forgotten too soon is read twice, which is why this
 * is not done by RWF_DONTCACHE. */
static int read_behind(int fd, void *buf, size_t len, off_t off)
{
	off_t from = off / STRETCH * STRETCH, to = (off + (off_t)len) / STRETCH * STRETCH;
	int r = file_pread_all(fd, buf, len, off);

	if (to > from && from >= STRETCH)
		forget(fd, from - STRETCH, STRETCH);
	return r;
}

static int read_cached(
	struct disk_reader *rd, struct disk_file *f, int fd, void *buf, size_t len, off_t off)
{
	int r = file_pread_all(fd, buf, len, off);

	credit_earn(&rd->credit, ask_for(&f->around[off / AROUND_SIZE], (int32_t)space_round(len)));
	if (rd->drop)
		forget(fd, off, len);
	return r;
}

int disk_read(struct disk_reader *rd, struct disk_file *f, const struct extent *ext, void *buf)
{
	size_t len = ext->whole;
	off_t off = ext->off - (off_t)ext->lead;

	if (f->packed && rd->credit.max &&
		(file_cached_pages(ext->fd, off, len) > 0 || read_around(rd, f, ext->fd, off)))
		return read_cached(rd, f, ext->fd, buf, len, off);
	if (!rd->drop)
		return file_pread_all(ext->fd, buf, len, off);
	if (!f->packed && !rd->exact)
		return read_behind(ext->fd, buf, len, off);
	return read_direct(rd, f, buf, len, off) ? 0 : read_dropping(ext->fd, buf, len, off);
}
