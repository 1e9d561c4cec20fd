/* SPDX-License-Identifier: Apache-2.0 */
/* The memory tier over a tier below that has moods: what is offered to that, when, and what comes up from
 * it again. */
#include "tests/test_stack.h"

#include "cachefs/stores/mem.h"

#define BLOCK (128 << 10)
#define OFFERS_MAX 64

static uint64_t size_of(int n)
{
	return 2 * BLOCK;
}

/* A tier that keeps what it is offered unless it is busy; it gives it back when it is told to. */
struct moody {
	struct store base;
	bool busy, lends;
	int offers, taken;
	struct extent ext[OFFERS_MAX];
};

static int moody_keep(struct store *st, const struct object *obj, uint64_t off, struct extent *ext)
{
	struct moody *m = container_of(st, struct moody, base);

	m->offers++;
	if (m->busy)
		return -EAGAIN;
	assert_in_range(m->taken, 0, OFFERS_MAX - 1);
	assert_true(null_origin_right(obj, off, ext->mem, ext->len));
	m->ext[m->taken++] = *ext;
	return 0;
}

static void moody_put(struct store *st, struct extent *ext)
{
}

static int moody_lend(
	struct store *st, const struct object *obj, uint64_t off, size_t len, struct extent *ret)
{
	struct moody *m = container_of(st, struct moody, base);
	static const char bytes[1];

	if (!m->lends)
		return -EAGAIN;
	*ret = (struct extent){.mem = bytes, .fd = -1, .len = 1, .owner = st};
	return 0;
}

static const struct store_ops moody_ops = {
	.name = "moody", .keep = moody_keep, .lend = moody_lend, .put = moody_put};

struct fixture {
	struct config *cfg;
	struct null_origin *origin;
	struct moody moody;
	struct store *mem;
};

/* Room for eight blocks. */
static void open_mem(struct fixture *f, const char *settings)
{
	char text[256];
	struct err err = {0};

	snprintf(text, sizeof(text), "mem.capacity=1M cache.block_size=128K %s", settings);
	*f = (struct fixture){.cfg = test_config(text)};
	f->origin = null_origin_new(100, 10, size_of);
	assert_int_equal(store_init(&f->moody.base, &moody_ops, &f->origin->base), 0);
	f->mem = mem_ops.open(f->cfg, "null", &f->moody.base, &err);
	if (!f->mem)
		fail_msg("%s", err.msg);
}

static void give_back(struct fixture *f)
{
	for (int i = 0; i < f->moody.taken; i++)
		extent_put(&f->moody.ext[i]);
	f->moody.taken = 0;
}

static void close_mem(struct fixture *f)
{
	give_back(f);
	mem_ops.stop(f->mem);
	mem_ops.close(f->mem);
	store_done(&f->moody.base);
	f->origin->base.ops->close(&f->origin->base);
	config_free(f->cfg);
}

/* Block 0 or 1 of file n. */
static void read_block(struct fixture *f, int n, int number)
{
	char name[32];
	struct object obj;
	AUTO(free) char *buf = malloc(BLOCK);

	null_origin_object(f->origin, n, name, &obj);
	assert_int_equal(store_read(f->mem, &obj, (uint64_t)number * BLOCK, buf, BLOCK), 0);
	assert_true(null_origin_right(&obj, (uint64_t)number * BLOCK, buf, BLOCK));
}

static bool held(struct fixture *f, int n)
{
	char name[32];
	struct object obj;
	struct extent ext;

	null_origin_object(f->origin, n, name, &obj);
	if (store_lend(f->mem, &obj, 0, BLOCK, &ext) < 0)
		return false;
	extent_put(&ext);
	return true;
}

#define COUNT(f, id) counter_get((f)->mem->counters, LAYER_##id)

static void test_what_was_refused_is_offered_when_it_goes(void **state)
{
	struct fixture f;

	open_mem(&f, "");
	f.moody.busy = true;
	for (int i = 0; i < 4; i++)
		read_block(&f, i, 1);
	assert_int_equal(f.moody.offers, 4);
	f.moody.busy = false;
	for (int i = 4; i < 8; i++)
		read_block(&f, i, 0);
	assert_int_equal(f.moody.taken, 4); /* all that came when it was not busy */
	give_back(&f);
	read_block(&f, 8, 0); /* pushes the old ones out, which keep their room */
	assert_int_equal(COUNT(&f, demotions), 4);
	assert_int_equal(f.moody.taken, 4); /* half of memory waits: what came now does not */
	give_back(&f);
	for (int i = 9; i < 12; i++)
		read_block(&f, i, 0);
	assert_int_equal(f.moody.taken, 3);
	assert_int_equal(COUNT(&f, demotions), 4);
	give_back(&f);
	assert_in_range(COUNT(&f, used_bytes), BLOCK, 8 * BLOCK);
	close_mem(&f);
}

/* What is being demoted keeps its room, so the region cannot be overrun by what comes meanwhile. */
static void test_demoted_blocks_keep_their_bytes_until_written(void **state)
{
	struct fixture f;

	open_mem(&f, "");
	f.moody.busy = true;
	for (int i = 0; i < 8; i++)
		read_block(&f, i, 1);
	f.moody.busy = false;
	for (int i = 10; i < 40; i++)
		read_block(&f, i, 0);
	assert_int_equal(COUNT(&f, demotions), 4); /* half of memory */
	assert_int_equal(f.moody.taken, 4);
	for (int i = 0; i < f.moody.taken; i++) {
		const struct extent *ext = &f.moody.ext[i];

		assert_int_equal(extent_check(ext, ext->mem), 0);
	}
	close_mem(&f);
}

static void test_a_tier_that_stays_busy_loses_them(void **state)
{
	struct fixture f;

	open_mem(&f, "");
	f.moody.busy = true;
	for (int i = 0; i < 40; i++)
		read_block(&f, i, 0);
	assert_int_equal(COUNT(&f, demotions), 0);
	assert_int_equal(COUNT(&f, evictions), 32);
	assert_int_equal(f.moody.offers, 40 + 32);
	assert_int_equal(COUNT(&f, used_bytes), 8 * BLOCK);
	close_mem(&f);
}

static void test_demotion_between_watermarks(void **state)
{
	struct fixture f;

	open_mem(&f, "cache.watermark_high=0.5 cache.watermark_low=0.25");
	f.moody.busy = true;
	for (int i = 0; i < 4; i++)
		read_block(&f, i, 0);
	f.moody.busy = false;
	read_block(&f, 4, 0);
	for (int i = 0; i < 5000 && COUNT(&f, demotions) < 3; i++)
		usleep(1000);
	assert_true(COUNT(&f, demotions) >= 3);
	assert_true(COUNT(&f, background_evictions) >= 3);
	mem_ops.stop(f.mem);
	close_mem(&f);
}

/* The first read is lent by the tier below, the second brings the block up. */
static void test_second_reading_is_promoted(void **state)
{
	struct fixture f;

	open_mem(&f, "mem.promote=yes");
	f.moody.lends = true;
	assert_true(held(&f, 1));
	assert_false(held(&f, 1)); /* so it is fetched */
	assert_int_equal(COUNT(&f, promotions), 1);
	read_block(&f, 1, 0);
	assert_true(held(&f, 1));
	assert_int_equal(COUNT(&f, hits), 1);
	close_mem(&f);
}

static void test_nothing_is_promoted_where_a_page_cache_has_it(void **state)
{
	static const char *const settings[] = {"mem.promote=no", "", "fuse.open_mode=direct",
		"fuse.open_mode=page disk.page_cache=drop"};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		struct fixture f;

		open_mem(&f, settings[i]);
		f.moody.lends = true;
		for (int k = 0; k < 3; k++)
			assert_true(held(&f, 1));
		close_mem(&f);
	}
}

static void test_promoted_by_itself_where_no_page_cache_has_it(void **state)
{
	struct fixture f;

	open_mem(&f, "fuse.open_mode=direct disk.page_cache=drop");
	f.moody.lends = true;
	assert_true(held(&f, 1));
	assert_false(held(&f, 1));
	close_mem(&f);
}

/* An epoch over more than the tier holds would push out what it is about to ask for. */
static void test_epochs_over_more_than_memory_promote_nothing(void **state)
{
	struct fixture f;

	open_mem(&f, "mem.promote=yes");
	f.moody.lends = true;
	for (int epoch = 0; epoch < 3; epoch++)
		for (int i = 0; i < 20; i++)
			assert_true(held(&f, i));
	assert_int_equal(COUNT(&f, promotions), 0);
	close_mem(&f);
}

/* Half of it is less than a block. */
static void test_memory_of_one_block_offers_it(void **state)
{
	struct fixture f;

	open_mem(&f, "mem.capacity=128K");
	for (int n = 0; n < 3; n++) {
		read_block(&f, n, 0);
		assert_int_equal(f.moody.taken, 1);
		give_back(&f);
	}
	close_mem(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_refused_is_offered_when_it_goes),
		cmocka_unit_test(test_demoted_blocks_keep_their_bytes_until_written),
		cmocka_unit_test(test_a_tier_that_stays_busy_loses_them),
		cmocka_unit_test(test_demotion_between_watermarks),
		cmocka_unit_test(test_memory_of_one_block_offers_it),
		cmocka_unit_test(test_second_reading_is_promoted),
		cmocka_unit_test(test_nothing_is_promoted_where_a_page_cache_has_it),
		cmocka_unit_test(test_promoted_by_itself_where_no_page_cache_has_it),
		cmocka_unit_test(test_epochs_over_more_than_memory_promote_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
