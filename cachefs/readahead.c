/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and what is fetched ahead of them: see readahead.h. */
#include "cachefs/readahead.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define FIRST 4           /* blocks fetched ahead of a stream that begins */
#define EAGER (128 << 10) /* a first read of so much does not look at the head of a file only */
#define NEAR 2            /* blocks that a read may be off and still belong to a stream */
#define SPARE_MAX (64 << 20)
#define IDLE_NS NSEC_PER_SEC /* a reader that pauses for longer does not hold others back */

void readahead_init(struct readahead *ra, const struct config *cfg, struct store *mem)
{
	*ra = (struct readahead){.mem = mem};
	ra->block_size = (uint64_t)cfg->cache.block_size;
	ra->max = (uint64_t)cfg->readahead.max;
	ra->waste = cfg->readahead.waste;
	credit_init(&ra->credit, counter_get(mem->counters, LAYER_capacity_bytes) / 4);
	ra->amplification = cfg->cache.amplification;
	credit_init(&ra->spare, ra->amplification > 1 ? SPARE_MAX : 0);
	for (int i = 0; i < READAHEAD_SHARDS; i++)
		pthread_mutex_init(&ra->shard[i].lock, NULL);
}

void readahead_done(struct readahead *ra)
{
	for (int i = 0; i < READAHEAD_SHARDS; i++)
		pthread_mutex_destroy(&ra->shard[i].lock);
}

/* ---- credit ---- */

/* Gives back what was fetched ahead, as it was read. */
static void settle(struct readahead *ra, int64_t bytes)
{
	atomic_fetch_sub(&ra->unread, bytes);
	credit_earn(&ra->credit, (double)bytes);
}

/* Credit and room in memory for bytes that are to be fetched ahead. */
static bool afford(struct readahead *ra, int64_t bytes)
{
	if (!credit_spend(&ra->credit, bytes))
		return false;
	if (atomic_fetch_add(&ra->unread, bytes) + bytes <= ra->credit.max)
		return true;
	settle(ra, bytes);
	return false;
}

/* What was fetched ahead of s and not read is waste now. The shard's lock is held. */
static void write_off(struct readahead *ra, struct stream *s)
{
	atomic_fetch_sub(&ra->unread, (int64_t)s->unread);
	atomic_fetch_sub(&ra->streams, s->window > 0);
	s->unread = s->window = 0;
}

static void write_off_idle(struct readahead *ra, struct readahead_shard *shard, int64_t now_ns)
{
	for (int i = 0; i < READAHEAD_WAYS; i++)
		if (now_ns - shard->stream[i].used_ns > IDLE_NS)
			write_off(ra, &shard->stream[i]);
}

/* Looks for streams that are not read any more in own, which is locked, and in one more. */
static void sweep(struct readahead *ra, struct readahead_shard *own, int64_t now_ns)
{
	struct readahead_shard
		*other = &ra->shard[atomic_fetch_add(&ra->sweep, 1) % READAHEAD_SHARDS];

	write_off_idle(ra, own, now_ns);
	if (other == own || pthread_mutex_trylock(&other->lock))
		return;
	write_off_idle(ra, other, now_ns);
	pthread_mutex_unlock(&other->lock);
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
		if (shard->stream[i].used_ns < oldest->used_ns)
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
	settle(ra, (int64_t)n);
}

/* Fetches the block at off; false: not now. */
static bool fetch_block(
	struct readahead *ra, struct stream *s, const struct object *obj, uint64_t off)
{
	uint64_t left = obj->size - off, len = left < ra->block_size ? left : ra->block_size;
	int r;

	if (!afford(ra, (int64_t)len))
		return false;
	r = store_prefetch(ra->mem, obj, off, len);
	if (r) {
		settle(ra, (int64_t)len);
		return r == -EEXIST;
	}
	atomic_fetch_add(&ra->fetched_bytes, (int64_t)len);
	s->unread += len;
	return true;
}

/* How far ahead of s: its window, but not more than its share of the memory. */
static uint64_t reach(struct readahead *ra, const struct stream *s)
{
	uint64_t share = (uint64_t)ra->credit.max / (uint64_t)(atomic_load(&ra->streams) + 1);

	if (share < 2 * ra->block_size)
		share = 2 * ra->block_size;
	return s->window < share ? s->window : share;
}

/* False: it was kept from it. */
static bool fetch_ahead(struct readahead *ra, struct stream *s, const struct object *obj)
{
	uint64_t next = (s->next + ra->block_size - 1) / ra->block_size * ra->block_size;
	uint64_t left = obj->size - s->next, far = reach(ra, s);
	uint64_t end = s->next + (far < left ? far : left);

	if (s->ahead < next) /* overtaken, or nothing yet */
		s->from = s->ahead = next;
	while (s->ahead < end) {
		if (!fetch_block(ra, s, obj, s->ahead))
			return false;
		s->ahead += ra->block_size;
	}
	return true;
}

/* A large first read opens half of what there is: whoever makes it does not look at the head only. */
static void widen(struct readahead *ra, struct stream *s, uint64_t len)
{
	uint64_t first = FIRST * ra->block_size;

	if (!s->window)
		atomic_fetch_add(&ra->streams, 1);
	if (!s->window && len >= EAGER && first < ra->max / 2)
		first = ra->max / 2;
	s->window = s->window ? 2 * s->window : first;
	if (s->window > ra->max)
		s->window = ra->max;
}

static struct stream *begin_stream(
	struct readahead *ra, struct readahead_shard *shard, uint64_t key, uint64_t next)
{
	struct stream *s = oldest_stream(shard);

	write_off(ra, s);
	*s = (struct stream){.key = key, .next = next};
	return s;
}

bool readahead_whole(struct readahead *ra, const struct object *obj, uint64_t off, uint64_t len)
{
	uint64_t from = off / ra->block_size * ra->block_size;
	uint64_t end = (off + len + ra->block_size - 1) / ra->block_size * ra->block_size;

	if (end > obj->size)
		end = obj->size;
	return credit_spend(&ra->spare, (int64_t)(end - from - len));
}

void readahead_note(struct readahead *ra, const struct object *obj, uint64_t off, uint64_t len)
{
	if (obj->size <= ra->block_size)
		return;
	uint64_t key = (store_version(obj->name, 0, 0) ^ obj->version) | 1, end = off + len;
	struct readahead_shard *shard = &ra->shard[(key >> 32) % READAHEAD_SHARDS];

	credit_earn(&ra->credit, (double)len * ra->waste);
	credit_earn(&ra->spare, (double)len * (ra->amplification - 1));
	HOLD(&shard->lock);
	struct stream *s = find_stream(ra, shard, key, off);

	if (!s) /* it may be random; who begins at the front reads on */
		s = begin_stream(ra, shard, key, off ? end : 0);
	s->used_ns = clock_now_ns();
	if (end <= s->next) /* again, or late */
		return;
	pay_back(ra, s, s->next, end);
	s->next = end;
	if (end == obj->size)
		write_off(ra, s);
	if (end == obj->size || !ra->max || !ra->credit.max)
		return;
	widen(ra, s, len);
	if (!fetch_ahead(ra, s, obj))
		sweep(ra, shard, s->used_ns);
}

json_t *readahead_stats(struct readahead *ra)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "fetched_bytes", (json_int_t)ra->fetched_bytes,
		"read_bytes", (json_int_t)ra->read_bytes, "unread_bytes", (json_int_t)ra->unread,
		"credit_bytes", (json_int_t)ra->credit.left, "spare_bytes",
		(json_int_t)ra->spare.left);
}
