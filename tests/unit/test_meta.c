/* SPDX-License-Identifier: Apache-2.0 */
/* What meta answers itself, when it asks again, and what it says while the origin is down. */
#include "tests/test_names.h"

#include <stdio.h>

#include "cachefs/listing.h"
#include "cachefs/stores/meta_table.h"

#define MS NSEC_PER_MSEC

static void open_fixture(struct fixture *f, const char *settings)
{
	f->cfg = test_config(settings);
	f->origin = null_origin_new(100, 10, size_of);
	f->stack = test_stack(f->cfg, f->origin);
	f->top = stack_top(f->stack);
}

static void sleep_ms(int ms)
{
	clock_sleep_until(clock_now_ns() + ms * MS);
}

static void test_asks_once(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=meta");
	assert_int_equal(stat_now(&f, "d1/f12"), -EAGAIN);
	assert_int_equal(stat_wait(&f, "d1/f12"), 0);
	assert_int_equal(f.obj.size, 112);
	assert_int_equal(stat_now(&f, "d1/f12"), 0);
	assert_string_equal(f.obj.etag, "\"12-0\"");
	assert_int_equal(stat_wait(&f, ""), 0);
	assert_true(f.obj.is_dir);
	assert_int_equal(stat_now(&f, ""), 0);
	assert_int_equal(f.origin->stats, 2);
	close_fixture(&f);
}

static void test_listing_answers_for_its_names(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=meta");
	assert_int_equal(list(&f, "d1"), 10);
	assert_int_equal(list(&f, "d1"), 10);
	assert_int_equal(stat_now(&f, "d1/f15"), 0);
	assert_int_equal(f.obj.size, 115);
	assert_int_equal(stat_now(&f, "d1/nothing"), -ENOENT);
	assert_int_equal(list(&f, ""), 10);
	assert_int_equal(stat_now(&f, "d7"), 0);
	assert_true(f.obj.is_dir);
	assert_int_equal(stat_now(&f, "d77"), -ENOENT);
	assert_int_equal(f.origin->lists, 2);
	assert_int_equal(f.origin->stats, 0);
	close_fixture(&f);
}

/* What is known for ever is asked for again when it proved wrong: a name alone, or with the listing
 * that would go on saying so. */
static void test_fresh_asks_again(void **state)
{
	struct fixture f;
	uint64_t version;

	open_fixture(&f, "cache.stack=meta");
	assert_int_equal(stat_wait(&f, "d1/f12"), 0);
	version = f.obj.version;
	f.origin->generation[12]++;
	assert_int_equal(stat_wait(&f, "d1/f12"), 0);
	assert_int_equal(f.obj.version, version);
	assert_int_equal(store_stat(f.top, "d1/f12", STORE_FRESH, &f.obj), 0);
	assert_int_not_equal(f.obj.version, version);
	assert_int_equal(f.origin->lists, 0);

	assert_int_equal(list(&f, "d1"), 10);
	version = f.obj.version;
	f.origin->generation[12]++;
	f.origin->generation[13]++;
	assert_int_equal(store_stat(f.top, "d1/f12", STORE_FRESH, &f.obj), 0);
	assert_int_not_equal(f.obj.version, version);
	assert_int_equal(f.origin->lists, 2);
	assert_int_equal(stat_now(&f, "d1/f13"), 0);
	assert_string_equal(f.obj.etag, "\"13-1\"");
	f.origin->down = true;
	assert_int_equal(store_stat(f.top, "d1/f12", STORE_FRESH, &f.obj), -EIO);
	assert_int_equal(stat_now(&f, "d1/f12"), 0);
	close_fixture(&f);
}

static void test_absent_names_are_forgotten_sooner(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=meta meta.negative=60ms");
	assert_int_equal(stat_wait(&f, "d1/nothing"), -ENOENT);
	assert_int_equal(stat_now(&f, "d1/nothing"), -ENOENT);
	sleep_ms(80);
	assert_int_equal(stat_now(&f, "d1/nothing"), -EAGAIN);
	close_fixture(&f);
}

static void test_change_is_seen_within_expiration(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=meta meta.expiration=100ms");
	assert_int_equal(list(&f, "d1"), 10);
	assert_int_equal(stat_wait(&f, "d2/f20"), 0);
	f.origin->generation[12]++;
	f.origin->generation[20]++;
	sleep_ms(110);
	assert_int_equal(stat_wait(&f, "d1/f12"), 0);
	assert_string_equal(f.obj.etag, "\"12-1\"");
	assert_int_equal(stat_wait(&f, "d2/f20"), 0);
	assert_string_equal(f.obj.etag, "\"20-1\"");
	close_fixture(&f);
}

static void test_ageing_entry_is_served_and_refreshed(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=meta meta.expiration=4s");
	assert_int_equal(list(&f, "d1"), 10);
	f.origin->generation[12]++;
	sleep_ms(2100);
	assert_int_equal(stat_now(&f, "d1/f12"), 0); /* never waits */
	for (int i = 0; i < 1500 && f.origin->lists < 2; i++)
		sleep_ms(1);
	sleep_ms(20);
	assert_int_equal(stat_now(&f, "d1/f12"), 0);
	assert_string_equal(f.obj.etag, "\"12-1\"");
	assert_int_equal(f.origin->lists, 2);
	close_fixture(&f);
}

static void test_stale_while_the_origin_is_down(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=meta meta.expiration=50ms");
	assert_int_equal(stat_wait(&f, "d1/f12"), 0);
	assert_int_equal(list(&f, "d3"), 10);
	f.origin->down = true;
	sleep_ms(60);
	assert_int_equal(stat_wait(&f, "d1/f12"), 0);
	assert_int_equal(list(&f, "d3"), 10);
	assert_true(test_counter(f.stack, "meta", "stale") >= 2);
	assert_int_equal(stat_wait(&f, "d9/f99"), -EIO); /* never known */
	f.origin->down = false;
	f.origin->generation[12]++;
	sleep_ms(60);
	assert_int_equal(stat_wait(&f, "d1/f12"), 0);
	assert_string_equal(f.obj.etag, "\"12-1\"");
	close_fixture(&f);
}

static void test_size_is_bounded(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=meta meta.max_size=35");
	for (int d = 0; d < 10; d++) {
		char dir[16];

		snprintf(dir, sizeof(dir), "d%d", d);
		assert_int_equal(list(&f, dir), 10);
		assert_in_range(test_counter(f.stack, "meta", "blocks"), 11, 35);
	}
	assert_int_equal(stat_now(&f, "d9/f90"), 0);
	assert_int_equal(stat_now(&f, "d0/f0"), -EAGAIN); /* least recently used */
	close_fixture(&f);
}

static void test_dropped_is_asked_again(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=meta");
	assert_int_equal(list(&f, "d1"), 10);
	assert_int_equal(list(&f, "d2"), 10);
	assert_int_equal(store_drop(f.top, "d1"), 0);
	assert_int_equal(stat_now(&f, "d1/f12"), -EAGAIN);
	assert_int_equal(stat_now(&f, "d2/f20"), 0);
	assert_int_equal(store_forget(f.top, "d2/f20"), 0);
	assert_int_equal(stat_now(&f, "d2/f20"), -EAGAIN);
	assert_int_equal(store_forget(f.top, "../d2"), -ENOENT);
	close_fixture(&f);
}

static void test_switched_off_asks_always(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=meta meta.enabled=no");
	for (int i = 0; i < 5; i++) {
		assert_int_equal(stat_wait(&f, "d1/f12"), 0);
		assert_int_equal(list(&f, "d1"), 10);
	}
	assert_int_equal(f.origin->stats, 5);
	assert_int_equal(f.origin->lists, 5);
	close_fixture(&f);
}

static void test_names_asked_one_by_one(void **state)
{
	struct fixture f;
	char name[32], etag[32];

	open_fixture(&f, "cache.stack=meta");
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "d%d/f%d", i / 10, i);
			snprintf(etag, sizeof(etag), "\"%d-%d\"", i, round);
			f.origin->generation[i] = (uint32_t)round;
			assert_int_equal(store_stat(f.top, name, STORE_FRESH, &f.obj), 0);
			assert_int_equal(stat_now(&f, name), 0);
			assert_string_equal(f.obj.etag, etag);
		}
	assert_int_equal(test_counter(f.stack, "meta", "blocks"), 110);
	assert_int_equal(store_drop(f.top, ""), 0);
	assert_int_equal(test_counter(f.stack, "meta", "blocks"), 0);
	close_fixture(&f);
}

/* A listing takes its time: what was asked for since it began is newer. */
static void test_listing_does_not_outdo_a_newer_answer(void **state)
{
	struct counter_set *count = calloc(1, sizeof(*count));
	struct listing *l = listing_new();
	struct object obj = {.name = "old", .version = 1};
	struct meta_answer a;
	struct meta_table t;

	assert_int_equal(table_init(&t, 100, count), 0);
	listing_add(l, &obj);
	assert_int_equal(listing_finish(l), 0);
	table_put(&t, "d/old", NULL, 10);
	table_put(&t, "d/new", &obj, 30);
	table_put_listing(&t, "d", l, 20);
	assert_true(table_get(&t, "d/old", &a));
	assert_false(a.absent);
	assert_true(table_get(&t, "d/new", &a));
	assert_false(a.absent);
	table_put_listing(&t, "d", l, 40);
	assert_true(table_get(&t, "d/new", &a));
	assert_true(a.absent);
	assert_int_equal(t.entries, 2); /* the folder and what is in it */
	listing_put(l);
	table_done(&t);
	free(count);
}

static void test_bad_names_are_absent(void **state)
{
	static const char *const names[] = {"/d1", "d1/", "d1//f12", "../x", "d1/..", "."};
	struct fixture f;

	open_fixture(&f, "cache.stack=meta");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(stat_wait(&f, names[i]), -ENOENT);
	assert_int_equal(f.origin->stats, 0);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asks_once),
		cmocka_unit_test(test_listing_answers_for_its_names),
		cmocka_unit_test(test_fresh_asks_again),
		cmocka_unit_test(test_absent_names_are_forgotten_sooner),
		cmocka_unit_test(test_change_is_seen_within_expiration),
		cmocka_unit_test(test_ageing_entry_is_served_and_refreshed),
		cmocka_unit_test(test_stale_while_the_origin_is_down),
		cmocka_unit_test(test_size_is_bounded),
		cmocka_unit_test(test_dropped_is_asked_again),
		cmocka_unit_test(test_switched_off_asks_always),
		cmocka_unit_test(test_names_asked_one_by_one),
		cmocka_unit_test(test_listing_does_not_outdo_a_newer_answer),
		cmocka_unit_test(test_bad_names_are_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
