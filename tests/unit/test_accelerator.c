/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of accelerators.ini: found, refused, and sound as they are shipped. */
#include "tests/unit/test.h"

#include <errno.h>
#include <math.h>

#include "common/cleanup.h"
#include "harness/accelerator.h"

#define GOOD                                                                                       \
	"[accelerator.mine]\nimages_per_s = 1234.5\nbatch = 32\nallreduce_included = yes\n"        \
	"label = Mine\nsource = my own watch\n"

/* What accelerator_find() says to a profile with this text. */
static int find(const char *text, const char *name, struct accelerator *ret, struct err *err)
{
	char *dir = scratch_make();
	AUTO(free) char *path = scratch_file(dir, "p.ini", text);
	struct profile p = {0};
	int r;

	assert_int_equal(profile_load(path, &p, err), 0);
	r = accelerator_find(&p, name, ret, err);
	profile_done(&p);
	scratch_remove(dir);
	return r;
}

static void test_the_profile_comes_first(void **state)
{
	struct accelerator a;
	struct err err = {{0}};

	assert_int_equal(find(GOOD, "mine", &a, &err), 0);
	assert_string_equal(a.name, "mine");
	assert_string_equal(a.label, "Mine");
	assert_string_equal(a.source, "my own watch");
	assert_true(a.images_per_s == 1234.5);
	assert_int_equal(a.batch, 32);
	assert_true(a.allreduce_included);
	assert_false(a.calibrated);
	accelerator_done(&a);
	/* A shipped name may be given other figures. */
	assert_int_equal(find("[accelerator.v100-article]\nimages_per_s = 1\nbatch = 2\n",
				 "v100-article", &a, &err),
		0);
	assert_true(a.images_per_s == 1);
	assert_string_equal(a.label, "v100-article");
	accelerator_done(&a);
}

static void test_shipped_rows_are_there_beside_a_profile(void **state)
{
	struct accelerator a;
	struct err err = {{0}};

	assert_int_equal(find(GOOD, "v100-article", &a, &err), 0);
	assert_true(a.images_per_s == 953);
	assert_int_equal(a.batch, 256);
	assert_true(a.calibrated);
	accelerator_done(&a);
}

static void refuse(const char *rows, const char *words)
{
	char text[256];
	struct accelerator a;
	struct err err = {{0}};

	snprintf(text, sizeof(text), "[accelerator.bad]\n%s", rows);
	assert_int_equal(find(text, "bad", &a, &err), -EINVAL);
	if (!strstr(err.msg, words))
		fail_msg("\"%s\" not in: %s", words, err.msg);
}

static void test_rows_that_make_no_sense(void **state)
{
	refuse("batch = 1\n", "images_per_s: missing");
	refuse("images_per_s = 1\n", "p.ini:2: [accelerator.bad] batch: missing");
	refuse("images_per_s = 0\nbatch = 1\n", "images_per_s: 0");
	refuse("images_per_s = -5\nbatch = 1\n", "p.ini:2: [accelerator.bad] images_per_s: -5");
	refuse("images_per_s = 953abc\nbatch = 1\n", "953abc");
	refuse("images_per_s = nan\nbatch = 1\n", "nan");
	refuse("images_per_s = inf\nbatch = 1\n", "inf");
	refuse("images_per_s = 1e12\nbatch = 1\n", "1e12");
	refuse("images_per_s = 1\nbatch = 0\n", "p.ini:3: [accelerator.bad] batch: 0");
	refuse("images_per_s = 1\nbatch = 0.5\n", "batch: 0.5");
}

static void test_an_unknown_name_gets_the_nearest(void **state)
{
	struct accelerator a;
	struct err err = {{0}};

	assert_int_equal(accelerator_find(NULL, "v100-artikel", &a, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "did you mean v100-article?"));
	assert_int_equal(accelerator_find(NULL, "abacus", &a, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "run-bench list accelerators"));
}

static void test_every_shipped_row_is_sound(void **state)
{
	AUTO(free) char *path = profile_find("accelerators", NULL);
	struct profile p = {0};
	char **names;
	size_t n = 0;

	assert_non_null(path);
	assert_int_equal(profile_load(path, &p, NULL), 0);
	names = profile_tables(&p, "accelerator");
	for (; names[n]; n++) {
		struct accelerator a;
		struct err err = {{0}};

		if (accelerator_find(NULL, names[n], &a, &err))
			fail_msg("%s", err.msg);
		if (!a.source[0] || !strcmp(a.label, a.name) || a.batch < 1)
			fail_msg("%s has no source, label or batch", names[n]);
		accelerator_done(&a);
	}
	assert_true(n >= 9);
	list_free(names);
	profile_done(&p);
}

/* Rates that are said to be computed from others, computed again. */
static void test_derived_rates(void **state)
{
	static const struct {
		const char *name;
		double rate;
	} rows[] = {
		{"v100-article", 1281167.0 * 90 / (63 * 60) / 32},
		{"p100-article", 953.0 / 3},
		{"a100-tuned", 27150.0 / 8},
		{"h100-tuned", 57280.0 / 8},
		{"a100-mlps", 400 / 0.435},
		{"h100-mlps", 400 / 0.224},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct accelerator a;

		assert_int_equal(accelerator_find(NULL, rows[i].name, &a, NULL), 0);
		if (fabs(a.images_per_s - rows[i].rate) > 0.5)
			fail_msg("%s: %g, derived %g", rows[i].name, a.images_per_s, rows[i].rate);
		accelerator_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_profile_comes_first),
		cmocka_unit_test(test_shipped_rows_are_there_beside_a_profile),
		cmocka_unit_test(test_rows_that_make_no_sense),
		cmocka_unit_test(test_an_unknown_name_gets_the_nearest),
		cmocka_unit_test(test_every_shipped_row_is_sound),
		cmocka_unit_test(test_derived_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
