/* SPDX-License-Identifier: Apache-2.0 */
/* Units: what users write is what programs read, and garbage is refused. */
#include "tests/unit/test.h"

#include <errno.h>

#include "common/units.h"

static void sizes_are_powers_of_1024(void **state)
{
	int64_t v;

	assert_int_equal(units_parse_size("64K", &v), 0);
	assert_int_equal(v, 65536);
	assert_int_equal(units_parse_size(" 1.5 GiB ", &v), 0);
	assert_int_equal(v, 1610612736);
	assert_int_equal(units_parse_size("10MB", &v), 0);
	assert_int_equal(v, 10000000);
}

static void rates_are_powers_of_1000(void **state)
{
	int64_t v;

	assert_int_equal(units_parse_rate("1.25G/s", &v), 0);
	assert_int_equal(v, 1250000000);
	assert_int_equal(units_parse_rate("800Mbit/s", &v), 0);
	assert_int_equal(v, 100000000);
	assert_int_equal(units_parse_rate("1MiB/s", &v), 0);
	assert_int_equal(v, 1048576);
}

static void durations_default_to_seconds(void **state)
{
	int64_t v;

	assert_int_equal(units_parse_duration("30", &v), 0);
	assert_int_equal(v, 30000000000);
	assert_int_equal(units_parse_duration("250us", &v), 0);
	assert_int_equal(v, 250000);
	assert_int_equal(units_parse_duration("2d", &v), 0);
	assert_int_equal(v, 172800000000000);
	assert_int_equal(units_parse_duration("10m", &v), 0);
	assert_int_equal(v, 600000000000);
}

static void ratios_take_per_cent(void **state)
{
	double v;

	assert_int_equal(units_parse_ratio("95%", &v), 0);
	assert_true(v > 0.9499 && v < 0.9501);
	assert_int_equal(units_parse_ratio("-0.1", &v), -EINVAL);
}

static void garbage_is_refused_and_leaves_the_result(void **state)
{
	static const char *const bad[] = {"", " ", "K", "1Q", "1 2", "0x10", "inf", "nan", "1e400",
		"--1", "1..2", "-5", "64K x", "1,5"};
	int64_t v = 77;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (units_parse_size(bad[i], &v) == 0)
			fail_msg("\"%s\" was taken as %ld", bad[i], (long)v);
		assert_int_equal(v, 77);
	}
}

static void overflow_is_out_of_range(void **state)
{
	int64_t v = 77;

	assert_int_equal(units_parse_size("9000000000T", &v), -ERANGE);
	assert_int_equal(units_parse_count("1e30", &v), -ERANGE);
	assert_int_equal(v, 77);
}

static void counts_are_whole_and_may_be_negative(void **state)
{
	int64_t v;

	assert_int_equal(units_parse_count("-1", &v), 0);
	assert_int_equal(v, -1);
	assert_int_equal(units_parse_count("10k", &v), 0);
	assert_int_equal(v, 10000);
	assert_int_equal(units_parse_count("1.5", &v), -EINVAL);
}

static void what_is_printed_reads_back(void **state)
{
	static const int64_t values[] = {0, 1, 1000, 1024, 65536, 1250000000, 498000000, 999,
		1610612736, 30000000000, 86400000000000, 1234567891011};
	char buf[UNITS_MAX];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		int64_t v = -1;

		assert_int_equal(units_parse_size(units_format_size(values[i], buf), &v), 0);
		assert_int_equal(v, values[i]);
		assert_int_equal(units_parse_rate(units_format_rate(values[i], buf), &v), 0);
		assert_int_equal(v, values[i]);
		assert_int_equal(
			units_parse_duration(units_format_duration(values[i], buf), &v), 0);
		assert_int_equal(v, values[i]);
	}
}

static void people_read_three_digits(void **state)
{
	char buf[UNITS_MAX];

	assert_string_equal(units_human_bytes(3522355200, buf), "3.52 GB");
	assert_string_equal(units_human_rate(498e6, buf), "498 MB/s");
	assert_string_equal(units_human_duration(80, buf), "1m 20s");
	assert_string_equal(units_human_duration(3.21, buf), "3.2s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(rates_are_powers_of_1000),
		cmocka_unit_test(durations_default_to_seconds),
		cmocka_unit_test(ratios_take_per_cent),
		cmocka_unit_test(garbage_is_refused_and_leaves_the_result),
		cmocka_unit_test(overflow_is_out_of_range),
		cmocka_unit_test(counts_are_whole_and_may_be_negative),
		cmocka_unit_test(what_is_printed_reads_back),
		cmocka_unit_test(people_read_three_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
