/* SPDX-License-Identifier: Apache-2.0 */
/* mem - the memory tier, and the landing zone of every fetch.
 *
 *      origin ─> sink: copy and CRC ─> block in the region ─> waiting reads, as their range comes
 *                                              └─> keep() of the tier below: written from here
 *
 * The region is mapped once; blocks are lent by pointer and cut to whole pages, so that small
 * files do not waste a block. When the region has no room (all pinned, capacity 0, or the policy
 * does not want the block) a fetch lands in a loose buffer, freed after its last use. While the tier below writes
 * it, its flight stays for reads to join: else they would fetch again what is about to be there.
 *
 * Promotion: a block that the disk tier holds and that is asked for again is lent to nobody, so that the
 * read becomes a fetch, which lands here. Demotion: a block that the disk tier could not take when it came
 * is offered once more when it has to go. */
#include "cachefs/stores/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cachefs/cache.h"
#include "cachefs/seen.h"
#include "cachefs/space.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/crc32c.h"
#include "common/topology.h"

#define LOOSE (1ull << 63)        /* in a cookie: the rest is a struct loose */
#define OFFERED (1ull << 62)      /* in a cookie: the tier below has the extent, to write it */
#define LOOSE_KEPT_MAX (32 << 20) /* loose bytes up to which they wait for tiers below */

/* mem.capacity=auto: of the memory that is free. */
#define AUTO_SHARE 4
#define AUTO_PARTS 5

struct mem {
	struct store base;
	struct cache cache;
	struct flights flights;
	char *region;
	struct space space; /* cache.lock */
	int64_t timeout_ns;
	_Atomic int64_t loose_bytes;
	_Atomic int64_t offered_bytes; /* of the region, pinned while the tier below writes them */
	struct seen seen;              /* last NULL: nothing is promoted */
	mem_queue_fn *queue;           /* NULL: no prefetch */
	void *queue_arg;
};

/* A block outside the region. */
struct loose {
	_Atomic int users;
	struct flight *flight; /* ends with the last use */
	uint32_t len;
	uint32_t *crc;
	char data[];
};

/* ---- the tier's part of struct cache ---- */

static int mem_place(struct cache *c, struct block *b)
{
	struct mem *m = container_of(c, struct mem, cache);

	return space_alloc(&m->space, space_round(b->len), &b->where);
}

static void mem_unplace(struct cache *c, struct block *b, bool last)
{
	struct mem *m = container_of(c, struct mem, cache);

	if (b->placed)
		space_free(&m->space, b->where, space_round(b->len));
}

static void lend_block(struct mem *m, struct block *b, uint64_t off, size_t len, struct extent *ret)
{
	cache_extent(&m->cache, b, off, len, ret);
	ret->mem = m->region + b->where + ret->off;
}

/* Offers a pinned block to the tiers below. 0: they have its pin now. Half of the memory at most waits for them, or one
 * block: when all of it did, what is fetched ahead would have no place. */
static int offer_block(struct mem *m, struct block *b, const struct object *obj, uint64_t off)
{
	struct extent ext;
	int64_t waiting = atomic_fetch_add(&m->offered_bytes, b->len);
	bool room = !waiting || waiting + b->len <= (int64_t)m->cache.capacity / 2;

	lend_block(m, b, off, b->len, &ext);
	ext.cookie |= OFFERED;
	int r = room ? store_keep(m->base.lower, obj, off, &ext) : -EAGAIN;

	if (r < 0)
		atomic_fetch_sub(&m->offered_bytes, b->len);
	return r;
}

static int mem_demote(struct cache *c, struct block *b)
{
	struct mem *m = container_of(c, struct mem, cache);
	uint64_t off = (uint64_t)b->number * c->block_size;
	struct object obj = {
		.name = b->file->name, .version = b->file->version, .size = b->file->size};

	return offer_block(m, b, &obj, off);
}

static const struct cache_ops mem_cache_ops = {
	.place = mem_place, .unplace = mem_unplace, .demote = mem_demote};

static void mem_stop(struct store *st)
{
	cache_stop(&container_of(st, struct mem, base)->cache);
}

static void mem_close(struct store *st)
{
	struct mem *m = container_of(st, struct mem, base);

	mem_stop(st);
	if (m->cache.block) {
		cache_check(&m->cache);
		cache_done(&m->cache);
	}
	flights_done(&m->flights);
	if (m->region)
		munmap(m->region, m->space.size);
	space_done(&m->space);
	seen_done(&m->seen);
	store_done(st);
	free(m);
}

static int map_region(struct mem *m, uint64_t size)
{
	if (space_init(&m->space, size) < 0)
		return -ENOMEM;
	if (!size)
		return 0;
	char *region = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (region == MAP_FAILED)
		return -errno;
	madvise(region, size, MADV_HUGEPAGE); /* a wish: plain pages work too */
	m->region = region;
	return 0;
}

/* Whether promotion pays: not where a page cache holds the same bytes, the mount's or the tier files'. */
static bool wants_promotion(const struct config *cfg)
{
	if (cfg->mem.promote != PROMOTE_AUTO)
		return cfg->mem.promote == PROMOTE_YES;
	return cfg->fuse.open_mode == OPEN_DIRECT && cfg->disk.page_cache == PAGE_CACHE_DROP;
}

static int set_up(struct mem *m, const struct config *cfg, uint64_t size, struct err *err)
{
	flights_init(&m->flights);
	m->timeout_ns = 2 * cfg->http.timeout;
	if (cache_init(&m->cache, &m->base, &mem_cache_ops, cfg, size) < 0)
		return err_set(err, ENOMEM, "not enough memory for the memory tier's index");
	if (size && wants_promotion(cfg) && seen_init(&m->seen, size) < 0)
		return err_set(err, ENOMEM, "not enough memory for the memory tier's index");
	if (map_region(m, size) < 0)
		return err_set(err, ENOMEM,
			"mem.capacity: cannot map %lld bytes; give a smaller size",
			(long long)size);
	if (cache_start(&m->cache) < 0)
		return err_set(err, EAGAIN, "cannot start a thread: raise the limit of processes");
	return 0;
}

static struct store *mem_open(
	const struct config *cfg, const char *origin, struct store *lower, struct err *err)
{
	struct memory_room memory;
	int64_t capacity = cfg->mem.capacity;
	struct mem *m = calloc(1, sizeof(*m));

	if (capacity < 0) {
		topology_memory("", &memory);
		capacity = memory.free_bytes / AUTO_PARTS * AUTO_SHARE;
	}
	if (!m || store_init(&m->base, &mem_ops, lower) < 0) {
		err_set(err, ENOMEM, "not enough memory for the memory tier");
		free(m);
		return NULL;
	}
	if (set_up(m, cfg, (uint64_t)capacity & ~(uint64_t)(SPACE_ALIGN - 1), err) < 0) {
		mem_close(&m->base);
		return NULL;
	}
	return &m->base;
}

/* ---- lending ---- */

/* Whether a read at off of what a tier below lends should rather bring the block here. Only a read at the
 * front of the block counts: the next one of a reader in sequence asks for nothing again. */
static bool promotes(struct mem *m, const struct object *obj, uint64_t off)
{
	uint32_t number = block_number(&m->cache, off);

	if (!m->seen.last || off % m->cache.block_size)
		return false;
	return seen_again(&m->seen, block_key(obj->name, obj->version, number),
		block_len(&m->cache, obj, number));
}

static int lend_from_below(
	struct mem *m, const struct object *obj, uint64_t off, size_t len, struct extent *ret)
{
	int r = store_lend(m->base.lower, obj, off, len, ret);

	if (r < 0 || !promotes(m, obj, off))
		return r;
	extent_put(ret);
	counter_add(m->base.counters, LAYER_promotions, 1);
	return -EAGAIN;
}

static int mem_lend(
	struct store *st, const struct object *obj, uint64_t off, size_t len, struct extent *ret)
{
	struct mem *m = container_of(st, struct mem, base);
	struct block *b = cache_pin(&m->cache, obj, block_number(&m->cache, off), true);

	if (!b)
		return lend_from_below(m, obj, off, len, ret);
	lend_block(m, b, off, len, ret);
	counter_add(st->counters, LAYER_hit_bytes, (int64_t)ret->len);
	return 0;
}

static void loose_put(struct mem *m, struct loose *loose)
{
	assert(loose);
	if (atomic_fetch_sub(&loose->users, 1) > 1)
		return;
	if (loose->flight)
		flight_end(&m->flights, loose->flight, 0);
	atomic_fetch_sub(&m->loose_bytes, loose->len);
	free(loose->crc);
	free(loose);
}

static void mem_put(struct store *st, struct extent *ext)
{
	struct mem *m = container_of(st, struct mem, base);

	if (ext->cookie & LOOSE) {
		loose_put(m, (struct loose *)(uintptr_t)(ext->cookie & ~LOOSE));
		return;
	}
	if (ext->cookie & OFFERED)
		atomic_fetch_sub(&m->offered_bytes, (int64_t)ext->len);
	ext->cookie &= ~OFFERED;
	cache_unpin(&m->cache, extent_block(&m->cache, ext));
}

static void mem_reject(struct store *st, struct extent *ext)
{
	struct mem *m = container_of(st, struct mem, base);

	if (!(ext->cookie & (LOOSE | OFFERED)))
		cache_reject(&m->cache, extent_block(&m->cache, ext));
}

/* ---- filling ---- */

/* A block under way: it lands in the block, else in the loose buffer. */
struct landing {
	struct mem *m;
	struct flight *flight;
	struct block *block;
	struct loose *loose;
	char *data;
	uint32_t *crc, filled;
};

static int land(void *arg, const void *data, size_t len)
{
	struct landing *l = arg;
	const char *from = data;

	memcpy(l->data + l->filled, from, len);
	while (len) {
		size_t room = CHUNK_SIZE - l->filled % CHUNK_SIZE, n = len < room ? len : room;
		uint32_t *crc = &l->crc[l->filled / CHUNK_SIZE];

		*crc = crc32c(room == CHUNK_SIZE ? 0 : *crc, from, n);
		l->filled += (uint32_t)n;
		from += n;
		len -= n;
	}
	return flight_advance(&l->m->flights, l->flight, l->filled);
}

static struct loose *loose_new(struct mem *m, uint32_t len)
{
	struct loose *loose = malloc(sizeof(*loose) + len);

	if (!loose)
		return NULL;
	loose->len = len;
	loose->users = 1;
	loose->flight = NULL;
	loose->crc = calloc((len + CHUNK_SIZE - 1) / CHUNK_SIZE, sizeof(uint32_t));
	if (!loose->crc) {
		free(loose);
		return NULL;
	}
	atomic_fetch_add(&m->loose_bytes, len);
	return loose;
}

static int find_place(struct landing *l)
{
	struct mem *m = l->m;
	struct flight *f = l->flight;

	if (!cache_reserve(&m->cache, &f->obj, f->number, &l->block)) {
		l->data = m->region + l->block->where;
		l->crc = block_crcs(l->block);
		return 0;
	}
	l->loose = loose_new(m, f->len);
	if (!l->loose)
		return -ENOMEM;
	l->data = l->loose->data;
	l->crc = l->loose->crc;
	return 0;
}

int mem_offer(struct store *st, const struct object *obj, uint64_t off)
{
	struct mem *m = container_of(st, struct mem, base);
	uint32_t number = block_number(&m->cache, off);
	struct block *b = cache_pin(&m->cache, obj, number, false);

	if (!b)
		return -EAGAIN;
	int r = offer_block(m, b, obj, (uint64_t)number * m->cache.block_size);

	if (r < 0)
		cache_unpin(&m->cache, b);
	return r;
}

static void offer_loose(struct landing *l)
{
	struct mem *m = l->m;
	struct flight *f = l->flight;
	struct extent ext = {.mem = l->data,
		.fd = -1,
		.len = f->len,
		.whole = f->len,
		.crc = l->crc,
		.owner = &m->base,
		.cookie = LOOSE | (uintptr_t)l->loose};

	if (atomic_load(&m->loose_bytes) > LOOSE_KEPT_MAX)
		return;
	atomic_fetch_add(&l->loose->users, 1);
	if (store_keep(m->base.lower, &f->obj, f->off, &ext) < 0)
		extent_put(&ext);
}

static int fetch_block(struct landing *l)
{
	struct mem *m = l->m;
	struct flight *f = l->flight;

	flight_begin(&m->flights, f, l->data);
	int r = flight_advance(&m->flights, f, 0);

	if (!r)
		r = store_fetch(m->base.lower, &f->obj, f->off, f->len, land, l);
	if (r) {
		flight_end(&m->flights, f, r < 0 ? r : -EIO);
		if (l->block)
			cache_abort(&m->cache, l->block);
		else
			loose_put(m, l->loose);
		return r;
	}
	counter_add(m->base.counters, LAYER_fills, 1);
	counter_add(m->base.counters, LAYER_fill_bytes, f->len);
	if (l->block)
		cache_commit(&m->cache, l->block, true);
	return 0;
}

/* Ends f from the block that is held already; false: it is not, or its bytes are wrong. */
static bool fill_from_held(struct mem *m, struct flight *f)
{
	struct block *b = cache_pin(&m->cache, &f->obj, f->number, false);
	struct extent ext;

	if (!b)
		return false;
	lend_block(m, b, f->off, f->len, &ext);
	if (extent_check(&ext, ext.mem) < 0) {
		extent_reject(&ext);
		return false;
	}
	flight_begin(&m->flights, f, ext.mem);
	flight_end(&m->flights, f, 0);
	extent_put(&ext);
	return true;
}

void mem_fill(struct store *st, struct flight *f)
{
	struct mem *m = container_of(st, struct mem, base);
	struct landing l = {.m = m, .flight = f};
	int64_t start_ns = clock_now_ns();
	int r;

	if (fill_from_held(m, f))
		return;
	r = find_place(&l);
	if (r < 0) {
		flight_end(&m->flights, f, r);
		return;
	}
	if (fetch_block(&l))
		return;
	hist_add(st->latency[STORE_FETCH], clock_now_ns() - start_ns);
	if (l.loose) {
		l.loose->flight = f;
		offer_loose(&l);
		loose_put(m, l.loose);
		return;
	}
	if (mem_offer(st, &f->obj, f->off) == -EAGAIN)
		cache_owe(&m->cache, l.block); /* if it was not dropped meanwhile */
	flight_end(&m->flights, f, 0);
	cache_unpin(&m->cache, l.block);
}

struct flights *mem_flights(struct store *st)
{
	return &container_of(st, struct mem, base)->flights;
}

size_t mem_block_left(struct store *st, const struct object *obj, uint64_t off)
{
	const struct cache *c = &container_of(st, struct mem, base)->cache;
	uint32_t number = block_number(c, off);

	return block_len(c, obj, number) - (size_t)(off - (uint64_t)number * c->block_size);
}

int mem_join(struct store *st, const struct object *obj, struct piece *piece, bool fill,
	struct flight **ret)
{
	struct mem *m = container_of(st, struct mem, base);
	uint32_t number = block_number(&m->cache, piece->off);

	struct flight_block block = {.obj = obj,
		.off = (uint64_t)number * m->cache.block_size,
		.number = number,
		.len = block_len(&m->cache, obj, number)};
	int r = flight_join(&m->flights, &block, piece, fill, ret);

	if (!r && !*ret)
		counter_add(st->counters, LAYER_joined, 1);
	return r;
}

/* ---- prefetch ---- */

void mem_set_queue(struct store *st, mem_queue_fn *queue, void *arg)
{
	struct mem *m = container_of(st, struct mem, base);

	m->queue = queue;
	m->queue_arg = arg;
}

static bool mem_holds(struct store *st, const struct object *obj, uint64_t off)
{
	struct mem *m = container_of(st, struct mem, base);

	return cache_holds(&m->cache, obj, block_number(&m->cache, off)) ||
	       store_holds(st->lower, obj, off);
}

bool mem_keeps(struct store *st, const struct object *obj, uint64_t off)
{
	struct mem *m = container_of(st, struct mem, base);
	bool keeps = cache_admits(
		&m->cache, block_len(&m->cache, obj, block_number(&m->cache, off)));

	if (!keeps && atomic_load(&m->loose_bytes) > LOOSE_KEPT_MAX)
		return false;
	for (st = st->lower; st && !keeps; st = st->lower)
		keeps = st->ops->keep && counter_get(st->counters, LAYER_capacity_bytes) > 0;
	return keeps;
}

static int prefetch_block(struct mem *m, const struct object *obj, uint64_t off)
{
	uint32_t number = block_number(&m->cache, off);
	struct flight_block block = {.obj = obj,
		.off = (uint64_t)number * m->cache.block_size,
		.number = number,
		.len = block_len(&m->cache, obj, number)};
	struct flight *f;

	if (store_holds(&m->base, obj, off))
		return -EEXIST;
	if (!cache_admits(&m->cache, block.len))
		return -ENOSPC;
	int r = flight_start(&m->flights, &block, &f);

	return r ? r : m->queue(m->queue_arg, f);
}

/* 0: all of it is held, or on its way by now; -EEXIST: it was so before; else some of it is not. */
static int mem_prefetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len)
{
	struct mem *m = container_of(st, struct mem, base);
	int ret = -EEXIST;

	if (!m->queue)
		return -ENOTSUP;
	for (uint64_t end = off + len; off < end; off += mem_block_left(st, obj, off)) {
		int r = prefetch_block(m, obj, off);

		if (r && r != -EEXIST)
			return r;
		if (!r)
			ret = 0;
	}
	return ret;
}

/* ---- fetch(): for callers that may wait ---- */

struct sync_read {
	struct piece piece;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	bool over;
	int status;
	char *buf;
};

static void sync_arrived(struct piece *p, int status, const void *data)
{
	struct sync_read *s = container_of(p, struct sync_read, piece);

	if (!status)
		memcpy(s->buf, data, p->len);
	HOLD(&s->lock);
	s->status = status;
	s->over = true;
	pthread_cond_signal(&s->changed);
}

static int sync_wait(struct mem *m, struct sync_read *s)
{
	int64_t deadline_ns = clock_now_ns() + m->timeout_ns;
	struct timespec until = {deadline_ns / NSEC_PER_SEC, deadline_ns % NSEC_PER_SEC};
	int r = 0;

	HOLD(&s->lock);
	while (!s->over && r != ETIMEDOUT)
		r = pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &until);
	if (!s->over && flight_leave(&m->flights, &s->piece))
		return -ETIMEDOUT;
	while (!s->over) /* it is being answered right now */
		pthread_cond_wait(&s->changed, &s->lock);
	return s->status;
}

/* Reads [off, off+len), which lies in one block, by the block's flight; fills it
 * if nobody does yet. */
static int fetch_by_flight(
	struct mem *m, const struct object *obj, uint64_t off, size_t len, char *buf)
{
	struct sync_read s = {
		.piece = {.arrived = sync_arrived, .off = off, .len = len}, .buf = buf};
	struct flight *f;

	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.changed, NULL);
	int r = mem_join(&m->base, obj, &s.piece, true, &f);

	if (!r && f)
		mem_fill(&m->base, f);
	else if (!r && s.piece.late)
		flights_poke(&m->flights);
	if (!r)
		r = sync_wait(m, &s);
	pthread_cond_destroy(&s.changed);
	pthread_mutex_destroy(&s.lock);
	return r;
}

/* Hands up what is lent at off, whole chunks checked; -EAGAIN: nothing, or it was wrong. */
static int fetch_lent(struct mem *m, const struct object *obj, uint64_t off, size_t len,
	char **ret_bytes, struct extent *ext)
{
	struct block *b = cache_pin(&m->cache, obj, block_number(&m->cache, off), true);

	if (!b)
		return -EAGAIN;
	lend_block(m, b, off, len, ext);
	if (extent_check(ext, (const char *)ext->mem - ext->lead) < 0) {
		extent_reject(ext);
		return -EAGAIN;
	}
	counter_add(m->base.counters, LAYER_hit_bytes, (int64_t)ext->len);
	*ret_bytes = (char *)(uintptr_t)ext->mem;
	return 0;
}

int mem_copy(struct store *st, const struct object *obj, uint64_t off, size_t len, void *to)
{
	struct mem *m = container_of(st, struct mem, base);
	struct extent ext;
	char *bytes;
	int r = fetch_lent(m, obj, off, len, &bytes, &ext);

	if (r < 0)
		return r;
	memcpy(to, bytes, len);
	counter_add(st->counters, LAYER_reads, 1);
	counter_add(st->counters, LAYER_read_bytes, (int64_t)len);
	extent_put(&ext);
	return 0;
}

static int mem_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg)
{
	struct mem *m = container_of(st, struct mem, base);
	AUTO(free) char *buf = NULL;

	while (len) {
		size_t left = mem_block_left(st, obj, off), n = len < left ? (size_t)len : left;
		struct extent ext = {.owner = NULL};
		char *bytes;
		int r = fetch_lent(m, obj, off, n, &bytes, &ext);

		if (r == -EAGAIN) {
			if (!buf && !(buf = malloc(m->cache.block_size)))
				return -ENOMEM;
			bytes = buf;
			r = fetch_by_flight(m, obj, off, n, buf);
		}
		if (!r)
			r = each(arg, bytes, n);
		extent_put(&ext);
		if (r)
			return r;
		off += n;
		len -= n;
	}
	return 0;
}

static int mem_drop(struct store *st, const char *name)
{
	return cache_drop(&container_of(st, struct mem, base)->cache, name);
}

const struct store_ops mem_ops = {
	.name = "mem",
	.summary = "Keeps blocks in memory; every fetch lands here.",
	.open = mem_open,
	.stop = mem_stop,
	.close = mem_close,
	.fetch = mem_fetch,
	.lend = mem_lend,
	.holds = mem_holds,
	.put = mem_put,
	.reject = mem_reject,
	.prefetch = mem_prefetch,
	.drop = mem_drop,
};
