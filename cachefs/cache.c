/* SPDX-License-Identifier: Apache-2.0 */
/* Index, capacity, pins and states of a tier's blocks: see cache.h. */
#include "cachefs/cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/hash.h"
#include "cachefs/space.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define BUCKETS_FIRST 1024
#define EVICT_AGAIN_NS NSEC_PER_SEC /* when all that could go was pinned */
#define SLOTS_MAX (16u << 20)       /* 64 GiB of one-page files; tables are zero pages until used */

static uint32_t chunks_of(uint32_t len)
{
	return (len + CHUNK_SIZE - 1) / CHUNK_SIZE;
}

uint32_t block_slot(const struct cache *c, const struct block *b)
{
	return (uint32_t)(b - c->block);
}

uint32_t *block_crcs(struct block *b)
{
	return chunks_of(b->len) > 1 ? b->u.many : &b->u.one;
}

/* ---- invariants ---- */

static void check_block(const struct cache *c, const struct block *b)
{
	assert(b->state <= BLOCK_DOOMED);
	assert((b->state == BLOCK_FREE) == !b->file);
	assert(b->state == BLOCK_READY || b->state == BLOCK_DOOMED || !b->pins);
	assert(b->state == BLOCK_FILLING || !b->unwanted);
	assert(b->state != BLOCK_READY || b->placed);
	assert(b->state == BLOCK_READY || !b->owed);
	assert(b->state != BLOCK_FILLING || !b->file->sealed);
	assert(!b->file || b->file->slot[b->number] == block_slot(c, b));
	(void)c;
	(void)b;
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

void cache_check(struct cache *c)
{
	uint64_t used = 0;
	size_t held = 0, indexed = 0, files = 0;

	HOLD(&c->lock);
	for (uint32_t i = 0; i < c->slots_used; i++) {
		const struct block *b = &c->block[i];

		check_block(c, b);
		used += b->placed ? space_round(b->len) : 0;
		held += b->state != BLOCK_FREE;
	}
	for (size_t i = 0; i < c->buckets; i++)
		for (struct cache_file *f = c->bucket[i]; f; f = f->next, files++)
			indexed += f->held;
	must(used == c->used && used <= c->capacity);
	must(held == indexed && files == c->files);
}

/* ---- files ---- */

static uint64_t hash_key(const char *name, uint64_t version)
{
	uint64_t h = hash_text(version ^ 0x9e3779b97f4a7c15ull, name);

	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	return h ^ (h >> 32);
}

struct cache_file *cache_find(const struct cache *c, const struct object *obj)
{
	uint64_t hash = hash_key(obj->name, obj->version);
	struct cache_file *f = c->bucket[hash & (c->buckets - 1)];

	while (f && (f->hash != hash >> 32 || f->version != obj->version || f->size != obj->size ||
			    strcmp(f->name, obj->name)))
		f = f->next;
	return f;
}

static struct cache_file **bucket_of(
	struct cache_file **bucket, size_t buckets, const struct cache_file *f)
{
	return &bucket[hash_key(f->name, f->version) & (buckets - 1)];
}

static void chain_file(struct cache_file **head, struct cache_file *f)
{
	f->next = *head;
	*head = f;
}

static void grow_buckets(struct cache *c)
{
	size_t buckets = c->buckets * 2;
	struct cache_file **bucket = calloc(buckets, sizeof(struct cache_file *));

	if (!bucket)
		return; /* longer chains, nothing worse */
	for (size_t i = 0; i < c->buckets; i++) {
		struct cache_file *f = c->bucket[i], *next;

		for (; f; f = next) {
			next = f->next;
			chain_file(bucket_of(bucket, buckets, f), f);
		}
	}
	free(c->bucket);
	c->bucket = bucket;
	c->buckets = buckets;
}

static size_t file_bytes(uint64_t blocks, const char *name)
{
	return offsetof(struct cache_file, slot) + blocks * sizeof(uint32_t) + strlen(name) + 1;
}

static void free_file(struct cache *c, struct cache_file *f)
{
	if (file_bytes(f->blocks, f->name) <= ARENA_PIECE_MAX)
		arena_free(&c->arena, f);
	else
		free(f);
}

static struct cache_file *add_file(struct cache *c, const struct object *obj)
{
	uint64_t blocks = (obj->size + c->block_size - 1) / c->block_size;
	size_t bytes = file_bytes(blocks, obj->name);
	struct cache_file *f;

	if (blocks >= SLOT_NONE)
		return NULL;
	f = bytes <= ARENA_PIECE_MAX ? arena_alloc(&c->arena, bytes) : malloc(bytes);
	if (!f)
		return NULL;
	*f = (struct cache_file){.hash = (uint32_t)(hash_key(obj->name, obj->version) >> 32),
		.version = obj->version,
		.size = obj->size,
		.blocks = (uint32_t)blocks};
	memset(f->slot, 0xff, blocks * sizeof(uint32_t));
	f->name = strcpy((char *)(f->slot + blocks), obj->name);
	if (c->files >= c->buckets)
		grow_buckets(c);
	chain_file(bucket_of(c->bucket, c->buckets, f), f);
	c->files++;
	return f;
}

static void remove_file(struct cache *c, struct cache_file *f)
{
	struct cache_file **link = bucket_of(c->bucket, c->buckets, f);

	while (*link != f)
		link = &(*link)->next;
	*link = f->next;
	c->files--;
	free_file(c, f);
}

/* ---- slots ---- */

static struct block *take_slot(struct cache *c)
{
	struct block *b;

	if (c->first_free != SLOT_NONE) {
		b = &c->block[c->first_free];
		c->first_free = b->u.next_free;
	} else if (c->slots_used < c->slots) {
		b = &c->block[c->slots_used++];
	} else {
		return NULL;
	}
	*b = (struct block){.where = WHERE_ANY};
	return b;
}

static void free_slot(struct cache *c, struct block *b)
{
	if (b->file && chunks_of(b->len) > 1)
		free(b->u.many);
	*b = (struct block){.u.next_free = c->first_free};
	c->first_free = block_slot(c, b);
}

/* Takes a block that no one reads and no policy knows out of index and space. Locked. */
static void forget_block(struct cache *c, struct block *b)
{
	struct cache_file *f = b->file;
	bool last = f->held == 1;

	c->ops->unplace(c, b, last);
	if (b->placed) {
		c->used -= space_round(b->len);
		counter_add(c->store->counters, LAYER_blocks, -1);
		counter_put(c->store->counters, LAYER_used_bytes, (int64_t)c->used);
	}
	c->unverified -= b->unverified;
	f->slot[b->number] = SLOT_NONE;
	f->held--;
	free_slot(c, b);
	if (last)
		remove_file(c, f);
}

/* Erases and forgets a DOOMED block without pins. Only the thread that made it so comes here. */
static void bury(struct cache *c, struct block *b)
{
	if (c->ops->erase)
		c->ops->erase(c, b);
	HOLD(&c->lock);
	check_block(c, b);
	forget_block(c, b);
}

/* ---- giving up ---- */

static bool may_go(uint32_t slot, void *arg)
{
	struct cache *c = arg;

	return !c->block[slot].pins;
}

/* Offers b to the tier below, which owns it from then on if it wants it: true, and it keeps its room
 * until that has it. */
static bool demote(struct cache *c, struct block *b)
{
	b->pins = 1;
	pthread_mutex_unlock(&c->lock);
	bool taken = !c->ops->demote(c, b);

	pthread_mutex_lock(&c->lock);
	if (!taken)
		b->pins = 0;
	counter_add(c->store->counters, LAYER_demotions, taken);
	return taken;
}

/* Gives up one block; the lock is released for the erasing. */
static int evict_one(struct cache *c, bool background)
{
	uint32_t slot = c->policy->ops->evict(c->policy, may_go, c);

	if (slot == SLOT_NONE)
		return -ENOSPC;
	struct block *b = &c->block[slot];
	bool owed = b->owed;

	check_block(c, b);
	if (b->file->sealed) {
		counter_add(c->store->counters, LAYER_evictions, b->file->blocks);
		counter_add(c->store->counters, LAYER_evicted_bytes, (int64_t)b->file->size);
		counter_add(c->store->counters, LAYER_background_evictions,
			background ? b->file->blocks : 0);
		cache_unseal(c, b->file);
		return 0;
	}
	b->owed = false;
	b->state = BLOCK_DOOMED;
	counter_add(c->store->counters, LAYER_evictions, 1);
	counter_add(c->store->counters, LAYER_evicted_bytes, b->len);
	counter_add(c->store->counters, LAYER_background_evictions, background);
	if (owed && demote(c, b))
		return 0;
	if (c->ops->erase) {
		pthread_mutex_unlock(&c->lock);
		c->ops->erase(c, b);
		pthread_mutex_lock(&c->lock);
	}
	forget_block(c, b);
	return 0;
}

/* Down to the low watermark, as far as blocks may go. */
static void evict_to_low(struct cache *c)
{
	while (!c->stopping && c->used > c->low && !evict_one(c, true)) {
		pthread_mutex_unlock(&c->lock); /* readers first */
		pthread_mutex_lock(&c->lock);
	}
}

static void *evict_until_stopped(void *arg)
{
	struct cache *c = arg;
	bool pinned = false;

	HOLD(&c->lock);
	while (!c->stopping) {
		int64_t again_ns = clock_now_ns() + EVICT_AGAIN_NS;
		struct timespec until = {again_ns / NSEC_PER_SEC, again_ns % NSEC_PER_SEC};

		if (c->used <= c->high || pinned)
			pthread_cond_clockwait(&c->crowded, &c->lock, CLOCK_MONOTONIC, &until);
		if (c->used > c->high)
			evict_to_low(c);
		pinned = c->used > c->high;
	}
	return NULL;
}

int cache_start(struct cache *c)
{
	int r = c->high ? pthread_create(&c->evictor, NULL, evict_until_stopped, c) : 0;

	c->evicting = c->high && !r;
	return -r;
}

void cache_stop(struct cache *c)
{
	if (!c->evicting)
		return;
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_signal(&c->crowded);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->evictor, NULL);
	c->evicting = false;
}

int cache_init(struct cache *c, struct store *st, const struct cache_ops *ops,
	const struct config *cfg, uint64_t capacity)
{
	uint64_t slots = capacity / SPACE_ALIGN < SLOTS_MAX ? capacity / SPACE_ALIGN : SLOTS_MAX;

	*c = (struct cache){.ops = ops, .store = st, .capacity = capacity};
	c->block_size = (uint32_t)cfg->cache.block_size;
	c->slots = (uint32_t)slots;
	c->first_free = SLOT_NONE;
	c->buckets = BUCKETS_FIRST;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->crowded, NULL);
	c->high = (uint64_t)((double)capacity * cfg->cache.watermark_high);
	c->low = (uint64_t)((double)capacity * cfg->cache.watermark_low);
	arena_init(&c->arena);
	c->policy = policy_registry[cfg->cache.policy]->new (c->slots);
	c->block = calloc(slots + 1, sizeof(*c->block));
	c->bucket = calloc(c->buckets, sizeof(struct cache_file *));
	counter_put(st->counters, LAYER_capacity_bytes, (int64_t)capacity);
	if (c->policy && c->block && c->bucket)
		return 0;
	cache_done(c);
	return -ENOMEM;
}

void cache_done(struct cache *c)
{
	cache_stop(c);
	for (uint32_t i = 0; c->block && i < c->slots_used; i++)
		if (c->block[i].file && chunks_of(c->block[i].len) > 1)
			free(c->block[i].u.many);
	for (size_t i = 0; c->bucket && i < c->buckets; i++) {
		struct cache_file *f = c->bucket[i], *next;

		for (; f; f = next) {
			next = f->next;
			free_file(c, f);
		}
	}
	arena_done(&c->arena);
	if (c->policy)
		c->policy->ops->free(c->policy);
	free(c->block);
	free(c->bucket);
	pthread_cond_destroy(&c->crowded);
	pthread_mutex_destroy(&c->lock);
	*c = (struct cache){0};
}

/* ---- reading ---- */

struct block *cache_pin(struct cache *c, const struct object *obj, uint32_t number, bool count)
{
	HOLD(&c->lock);
	struct cache_file *f = cache_find(c, obj);
	uint32_t slot = f && number < f->blocks ? f->slot[number] : SLOT_NONE;
	struct block *b = slot == SLOT_NONE ? NULL : &c->block[slot];

	if (!b || b->state != BLOCK_READY) {
		if (count)
			counter_add(c->store->counters, LAYER_misses, 1);
		return NULL;
	}
	check_block(c, b);
	b->pins++;
	if (count)
		counter_add(c->store->counters, LAYER_hits, 1);
	c->policy->ops->hit(c->policy, cache_policy_slot(c, b));
	return b;
}

bool cache_holds(struct cache *c, const struct object *obj, uint32_t number)
{
	struct block *b = cache_pin(c, obj, number, false);

	if (b)
		cache_unpin(c, b);
	return b;
}

void cache_unpin(struct cache *c, struct block *b)
{
	pthread_mutex_lock(&c->lock);
	assert(b->pins);
	bool gone = !--b->pins && b->state == BLOCK_DOOMED;

	pthread_mutex_unlock(&c->lock);
	if (gone)
		bury(c, b);
}

void cache_extent(struct cache *c, struct block *b, uint64_t off, size_t len, struct extent *ext)
{
	size_t from = (size_t)(off - (uint64_t)b->number * c->block_size);
	size_t left = b->len - from, first = from / CHUNK_SIZE, end;

	*ext = (struct extent){.fd = -1, .owner = c->store, .cookie = block_slot(c, b)};
	ext->len = len < left ? len : left;
	ext->lead = from % CHUNK_SIZE;
	end = (from + ext->len + CHUNK_SIZE - 1) / CHUNK_SIZE * CHUNK_SIZE;
	ext->whole = (end < b->len ? end : b->len) - first * CHUNK_SIZE;
	ext->crc = block_crcs(b) + first;
	ext->off = (off_t)from;
}

struct block *extent_block(struct cache *c, const struct extent *ext)
{
	return &c->block[ext->cookie];
}

/* ---- filling ---- */

/* For a block that finds none. Between watermarks the thread does it where that takes time. */
static int make_room(struct cache *c)
{
	if (!c->high || !c->ops->erase)
		return evict_one(c, false);
	pthread_cond_signal(&c->crowded);
	return -ENOSPC;
}

/* Blocks may be so small that slots run out below the watermark: then nobody else makes one free. */
static struct block *slot_or_evict(struct cache *c)
{
	struct block *b;

	while (!(b = take_slot(c)) && !evict_one(c, false))
		;
	return b;
}

/* A FILLING block in the index, without a place yet. Locked. */
static int index_block(
	struct cache *c, const struct object *obj, uint32_t number, struct block **ret)
{
	uint32_t len = block_len(c, obj, number), chunks = chunks_of(len);
	struct block *b = slot_or_evict(c);
	struct cache_file *f;
	int r = -ENOMEM;

	if (!b)
		return -ENOSPC;
	f = cache_find(c, obj);
	if (f && (f->sealed || f->slot[number] != SLOT_NONE)) {
		r = -EEXIST;
		goto fail;
	}
	if (chunks > 1 && !(b->u.many = calloc(chunks, sizeof(uint32_t))))
		goto fail;
	if (!f && !(f = add_file(c, obj))) {
		free(b->u.many);
		goto fail;
	}
	f->slot[number] = block_slot(c, b);
	f->held++;
	b->len = len;
	b->number = number;
	b->file = f;
	b->state = BLOCK_FILLING;
	*ret = b;
	return 0;
fail:
	free_slot(c, b);
	return r;
}

static int place_block(struct cache *c, struct block *b)
{
	uint64_t charge = space_round(b->len);
	int r = c->used + charge > c->capacity ? -ENOSPC : c->ops->place(c, b);

	if (r < 0)
		return r;
	b->placed = true;
	c->used += charge;
	if (c->high && c->used > c->high)
		pthread_cond_signal(&c->crowded);
	counter_add(c->store->counters, LAYER_blocks, 1);
	counter_put(c->store->counters, LAYER_used_bytes, (int64_t)c->used);
	return 0;
}

uint64_t block_key(const char *name, uint64_t version, uint32_t number)
{
	return hash_key(name, version) + number * 0x9e3779b97f4a7c15ull;
}

static int place_evicting(struct cache *c, struct block *b)
{
	int r;

	while ((r = place_block(c, b)) == -ENOSPC)
		if (make_room(c) < 0)
			break;
	return r;
}

int cache_reserve(struct cache *c, const struct object *obj, uint32_t number, struct block **ret)
{
	uint64_t charge = space_round(block_len(c, obj, number));
	struct block *b = NULL;

	HOLD(&c->lock);
	int r = charge > c->capacity ? -ENOSPC : index_block(c, obj, number, &b);

	if (!r && !c->policy->ops->admit(c->policy, block_key(obj->name, obj->version, number),
			  c->used + charge > c->capacity))
		r = -ENOSPC;
	if (!r)
		r = place_evicting(c, b);
	if (!r) {
		*ret = b;
		return 0;
	}
	if (b)
		forget_block(c, b);
	if (r != -EEXIST)
		counter_add(c->store->counters, LAYER_bypasses, 1);
	return r;
}

bool cache_admits(struct cache *c, size_t len)
{
	uint64_t charge = space_round(len);

	HOLD(&c->lock);
	if (charge > c->capacity)
		return false;
	return c->policy->ops->admit(c->policy, 0, c->used + charge > c->capacity);
}

int cache_restore(struct cache *c, const struct object *obj, uint32_t number, uint64_t where,
	struct block **ret)
{
	struct block *b;

	HOLD(&c->lock);
	bool slot_free = c->first_free != SLOT_NONE || c->slots_used < c->slots;
	int r = slot_free ? index_block(c, obj, number, &b) : -ENOSPC;

	if (r < 0)
		return r;
	b->where = where;
	b->unverified = true;
	c->unverified++;
	r = place_block(c, b);
	if (r < 0)
		forget_block(c, b);
	else
		*ret = b;
	return r;
}

void cache_forget(struct cache *c, const struct object *obj, uint32_t number)
{
	HOLD(&c->lock);
	struct cache_file *f = cache_find(c, obj);
	uint32_t slot = f && number < f->blocks ? f->slot[number] : SLOT_NONE;

	if (slot == SLOT_NONE)
		return;
	c->policy->ops->remove(c->policy, slot);
	forget_block(c, &c->block[slot]);
}

void cache_commit(struct cache *c, struct block *b, bool pin)
{
	pthread_mutex_lock(&c->lock);
	check_block(c, b);
	bool gone = b->unwanted && !pin;

	b->pins = pin;
	b->state = b->unwanted ? BLOCK_DOOMED : BLOCK_READY;
	b->unwanted = false;
	if (b->state == BLOCK_READY)
		c->policy->ops->insert(c->policy, block_slot(c, b),
			block_key(b->file->name, b->file->version, b->number));
	pthread_mutex_unlock(&c->lock);
	if (gone)
		bury(c, b);
}

void cache_owe(struct cache *c, struct block *b)
{
	HOLD(&c->lock);
	b->owed = b->state == BLOCK_READY;
}

void cache_abort(struct cache *c, struct block *b)
{
	HOLD(&c->lock);
	check_block(c, b);
	forget_block(c, b);
}

/* ---- dropping ---- */

/* Makes b go, and all of its file if that is sealed, which may take the lock away meanwhile. Locked;
 * true: the caller has to bury it. */
static bool doom(struct cache *c, struct block *b)
{
	if (b->state == BLOCK_FILLING)
		b->unwanted = true;
	if (b->state != BLOCK_READY)
		return false;
	c->policy->ops->remove(c->policy, cache_policy_slot(c, b));
	b->owed = false;
	if (b->file->sealed) {
		cache_unseal(c, b->file);
		return false;
	}
	b->state = BLOCK_DOOMED;
	return !b->pins;
}

void cache_reject(struct cache *c, struct block *b)
{
	HOLD(&c->lock);
	counter_add(c->store->counters, LAYER_crc_errors, 1);
	doom(c, b); /* pinned by the caller, so its unpinning buries it */
}

static bool name_below(const char *name, const char *root)
{
	size_t len = strlen(root);

	return !len || (!strncmp(name, root, len) && (!name[len] || name[len] == '/'));
}

int cache_drop(struct cache *c, const char *name)
{
	pthread_mutex_lock(&c->lock);
	for (uint32_t i = 0; i < c->slots_used; i++) {
		struct block *b = &c->block[i];

		if (!b->file || !name_below(b->file->name, name) || !doom(c, b))
			continue;
		pthread_mutex_unlock(&c->lock);
		bury(c, b);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return 0;
}
