/* SPDX-License-Identifier: Apache-2.0 */
/* How files open: one way at a time for a node, and when not to be asked any more. */
#include "cachefs/opens.h"

#include "tests/unit/test.h"

#define SMALL 100000
#define LARGE (64 << 20)

static void assert_answer(struct open_answer a, enum open_way way, int32_t id)
{
	assert_int_equal(a.way, way);
	assert_int_equal(a.id, id);
}

/* A RELEASE; the id to close, 0: none. */
static int32_t close_one(struct opens *o, uint64_t node)
{
	struct open_answer was = {CACHED, 0};

	opens_leave(o, node, &was);
	return was.id;
}

/* An OPEN; id: what the caller would open it by. Returns the id that stays the caller's. */
static int32_t open_by(
	struct opens *o, uint64_t node, uint64_t size, int32_t id, enum open_way want)
{
	struct open_answer a;

	if (opens_join(o, node, size, &a))
		id = 0;
	else
		assert_int_equal(opens_enter(o, node, id, &a), 0);
	assert_int_equal(a.way, want);
	return a.id == id ? 0 : id;
}

static void test_first_chooses_the_way(void **state)
{
	struct opens *o = opens_new(false);
	struct open_answer a;

	assert_false(opens_join(o, 5, LARGE, &a));
	assert_int_equal(opens_enter(o, 5, 7, &a), 0);
	assert_answer(a, PASSTHROUGH, 7);
	assert_true(opens_join(o, 5, LARGE, &a));
	assert_answer(a, PASSTHROUGH, 7);
	assert_false(opens_join(o, 6, LARGE, &a));
	assert_int_equal(opens_enter(o, 6, 0, &a), 0);
	assert_answer(a, CACHED, 0);
	assert_true(opens_join(o, 6, LARGE, &a));
	assert_answer(a, CACHED, 0);
	assert_int_equal(opens_count(o), 2);
	assert_int_equal(opens_passthrough(o), 1);
	opens_free(o);
}

static void test_last_closes(void **state)
{
	struct opens *o = opens_new(false);

	for (int round = 1; round < 4; round++) {
		for (int i = 0; i < 3; i++)
			open_by(o, 5, LARGE, round, PASSTHROUGH);
		assert_int_equal(close_one(o, 5), 0);
		assert_int_equal(close_one(o, 5), 0);
		assert_int_equal(close_one(o, 5), round);
		assert_int_equal(opens_count(o), 0);
		open_by(o, 5, LARGE, 0, CACHED); /* the way is free again */
		assert_int_equal(close_one(o, 5), 0);
	}
	assert_int_equal(close_one(o, 5), 0); /* of a node that is not open */
	opens_free(o);
}

/* Two opened it at once: the way of who came first holds, and the other's id stays its own. */
static void test_second_of_two_at_once_joins(void **state)
{
	struct opens *o = opens_new(false);
	struct open_answer a;

	assert_int_equal(opens_enter(o, 5, 1, &a), 0);
	assert_int_equal(opens_enter(o, 5, 2, &a), 0);
	assert_answer(a, PASSTHROUGH, 1);
	assert_int_equal(opens_enter(o, 5, 0, &a), 0);
	assert_answer(a, PASSTHROUGH, 1);
	assert_int_equal(opens_enter(o, 6, 0, &a), 0);
	assert_int_equal(opens_enter(o, 6, 3, &a), 0);
	assert_answer(a, CACHED, 0);
	assert_int_equal(close_one(o, 6), 0);
	assert_int_equal(close_one(o, 6), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(close_one(o, 5), i == 2);
	opens_free(o);
}

static void test_the_last_is_told_and_how_it_was_open(void **state)
{
	struct opens *o = opens_new(false);
	struct open_answer was;

	open_by(o, 5, LARGE, 0, CACHED);
	open_by(o, 5, LARGE, 0, CACHED);
	open_by(o, 6, LARGE, 2, PASSTHROUGH);
	assert_false(opens_leave(o, 5, &was));
	assert_true(opens_leave(o, 5, &was));
	assert_answer(was, CACHED, 0);
	assert_true(opens_leave(o, 6, &was));
	assert_answer(was, PASSTHROUGH, 2);
	assert_false(opens_leave(o, 6, &was));
	opens_free(o);
}

static void test_many_nodes(void **state)
{
	struct opens *o = opens_new(false);

	for (int node = 1; node < 5000; node++)
		open_by(o, (uint64_t)node, LARGE, node % 2 ? node : 0,
			node % 2 ? PASSTHROUGH : CACHED);
	assert_int_equal(opens_count(o), 4999);
	assert_int_equal(opens_passthrough(o), 2500);
	for (int node = 1; node < 5000; node++)
		assert_int_equal(close_one(o, (uint64_t)node), node % 2 ? node : 0);
	assert_int_equal(opens_count(o), 0);
	opens_free(o);
}

/* Opens and closes n files of this size; true: it was asked for the last time. */
static bool asks_no_more(struct opens *o, int n, uint64_t size)
{
	struct open_answer a;

	for (int i = 0; i < n; i++) {
		if (!opens_join(o, 9, size, &a))
			opens_enter(o, 9, 0, &a);
		if (a.way == NO_OPEN)
			return true;
		close_one(o, 9);
	}
	return false;
}

static void test_small_files_end_the_asking(void **state)
{
	struct opens *o = opens_new(true);

	assert_false(asks_no_more(o, OPENS_WINDOW - 1, SMALL));
	assert_true(asks_no_more(o, 1, SMALL));
	assert_true(asks_no_more(o, 1, LARGE)); /* for ever */
	opens_free(o);
}

static void test_large_files_do_not(void **state)
{
	struct opens *o = opens_new(true);

	assert_false(asks_no_more(o, 1000, LARGE));
	assert_false(asks_no_more(o, 1000, OPENS_SMALL_BYTES));
	opens_free(o);
}

static void test_nine_of_ten_have_to_be_small(void **state)
{
	struct opens *o = opens_new(true);

	for (int i = 0; i < 10; i++) {
		assert_false(asks_no_more(o, OPENS_SMALL_MIN - 1, SMALL));
		assert_false(asks_no_more(o, OPENS_WINDOW - OPENS_SMALL_MIN + 1, 2 << 20));
	}
	assert_false(asks_no_more(o, OPENS_WINDOW - OPENS_SMALL_MIN, 2 << 20));
	assert_true(asks_no_more(o, OPENS_SMALL_MIN, SMALL));
	opens_free(o);
}

/* Small ones are many, but most of the bytes are in large ones. */
static void test_few_large_ones_may_weigh_more(void **state)
{
	struct opens *o = opens_new(true);

	for (int i = 0; i < 10; i++) {
		assert_false(asks_no_more(o, OPENS_WINDOW - 2, SMALL));
		assert_false(asks_no_more(o, 2, LARGE));
	}
	opens_free(o);
}

/* The kernel would answer EIO to who opens a file by itself that is open by passthrough. */
static void test_asking_goes_on_while_passthrough_is_open(void **state)
{
	struct opens *o = opens_new(true);

	open_by(o, 5, 2 << 20, 3, PASSTHROUGH);
	assert_false(asks_no_more(o, 4 * OPENS_WINDOW, SMALL));
	assert_int_equal(close_one(o, 5), 3);
	assert_true(asks_no_more(o, 1, SMALL));
	assert_int_equal(opens_count(o), 0);
	opens_free(o);
}

static void test_no_more_is_for_who_was_at_it(void **state)
{
	struct opens *o = opens_new(true);
	struct open_answer a;

	assert_false(opens_join(o, 5, SMALL, &a)); /* and looks for an id meanwhile */
	assert_true(asks_no_more(o, OPENS_WINDOW, SMALL));
	assert_int_equal(opens_enter(o, 5, 4, &a), 0);
	assert_answer(a, NO_OPEN, 0);
	assert_int_equal(close_one(o, 5), 0);
	assert_int_equal(opens_passthrough(o), 0);
	opens_free(o);
}

static void test_without_latch_it_is_asked_for_ever(void **state)
{
	struct opens *o = opens_new(false);

	assert_false(asks_no_more(o, 1000, SMALL));
	opens_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_chooses_the_way),
		cmocka_unit_test(test_last_closes),
		cmocka_unit_test(test_second_of_two_at_once_joins),
		cmocka_unit_test(test_the_last_is_told_and_how_it_was_open),
		cmocka_unit_test(test_many_nodes),
		cmocka_unit_test(test_small_files_end_the_asking),
		cmocka_unit_test(test_large_files_do_not),
		cmocka_unit_test(test_nine_of_ten_have_to_be_small),
		cmocka_unit_test(test_few_large_ones_may_weigh_more),
		cmocka_unit_test(test_asking_goes_on_while_passthrough_is_open),
		cmocka_unit_test(test_no_more_is_for_who_was_at_it),
		cmocka_unit_test(test_without_latch_it_is_asked_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
