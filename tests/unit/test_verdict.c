/* SPDX-License-Identifier: Apache-2.0 */
/* What limits a run, by its record, and the lines that say so. */
#include "tests/unit/test.h"

#include <jansson.h>

#include "common/cleanup.h"
#include "harness/verdict.h"
#include "reports/limits.h"

/* A record with an AU and doubts, of a source at a number of GPUs. */
static json_t *record(const char *source, int gpus, double au, const char *doubt)
{
	json_t *r = json_pack("{s:s, s:s, s:n, s:i, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:[]}",
		"status", "ok", "source", source, "variant", "gpus", gpus, "demand_bytes_per_s",
		100e6 * gpus, "steady", "images_per_s", 900.0 * gpus, "au", au, "pct_of_synthetic",
		au * 100, "bytes_consumed", 1e9, "seconds", 10.0, "doubts");

	assert_non_null(r);
	if (doubt)
		json_array_append_new(json_object_get(r, "doubts"), json_string(doubt));
	return r;
}

static char *printed(json_t *records)
{
	const char *limit;
	json_t *r;
	char *text;
	size_t i;

	json_array_foreach(records, i, r)
	{
		limit = verdict_limit(r);
		json_object_set_new(r, "limit", limit ? json_string(limit) : json_null());
	}
	text = limits_text(records);
	assert_non_null(text);
	json_decref(records);
	return text;
}

static void expect_limit(double au, const char *doubt, const char *limit)
{
	json_t *r = record("external", 8, au, doubt);

	assert_string_equal(verdict_limit(r), limit);
	json_decref(r);
}

static void test_what_limits(void **state)
{
	expect_limit(0.98, NULL, "gpus");
	expect_limit(0.97, NULL, "storage");
	expect_limit(0.5, "few-repeats", "storage");
	expect_limit(0.5, "harness-limit", "harness");
	expect_limit(0.5, "origin-limit", "origin");
	expect_limit(0.5, "tier-disk-limit", "tier-disk");
	/* A storage is not blamed for what the machine did, unless it is far behind. */
	expect_limit(0.9, "clock-late", "unknown");
	expect_limit(0.9, "noisy-machine", "unknown");
	expect_limit(0.2, "clock-late", "storage");
	expect_limit(0.99, "clock-late", "gpus");
	/* GPUs that are fed are fed, whatever else is doubted. */
	expect_limit(0.99, "harness-limit", "gpus");
}

/* A run of `steps` steps, of which `queue` may have been full in advance. */
static void expect_of_steps(int steps, int queue, double au, const char *limit)
{
	json_t *r = record("external", 8, au, NULL);

	json_object_set_new(r, "batch", json_integer(10));
	json_object_set_new(r, "epochs", json_integer(1));
	json_object_set_new(r, "queue_depth", json_integer(queue));
	json_object_set_new(json_object_get(r, "steady"), "images", json_real(steps * 80.0));
	assert_string_equal(verdict_limit(r), limit);
	json_decref(r);
}

static void test_a_few_steps_do_not_tell(void **state)
{
	expect_of_steps(1, 2, 1, "unknown");
	expect_of_steps(9, 2, 1, "unknown");
	expect_of_steps(10, 2, 1, "gpus");
	expect_of_steps(15, 8, 1, "unknown");
	expect_of_steps(16, 8, 1, "gpus");
	expect_of_steps(3, 2, 0.6, "unknown");
	expect_of_steps(3, 2, 0.1, "storage"); /* that they do */
}

static void test_the_line_of_a_few_steps(void **state)
{
	json_t *records = json_array(), *r = record("remote", 1, 1, NULL);

	json_object_set_new(r, "batch", json_integer(16));
	json_object_set_new(json_object_get(r, "steady"), "images", json_real(16));
	json_array_append_new(records, r);
	AUTO(free) char *text = printed(records);

	assert_string_equal(text, "remote, 1 GPU: what limits is not known, too few steps ended "
				  "(100 MB/s of the 100 MB/s asked for).\n");
}

static void test_the_line_of_a_late_machine(void **state)
{
	json_t *records = json_array(), *faster = record("remote", 1, 1, NULL);

	json_object_set_new(faster, "demand_bytes_per_s", json_real(99e6));
	json_array_append_new(records, record("external", 8, 0.9, "clock-late"));
	json_array_append_new(records, record("cached", 8, 0.9, "noisy-machine"));
	json_array_append_new(records, faster);
	AUTO(free) char *text = printed(records);

	assert_string_equal(text,
		"external, 8 GPUs: AU 90.0%, 90.0% of synthetic; what limits cannot be told, this "
		"machine did not run the harness in time (100 MB/s of the 800 MB/s asked for).\n"
		"cached, 8 GPUs: AU 90.0%, 90.0% of synthetic; what limits cannot be told, repeats "
		"of the run differ too much (100 MB/s of the 800 MB/s asked for).\n"
		"remote, 1 GPU: AU 100.0%, 100.0% of synthetic; the GPUs are the limit, the storage "
		"keeps up (100 MB/s, all that was asked for).\n");
}

static void test_the_line_is_of_the_median(void **state)
{
	json_t *records = json_array();

	json_array_append_new(records, record("external", 8, 1, NULL));
	json_array_append_new(records, record("external", 8, 0.9, "harness-limit"));
	json_array_append_new(records, record("external", 8, 0.5, NULL));
	AUTO(free) char *text = printed(records);

	assert_string_equal(text,
		"external, 8 GPUs: AU 90.0%, 90.0% of synthetic; this machine's CPUs are the limit, "
		"the storage may be faster (100 MB/s of the 800 MB/s asked for).\n");
}

static void test_without_figures_there_is_no_limit(void **state)
{
	json_t *failed = json_pack(
		"{s:s, s:s, s:n}", "status", "failed", "source", "external", "steady");

	assert_null(verdict_limit(failed));
	json_decref(failed);
}

static void test_a_line_for_each_source_at_most_gpus(void **state)
{
	json_t *records = json_array();

	json_array_append_new(records, record("synthetic", 8, 1, NULL));
	json_array_append_new(records, record("external", 8, 0.6, NULL)); /* repeated below */
	json_array_append_new(records, record("external", 1, 1, NULL));
	json_array_append_new(records, record("remote", 1, 0.99, NULL));
	json_array_append_new(records, record("external", 8, 0.63, NULL));
	AUTO(free) char *text = printed(records);

	assert_string_equal(text,
		"remote, 1 GPU: AU 99.0%, 99.0% of synthetic; the GPUs are the limit, the storage "
		"keeps up (100 MB/s of the 100 MB/s asked for).\n"
		"external, 8 GPUs: AU 61.5%, 61.5% of synthetic; the storage is the limit (100 MB/s "
		"of the 800 MB/s asked for).\n");
}

static void test_failed_runs_are_not_mentioned(void **state)
{
	json_t *records = json_array();

	json_array_append_new(records, record("synthetic", 8, 1, NULL));
	json_array_append_new(records, json_pack("{s:s, s:s, s:i, s:n}", "status", "failed",
					       "source", "external", "gpus", 8, "steady"));
	AUTO(free) char *text = printed(records);

	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_limits),
		cmocka_unit_test(test_without_figures_there_is_no_limit),
		cmocka_unit_test(test_a_few_steps_do_not_tell),
		cmocka_unit_test(test_the_line_of_a_few_steps),
		cmocka_unit_test(test_the_line_of_a_late_machine),
		cmocka_unit_test(test_the_line_is_of_the_median),
		cmocka_unit_test(test_a_line_for_each_source_at_most_gpus),
		cmocka_unit_test(test_failed_runs_are_not_mentioned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
