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

static void test_waiting_when_stopped_counts(void **state)
{
	int64_t wait, stamp = 0;
	struct timeline t;

	timeline_init(&t, T);
	timeline_stop(&t, 5000); /* before the first step: that is start-up */
	assert_int_equal(timeline_span_ns(&t), 0);
	timeline_step(&t, &stamp, 1, &wait);
	timeline_stop(&t, 1000);
	assert_true(fabs(timeline_au(&t) - 0.1) < 1e-12);
	timeline_stop(&t, 900);
	assert_int_equal(timeline_span_ns(&t), 1000);
}

static void test_steps_fed_in_advance_count_as_the_others(void **state)
{
	struct timeline t;

	/* Batches come in fours, each four 1000 after the one before: 12 take 3000. */
	timeline_init(&t, T);
	for (int64_t k = 0; k < 12; k++) {
		int64_t stamp = 1 + k / 4 * 1000, wait;

		timeline_step(&t, &stamp, 1, &wait);
	}
	assert_int_equal(timeline_span_ns(&t), 2400);
	assert_int_equal(timeline_credit_ns(&t, 4), 600);
	assert_int_equal(timeline_credit_ns(&t, 20), 12 * 2000 - 2400);
	/* The last of them come early, and alone. */
	timeline_init(&t, T);
	for (int64_t k = 0; k < 10; k++) {
		int64_t stamp = k < 8 ? 1 + k / 4 * 1000 : 1501, wait;

		timeline_step(&t, &stamp, 1, &wait);
	}
	assert_int_equal(timeline_span_ns(&t), 1700);
	assert_int_equal(timeline_credit_ns(&t, 4), 800);
	/* The queue gets shorter, but nobody waited, or for a moment. */
	for (int64_t moment = 0; moment < 3; moment += 2) {
		timeline_init(&t, T);
		for (int64_t k = 0; k < 12; k++) {
			int64_t stamp = k < 4 ? 1 : 1 + k * T + moment, wait;

			timeline_step(&t, &stamp, 1, &wait);
		}
		assert_int_equal(timeline_credit_ns(&t, 4), 4 * moment);
	}
}

static void test_no_step_has_no_utilisation(void **state)
{
	struct timeline t;

	timeline_init(&t, T);
	assert_true(isnan(timeline_au(&t)));
	assert_int_equal(timeline_credit_ns(&t, 3), 0);
	assert_int_equal(timeline_span_ns(&t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_step_starts_at_the_latest_stamp),
		cmocka_unit_test(test_data_in_time_costs_nothing),
		cmocka_unit_test(test_late_batch_moves_the_timeline_for_good),
		cmocka_unit_test(test_waiting_when_stopped_counts),
		cmocka_unit_test(test_steps_fed_in_advance_count_as_the_others),
		cmocka_unit_test(test_no_step_has_no_utilisation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
