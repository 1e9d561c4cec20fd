/* SPDX-License-Identifier: Apache-2.0 */
/* Records survive a kill in mid-line and say what was left out. */
#include "tests/unit/test.h"

#include <errno.h>
#include <math.h>

#include "common/cleanup.h"
#include "common/record.h"

static char *dir, *path;

static int make_dir(void **state)
{
	dir = scratch_make();
	return asprintf(&path, "%s/records.jsonl", dir) > 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
	free(path);
	scratch_remove(dir);
	return 0;
}

static void append(const char *run)
{
	json_t *r = json_pack("{s:s,s:s,s:{s:f,s:n}}", "schema", RECORD_SCHEMA, "run", run,
		"steady", "images_per_s", 953.5, "au");

	assert_int_equal(record_append(path, r, NULL), 0);
	json_decref(r);
}

static void figures_are_found_by_path(void **state)
{
	int skipped = -1;

	append("a");
	json_t *all = record_load(path, &skipped, NULL);
	const json_t *r = json_array_get(all, 0);

	assert_int_equal(skipped, 0);
	assert_true(fabs(record_number(r, "steady.images_per_s") - 953.5) < 1e-9);
	assert_true(isnan(record_number(r, "steady.au")));
	assert_true(isnan(record_number(r, "cold.au")));
	assert_string_equal(record_text(r, "run"), "a");
	assert_null(record_text(r, "source"));
	json_decref(all);
}

static void a_cut_line_swallows_no_other(void **state)
{
	struct err err = {""};
	int skipped;

	append("a");
	FILE *f = fopen(path, "a");

	fputs("{\"schema\":\"feedrate-rec", f);
	fclose(f);
	append("b");
	json_t *all = record_load(path, &skipped, &err);

	assert_int_equal(json_array_size(all), 2);
	assert_int_equal(skipped, 1);
	assert_non_null(strstr(err.msg, "records.jsonl:2: left out: cut off or not JSON"));
	json_decref(all);
}

static void another_schema_is_left_out(void **state)
{
	struct err err = {""};
	int skipped;

	free(scratch_file(dir, "records.jsonl", "{\"schema\":\"feedrate-record/99\"}\n"));
	json_t *all = record_load(path, &skipped, &err);

	assert_int_equal(json_array_size(all), 0);
	assert_int_equal(skipped, 1);
	assert_non_null(strstr(err.msg, "of another schema"));
	json_decref(all);
}

static void a_full_disk_is_told(void **state)
{
	json_t *r = json_pack("{s:s}", "schema", RECORD_SCHEMA);
	struct err err = {""};

	assert_int_equal(record_append("/dev/full", r, &err), -ENOSPC);
	assert_string_equal(err.msg, "/dev/full: cannot write a record: No space left on device; "
				     "free space or choose another -o");
	json_decref(r);
}

static void missing_records_are_told(void **state)
{
	struct err err = {""};

	assert_null(record_load("/nowhere/records.jsonl", NULL, &err));
	assert_string_equal(err.msg, "/nowhere/records.jsonl: cannot read: No such file or "
				     "directory; is this a folder of results?");
}

static void the_environment_names_the_machine(void **state)
{
	json_t *env = record_environment();

	assert_true(json_integer_value(json_object_get(env, "cpus")) >= 1);
	assert_true(json_integer_value(json_object_get(env, "ram_bytes")) > 0);
	assert_true(json_is_string(json_object_get(env, "kernel")));
	assert_true(json_is_string(json_object_get(env, "host")));
	assert_non_null(json_object_get(env, "cpu_quota"));
	json_decref(env);
}

static void expect_filesystem(const char *folder, const char *type)
{
	assert_int_equal(setenv("XDG_CACHE_HOME", folder, 1), 0);
	json_t *env = record_environment(), *fs = json_object_get(env, "fs");

	if (!json_is_null(fs)) /* before Linux 5.8 */
		assert_string_equal(json_string_value(fs), type);
	json_decref(env);
}

/* These are filesystems of their own everywhere. */
static void the_environment_names_the_filesystem(void **state)
{
	expect_filesystem("/proc", "proc");
	expect_filesystem("/sys", "sysfs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(figures_are_found_by_path, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_cut_line_swallows_no_other, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(another_schema_is_left_out, make_dir, remove_dir),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(missing_records_are_told),
		cmocka_unit_test(the_environment_names_the_machine),
		cmocka_unit_test(the_environment_names_the_filesystem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
