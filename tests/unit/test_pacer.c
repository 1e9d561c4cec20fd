/* SPDX-License-Identifier: Apache-2.0 */
/* The timeline as a pure function, with stamps made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <cmocka.h>

#include "harness/pacer.h"

#define T 100

static void test_first_step_starts_at_the_latest_stamp(void **state)
{
	int64_t stamps[3] = {5, 40, 20}, waits[3];
	struct timeline t;

	timeline_init(&t, T);
	assert_int_equal(timeline_step(&t, stamps, 3, waits), 0);
	assert_int_equal(t.first_start_ns, 40);
	assert_int_equal(t.deadline_ns, 140);
	for (int i = 0; i < 3; i++)
		assert_int_equal(waits[i], 0); /* that is start-up, not waiting */
}

static void test_data_in_time_costs_nothing(void **state)
{
	int64_t waits[2];
	struct timeline t;

	timeline_init(&t, T);
	for (int64_t k = 0; k < 10; k++) {
		int64_t stamps[2] = {k * 50 + 1, k * 60 + 1};

		assert_int_equal(timeline_step(&t, stamps, 2, waits), 0);
	}
	assert_int_equal(timeline_span_ns(&t), 10 * T);
	assert_true(timeline_au(&t) == 1.0);
}

static void test_late_batch_moves_the_timeline_for_good(void **state)
{
	int64_t waits[2], early[2] = {0, 0}, late[2] = {130, 10};
	struct timeline t;

	timeline_init(&t, T);
	timeline_step(&t, early, 2, waits);
	assert_int_equal(timeline_step(&t, late, 2, waits), 30);
	assert_int_equal(waits[0], 30);
	assert_int_equal(waits[1], 0);
	assert_int_equal(t.deadline_ns, 230);
	timeline_step(&t, early, 2, waits); /* early again: nothing is won back */
	assert_int_equal(t.deadline_ns, 330);
	assert_true(fabs(timeline_au(&t) - 300.0 / 330.0) < 1e-12);
}

static void test_no_step_has_no_utilisation(void **state)
{
	struct timeline t;

	timeline_init(&t, T);
	assert_true(isnan(timeline_au(&t)));
	assert_int_equal(timeline_span_ns(&t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_step_starts_at_the_latest_stamp),
		cmocka_unit_test(test_data_in_time_costs_nothing),
		cmocka_unit_test(test_late_batch_moves_the_timeline_for_good),
		cmocka_unit_test(test_no_step_has_no_utilisation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
