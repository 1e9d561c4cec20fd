/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline over a source that misbehaves on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/bucket.h"
#include "common/clock.h"
#include "harness/pipeline.h"
#include "tests/harness_data.h"

static struct test_data shards, pictures;

/* What the nasty source does next; set before a run. */
static struct {
	int64_t delay_ns, jitter_ns; /* each read takes this, and up to that more */
	_Atomic int64_t fail_at;     /* this read fails with EIO; -1: none */
	_Atomic int64_t hang_at;     /* this read does not return before `let_go` */
	_Atomic bool let_go;
	size_t most;         /* bytes a read returns at most; 0: all */
	struct bucket calls; /* calls a second of all threads together */
	_Atomic int64_t reads;
	_Atomic uint64_t random;
} nasty;

extern const struct source_ops nasty_ops;

struct nasty_source {
	struct source base;
	int root;
};

static struct source *nasty_open(const struct source_spec *spec, struct err *err)
{
	static struct nasty_source s;

	s.base.ops = &nasty_ops;
	s.base.spec = spec;
	s.root = open(spec->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	atomic_store(&nasty.reads, 0);
	return &s.base;
}

static void nasty_close(struct source *src)
{
	close(((struct nasty_source *)src)->root);
	atomic_store(&nasty.let_go, true);
}

static int nasty_file_open(struct source *src, const char *path, struct source_file *ret)
{
	int fd = openat(((struct nasty_source *)src)->root, path, O_RDONLY | O_CLOEXEC);

	*ret = (struct source_file){.fd = fd};
	return fd < 0 ? -errno : 0;
}

static ssize_t nasty_pread(
	struct source *src, struct source_file *f, void *buf, size_t len, uint64_t off)
{
	int64_t n = atomic_fetch_add(&nasty.reads, 1), until = clock_now_ns() + nasty.delay_ns;
	int fd = f->fd;

	if (nasty.jitter_ns)
		until += (int64_t)(order_mix(atomic_fetch_add(&nasty.random, 1)) %
				   (uint64_t)nasty.jitter_ns);
	bucket_wait(&nasty.calls, 1);
	if (until > clock_now_ns())
		clock_sleep_until(until);
	while (n == atomic_load(&nasty.hang_at) && !atomic_load(&nasty.let_go))
		clock_sleep_until(clock_now_ns() + NSEC_PER_MSEC);
	if (n == atomic_load(&nasty.fail_at))
		return -EIO;
	if (nasty.most && len > nasty.most)
		len = nasty.most;
	return pread(fd, buf, len, (off_t)off);
}

static void nasty_file_close(struct source *src, struct source_file *f)
{
	close(f->fd);
}

static json_t *nasty_counters(struct source *src)
{
	return json_pack("{s:n}", "origin_bytes");
}

const struct source_ops nasty_ops = {
	.name = "nasty",
	.summary = "misbehaves",
	.open = nasty_open,
	.close = nasty_close,
	.file_open = nasty_file_open,
	.file_pread = nasty_pread,
	.file_close = nasty_file_close,
	.counters = nasty_counters,
};

static struct config *cfg;

static int be_nice(void **state)
{
	memset(&nasty, 0, sizeof(nasty));
	nasty.fail_at = nasty.hang_at = -1;
	cfg = config_new();
	return cfg ? 0 : -1;
}

static int after(void **state)
{
	config_free(cfg);
	return 0;
}

static void must_set(const char *knob, const char *value)
{
	struct err err = {{0}};

	if (config_set(cfg, knob, value, "option", &err) < 0)
		fail_msg("%s", err.msg);
}

static struct run_result run_ok(const struct run_spec *spec)
{
	struct run_result res;
	struct err err = {{0}};

	if (run_execute(spec, &res, &err) < 0)
		fail_msg("%s", err.msg);
	return res;
}

static void test_random_delays_lose_no_sample(void **state)
{
	const struct test_data *sets[] = {&shards, &pictures};

	nasty.jitter_ns = 2 * NSEC_PER_MSEC;
	for (int i = 0; i < 2; i++) {
		struct run_spec spec = test_run(sets[i], cfg, &nasty_ops, 3, 4);
		struct run_result res;

		spec.readers = 5;
		res = run_ok(&spec);
		assert_int_equal(res.samples_twice, 0);
		assert_int_equal(res.samples_missing, 0);
		run_result_done(&res);
	}
}

static void test_gpus_on_their_own(void **state)
{
	struct run_spec spec = test_run(&shards, cfg, &nasty_ops, 3, 4);
	struct run_result res;

	must_set("bench.sync", "none");
	nasty.jitter_ns = NSEC_PER_MSEC;
	res = run_ok(&spec);
	assert_int_equal(res.samples_missing, 0);
	assert_true(res.steady.au > 0 && res.steady.au <= 1);
	run_result_done(&res);
}

static void test_reads_in_pieces_are_continued(void **state)
{
	const struct test_data *sets[] = {&shards, &pictures};

	nasty.most = 1000;
	for (int i = 0; i < 2; i++) {
		struct run_spec spec = test_run(sets[i], cfg, &nasty_ops, 2, 5);
		struct run_result res = run_ok(&spec);

		assert_int_equal(res.samples_missing, 0);
		assert_int_equal(res.crc_errors, 0);
		run_result_done(&res);
	}
}

static void test_failed_read_fails_the_run_fast(void **state)
{
	struct run_spec spec = test_run(&pictures, cfg, &nasty_ops, 2, 5);
	struct run_result res;
	struct err err = {{0}};
	int64_t begin = clock_now_ns();

	spec.step_ns = 30 * NSEC_PER_SEC;
	nasty.fail_at = 20;
	assert_int_equal(run_execute(&spec, &res, &err), -EIO);
	assert_non_null(strstr(err.msg, ".JPEG"));
	assert_true(clock_now_ns() - begin < 2 * NSEC_PER_SEC);
}

static void test_hanging_read_is_named_and_left_behind(void **state)
{
	struct run_spec spec = test_run(&shards, cfg, &nasty_ops, 2, 5);
	struct run_result res;
	struct err err = {{0}};
	int64_t begin = clock_now_ns();

	must_set("external.timeout", "1s");
	nasty.hang_at = 7;
	assert_int_equal(run_execute(&spec, &res, &err), -ETIMEDOUT);
	assert_true(clock_now_ns() - begin < 5 * NSEC_PER_SEC);
	assert_non_null(strstr(err.msg, "reader "));
	assert_non_null(strstr(err.msg, ".tfrecord"));
	/* It wakes, and must do no harm. Nobody joins it, so no test may follow that changes what it
	 * looks at. */
	clock_sleep_until(clock_now_ns() + 100 * NSEC_PER_MSEC);
}

/* GPU busy, queue full: exactly the batches allowed have been read, and not a sample more. */
static void check_depth(const struct test_data *t, int prefetch, int readers, int batches)
{
	struct run_spec spec = test_run(t, cfg, &nasty_ops, 1, 4);
	struct run_result res;

	spec.prefetch = prefetch;
	spec.readers = readers;
	spec.step_ns = NSEC_PER_SEC;
	spec.max_time_ns = 600 * NSEC_PER_MSEC;
	assert_int_equal(pipeline_depth(&spec), batches);
	struct err err = {{0}};

	/* Not one step ends in that time. */
	assert_int_equal(run_execute(&spec, &res, &err), -ETIME);
	/* A small file is read by two calls and the one that returns 0. */
	assert_int_equal(atomic_load(&nasty.reads), 4 * batches * 3);
}

static void test_prefetch_depth_is_respected(void **state)
{
	check_depth(&pictures, 2, 1, 3);
	check_depth(&pictures, 5, 3, 6);
	check_depth(&pictures, 1, 8, 9); /* a batch for each worker, and the one in use */
}

static void test_utilisation_is_that_of_the_source(void **state)
{
	struct run_spec spec = test_run(&pictures, cfg, &nasty_ops, 2, 5);
	double theory = 1 / (3 * 0.001 * 500), steady = 0, job = 0;

	/* Three calls a file, one in 1 ms: 333.3 files a second for two GPUs that want 500. */
	bucket_init(&nasty.calls, 1000, 0);
	spec.prefetch = 1;
	spec.readers = 2;
	spec.steps = 60; /* goes round */
	spec.step_ns = 20 * NSEC_PER_MSEC;
	/* Other programs can only make it less: the best of a few tries, and a margin for machines
	 * that are never quiet. */
	for (int i = 0; i < 5 && job < theory * 0.98; i++) {
		struct run_result res = run_ok(&spec);

		print_message("AU %.4f, with start-up %.4f, theory %.4f\n", res.steady.au,
			res.job.au, theory);
		assert_true(res.steady.au < theory * 1.02 && res.job.au < theory * 1.01);
		steady = fmax(steady, res.steady.au);
		job = fmax(job, res.job.au);
		run_result_done(&res);
	}
	assert_true(steady > theory * 0.9 && job > theory * 0.9);
}

/* Eight workers fill a batch each, and all are full almost together, before the first step. */
static void test_what_was_full_before_the_clock_is_no_credit(void **state)
{
	struct run_spec spec = test_run(&pictures, cfg, &nasty_ops, 1, 5);
	double theory = 1000.0 / 3, best = 0;

	bucket_init(&nasty.calls, 1000, 0);
	spec.readers = 8;
	spec.steps = 50;
	spec.step_ns = 5 * NSEC_PER_MSEC;
	for (int i = 0; i < 5 && best < theory * 0.97; i++) {
		struct run_result res = run_ok(&spec);

		print_message("%.1f files/s, theory %.1f\n", res.steady.images_per_s, theory);
		assert_true(res.steady.images_per_s < theory * 1.03);
		best = fmax(best, res.steady.images_per_s);
		run_result_done(&res);
	}
	assert_true(best > theory * 0.9);
}

/* 600 ms a batch, and a run that ends before the second. */
static void test_a_storage_that_is_waited_for_in_the_end(void **state)
{
	const char *sync[] = {"step", "none"};

	for (int i = 0; i < 2; i++) {
		struct run_spec spec = test_run(&pictures, cfg, &nasty_ops, 1, 20);
		struct run_result res;

		must_set("bench.sync", sync[i]);
		bucket_init(&nasty.calls, 100, 0);
		spec.readers = 1;
		spec.max_time_ns = NSEC_PER_SEC;
		res = run_ok(&spec);
		assert_true(res.ended_early && res.job.images == 20);
		assert_true(res.steady.au < 0.05 && res.steady.images_per_s < 100);
		assert_true(res.steady.au_per_gpu[0] < 0.05);
		run_result_done(&res);
	}
}

static void test_straggler_shows_in_its_own_figure(void **state)
{
	struct run_spec spec = test_run(&shards, cfg, &nasty_ops, 2, 4);
	struct run_result res;

	nasty.delay_ns = 3 * NSEC_PER_MSEC;
	res = run_ok(&spec);
	assert_non_null(res.steady.au_per_gpu);
	for (int g = 0; g < 2; g++)
		assert_true(res.steady.au_per_gpu[g] >= res.steady.au - 1e-9);
	run_result_done(&res);
}

static int make_sets(void **state)
{
	test_data_make(&shards, FORMAT_TFRECORD, 240, 12, 20000);
	test_data_make(&pictures, FORMAT_IMAGEFOLDER, 240, 8, 20000);
	return 0;
}

static int remove_sets(void **state)
{
	test_data_remove(&shards);
	test_data_remove(&pictures);
	return 0;
}

#define NASTY_TEST(f) cmocka_unit_test_setup_teardown(f, be_nice, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NASTY_TEST(test_random_delays_lose_no_sample), NASTY_TEST(test_gpus_on_their_own),
		NASTY_TEST(test_reads_in_pieces_are_continued),
		NASTY_TEST(test_failed_read_fails_the_run_fast),
		NASTY_TEST(test_prefetch_depth_is_respected),
		NASTY_TEST(test_utilisation_is_that_of_the_source),
		NASTY_TEST(test_what_was_full_before_the_clock_is_no_credit),
		NASTY_TEST(test_a_storage_that_is_waited_for_in_the_end),
		NASTY_TEST(test_straggler_shows_in_its_own_figure),
		NASTY_TEST(test_hanging_read_is_named_and_left_behind), /* last: see its end */
	};

	return cmocka_run_group_tests(tests, make_sets, remove_sets);
}
