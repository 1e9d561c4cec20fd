/* SPDX-License-Identifier: Apache-2.0 */
/* remote - the article's remote disk: plain files, no FUSE, behind the bandwidth, IOPS and latency
 * of one node. The bytes come from local files; what a remote disk would have cost is charged:
 *
 *   A disk is read in requests of 128 KiB (the kernel's default readahead; cloud disks count IOPS
 *   so). A read of the loader needs the 128 KiB blocks it touches; those that the emulated page
 *   cache has not are charged to one token bucket a node for bytes and one for requests. They are
 *   sent together, as readahead sends them, so a read waits one latency, not one a block; and the
 *   latency runs beside the queue of the buckets. A file of 110 KB is one request: the loader's
 *   later small reads hit the block that the first one brought.
 *
 * The page cache is modelled as bench.page_cache says (any: all that was read stays; SIZE: the
 * newest SIZE bytes; none: only an open file's newest block), because the real one belongs to the
 * local disk. With remote.path the disk is real, and nothing is charged or modelled: never
 * throttled twice. */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bucket.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/dataset.h"
#include "harness/order.h"
#include "harness/sources/files.h"

#define BLOCK (128u << 10)
#define BURST_NS (50 * NSEC_PER_MSEC)

struct remote {
	struct source base;
	struct files files;
	bool real; /* remote.path: nothing is emulated */
	const struct config *cfg;
	struct bucket bytes, requests;
	_Atomic uint64_t origin_bytes, origin_requests, draws;
	_Atomic int64_t waited_ns;
	pthread_mutex_t lock;  /* guards the modelled page cache below */
	uint32_t *first_block; /* [n_files + 1] number of each file's first block, by path order */
	uint8_t *held;         /* [blocks] in the modelled page cache */
	uint32_t *fifo; /* [window] block numbers + 1, 0: empty; NULL: no limit or no cache */
	uint32_t window, next;
	int64_t held_bytes;
	struct remote_name *names; /* [n_files] sorted by path */
};

struct remote_name {
	const char *path;
	uint64_t size;
};

/* An open file: which file, and the newest blocks that it has brought (always in memory). */
struct remote_handle {
	uint32_t file;
	uint64_t from, to; /* bytes charged last, whole blocks */
};

extern const struct source_ops source_remote;

static struct remote *to_remote(struct source *src)
{
	return container_of(src, struct remote, base);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct remote_name *)a)->path, ((const struct remote_name *)b)->path);
}

static uint32_t blocks_of(uint64_t size)
{
	return (uint32_t)((size + BLOCK - 1) / BLOCK);
}

static void remote_close(struct source *src)
{
	struct remote *m = to_remote(src);

	files_close(&m->files);
	pthread_mutex_destroy(&m->lock);
	free(m->first_block);
	free(m->held);
	free(m->fifo);
	free(m->names);
	free(m);
}

/* The block that a file ends in is charged as far as it goes. */
static uint64_t size_of(const struct remote *m, const struct data_file *f)
{
	struct stat st;

	if (f->size) /* listings of other people's trees give none */
		return f->size;
	return fstatat(m->files.root, f->path, &st, 0) == 0 ? (uint64_t)st.st_size : 0;
}

static int index_files(struct remote *m, const struct dataset *d)
{
	int64_t limit = m->cfg->bench.page_cache;
	uint32_t blocks = 0;

	m->names = calloc(d->n_files, sizeof(*m->names));
	m->first_block = calloc(d->n_files + 1, sizeof(*m->first_block));
	if (!m->names || !m->first_block)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->n_files; i++)
		m->names[i] = (struct remote_name){d->files[i].path, size_of(m, &d->files[i])};
	qsort(m->names, d->n_files, sizeof(*m->names), by_path);
	for (uint32_t i = 0; i < d->n_files; i++) {
		m->first_block[i] = blocks;
		blocks += blocks_of(m->names[i].size);
	}
	m->first_block[d->n_files] = blocks;
	m->held = limit ? calloc(blocks + 1, 1) : NULL;
	m->window = limit > 0 ? blocks_of((uint64_t)limit) : 0;
	m->fifo = limit > 0 ? calloc(m->window + 1, sizeof(*m->fifo)) : NULL;
	return (limit && !m->held) || (limit > 0 && !m->fifo) ? -ENOMEM : 0;
}

static struct source *remote_open(const struct source_spec *spec, struct err *err)
{
	const struct config *cfg = spec->cfg;
	struct remote *m = calloc(1, sizeof(*m));
	bool real = cfg->remote.path[0] != 0;
	int r;

	if (!m) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	m->base.ops = &source_remote;
	m->base.spec = spec;
	m->cfg = cfg;
	m->real = real;
	pthread_mutex_init(&m->lock, NULL);
	bucket_init(&m->bytes, (double)cfg->remote.bandwidth, BURST_NS);
	bucket_init(&m->requests, (double)cfg->remote.iops, BURST_NS);
	r = files_open(&m->files, real ? cfg->remote.path : spec->data_dir, cfg, err);
	m->files.direct = m->files.direct && real;
	if (!r && !real && index_files(m, spec->data) < 0)
		r = err_set(err, ENOMEM, "remote: no memory for %u files", spec->data->n_files);
	if (!r)
		return &m->base;
	remote_close(&m->base);
	return NULL;
}

static void forget_all(struct remote *m)
{
	HOLD(&m->lock);

	if (m->held)
		memset(m->held, 0, m->first_block[m->base.spec->data->n_files]);
	if (m->fifo)
		memset(m->fifo, 0, m->window * sizeof(*m->fifo));
	m->held_bytes = 0;
	bucket_reset(&m->bytes);
	bucket_reset(&m->requests);
}

static int remote_chill(struct source *src, struct err *err)
{
	struct remote *m = to_remote(src);

	if (m->real)
		return files_chill(&m->files, src->spec, err);
	forget_all(m);
	return 0;
}

/* What an emulated disk remembers of an open file; NULL: there is no such file, or no memory. */
static struct remote_handle *new_handle(const struct remote *m, const char *path)
{
	struct remote_name key = {.path = path}, *name;
	struct remote_handle *h;

	name = bsearch(&key, m->names, m->base.spec->data->n_files, sizeof(key), by_path);
	h = name ? calloc(1, sizeof(*h)) : NULL;
	if (h)
		h->file = (uint32_t)(name - m->names);
	return h;
}

/* The source may be gone when the system call returns, so everything else comes before. */
static int remote_file_open(struct source *src, const char *path, struct source_file *ret)
{
	struct remote *m = to_remote(src);
	const bool real = m->real;
	AUTO(free) struct remote_handle *h = real ? NULL : new_handle(m, path);
	int r;

	if (!real && !h)
		return -ENOENT;
	r = files_file_open(&m->files, path, ret);
	if (r < 0)
		return r;
	ret->handle = TAKE(h);
	ret->own_cache = !real;
	return 0;
}

static void remote_file_close(struct source *src, struct source_file *f)
{
	free(f->handle);
	files_file_close(f);
}

static uint64_t block_bytes(const struct remote *m, uint32_t file, uint64_t block)
{
	uint64_t left = m->names[file].size - block * BLOCK;

	return left < BLOCK ? left : BLOCK;
}

/* Takes a block into the modelled page cache. Returns true if it was there. Under lock. */
static bool take_in(struct remote *m, uint32_t number)
{
	if (!m->held)
		return false;
	if (m->held[number])
		return true;
	m->held[number] = 1;
	m->held_bytes += BLOCK;
	if (m->fifo) {
		uint32_t *oldest = &m->fifo[m->next++ % m->window];

		if (*oldest) {
			m->held[*oldest - 1] = 0;
			m->held_bytes -= BLOCK;
		}
		*oldest = number + 1;
	}
	return false;
}

/* Bytes and requests that [from, to) needs from the disk. */
static uint64_t misses(struct remote *m, struct remote_handle *h, uint64_t from, uint64_t to,
	uint64_t *ret_requests)
{
	uint64_t bytes = 0;
	HOLD(&m->lock);

	for (uint64_t b = from / BLOCK; b * BLOCK < to; b++) {
		if (b * BLOCK >= h->from && b * BLOCK < h->to)
			continue;
		if (take_in(m, m->first_block[h->file] + (uint32_t)b))
			continue;
		bytes += block_bytes(m, h->file, b);
		(*ret_requests)++;
	}
	return bytes;
}

/* The latency of one request: lognormal around the median, as synth-remote draws it. */
static int64_t draw_latency(struct remote *m)
{
	double sigma = m->cfg->remote.jitter;
	uint64_t n;

	if (sigma <= 0)
		return m->cfg->remote.latency;
	n = atomic_fetch_add_explicit(&m->draws, 2, memory_order_relaxed);
	double u = ((double)(order_mix(n) >> 11) + 0.5) / 9007199254740992.0; /* 2^53 */
	double v = (double)(order_mix(n + 1) >> 11) / 9007199254740992.0;
	double normal = sqrt(-2 * log(u)) * cos(2 * M_PI * v); /* Box and Muller */

	return (int64_t)((double)m->cfg->remote.latency * exp(sigma * normal));
}

static void charge(struct remote *m, struct remote_handle *h, uint64_t off, uint64_t len)
{
	uint64_t size = m->names[h->file].size, end = off + len < size ? off + len : size;
	uint64_t requests = 0, bytes;
	int64_t now, until, paid;

	if (off >= size)
		return;
	bytes = misses(m, h, off, end, &requests);
	h->from = off / BLOCK * BLOCK;
	h->to = (end + BLOCK - 1) / BLOCK * BLOCK;
	if (!requests)
		return;
	atomic_fetch_add_explicit(&m->origin_bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->origin_requests, requests, memory_order_relaxed);
	now = clock_now_ns();
	until = now + draw_latency(m);
	paid = bucket_charge(&m->bytes, bytes, now);
	until = paid > until ? paid : until;
	paid = bucket_charge(&m->requests, requests, now);
	until = paid > until ? paid : until;
	if (until <= now)
		return;
	atomic_fetch_add_explicit(&m->waited_ns, until - now, memory_order_relaxed);
	clock_sleep_until(until); /* long, on a slow disk: the source may be gone after it */
}

static ssize_t remote_file_pread(
	struct source *src, struct source_file *f, void *buf, size_t len, uint64_t off)
{
	struct remote *m = to_remote(src);

	if (!m->real)
		charge(m, f->handle, off, len);
	return files_pread(f, buf, len, off);
}

static json_t *remote_counters(struct source *src)
{
	struct remote *m = to_remote(src);

	if (m->real)
		return json_pack("{s:n,s:{},s:{}}", "origin_bytes", "counters", "cpu_s");
	HOLD(&m->lock);
	return json_pack("{s:I,s:I,s:{s:I,s:I},s:{}}", "origin_bytes",
		(json_int_t)atomic_load(&m->origin_bytes), "page_cache_bytes",
		(json_int_t)m->held_bytes, "counters", "requests",
		(json_int_t)atomic_load(&m->origin_requests), "waited_ns",
		(json_int_t)atomic_load(&m->waited_ns), "cpu_s");
}

const struct source_ops source_remote = {
	.name = "remote",
	.summary = "plain files behind an emulated disk's bandwidth, IOPS and latency",
	.label = "the remote disk",
	.flags = SOURCE_PAGE_CACHE,
	.open = remote_open,
	.close = remote_close,
	.chill = remote_chill,
	.file_open = remote_file_open,
	.file_pread = remote_file_pread,
	.file_close = remote_file_close,
	.counters = remote_counters,
};
