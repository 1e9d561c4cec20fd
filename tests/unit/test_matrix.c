/* SPDX-License-Identifier: Apache-2.0 */
/* Which runs an invocation has, in which order, and what they cost. */
#include "tests/unit/test.h"

#include <errno.h>
#include <math.h>

#include "common/cleanup.h"
#include "harness/estimate.h"
#include "harness/matrix.h"

/* One invocation: the profile's text and one more option. */
struct fixture {
	char *dir, *path;
	struct settings s;
	struct matrix m;
	struct err err;
};

#define ACCELERATOR "[accelerator.gpu]\nimages_per_s = 1000\nbatch = 10\n"
#define BENCH "[bench]\naccelerator = gpu\ngpus = 1,2\nsteps = 50\n"

static int build(struct fixture *f, const char *text, const char *option, bool fuse_missing)
{
	char *argv[] = {"run-bench", "-p", NULL, (char *)option, NULL};
	int r;

	*f = (struct fixture){.dir = scratch_make()};
	f->path = scratch_file(f->dir, "p.ini", text);
	argv[2] = f->path;
	assert_int_equal(settings_parse(&f->s, option ? 4 : 3, argv, &f->err), 0);
	r = settings_load_profile(&f->s, NULL, &f->err);
	if (r)
		fail_msg("%s", f->err.msg);
	return matrix_build(&f->m, &f->s, fuse_missing, &f->err);
}

static void done(struct fixture *f)
{
	matrix_done(&f->m);
	settings_done(&f->s);
	free(f->path);
	scratch_remove(f->dir);
}

/* "synthetic:1:0 ..." of all cells; a variant's name follows its source after a dot. */
static char *cells(const struct matrix *m)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < m->n_cells; i++)
		fprintf(out, "%s%s%s%s:%d:%d", i ? " " : "", m->cells[i].source->name,
			m->cells[i].variant->name ? "." : "",
			m->cells[i].variant->name ? m->cells[i].variant->name : "",
			m->cells[i].gpus, m->cells[i].repeat);
	fclose(out);
	return text;
}

static void expect(const char *text, const char *option, bool fuse_missing, const char *want)
{
	struct fixture f;

	if (build(&f, text, option, fuse_missing))
		fail_msg("%s", f.err.msg);
	AUTO(free) char *have = cells(&f.m);

	assert_string_equal(have, want);
	done(&f);
}

static void test_synthetic_first_and_repeats_interleaved(void **state)
{
	expect(ACCELERATOR BENCH "sources = remote,synthetic,cached\nrepeats_last = 1\n", NULL,
		false,
		"synthetic:1:0 remote:1:0 cached:1:0 synthetic:2:0 remote:2:0 cached:2:0 "
		"synthetic:2:1 remote:2:1 cached:2:1");
	expect(ACCELERATOR BENCH "sources = remote\nrepeats = 2\n", NULL, false,
		"remote:1:0 remote:2:0 remote:1:1 remote:2:1");
}

static void test_variants_share_the_synthetic_run_of_the_same_work(void **state)
{
	static const char text[] = ACCELERATOR BENCH
		"sources = synthetic,remote\n"
		"[variant.plain]\n[variant.slow]\nremote.bandwidth = 1MB/s\n"
		"[variant.deep]\nbench.prefetch = 5\n";

	expect(text, "--gpus=2", false,
		"synthetic.plain:2:0 remote.plain:2:0 remote.slow:2:0 synthetic.deep:2:0 "
		"remote.deep:2:0");
}

/* An emulated disk of other data says nothing about the user's origin. */
static void test_remote_is_left_out_beside_an_origin(void **state)
{
	static const char text[] = ACCELERATOR BENCH "sources = synthetic,cached,remote\n"
						     "[remote]\norigin = s3://b/p\n";
	struct fixture f;

	expect(text, "--gpus=1", false, "synthetic:1:0 cached:1:0");
	assert_int_equal(build(&f, text, NULL, false), 0);
	assert_true(f.m.without_remote);
	done(&f);
	/* Who wants it gets it: by name, or as a disk of his own. */
	expect(text, "--sources=cached,remote", false,
		"cached:1:0 remote:1:0 cached:2:0 remote:2:0");
	expect(text, "--remote.path=/d", false,
		"synthetic:1:0 cached:1:0 remote:1:0 synthetic:2:0 cached:2:0 remote:2:0");
}

static void test_stack_stands_in(void **state)
{
	struct fixture f;

	assert_int_equal(
		build(&f, ACCELERATOR BENCH "sources = cached,remote\n", "--gpus=1", true), 0);
	assert_string_equal(f.m.cells[0].source->name, "stack");
	assert_string_equal(f.m.cells[0].stands_in_for, "cached");
	assert_null(f.m.cells[1].stands_in_for);
	assert_true(matrix_has_source(&f.m, "stack"));
	assert_false(matrix_has_source(&f.m, "cached"));
	done(&f);
}

static void test_rates_and_batches(void **state)
{
	struct fixture f;

	assert_int_equal(build(&f, ACCELERATOR BENCH, NULL, false), 0);
	assert_true(f.m.variants[0].images_per_s == 1000);
	assert_int_equal(f.m.variants[0].batch, 10);
	assert_int_equal(matrix_most_gpus(&f.m), 2);
	assert_int_equal(cell_samples(&f.m.cells[0]), 500);
	assert_int_equal(variant_readers(&f.m.variants[0]), 10);
	done(&f);
	assert_int_equal(build(&f, ACCELERATOR BENCH, "--gpu-rate=77.5", false), 0);
	assert_true(f.m.variants[0].images_per_s == 77.5);
	assert_null(f.m.variants[0].acc.name);
	assert_int_equal(f.m.variants[0].batch, 10);
	done(&f);
	assert_int_equal(
		build(&f, ACCELERATOR BENCH "format = imagefolder\n", "--batch=3", false), 0);
	assert_int_equal(f.m.variants[0].batch, 3);
	assert_int_equal(variant_readers(&f.m.variants[0]), 8);
	done(&f);
}

static void refuse(const char *text, const char *option, const char *words)
{
	struct fixture f;

	assert_int_equal(build(&f, text, option, false), -EINVAL);
	if (!strstr(f.err.msg, words))
		fail_msg("\"%s\" is not in \"%s\"", words, f.err.msg);
	done(&f);
}

static void test_what_cannot_be_run(void **state)
{
	refuse(ACCELERATOR BENCH, "--sources=synthetic,remot", "did you mean remote?");
	refuse(ACCELERATOR BENCH, "--sources=,", "bench.sources is empty");
	refuse(ACCELERATOR BENCH, "--sources=external", "external.path");
	refuse(ACCELERATOR BENCH "[remote]\norigin = s3://b/p\n", "--sources=stack",
		"use source cached");
	refuse(ACCELERATOR BENCH, "--gpus=0", "bench.gpus=0");
	refuse(ACCELERATOR BENCH "batch = 100\n", "--bench.steps=100M", "too many samples");
	refuse(ACCELERATOR BENCH "[variant.a]\ndata.shards = 4\n", NULL, "data.shards");
	refuse(ACCELERATOR BENCH, "--bench.accelerator=gqu", "did you mean gpu?");
}

static struct cost cost_of(const char *text, const char *option)
{
	struct fixture f;
	struct cost cost;

	assert_int_equal(build(&f, text, option, false), 0);
	cost = estimate_cell(&f.m.cells[0], 100000);
	done(&f);
	return cost;
}

/* 50 steps of 10 images at 1,000 images/s last 0.5 s a GPU; 500 images are 50 MB. 0.5 s of overhead. */
static void test_what_a_run_costs(void **state)
{
	struct cost c = cost_of(ACCELERATOR BENCH "sources = synthetic\n", "--gpus=1");

	assert_true(fabs(c.seconds - 1.0) < 1e-9);
	assert_true(c.bytes == 0 && c.requests == 0);
	c = cost_of(ACCELERATOR BENCH "sources = remote\n", "--remote.bandwidth=25MB/s");
	assert_true(fabs(c.seconds - 2.5) < 1e-9);
	assert_true(c.bytes == 50e6);
	assert_true(fabs(c.requests - 50e6 / 262144) < 1e-6);
	c = cost_of(ACCELERATOR BENCH "sources = remote\nformat = imagefolder\n", NULL);
	assert_true(fabs(c.requests - 2000) < 1e-6);
	/* A cache waits for the remote once, one that is too small each time. */
	c = cost_of(
		ACCELERATOR BENCH "sources = cached\nepochs = 3\n", "--remote.bandwidth=25MB/s");
	assert_true(fabs(c.seconds - (0.5 + 2 + 0.5 + 0.5)) < 1e-9);
	c = cost_of(ACCELERATOR BENCH "sources = cached\nepochs = 3\ncache_ratio = 0.5\n",
		"--remote.bandwidth=25MB/s");
	assert_true(fabs(c.seconds - (0.5 + 6)) < 1e-9);
	c = cost_of(
		ACCELERATOR BENCH "sources = remote\nmax_time = 1s\n", "--remote.bandwidth=25MB/s");
	assert_true(fabs(c.seconds - 1.5) < 1e-9);
	c = cost_of(ACCELERATOR BENCH "sources = synthetic\nallreduce = 10ms\n", "--gpus=1");
	assert_true(fabs(c.seconds - 1.5) < 1e-9);
}

static void test_an_invocation_costs_what_is_left_of_it(void **state)
{
	const bool skip[] = {false, true, false, false};
	struct prepared p = {.samples = 1, .data_bytes = 600000000};
	struct fixture f;
	struct cost c;

	assert_int_equal(
		build(&f, ACCELERATOR BENCH "sources = synthetic,remote\n", NULL, false), 0);
	assert_int_equal(f.m.n_cells, 4);
	c = estimate_matrix(&f.m, &p, NULL, 100000);
	assert_true(fabs(c.seconds - (4 * 1.0 + 2)) < 1e-9);
	assert_true(c.bytes == 150e6);
	c = estimate_matrix(&f.m, &p, skip, 100000);
	assert_true(fabs(c.seconds - (3 * 1.0 + 2)) < 1e-9);
	assert_true(c.bytes == 100e6);
	p.have_data = true;
	c = estimate_matrix(&f.m, &p, NULL, 100000);
	assert_true(fabs(c.seconds - 4) < 1e-9);
	done(&f);
}

static void test_memory(void **state)
{
	struct fixture f;
	int64_t one = 0, two = 0;

	assert_int_equal(build(&f, ACCELERATOR BENCH "sources = remote\n", "--gpus=1", false), 0);
	assert_int_equal(estimate_memory(&f.m, &one, &f.err), 0);
	done(&f);
	assert_int_equal(build(&f, ACCELERATOR BENCH "sources = remote\n", "--gpus=1,2", false), 0);
	assert_int_equal(estimate_memory(&f.m, &two, &f.err), 0);
	assert_true(one > 3 * 10 * 100000 && two == 2 * one);
	done(&f);
	assert_int_equal(
		build(&f, ACCELERATOR BENCH "batch = 1M\nprefetch = 1000\n", "--gpus=64", false),
		0);
	assert_int_equal(estimate_memory(&f.m, &two, &f.err), -ENOMEM);
	assert_non_null(strstr(f.err.msg, "more than half of RAM"));
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_synthetic_first_and_repeats_interleaved),
		cmocka_unit_test(test_variants_share_the_synthetic_run_of_the_same_work),
		cmocka_unit_test(test_remote_is_left_out_beside_an_origin),
		cmocka_unit_test(test_stack_stands_in),
		cmocka_unit_test(test_rates_and_batches),
		cmocka_unit_test(test_what_cannot_be_run),
		cmocka_unit_test(test_what_a_run_costs),
		cmocka_unit_test(test_an_invocation_costs_what_is_left_of_it),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
