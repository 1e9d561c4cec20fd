/* SPDX-License-Identifier: Apache-2.0 */
/* What limits a run, by its record, and the lines that say so. */
#include "tests/unit/test.h"

#include <jansson.h>

#include "common/cleanup.h"
#include "harness/verdict.h"

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
	/* GPUs that are fed are fed, whatever else is doubted. */
	expect_limit(0.99, "harness-limit", "gpus");
}

static void test_without_figures_there_is_no_limit(void **state)
{
	json_t *failed = json_pack(
		"{s:s, s:s, s:n}", "status", "failed", "source", "external", "steady");

	assert_null(verdict_limit(failed));
	json_decref(failed);
}

static char *printed(json_t *records)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	verdict_print(records, out);
	fclose(out);
	json_decref(records);
	return text;
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
		"external, 8 GPUs: AU 63.0%, 63.0% of synthetic; the storage is the limit (100 MB/s "
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
		cmocka_unit_test(test_a_line_for_each_source_at_most_gpus),
		cmocka_unit_test(test_failed_runs_are_not_mentioned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
