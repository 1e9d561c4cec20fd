/* SPDX-License-Identifier: Apache-2.0 */
/* The window of a plan: how far it may be followed, and where the readers are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cachefs/window.h"

#define PAGE 4096

static const char *name_of(int n)
{
	static char name[32];

	snprintf(name, sizeof(name), "f%d", n);
	return name;
}

static uint64_t key_of(int n)
{
	return window_key(name_of(n), 0);
}

/* A window of so many pages with as many pieces of a page as fit, all here. */
static struct window filled(int pages)
{
	struct window w;
	int n = 0;

	assert_int_equal(window_init(&w, (uint64_t)pages * PAGE), 0);
	for (; window_room(&w, PAGE, false); n++)
		window_landed(&w, window_add(&w, name_of(n), 0, PAGE, (uint64_t)n), true, PAGE);
	assert_int_equal(n, pages);
	return w;
}

static void reading_makes_room(void **state)
{
	struct window w = filled(100);

	assert_int_equal(window_bytes(&w), 100 * PAGE);
	assert_true(window_room(&w, PAGE, true));
	assert_int_equal(window_read(&w, key_of(1)), SEEN_HERE);
	assert_false(window_room(&w, PAGE, false)); /* the first still waits */
	assert_int_equal(window_read(&w, key_of(0)), SEEN_HERE);
	assert_int_equal(w.tail, 2);
	assert_true(window_room(&w, 2 * PAGE, false));
	assert_false(window_room(&w, 2 * PAGE + 1, false));
	assert_int_equal(window_read(&w, key_of(0)), SEEN_AGAIN);
	assert_int_equal(window_read(&w, key_of(1000)), SEEN_NOT);
	window_done(&w);
}

static void a_piece_larger_than_the_window_fits_alone(void **state)
{
	struct window w;

	assert_int_equal(window_init(&w, PAGE), 0);
	assert_true(window_room(&w, 1 << 20, false));
	window_add(&w, name_of(0), 0, 1 << 20, 0);
	assert_false(window_room(&w, 1, false));
	window_done(&w);
}

static void a_piece_under_way_is_late(void **state)
{
	struct window w;

	assert_int_equal(window_init(&w, 100 * PAGE), 0);
	uint64_t n = window_add(&w, name_of(0), 0, PAGE, 0);

	assert_int_equal(window_read(&w, key_of(0)), SEEN_LATE);
	window_landed(&w, n, true, PAGE);
	assert_int_equal(window_read(&w, key_of(0)), SEEN_AGAIN);
	window_done(&w);
}

/* What cannot be fetched is waited for by nobody. */
static void failed_pieces_are_passed(void **state)
{
	struct window w;

	assert_int_equal(window_init(&w, 100 * PAGE), 0);
	for (int i = 0; i < 100; i++)
		window_landed(&w, window_add(&w, name_of(i), 0, PAGE, 0), i > 50, PAGE);
	assert_int_equal(w.tail, 51);
	window_done(&w);
}

/* Reads out of order, as of several workers: what they leave for later is passed only when they are far away. */
static void what_is_left_behind_is_passed(void **state)
{
	struct window w = filled(100);

	for (int i = 5; i < 25; i++)
		window_read(&w, key_of(i));
	assert_int_equal(w.tail, 0);
	for (int i = 25; i < 60; i++)
		window_read(&w, key_of(i));
	assert_int_equal(w.tail, 60);
	assert_int_equal(window_read(&w, key_of(2)), SEEN_HERE); /* it comes after all */
	window_done(&w);
}

static void a_few_reads_far_ahead_move_nothing(void **state)
{
	struct window w = filled(100);

	for (int i = 97; i < 100; i++)
		assert_int_equal(window_read(&w, key_of(i)), SEEN_HERE);
	assert_int_equal(w.tail, 0);
	window_read(&w, key_of(96));
	assert_int_equal(w.tail, 71);
	window_done(&w);
}

/* The second epoch has the same names. */
static void a_name_comes_twice(void **state)
{
	struct window w;

	assert_int_equal(window_init(&w, 100 * PAGE), 0);
	for (int i = 0; i < 20; i++)
		window_landed(&w, window_add(&w, name_of(i % 10), 0, PAGE, 0), true, PAGE);
	for (int i = 0; i < 10; i++)
		assert_int_equal(window_read(&w, key_of(i)), SEEN_HERE);
	assert_int_equal(w.tail, 10);
	for (int i = 0; i < 10; i++)
		assert_int_equal(window_read(&w, key_of(i)), SEEN_HERE);
	assert_int_equal(w.tail, 20);
	assert_int_equal(window_read(&w, key_of(3)), SEEN_AGAIN);
	window_done(&w);
}

static void what_is_given_on_counts_until_it_is_read(void **state)
{
	struct window w = filled(100);

	assert_int_equal(window_given(&w, 10 * PAGE), 0);
	for (uint64_t n = 0; n < 60; n += 2)
		window_give(&w, n);
	window_give(&w, 0); /* once */
	assert_int_equal(window_given(&w, 10 * PAGE), 30 * PAGE);
	window_read(&w, key_of(0));
	window_read(&w, key_of(3));
	window_read(&w, key_of(8));
	assert_int_equal(window_given(&w, 10 * PAGE), 28 * PAGE);
	/* The front is at 25: what is 10 behind it was read unseen. */
	for (int i = 25; i < 29; i++)
		window_read(&w, key_of(i));
	assert_int_equal(w.tail, 1);
	assert_int_equal(window_given(&w, 100 * PAGE), (28 - 2) * PAGE);
	assert_int_equal(window_given(&w, 10 * PAGE), (30 - 8 - 2) * PAGE);
	for (int i = 0; i < 100; i++)
		window_read(&w, key_of(i));
	assert_int_equal(window_given(&w, 10 * PAGE), 0);
	window_done(&w);
}

/* Beyond the limit, pieces lie for long before they are read: they are told as they come near. */
static void far_pieces_are_renewed(void **state)
{
	struct window w;
	uint64_t n;

	assert_int_equal(window_init(&w, 10 * PAGE), 0);
	for (int i = 0; i < 30; i++) {
		assert_true(window_room(&w, PAGE, true));
		window_landed(&w, window_add(&w, name_of(i), 0, PAGE, 0), i != 12, PAGE);
	}
	assert_false(window_renew(&w, &n));
	for (int i = 0; i < 4; i++)
		window_read(&w, key_of(i));
	window_read(&w, key_of(11));
	assert_true(window_renew(&w, &n));
	assert_int_equal(n, 10);
	assert_true(window_renew(&w, &n)); /* 11 is read, 12 will not come */
	assert_int_equal(n, 13);
	assert_false(window_renew(&w, &n));
	assert_false(window_room(&w, PAGE, false));
	window_done(&w);
}

/* Many pieces, read with a distance: the ring grows and goes round, and finds each. */
static void a_long_plan(void **state)
{
	enum { N = 400000, BEHIND = 50000 };
	struct window w;

	assert_int_equal(window_init(&w, (uint64_t)(BEHIND + 10) * PAGE), 0);
	for (int i = 0; i < N; i++) {
		assert_true(window_room(&w, PAGE, false));
		uint64_t n = window_add(&w, name_of(i), 0, PAGE, (uint64_t)i * 3);

		assert_int_equal(n, i);
		window_landed(&w, n, true, PAGE);
		if (i >= BEHIND)
			assert_int_equal(window_read(&w, key_of(i - BEHIND)), SEEN_HERE);
		assert_int_equal(window_piece(&w, (uint64_t)i)->where, (uint64_t)i * 3);
	}
	assert_int_equal(w.tail, N - BEHIND);
	assert_int_equal(w.size, 1 << 16);
	assert_null(window_piece(&w, 5));
	assert_null(window_piece(&w, N));
	window_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_makes_room),
		cmocka_unit_test(a_piece_larger_than_the_window_fits_alone),
		cmocka_unit_test(a_piece_under_way_is_late),
		cmocka_unit_test(failed_pieces_are_passed),
		cmocka_unit_test(what_is_left_behind_is_passed),
		cmocka_unit_test(a_few_reads_far_ahead_move_nothing),
		cmocka_unit_test(a_name_comes_twice),
		cmocka_unit_test(what_is_given_on_counts_until_it_is_read),
		cmocka_unit_test(far_pieces_are_renewed),
		cmocka_unit_test(a_long_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
