/* SPDX-License-Identifier: Apache-2.0 */
/* What goes, when, and who waits for it: struct cache alone over a tier whose erasing stands still at a
 * gate; what counts as asked for again. */
#include "tests/test_stack.h"

#include "cachefs/cache.h"
#include "cachefs/seen.h"
#include "cachefs/space.h"

#define BLOCK (128 << 10)

struct fixture {
	struct cache cache;
	struct store store;
	struct space space;
	struct config *cfg;
	pthread_mutex_t lock; /* below */
	pthread_cond_t changed;
	bool gate; /* erasing stands still */
	int erasing, erased;
};

static int place(struct cache *c, struct block *b)
{
	struct fixture *f = container_of(c, struct fixture, cache);

	return space_alloc(&f->space, space_round(b->len), &b->where);
}

static void unplace(struct cache *c, struct block *b, bool last)
{
	struct fixture *f = container_of(c, struct fixture, cache);

	if (b->placed)
		space_free(&f->space, b->where, space_round(b->len));
}

static void erase(struct cache *c, struct block *b)
{
	struct fixture *f = container_of(c, struct fixture, cache);

	HOLD(&f->lock);
	f->erasing++;
	pthread_cond_broadcast(&f->changed);
	while (f->gate)
		pthread_cond_wait(&f->changed, &f->lock);
	f->erasing--;
	f->erased++;
	pthread_cond_broadcast(&f->changed);
}

static const struct cache_ops quick_ops = {.place = place, .unplace = unplace};
static const struct cache_ops slow_ops = {.place = place, .unplace = unplace, .erase = erase};
static const struct store_ops no_ops = {.name = "none"};

/* Room for eight blocks. */
static void open_cache(struct fixture *f, const struct cache_ops *ops, const char *settings)
{
	*f = (struct fixture){.cfg = test_config(settings)};
	f->cfg->cache.block_size = BLOCK;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	assert_int_equal(store_init(&f->store, &no_ops, NULL), 0);
	assert_int_equal(space_init(&f->space, 8 * BLOCK), 0);
	assert_int_equal(cache_init(&f->cache, &f->store, ops, f->cfg, 8 * BLOCK), 0);
	assert_int_equal(cache_start(&f->cache), 0);
}

static void close_cache(struct fixture *f)
{
	cache_stop(&f->cache);
	cache_check(&f->cache);
	cache_done(&f->cache);
	space_done(&f->space);
	store_done(&f->store);
	config_free(f->cfg);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
}

static const struct object file = {.name = "f", .version = 1, .size = 1 << 30};

static int fill(struct fixture *f, uint32_t number)
{
	struct block *b;
	int r = cache_reserve(&f->cache, &file, number, &b);

	if (!r)
		cache_commit(&f->cache, b, false);
	return r;
}

#define COUNT(f, id) counter_get((f)->store.counters, LAYER_##id)

static uint64_t used(struct fixture *f)
{
	HOLD(&f->cache.lock);
	return f->cache.used;
}

static void wait_until_used(struct fixture *f, uint64_t most)
{
	for (int i = 0; i < 5000 && used(f) > most; i++)
		usleep(1000);
	assert_in_range(used(f), 0, most);
}

static void test_room_is_made_on_demand(void **state)
{
	struct fixture f;

	open_cache(&f, &slow_ops, "mem.capacity=0");
	for (uint32_t i = 0; i < 12; i++)
		assert_int_equal(fill(&f, i), 0);
	assert_int_equal(used(&f), 8 * BLOCK);
	assert_int_equal(COUNT(&f, evictions), 4);
	assert_int_equal(COUNT(&f, background_evictions), 0);
	close_cache(&f);
}

static void test_room_is_made_down_to_the_low_watermark(void **state)
{
	struct fixture f;

	open_cache(&f, &slow_ops, "cache.watermark_high=0.75 cache.watermark_low=0.5");
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(fill(&f, i), 0);
	assert_int_equal(used(&f), 6 * BLOCK); /* at the watermark, not above */
	assert_int_equal(fill(&f, 6), 0);
	wait_until_used(&f, 4 * BLOCK);
	assert_int_equal(used(&f), 4 * BLOCK);
	assert_int_equal(COUNT(&f, background_evictions), 3);
	assert_int_equal(COUNT(&f, evictions), 3);
	assert_null(cache_pin(&f.cache, &file, 2, false)); /* the oldest went */
	struct block *b = cache_pin(&f.cache, &file, 3, false);

	assert_non_null(b);
	cache_unpin(&f.cache, b);
	close_cache(&f);
}

/* While erasing stands still, what finds no room is left out at once. */
static void test_no_filler_waits_for_erasing(void **state)
{
	struct fixture f;

	open_cache(&f, &slow_ops, "cache.watermark_high=0.75 cache.watermark_low=0.25");
	f.gate = true;
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(fill(&f, i), 0);
	for (uint32_t i = 8; i < 20; i++)
		assert_int_equal(fill(&f, i), -ENOSPC);
	assert_int_equal(COUNT(&f, bypasses), 12);
	pthread_mutex_lock(&f.lock);
	f.gate = false;
	pthread_cond_broadcast(&f.changed);
	pthread_mutex_unlock(&f.lock);
	wait_until_used(&f, 2 * BLOCK);
	assert_int_equal(fill(&f, 20), 0);
	close_cache(&f);
}

/* A tier that has nothing to erase has no reason to refuse. */
static void test_quick_tier_makes_room_in_both_ways(void **state)
{
	struct fixture f;

	open_cache(&f, &quick_ops, "cache.watermark_high=1 cache.watermark_low=0.9");
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(fill(&f, i), 0);
	assert_int_equal(used(&f), 8 * BLOCK);
	assert_int_equal(COUNT(&f, evictions), 92);
	close_cache(&f);
}

/* No watermark is reached when blocks are small: the filler makes room itself. */
static void test_slots_that_run_out_are_taken_from_the_oldest(void **state)
{
	struct fixture f;

	open_cache(&f, &slow_ops, "cache.watermark_high=1 cache.watermark_low=0.9");
	f.cache.slots = 3;
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(fill(&f, i), 0);
	assert_int_equal(COUNT(&f, evictions), 2);
	assert_int_equal(COUNT(&f, bypasses), 0);
	close_cache(&f);
}

static void test_pinned_blocks_stay_above_the_watermark(void **state)
{
	struct fixture f;
	struct block *pinned[7];

	open_cache(&f, &quick_ops, "cache.watermark_high=0.5 cache.watermark_low=0");
	for (uint32_t i = 0; i < 7; i++) {
		assert_int_equal(cache_reserve(&f.cache, &file, i, &pinned[i]), 0);
		cache_commit(&f.cache, pinned[i], true);
	}
	usleep(20000);
	assert_int_equal(used(&f), 7 * BLOCK);
	for (uint32_t i = 0; i < 7; i++)
		cache_unpin(&f.cache, pinned[i]);
	wait_until_used(&f, 0); /* it looks again each second */
	close_cache(&f);
}

static void test_asked_again_within_the_window(void **state)
{
	struct seen s;

	assert_int_equal(seen_init(&s, 1 << 20), 0);
	assert_false(seen_again(&s, 0x1234567890abcdefull, 4096));
	assert_true(seen_again(&s, 0x1234567890abcdefull, 4096));
	for (uint64_t i = 1; i <= 300; i++) /* 300 pages are more than 1 MiB */
		seen_again(&s, store_version("", i, 1), 4096);
	assert_false(seen_again(&s, 0x1234567890abcdefull, 4096));
	seen_done(&s);
}

static void test_round_and_round_over_more_than_the_window_is_never_again(void **state)
{
	struct seen s;
	int again = 0;

	assert_int_equal(seen_init(&s, 1 << 20), 0);
	for (int round = 0; round < 5; round++)
		for (uint64_t i = 0; i < 20; i++)
			again += seen_again(&s, store_version("", i, 1), 110000);
	assert_int_equal(again, 0);
	for (int round = 0; round < 2; round++)
		for (uint64_t i = 0; i < 5; i++)
			again += seen_again(&s, store_version("", i, 2), 110000);
	assert_in_range(again, 4, 5); /* two may share a place */
	seen_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_is_made_on_demand),
		cmocka_unit_test(test_room_is_made_down_to_the_low_watermark),
		cmocka_unit_test(test_no_filler_waits_for_erasing),
		cmocka_unit_test(test_quick_tier_makes_room_in_both_ways),
		cmocka_unit_test(test_slots_that_run_out_are_taken_from_the_oldest),
		cmocka_unit_test(test_pinned_blocks_stay_above_the_watermark),
		cmocka_unit_test(test_asked_again_within_the_window),
		cmocka_unit_test(test_round_and_round_over_more_than_the_window_is_never_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
