/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and what is fetched ahead of them: see readahead.h. */
#include "cachefs/readahead.h"

#include <errno.h>

#include "common/cleanup.h"

#define FIRST 4 /* blocks fetched ahead of a stream that begins */
#define NEAR 2  /* blocks that a read may be off and still belong to a stream */

void readahead_init(struct readahead *ra, const struct config *cfg, struct store *mem)
{
	*ra = (struct readahead){.mem = mem};
	ra->block_size = (uint64_t)cfg->cache.block_size;
	ra->max = (uint64_t)cfg->readahead.max;
	ra->waste = cfg->readahead.waste;
	ra->credit_max = counter_get(mem->counters, LAYER_capacity_bytes) / 4;
	ra->credit = ra->credit_max;
	for (int i = 0; i < READAHEAD_SHARDS; i++)
		pthread_mutex_init(&ra->shard[i].lock, NULL);
}

void readahead_done(struct readahead *ra)
{
	for (int i = 0; i < READAHEAD_SHARDS; i++)
		pthread_mutex_destroy(&ra->shard[i].lock);
}

/* ---- credit ---- */

static void earn(struct readahead *ra, int64_t bytes)
{
	int64_t had = atomic_load(&ra->credit), now;

	do {
		now = had + bytes < ra->credit_max ? had + bytes : ra->credit_max;
	} while (now > had && !atomic_compare_exchange_weak(&ra->credit, &had, now));
}

static bool spend(struct readahead *ra, int64_t bytes)
{
	int64_t had = atomic_load(&ra->credit);

	do {
		if (had < bytes)
			return false;
	} while (!atomic_compare_exchange_weak(&ra->credit, &had, had - bytes));
	return true;
}

/* ---- streams ---- */

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a < b ? b - a : a - b;
}

static struct stream *find_stream(
	struct readahead *ra, struct readahead_shard *shard, uint64_t key, uint64_t off)
{
	for (int i = 0; i < READAHEAD_WAYS; i++) {
		struct stream *s = &shard->stream[i];

		if (s->key == key && distance(s->next, off) <= NEAR * ra->block_size)
			return s;
	}
	return NULL;
}

static struct stream *oldest_stream(struct readahead_shard *shard)
{
	struct stream *oldest = &shard->stream[0];

	for (int i = 1; i < READAHEAD_WAYS; i++)
		if (shard->stream[i].used < oldest->used)
			oldest = &shard->stream[i];
	return oldest;
}

/* What of [from, to) was fetched ahead is paid back. */
static void pay_back(struct readahead *ra, struct stream *s, uint64_t from, uint64_t to)
{
	uint64_t first = from > s->from ? from : s->from, end = to < s->ahead ? to : s->ahead;
	uint64_t n = end > first ? end - first : 0;

	if (n > s->unread)
		n = s->unread;
	s->unread -= n;
	atomic_fetch_add(&ra->read_bytes, (int64_t)n);
	earn(ra, (int64_t)n);
}

/* Fetches the block at off; false: not now. */
static bool fetch_block(
	struct readahead *ra, struct stream *s, const struct object *obj, uint64_t off)
{
	uint64_t left = obj->size - off, len = left < ra->block_size ? left : ra->block_size;
	int r;

	if (!spend(ra, (int64_t)len))
		return false;
	r = store_prefetch(ra->mem, obj, off, len);
	if (r) {
		earn(ra, (int64_t)len);
		return r == -EEXIST;
	}
	atomic_fetch_add(&ra->fetched_bytes, (int64_t)len);
	s->unread += len;
	return true;
}

static void fetch_ahead(struct readahead *ra, struct stream *s, const struct object *obj)
{
	uint64_t next = (s->next + ra->block_size - 1) / ra->block_size * ra->block_size;
	uint64_t end = s->next + s->window < obj->size ? s->next + s->window : obj->size;

	if (s->ahead < next) /* overtaken, or nothing yet */
		s->from = s->ahead = next;
	while (s->ahead < end && fetch_block(ra, s, obj, s->ahead))
		s->ahead += ra->block_size;
}

static void widen(struct readahead *ra, struct stream *s)
{
	s->window = s->window ? 2 * s->window : FIRST * ra->block_size;
	if (s->window > ra->max)
		s->window = ra->max;
}

void readahead_note(struct readahead *ra, const struct object *obj, uint64_t off, uint64_t len)
{
	if (obj->size <= ra->block_size || !ra->max || !ra->credit_max)
		return;
	uint64_t key = (store_version(obj->name, 0, 0) ^ obj->version) | 1;
	struct readahead_shard *shard = &ra->shard[(key >> 32) % READAHEAD_SHARDS];

	earn(ra, (int64_t)((double)len * ra->waste));
	HOLD(&shard->lock);
	struct stream *s = find_stream(ra, shard, key, off);
	uint64_t end = off + len;

	if (!s) {
		s = oldest_stream(shard);
		*s = (struct stream){.key = key, .next = off};
		if (off) /* it may be random; who begins at the front reads on */
			s->next = end;
	}
	s->used = ++shard->clock;
	if (end <= s->next) /* again, or late */
		return;
	pay_back(ra, s, s->next, end);
	s->next = end;
	widen(ra, s);
	fetch_ahead(ra, s, obj);
}

json_t *readahead_stats(struct readahead *ra)
{
	return json_pack("{s:I,s:I,s:I}", "fetched_bytes", (json_int_t)ra->fetched_bytes,
		"read_bytes", (json_int_t)ra->read_bytes, "credit_bytes", (json_int_t)ra->credit);
}
