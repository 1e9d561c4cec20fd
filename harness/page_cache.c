/* SPDX-License-Identifier: Apache-2.0 */
/* Windowed DONTNEED and its proof: see page_cache.h. */
#include "harness/page_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "common/cleanup.h"
#include "common/file.h"
#include "common/knob.h"

struct range {
	int fd; /* our duplicate */
	uint64_t off, len;
};

struct page_cache {
	int64_t limit;
	uint32_t max_ranges; /* a descriptor each: half of what the process may open */
	pthread_mutex_t lock;
	struct range *ring; /* [max_ranges]; this and all below guarded by lock */
	uint32_t head, n;
	int64_t held;
};

static uint32_t descriptors_to_use(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return 256;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim); /* the soft limit is ours to raise */
	return lim.rlim_cur > 131072 ? 65536 : (uint32_t)(lim.rlim_cur / 2);
}

struct page_cache *page_cache_new(int64_t limit_bytes)
{
	AUTO(free) struct page_cache *pc = calloc(1, sizeof(*pc));

	if (!pc)
		return NULL;
	pc->limit = limit_bytes;
	if (limit_bytes > 0) {
		pc->max_ranges = descriptors_to_use();
		pc->ring = calloc(pc->max_ranges, sizeof(*pc->ring));
		if (!pc->ring)
			return NULL;
	}
	pthread_mutex_init(&pc->lock, NULL);
	return TAKE(pc);
}

static void drop_range(int fd, uint64_t off, uint64_t len)
{
	posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_DONTNEED);
}

static void drop_oldest(struct page_cache *pc)
{
	struct range *r = &pc->ring[pc->head];

	drop_range(r->fd, r->off, r->len);
	close(r->fd);
	pc->held -= (int64_t)r->len;
	pc->head = (pc->head + 1) % pc->max_ranges;
	pc->n--;
}

static void keep_range(struct page_cache *pc, int fd, uint64_t off, uint64_t len)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	HOLD(&pc->lock);

	while (pc->n && (pc->n == pc->max_ranges || pc->held + (int64_t)len > pc->limit))
		drop_oldest(pc);
	if (own < 0 || (int64_t)len > pc->limit) {
		drop_range(fd, off, len);
		if (own >= 0)
			close(own);
		return;
	}
	pc->ring[(pc->head + pc->n++) % pc->max_ranges] = (struct range){own, off, len};
	pc->held += (int64_t)len;
}

void page_cache_start(struct page_cache *pc, int fd)
{
	if (pc->limit == 0 && fd >= 0)
		drop_range(fd, 0, 0);
}

void page_cache_note(struct page_cache *pc, int fd, uint64_t off, uint64_t len)
{
	if (pc->limit < 0 || fd < 0 || !len)
		return;
	/* From the start, or a folio that straddles two ranges would stay. */
	if (pc->limit == 0)
		drop_range(fd, 0, off + len);
	else
		keep_range(pc, fd, off, len);
}

void page_cache_drop_all(struct page_cache *pc)
{
	HOLD(&pc->lock);

	while (pc->n)
		drop_oldest(pc);
}

void page_cache_free(struct page_cache *pc)
{
	if (!pc)
		return;
	page_cache_drop_all(pc);
	pthread_mutex_destroy(&pc->lock);
	free(pc->ring);
	free(pc);
}

/* mincore(2) answers "all resident" to those who do not own the file. */
static int64_t resident_by_mincore(int fd, const struct stat *st)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (size_t)st->st_size;
	size_t pages = (size + page - 1) / page, in = 0;
	AUTO(free) unsigned char *vec = malloc(pages);
	int r;

	if (st->st_uid != geteuid() && geteuid() != 0)
		return -EPERM;
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	r = vec ? mincore(map, size, vec) : -1;
	munmap(map, size);
	if (r < 0)
		return -EIO;
	for (size_t i = 0; i < pages; i++)
		in += vec[i] & 1;
	return (int64_t)(in * page);
}

/* A mapping shows the pages of the file that a FUSE filesystem gave the kernel to read in its place
 * (passthrough); cachestat(2) looks at the file of the mount, which has none. */
static bool may_be_elsewhere(int fd)
{
	struct statfs st;

	return !fstatfs(fd, &st) && st.f_type == FUSE_SUPER_MAGIC;
}

int64_t page_cache_resident(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	int64_t pages = file_cached_pages(fd, 0, 0);

	if (pages < 0)
		return pages != -ENOSYS && pages != -EOPNOTSUPP ? pages
		       : st.st_size                             ? resident_by_mincore(fd, &st)
								: 0;
	if (pages || !st.st_size || !may_be_elsewhere(fd))
		return pages * sysconf(_SC_PAGESIZE);
	int64_t mapped = resident_by_mincore(fd, &st);

	return mapped > 0 ? mapped : 0;
}
