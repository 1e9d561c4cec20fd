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
	assert_int_equal(units_parse_rate("9223372036854775808", &v), -ERANGE);
	assert_int_equal(units_parse_duration("9223372036854775807", &v), -ERANGE);
	assert_int_equal(units_parse_count("1000000000000000000000", &v), -ERANGE);
	assert_int_equal(v, 77);
}

static void counts_are_whole_and_may_be_negative(void **state)
{
	int64_t v;

	assert_int_equal(units_parse_count("-1", &v), 0);
	assert_int_equal(v, -1);
	assert_int_equal(units_parse_count("10k", &v), 0);
	assert_int_equal(v, 10000);
	assert_int_equal(units_parse_count("1.005k", &v), 0); /* 1004.99... as a double */
	assert_int_equal(v, 1005);
	assert_int_equal(units_parse_count("0.000001M", &v), 0); /* not whole as a double either */
	assert_int_equal(v, 1);
	assert_int_equal(units_parse_count("1.5", &v), -EINVAL);
	assert_int_equal(units_parse_count("1.0005k", &v), -EINVAL);
}

static void nothing_small_becomes_no_limit(void **state)
{
	int64_t v = 77;

	assert_int_equal(units_parse_rate("0.4", &v), -EINVAL);
	assert_int_equal(units_parse_duration("0.1ns", &v), -EINVAL);
	assert_int_equal(v, 77);
	assert_int_equal(units_parse_rate("0.0", &v), 0);
	assert_int_equal(v, 0);
}

/* 2^53 + 1 is no double. */
static void large_numbers_stay_what_was_written(void **state)
{
	int64_t v;

	assert_int_equal(units_parse_count("9007199254740993", &v), 0);
	assert_int_equal(v, 9007199254740993);
	assert_int_equal(units_parse_size("9223372036854775807", &v), 0);
	assert_int_equal(v, INT64_MAX);
	assert_int_equal(units_parse_count("-9223372036854775807", &v), 0);
	assert_int_equal(v, -INT64_MAX);
}

static void ratios_are_no_other_numbers(void **state)
{
	static const char *const bad[] = {"", "0x1", "inf", "nan", "1k", "1%%", "% ", "-1"};
	double v;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (units_parse_ratio(bad[i], &v) == 0)
			fail_msg("\"%s\" was taken as %g", bad[i], v);
	assert_int_equal(units_parse_ratio("1e400", &v), -ERANGE);
}

static void what_is_printed_reads_back(void **state)
{
	static const int64_t values[] = {0, 1, 1000, 1024, 65536, 1250000000, 498000000, 999,
		1610612736, 30000000000, 86400000000000, 1234567891011, 9007199254740993,
		1234567890120000000, INT64_MAX};
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

static void rates_print_as_vendors_write_them(void **state)
{
	char buf[UNITS_MAX];

	assert_string_equal(units_format_rate(1250000000, buf), "1.25G/s");
	assert_string_equal(units_format_rate(1500000000, buf), "1.5G/s");
	assert_string_equal(units_format_rate(1050000000, buf), "1.05G/s");
	assert_string_equal(units_format_rate(2000000000, buf), "2G/s");
	assert_string_equal(units_format_rate(498000000, buf), "498M/s");
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
		cmocka_unit_test(nothing_small_becomes_no_limit),
		cmocka_unit_test(large_numbers_stay_what_was_written),
		cmocka_unit_test(ratios_are_no_other_numbers),
		cmocka_unit_test(what_is_printed_reads_back),
		cmocka_unit_test(rates_print_as_vendors_write_them),
		cmocka_unit_test(people_read_three_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
