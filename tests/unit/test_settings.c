/* SPDX-License-Identifier: Apache-2.0 */
/* Command line, profile and short form to one config: who wins, and what is refused. */
#include "tests/unit/test.h"

#include <errno.h>

#include "common/cleanup.h"
#include "harness/settings.h"

static const char profile[] = "[bench]\nsteps = 20\nbatch = 8\nprefetch = 3\n"
			      "[remote]\npreset = oss\nlatency = 7ms\n"
			      "[variant.fast]\nbench.prefetch = 9\nbench.batch = 9\n";

struct fixture {
	char *dir, *path;
	struct settings s;
	struct err err;
};

/* argv: "run-bench" and up to six words. */
static int parse(struct fixture *f, char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	f->err.msg[0] = 0;
	return settings_parse(&f->s, argc, argv, &f->err);
}

#define PARSE(f, ...) parse(f, (char *[]){"run-bench", __VA_ARGS__, NULL})

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = scratch_make();
	f->path = scratch_file(f->dir, "mine.ini", profile);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->path);
	scratch_remove(f->dir);
	free(f);
	return 0;
}

static const char *from(const struct config *cfg, const char *dotted)
{
	return cfg->origin[knob_find(dotted, NULL) - knobs].from;
}

static void test_options_beat_variant_beats_profile(void **state)
{
	struct fixture *f = *state;
	char *argv[] = {"run-bench", "-p", f->path, "--batch=5", "run", NULL};
	struct config *cfg;

	assert_int_equal(parse(f, argv), 0);
	assert_string_equal(settings_operand(&f->s, 1), "run");
	assert_null(settings_operand(&f->s, 2));
	assert_int_equal(settings_load_profile(&f->s, "quick", &f->err), 0);
	assert_int_equal(f->s.cfg->bench.steps, 20);
	assert_int_equal(f->s.cfg->bench.batch, 5);
	assert_int_equal(f->s.cfg->bench.prefetch, 3);
	cfg = settings_config(&f->s, "fast", &f->err);
	assert_non_null(cfg);
	assert_int_equal(cfg->bench.batch, 5);
	assert_int_equal(cfg->bench.prefetch, 9);
	assert_string_equal(from(cfg, "bench.batch"), "option");
	assert_true(settings_from_option(cfg, "bench.batch"));
	assert_false(settings_from_option(cfg, "bench.prefetch"));
	assert_false(settings_from_option(cfg, "bench.readers"));
	config_free(cfg);
	settings_done(&f->s);
}

static void test_a_preset_fills_what_nobody_gave(void **state)
{
	struct fixture *f = *state;
	char *argv[] = {"run-bench", "-p", f->path, "--remote.iops=5", NULL};

	assert_int_equal(parse(f, argv), 0);
	assert_int_equal(settings_load_profile(&f->s, NULL, &f->err), 0);
	assert_int_equal(f->s.cfg->remote.latency, 7000000);
	assert_int_equal(f->s.cfg->remote.iops, 5);
	assert_int_equal(f->s.cfg->remote.bandwidth, 1250000000);
	assert_string_equal(from(f->s.cfg, "remote.bandwidth"), "preset:oss");
	settings_done(&f->s);
}

static void test_the_short_form_lies_between_profile_and_options(void **state)
{
	struct fixture *f = *state;
	char *argv[] = {"run-bench", "-p", f->path, "--batch=5", NULL};
	const struct settings_word words[] = {
		{"bench.batch", "77"}, {"bench.steps", "78"}, {NULL, NULL}};

	assert_int_equal(parse(f, argv), 0);
	f->s.given = words;
	assert_int_equal(settings_load_profile(&f->s, NULL, &f->err), 0);
	assert_int_equal(f->s.cfg->bench.batch, 5);
	assert_int_equal(f->s.cfg->bench.steps, 78);
	settings_done(&f->s);
}

static void test_own_options(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(PARSE(f, "-o", "out", "--dry-run", "-q", "--json"), 0);
	assert_string_equal(f->s.output, "out");
	assert_true(f->s.dry_run && f->s.quiet && f->s.json);
	assert_null(f->s.profile_name);
	settings_done(&f->s);
	assert_int_equal(PARSE(f, "-o", "a", "--output=b"), 0);
	assert_string_equal(f->s.output, "b");
	settings_done(&f->s);
}

static void test_no_profile_is_all_defaults(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(PARSE(f, "--gpus=3"), 0);
	assert_int_equal(settings_load_profile(&f->s, NULL, &f->err), 0);
	assert_string_equal(f->s.cfg->bench.gpus, "3");
	assert_int_equal(f->s.cfg->bench.steps, 60);
	settings_done(&f->s);
}

static void test_mistakes(void **state)
{
	struct fixture *f = *state;

	assert_true(PARSE(f, "--bench.stepz=3") < 0);
	assert_non_null(strstr(f->err.msg, "bench.steps"));
	settings_done(&f->s);
	assert_true(PARSE(f, "--batch=x") < 0);
	settings_done(&f->s);
	assert_int_equal(PARSE(f, "-p", "no-such-profile"), 0);
	assert_true(settings_load_profile(&f->s, NULL, &f->err) < 0);
	assert_non_null(strstr(f->err.msg, "no-such-profile"));
	settings_done(&f->s);
}

/* run-bench names its data itself: what it would not hear is refused, a default repeated is not. */
static void test_of_data_only_the_seed_is_heard(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(PARSE(f, i ? "--data.shards=4" : "--data.format=imagefolder"), 0);
		assert_true(settings_load_profile(&f->s, NULL, &f->err) < 0);
		assert_non_null(strstr(f->err.msg, i ? "data.shards" : "data.format"));
		assert_non_null(strstr(f->err.msg, "bench.format"));
		settings_done(&f->s);
	}
	assert_int_equal(PARSE(f, "--data.seed=4", "--data.shards=128"), 0);
	assert_int_equal(settings_load_profile(&f->s, NULL, &f->err), 0);
	assert_int_equal(f->s.cfg->data.seed, 4);
	assert_true(settings_is_default(f->s.cfg, "bench.format"));
	assert_false(settings_is_default(f->s.cfg, "data.seed"));
	settings_done(&f->s);
}

static void numbers_are_refused(const char *text)
{
	struct err err = {{0}};
	int *list = NULL;
	size_t n = 7;

	assert_int_equal(settings_numbers("bench.gpus", text, 64, &list, &n, &err), -EINVAL);
	assert_null(list);
	assert_int_equal(n, 7);
	assert_non_null(strstr(err.msg, "bench.gpus"));
}

static void test_lists_of_numbers(void **state)
{
	AUTO(free) int *list = NULL;
	size_t n;

	assert_int_equal(settings_numbers("bench.gpus", "8, 1,64", 64, &list, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_int_equal(list[0], 8);
	assert_int_equal(list[1], 1);
	assert_int_equal(list[2], 64);
	numbers_are_refused("");
	numbers_are_refused("0");
	numbers_are_refused("65");
	numbers_are_refused("1,-2");
	numbers_are_refused("1;2");
	numbers_are_refused("99999999999999999999");
}

static void test_labels(void **state)
{
	static const char *const rows[][2] = {{"quick", "quick"}, {"quick.ini", "quick"},
		{"/a/b.c/mine.ini", "mine"}, {"x/y.txt", "y.txt"}, {".ini", ".ini"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO(free) char *label = settings_profile_label(rows[i][0]);

		assert_string_equal(label, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_options_beat_variant_beats_profile, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_preset_fills_what_nobody_gave, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_short_form_lies_between_profile_and_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_profile_is_all_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_of_data_only_the_seed_is_heard, setup, teardown),
		cmocka_unit_test(test_lists_of_numbers),
		cmocka_unit_test(test_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
