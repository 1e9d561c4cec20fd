/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of an invocation and the records in it. */
#include "tests/unit/test.h"

#include <errno.h>
#include <math.h>

#include "common/cleanup.h"
#include "common/record.h"
#include "harness/estimate.h"
#include "harness/run_record.h"

static const char profile[] =
	"[accelerator.gpu]\nimages_per_s = 1000\nbatch = 20\nsource = a watch whose maker wrote a "
	"very long story about\n\tthe times that it has seen, and more of it, so that no single line "
	"of a profile could\n\thold all of it and writing it back has to fold it again somewhere\n"
	"[bench]\naccelerator = gpu\nbatch = 10\ngpus = 2\nsteps = 50\nsources = synthetic,remote\n"
	"[variant.plain]\n[variant.slow]\nbase = plain\nremote.latency = 5ms\n";

struct fixture {
	char *dir, *path, *out, *argv[7];
	struct settings s;
	struct matrix m;
	struct results r;
	struct err err;
};

static void start_any(struct fixture *f, const char *more)
{
	char *argv[] = {"run-bench", "-p", f->path, "-o", f->out, (char *)more, NULL};

	memcpy(f->argv, argv, sizeof(argv));
	assert_int_equal(settings_parse(&f->s, more ? 6 : 5, f->argv, &f->err), 0);
	assert_int_equal(settings_load_profile(&f->s, NULL, &f->err), 0);
	assert_int_equal(matrix_build(&f->m, &f->s, false, &f->err), 0);
}

static void start(struct fixture *f, const char *more)
{
	start_any(f, more);
	assert_int_equal(f->m.n_cells, 3);
}

static void stop(struct fixture *f)
{
	matrix_done(&f->m);
	settings_done(&f->s);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = scratch_make();
	f->path = scratch_file(f->dir, "p.ini", profile);
	assert_true(asprintf(&f->out, "%s/out", f->dir) > 0);
	start(f, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	free(f->path);
	free(f->out);
	scratch_remove(f->dir);
	free(f);
	return 0;
}

static void append(struct fixture *f, size_t cell, const char *status)
{
	const struct cell *c = &f->m.cells[cell];
	json_t *record = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i}", "schema", RECORD_SCHEMA,
		"status", status, "source", c->source->name, "variant", c->variant->name, "gpus",
		c->gpus, "repeat", c->repeat);

	assert_int_equal(results_append(&f->r, record, &f->err), 0);
}

static void test_finished_runs_are_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	assert_int_equal(f->r.kept, 0);
	assert_null(results_find(&f->r, &f->m.cells[0]));
	append(f, 0, "ok");
	append(f, 1, "failed");
	assert_non_null(results_find(&f->r, &f->m.cells[0]));
	results_done(&f->r);
	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	assert_int_equal(f->r.kept, 1);
	assert_non_null(results_find(&f->r, &f->m.cells[0]));
	assert_null(results_find(&f->r, &f->m.cells[1])); /* failed: to be done again */
	assert_null(results_find(&f->r, &f->m.cells[2]));
	results_done(&f->r);
}

static void test_a_folder_serves_one_command(void **state)
{
	struct fixture *f = *state;
	struct results second;

	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	/* At the same time none. */
	assert_int_equal(results_open(&second, &f->s, &f->m, "p", &f->err), -EBUSY);
	results_done(&second);
	results_done(&f->r);
	/* Later the same one. */
	stop(f);
	start(f, NULL);
	assert_int_equal(results_open(&second, &f->s, &f->m, "p", &f->err), 0);
	results_done(&second);
	stop(f);
	start(f, "--bench.prefetch=3");
	assert_int_equal(results_open(&second, &f->s, &f->m, "p", &f->err), -EEXIST);
	assert_non_null(strstr(f->err.msg, "another command"));
	results_done(&second);
	/* Records without a profile are somebody else's. */
	AUTO(free) char *ini = NULL;
	AUTO(free) char *records = NULL;
	assert_true(asprintf(&ini, "%s/profile.ini", f->out) > 0);
	assert_int_equal(unlink(ini), 0);
	records = scratch_file(f->out, "records.jsonl", "");
	assert_int_equal(results_open(&second, &f->s, &f->m, "p", &f->err), -EEXIST);
	results_done(&second);
}

static void test_the_effective_profile_reads_back(void **state)
{
	struct fixture *f = *state;
	struct profile p = {0};
	AUTO(free) char *path = NULL;

	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	results_done(&f->r);
	assert_true(asprintf(&path, "%s/profile.ini", f->out) > 0);
	if (profile_load(path, &p, &f->err))
		fail_msg("%s", f->err.msg);
	assert_string_equal(profile_value(&p, "accelerator", "gpu", "source"),
		profile_value(&f->s.profile, "accelerator", "gpu", "source"));
	assert_string_equal(profile_value(&p, "variant", "slow", "remote.latency"), "5ms");
	char **names = profile_tables(&p, "variant");
	assert_string_equal(names[0], "plain");
	assert_string_equal(names[1], "slow");
	list_free(names);
	profile_done(&p);
}

/* An option beats the variants, also when its value is read back from the profile. */
static void test_the_effective_profile_has_what_options_did(void **state)
{
	struct fixture *f = *state;
	AUTO(free) char *path = NULL;
	struct config *first, *again;

	stop(f);
	start(f, "--remote.latency=9ms");
	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	results_done(&f->r);
	first = settings_config(&f->s, "slow", &f->err);
	settings_done(&f->s);
	assert_true(asprintf(&path, "%s/profile.ini", f->out) > 0);
	f->argv[2] = path;
	f->argv[3] = NULL;
	assert_int_equal(settings_parse(&f->s, 3, f->argv, &f->err), 0);
	assert_int_equal(settings_load_profile(&f->s, NULL, &f->err), 0);
	again = settings_config(&f->s, "slow", &f->err);
	assert_true(first->remote.latency == 9000000);
	assert_true(again->remote.latency == first->remote.latency);
	config_free(first);
	config_free(again);
}

/* What the machine had room for then holds for what is left of the same command. */
static void test_steps_of_kept_runs_hold(void **state)
{
	struct fixture *f = *state;
	char why[64] = "";
	json_t *record;

	results_keep_steps(&f->s, &f->m, why, sizeof(why));
	assert_int_equal(f->m.variants[0].steps, 50);
	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	record = json_pack("{s:s, s:s, s:s, s:s, s:i, s:{s:s}}", "schema", RECORD_SCHEMA, "status",
		"ok", "variant", "slow", "source", "remote", "steps", 31, "scale", "why", "small");
	assert_int_equal(results_append(&f->r, record, &f->err), 0);
	results_done(&f->r);
	results_keep_steps(&f->s, &f->m, why, sizeof(why));
	assert_int_equal(f->m.variants[0].steps, 50);
	assert_int_equal(f->m.variants[1].steps, 31);
	assert_string_equal(why, "small");
}

/* ---- records ---- */

#define NOT (-1.0)

static struct run_part no_part(void)
{
	return (struct run_part){NOT, NOT, NOT, NOT, NOT, NOT, NOT, NOT, NOT, NOT, NOT, NOT, NULL};
}

static json_t *record_of(struct fixture *f, size_t cell, double rate)
{
	double au[2] = {1, 0.5};
	struct run_spec spec;
	struct prepared p = {0};
	struct run_result result = {.cold = no_part(),
		.steady = no_part(),
		.job = no_part(),
		.cpu_harness_s = 0.5,
		.cpu_cachefs_s = NOT,
		.cpu_remote_s = NOT,
		.startup_s = 0.1,
		.page_cache_max_seen = -1,
		.queue_start = 4};
	AUTO(free) char *counters = NULL;

	estimate_spec(&f->m.cells[cell], &spec);
	spec.data_dir = spec.work_dir = "";
	result.steady.images = 1000;
	result.steady.images_per_s = rate;
	result.steady.seconds = 1000 / rate;
	result.steady.hit_ratio = 0;
	result.steady.au_per_gpu = au;
	struct run_facts facts = {.cell = &f->m.cells[cell],
		.matrix = &f->m,
		.spec = &spec,
		.prepared = &p,
		.result = rate > 0 ? &result : NULL,
		.error = rate > 0 ? NULL : "no luck",
		.profile = "p",
		.image_bytes = 1e5,
		.tier_rate = -1,
		.data_rate = 5e8,
		.results = &f->r,
		.env = json_object()};
	json_t *record = run_record(&facts);

	json_decref((json_t *)facts.env);
	assert_non_null(record);
	return record;
}

static bool is_null(const json_t *record, const char *group, const char *name)
{
	const json_t *in = group ? json_object_get(record, group) : record;
	const json_t *value = json_object_get(in, name);

	assert_non_null(value); /* there, and null */
	return json_is_null(value);
}

static void test_what_was_not_measured_is_null(void **state)
{
	struct fixture *f = *state;
	json_t *record;

	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	record = record_of(f, 0, 1900);
	assert_true(is_null(record, "cold", "images"));
	assert_true(is_null(record, "steady", "origin_bytes"));
	assert_true(is_null(record, "cpu_s", "cachefs"));
	assert_true(is_null(record, NULL, "error"));
	assert_true(is_null(record, NULL, "page_cache"));
	assert_true(is_null(record, NULL, "tier_native_bytes_per_s"));
	assert_true(record_number(record, "data_native_bytes_per_s") == 5e8);
	assert_false(is_null(record, "steady", "hit_ratio")); /* 0 was measured */
	assert_true(record_number(record, "steady.hit_ratio") == 0);
	assert_true(record_number(record, "cpu_s.harness") == 0.5);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(record, "steady"), "au_per_gpu")),
		2);
	json_decref(record);
	results_done(&f->r);
}

static void test_rates_are_compared_with_the_synthetic_run(void **state)
{
	struct fixture *f = *state;
	json_t *record;

	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	/* Before there is one there is nothing to compare with. */
	record = record_of(f, 1, 1000);
	assert_true(is_null(record, NULL, "synthetic_run"));
	assert_true(is_null(record, "steady", "pct_of_synthetic"));
	json_decref(record);
	record = record_of(f, 0, 2000);
	assert_string_equal(record_text(record, "run"), record_text(record, "synthetic_run"));
	assert_true(record_number(record, "steady.pct_of_synthetic") == 100);
	AUTO(free) char *id = strdup(record_text(record, "run"));
	assert_int_equal(results_append(&f->r, record, &f->err), 0);
	for (size_t i = 1; i < 3; i++) { /* both variants */
		record = record_of(f, i, 500);
		assert_string_equal(record_text(record, "synthetic_run"), id);
		assert_true(record_number(record, "steady.pct_of_synthetic") == 25);
		json_decref(record);
	}
	results_done(&f->r);
}

/* Three variants, of which the first and the last ask the GPUs for the same work. */
static void test_each_variant_has_the_synthetic_run_of_its_work(void **state)
{
	struct fixture *f = *state;
	AUTO(free) char *id = NULL;
	json_t *record;

	stop(f);
	free(f->path);
	f->path = scratch_file(f->dir, "three.ini",
		"[accelerator.gpu]\nimages_per_s = 1000\nbatch = 20\n[bench]\naccelerator = "
		"gpu\ngpus = 2\nsteps = 50\nsources = synthetic,remote\n[variant.a]\n"
		"[variant.b]\nbench.decode = cpu:3000\nbench.readers = 1\n"
		"[variant.c]\ncache.policy = none\n");
	start_any(f, NULL);
	assert_int_equal(
		f->m.n_cells, 5); /* synthetic a, remote a, synthetic b, remote b, remote c */
	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	record = record_of(f, 0, 2000);
	id = strdup(record_text(record, "run"));
	assert_int_equal(results_append(&f->r, record, &f->err), 0);
	assert_int_equal(results_append(&f->r, record_of(f, 2, 400), &f->err), 0);
	record = record_of(f, 4, 1900);
	assert_string_equal(record_text(record, "variant"), "c");
	assert_string_equal(record_text(record, "synthetic_run"), id);
	assert_true(record_number(record, "steady.pct_of_synthetic") == 95);
	json_decref(record);
	record = record_of(f, 3, 400);
	assert_true(record_number(record, "steady.pct_of_synthetic") == 100);
	json_decref(record);
	results_done(&f->r);
}

static void test_a_failed_run_is_a_record_too(void **state)
{
	struct fixture *f = *state;
	json_t *record;

	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	record = record_of(f, 1, -1);
	assert_string_equal(record_text(record, "status"), "failed");
	assert_string_equal(record_text(record, "error"), "no luck");
	assert_string_equal(record_text(record, "variant"), "plain");
	assert_true(is_null(record, NULL, "steady") && is_null(record, NULL, "cpu_s"));
	assert_int_equal(json_array_size(json_object_get(record, "doubts")), 0);
	assert_true(record_number(record, "steps") == 50);
	json_decref(record);
	results_done(&f->r);
}

static void test_scale_names_its_factors(void **state)
{
	struct fixture *f = *state;
	json_t *record;

	assert_int_equal(results_open(&f->r, &f->s, &f->m, "p", &f->err), 0);
	record = record_of(f, 2, 900);
	assert_true(record_number(record, "scale.batch_factor") == 2);
	assert_true(record_number(record, "scale.batch_of_accelerator") == 20);
	assert_true(record_number(record, "scale.samples") == 1000);
	assert_true(fabs(record_number(record, "scale.of_imagenet") - 1000 / 1281167.0) < 1e-12);
	assert_true(is_null(record, "scale", "why"));
	json_decref(record);
	results_done(&f->r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_finished_runs_are_kept),
		TEST(test_a_folder_serves_one_command),
		TEST(test_the_effective_profile_reads_back),
		TEST(test_the_effective_profile_has_what_options_did),
		TEST(test_steps_of_kept_runs_hold),
		TEST(test_what_was_not_measured_is_null),
		TEST(test_rates_are_compared_with_the_synthetic_run),
		TEST(test_each_variant_has_the_synthetic_run_of_its_work),
		TEST(test_a_failed_run_is_a_record_too),
		TEST(test_scale_names_its_factors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
