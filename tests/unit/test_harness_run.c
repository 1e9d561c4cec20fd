/* SPDX-License-Identifier: Apache-2.0 */
/* Whole runs over small data sets on disk: what is read, counted, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/page_cache.h"
#include "harness/run.h"
#include "tests/harness_data.h"

static struct test_data shards, pictures;

static struct config *config_with(const char *knob, const char *value)
{
	struct config *cfg = config_new();
	struct err err = {{0}};

	assert_non_null(cfg);
	if (knob && config_set(cfg, knob, value, "option", &err) < 0)
		fail_msg("%s", err.msg);
	return cfg;
}

/* Runs and expects success; the caller frees the result. */
static struct run_result run_ok(const struct run_spec *spec)
{
	struct run_result res;
	struct err err = {{0}};

	if (run_execute(spec, &res, &err) < 0)
		fail_msg("%s", err.msg);
	return res;
}

static void expect_failure(const struct run_spec *spec, int code, const char *words)
{
	struct run_result res;
	struct err err = {{0}};

	assert_int_equal(run_execute(spec, &res, &err), -code);
	if (!strstr(err.msg, words))
		fail_msg("\"%s\" not in: %s", words, err.msg);
}

static void check_exact(const struct test_data *t, int gpus, int batch, int readers)
{
	struct config *cfg = config_with(NULL, NULL);
	struct run_spec spec = test_run(t, cfg, source_find("external"), gpus, batch);
	struct run_result res;

	spec.readers = readers;
	spec.epochs = 2;
	res = run_ok(&spec);
	assert_int_equal(res.samples_twice, 0);
	assert_int_equal(res.samples_missing, 0);
	assert_int_equal(res.crc_errors, 0);
	assert_int_equal(res.samples_checked, 2 * spec.steps * gpus * batch);
	assert_true(res.job.images == 2.0 * spec.steps * gpus * batch);
	assert_true(res.steady.images == 1.0 * spec.steps * gpus * batch);
	assert_true(res.steady.au > 0 && res.steady.au <= 1);
	assert_int_equal(res.queue_end, 0);
	run_result_done(&res);
	config_free(cfg);
}

static void test_every_sample_once_tfrecord(void **state)
{
	check_exact(&shards, 1, 10, 4);
	check_exact(&shards, 4, 5, 10);
	check_exact(&shards, 3, 20, 1); /* cuts through shards */
	check_exact(&shards, 2, 7, 3);  /* a part of the set */
}

static void test_every_sample_once_imagefolder(void **state)
{
	check_exact(&pictures, 1, 10, 4);
	check_exact(&pictures, 4, 5, 8);
	check_exact(&pictures, 3, 10, 1);
}

static void test_bytes_consumed_are_those_of_the_samples(void **state)
{
	struct config *cfg = config_with(NULL, NULL);
	struct run_spec spec = test_run(&shards, cfg, source_find("external"), 2, 10);
	struct run_result res = run_ok(&spec);

	assert_true(res.job.bytes_consumed == (double)shards.set.bytes);
	run_result_done(&res);
	config_free(cfg);
}

static void test_epoch_may_go_round(void **state)
{
	struct config *cfg = config_with(NULL, NULL);
	struct run_spec spec = test_run(&shards, cfg, source_find("external"), 2, 10);
	struct run_result res;

	spec.steps *= 3;
	res = run_ok(&spec);
	assert_int_equal(res.samples_twice, 0); /* none more often than thrice */
	assert_int_equal(res.samples_missing, 0);
	assert_true(res.job.bytes_consumed == 3.0 * (double)shards.set.bytes);
	run_result_done(&res);
	config_free(cfg);
}

static void damage_and_fail(struct test_data *t, uint32_t sample, uint64_t skip)
{
	struct config *cfg = config_with(NULL, NULL);
	const struct data_sample *s = &t->set.samples[sample];
	struct run_spec spec = test_run(t, cfg, source_find("external"), 2, 10);

	test_data_damage(t, s->file, s->off + skip);
	expect_failure(&spec, EBADMSG, t->set.files[s->file].path);
	config_free(cfg);
	cfg = config_with("bench.verify", "none");
	spec.cfg = cfg;
	struct run_result res = run_ok(&spec);

	run_result_done(&res);
	test_data_damage(t, s->file, s->off + skip);
	config_free(cfg);
}

static void test_wrong_payload_fails_the_run(void **state)
{
	damage_and_fail(&shards, 77, 500);
	damage_and_fail(&pictures, 77, 500);
}

static void test_wrong_length_crc_fails_the_run(void **state)
{
	damage_and_fail(&shards, 33, 9);
}

static void test_shortened_file_fails_the_run(void **state)
{
	struct test_data t;
	struct config *cfg = config_with(NULL, NULL);
	char path[256];

	test_data_make(&t, FORMAT_TFRECORD, 100, 4, 9000);
	struct run_spec spec = test_run(&t, cfg, source_find("external"), 1, 10);

	snprintf(path, sizeof(path), "%s/%s", t.dir, t.set.files[2].path);
	assert_int_equal(truncate(path, (off_t)t.set.files[2].size - 100), 0);
	expect_failure(&spec, EIO, t.set.files[2].path);
	assert_int_equal(unlink(path), 0);
	expect_failure(&spec, ENOENT, t.set.files[2].path);
	test_data_remove(&t);
	config_free(cfg);
}

static void test_page_cache_none_keeps_nothing(void **state)
{
	struct config *cfg = config_with("bench.page_cache", "none");
	struct test_data *sets[] = {&shards, &pictures};

	for (int i = 0; i < 2; i++) {
		struct run_spec spec = test_run(sets[i], cfg, source_find("external"), 2, 10);
		struct run_result res;

		spec.want_cold = true;
		res = run_ok(&spec);
		if (!res.chilled)
			print_message("page cache could not be emptied here: not checked\n");
		else
			assert_int_equal(res.page_cache_max_seen, 0);
		assert_true(res.page_cache_verified == res.chilled);
		assert_int_equal(res.samples_missing, 0);
		run_result_done(&res);
	}
	config_free(cfg);
}

static void read_all(const struct test_data *t)
{
	static char buf[65536];

	for (uint32_t i = 0; i < t->set.n_files; i++) {
		char path[256];

		snprintf(path, sizeof(path), "%s/%s", t->dir, t->set.files[i].path);
		AUTO(fclose) FILE *f = fopen(path, "re");

		while (f && fread(buf, 1, sizeof(buf), f) > 0)
			;
	}
}

/* What others have left in the page cache of files that a run does not read is not its affair. */
static void test_page_cache_of_files_that_were_read(void **state)
{
	struct config *cfg = config_with("bench.page_cache", "none");
	struct run_spec spec = test_run(&pictures, cfg, source_find("external"), 1, 10);
	struct run_result res;

	spec.steps = 2;
	read_all(&pictures);
	res = run_ok(&spec);
	assert_false(res.chilled);
	if (res.page_cache_max_seen < 0)
		print_message("page cache cannot be seen here: not checked\n");
	else
		assert_int_equal(res.page_cache_max_seen, 0);
	run_result_done(&res);
	config_free(cfg);
}

static void test_page_cache_is_dropped_when_a_file_is_opened(void **state)
{
	struct page_cache *none = page_cache_new(0), *any = page_cache_new(PAGE_CACHE_ANY);
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", pictures.dir, pictures.set.files[0].path);
	AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	read_all(&pictures);
	page_cache_start(any, fd);
	if (page_cache_resident(fd) <= 0) {
		print_message("page cache cannot be seen here: not checked\n");
	} else {
		page_cache_start(none, fd);
		assert_int_equal(page_cache_resident(fd), 0);
	}
	page_cache_free(none);
	page_cache_free(any);
}

static void test_page_cache_window_is_respected(void **state)
{
	struct config *cfg = config_with("bench.page_cache", "1M");
	struct run_spec spec = test_run(&pictures, cfg, source_find("external"), 1, 10);
	struct run_result res;

	spec.want_cold = true;
	res = run_ok(&spec);
	if (res.chilled)
		assert_in_range(res.page_cache_max_seen, 1 << 19, (1 << 20) + (1 << 17));
	run_result_done(&res);
	config_free(cfg);
}

static void test_prefix_of_the_manifest(void **state)
{
	struct test_data t = shards;
	struct config *cfg = config_with(NULL, NULL);
	struct err err = {{0}};
	struct run_result res;

	assert_int_equal(dataset_load(shards.dir, 250, &t.set, &err), 0);
	assert_int_equal(t.set.n_samples, 250);
	struct run_spec spec = test_run(&t, cfg, source_find("external"), 1, 10);

	res = run_ok(&spec);
	assert_int_equal(res.samples_missing, 0);
	assert_true(res.job.images == 250);
	run_result_done(&res);
	dataset_done(&t.set);
	config_free(cfg);
}

/* Lists the tree as if synth-data had not made it. */
static void scan_without_manifest(const char *dir, struct dataset *ret)
{
	const struct scan_limits limits = {
		.max_files = 1000, .timeout_ns = 10 * NSEC_PER_SEC, .format = SCAN_ANY_FORMAT};
	char manifest[128], away[128];
	struct err err = {{0}};
	int r;

	snprintf(manifest, sizeof(manifest), "%s/manifest.txt", dir);
	snprintf(away, sizeof(away), "%s/away", dir);
	assert_int_equal(rename(manifest, away), 0);
	r = dataset_scan(dir, &limits, ret, &err);
	assert_int_equal(rename(away, manifest), 0);
	if (r)
		fail_msg("%s", err.msg);
	assert_false(ret->manifest);
}

static void test_foreign_tree_without_manifest(void **state)
{
	struct test_data *sets[] = {&shards, &pictures};
	struct config *cfg = config_with(NULL, NULL);

	for (int i = 0; i < 2; i++) {
		struct test_data t = *sets[i];
		struct run_spec spec;
		struct run_result res;

		scan_without_manifest(t.dir, &t.set);
		assert_int_equal(t.set.format, sets[i]->set.format);
		assert_int_equal(t.set.n_files, sets[i]->set.n_files);
		spec = test_run(&t, cfg, source_find("external"), 2, 10);
		spec.steps = 40; /* twice round */
		res = run_ok(&spec);
		assert_true(res.job.images == 800);
		run_result_done(&res);
		dataset_done(&t.set);
	}
	config_free(cfg);
}

static void test_remote_bandwidth_limits_as_it_should(void **state)
{
	struct config *cfg = config_with("remote.bandwidth", "20M");
	struct run_spec spec = test_run(&shards, cfg, source_find("remote"), 2, 10);
	struct run_result res;
	double disk_s;

	res = run_ok(&spec);
	/* All bytes at 20 MB/s, the first 50 ms of them perhaps as a burst. */
	disk_s = res.job.origin_bytes / 20e6;
	assert_true(res.job.origin_bytes >= (double)shards.set.bytes);
	assert_true(fabs(res.job.seconds - disk_s) < 0.06 + 0.02 * disk_s);
	run_result_done(&res);
	config_free(cfg);
}

static void test_remote_page_cache_is_modelled(void **state)
{
	struct config *cfg = config_with("remote.bandwidth", "0");
	struct run_spec spec = test_run(&pictures, cfg, source_find("remote"), 2, 10);
	struct run_result res;

	spec.epochs = 2;
	res = run_ok(&spec);
	assert_true(res.steady.origin_bytes == 0); /* any: the second epoch hits */
	assert_true(res.job.origin_bytes == (double)pictures.set.bytes);
	run_result_done(&res);
	config_free(cfg);
	cfg = config_with("bench.page_cache", "none");
	spec.cfg = cfg;
	res = run_ok(&spec);
	assert_true(res.steady.origin_bytes == (double)pictures.set.bytes);
	run_result_done(&res);
	config_free(cfg);
}

static void test_latency_is_one_wait_a_small_file(void **state)
{
	struct config *cfg = config_with("remote.latency", "2ms");
	struct run_spec spec = test_run(&pictures, cfg, source_find("remote"), 1, 10);
	struct run_result res;

	spec.readers = 1;
	spec.steps = 10;
	res = run_ok(&spec);
	/* 100 files of under 128 KiB, one after another: a wait each. */
	assert_true(res.job.seconds > 0.2 && res.job.seconds < 0.26);
	assert_true(res.job.read_p50_ms > 1.9 && res.job.read_p50_ms < 3);
	run_result_done(&res);
	config_free(cfg);
}

/* A reader whose open() does not return for now. */
struct opener {
	struct source *src;
	struct source_file f;
	_Atomic int tid; /* 0: not begun */
	int r;
};

static void *open_first(void *arg)
{
	struct opener *o = arg;

	o->tid = gettid();
	o->r = o->src->ops->file_open(o->src, "fifo", &o->f);
	return NULL;
}

/* Until it sleeps in the kernel. */
static void wait_asleep(struct opener *o)
{
	char path[64], state = 0;

	for (int i = 0; state != 'S' && i < 5000; i++) {
		usleep(1000);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", o->tid);
		FILE *in = o->tid ? fopen(path, "re") : NULL;

		if (in && fscanf(in, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		if (in)
			fclose(in);
	}
	assert_int_equal(state, 'S');
}

/* A named pipe stands for a filesystem that hangs: the source is closed under the reader. */
static void close_while_opening(const struct config *cfg, const char *dir, const char *fifo)
{
	struct data_file file = {.path = "fifo", .size = 1};
	struct dataset data = {.files = &file, .n_files = 1};
	struct source_spec spec = {.cfg = cfg, .data = &data, .data_dir = dir, .work_dir = dir};
	struct opener o = {.src = source_find("remote")->open(&spec, NULL)};
	pthread_t thread;
	int fd;

	assert_non_null(o.src);
	assert_int_equal(pthread_create(&thread, NULL, open_first, &o), 0);
	wait_asleep(&o);
	source_find("remote")->close(o.src);
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(o.r, 0);
	assert_true(!o.f.handle == !!cfg->remote.path[0]);
	close(o.f.fd);
	free(o.f.handle);
	close(fd);
}

static void test_remote_is_closed_while_an_open_hangs(void **state)
{
#ifdef __SANITIZE_THREAD__
	skip(); /* cannot see that who sleeps in open() has read all it needs */
#endif
	struct config *cfg = config_with("remote.bandwidth", "20M");
	char fifo[80];

	snprintf(fifo, sizeof(fifo), "%s/fifo", shards.dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	close_while_opening(cfg, shards.dir, fifo);
	assert_int_equal(config_set(cfg, "remote.path", shards.dir, "option", NULL), 0);
	close_while_opening(cfg, shards.dir, fifo);
	assert_int_equal(unlink(fifo), 0);
	config_free(cfg);
}

static void test_synthetic_needs_no_data(void **state)
{
	struct config *cfg = config_with(NULL, NULL);
	struct run_spec spec = test_run(&shards, cfg, source_find("synthetic"), 4, 8);
	double au = 0;

	spec.data = NULL;
	spec.data_dir = "";
	spec.steps = 50;
	spec.step_ns = 8 * NSEC_PER_MSEC;
	/* On a busy machine one of a few. */
	for (int i = 0; i < 5 && au <= 0.9; i++) {
		struct run_result res = run_ok(&spec);

		assert_true(res.job.bytes_consumed == 4.0 * 8 * 50 * 114660);
		au = res.steady.au;
		run_result_done(&res);
	}
	assert_true(au > 0.9);
	config_free(cfg);
}

static void test_decode_time_is_spent(void **state)
{
	struct config *cfg = config_with("bench.decode", "200us");
	struct run_spec spec = test_run(&shards, cfg, source_find("external"), 1, 10);
	struct run_result res = run_ok(&spec);

	assert_true(res.cpu_harness_s >= 0.0002 * shards.set.n_samples);
	run_result_done(&res);
	config_free(cfg);
	cfg = config_with("bench.decode", "jpeg");
	spec.cfg = cfg;
	expect_failure(&spec, EBADMSG, "image/encoded"); /* noise is no Example */
	config_free(cfg);
}

static void test_synthetic_pictures_can_be_decoded(void **state)
{
	struct config *cfg = config_with("bench.decode", "jpeg");
	struct run_spec spec = test_run(&shards, cfg, source_find("synthetic"), 1, 4);
	struct run_result res;

	spec.data = NULL;
	spec.steps = 5;
	res = run_ok(&spec);
	assert_true(res.cpu_harness_s > 0.0005 * 20); /* half a millisecond a picture at least */
	run_result_done(&res);
	config_free(cfg);
}

static void test_limits_end_a_run_early(void **state)
{
	struct config *cfg = config_with(NULL, NULL);
	struct run_spec spec = test_run(&shards, cfg, source_find("external"), 1, 10);
	struct run_result res;

	spec.step_ns = 20 * NSEC_PER_MSEC;
	spec.max_time_ns = 200 * NSEC_PER_MSEC;
	res = run_ok(&spec);
	assert_true(res.ended_early);
	assert_true(res.job.images >= 50 && res.job.images <= 110);
	run_result_done(&res);
	spec.max_time_ns = 0;
	spec.max_bytes = (int64_t)shards.set.bytes / 2;
	res = run_ok(&spec);
	assert_true(res.ended_early);
	assert_true(res.job.images < 300);
	run_result_done(&res);
	config_free(cfg);
}

static void test_stop_interrupts(void **state)
{
	struct config *cfg = config_with(NULL, NULL);
	struct run_spec spec = test_run(&shards, cfg, source_find("external"), 1, 10);
	volatile bool stop = true;

	spec.step_ns = 100 * NSEC_PER_SEC;
	spec.stop = &stop;
	expect_failure(&spec, EINTR, "interrupted");
	config_free(cfg);
}

static void test_too_much_memory_is_refused(void **state)
{
	struct config *cfg = config_with(NULL, NULL);
	struct run_spec spec = test_run(&shards, cfg, source_find("synthetic"), 64, 100000);

	spec.steps = 50;
	expect_failure(&spec, ENOMEM, "bench.batch");
	config_free(cfg);
}

static int make_sets(void **state)
{
	test_data_make(&shards, FORMAT_TFRECORD, 420, 11, 20000); /* so that shards are cut */
	test_data_make(&pictures, FORMAT_IMAGEFOLDER, 420, 8, 30000);
	return 0;
}

static int remove_sets(void **state)
{
	test_data_remove(&shards);
	test_data_remove(&pictures);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_sample_once_tfrecord),
		cmocka_unit_test(test_every_sample_once_imagefolder),
		cmocka_unit_test(test_bytes_consumed_are_those_of_the_samples),
		cmocka_unit_test(test_epoch_may_go_round),
		cmocka_unit_test(test_wrong_payload_fails_the_run),
		cmocka_unit_test(test_wrong_length_crc_fails_the_run),
		cmocka_unit_test(test_shortened_file_fails_the_run),
		cmocka_unit_test(test_page_cache_none_keeps_nothing),
		cmocka_unit_test(test_page_cache_of_files_that_were_read),
		cmocka_unit_test(test_page_cache_is_dropped_when_a_file_is_opened),
		cmocka_unit_test(test_page_cache_window_is_respected),
		cmocka_unit_test(test_prefix_of_the_manifest),
		cmocka_unit_test(test_foreign_tree_without_manifest),
		cmocka_unit_test(test_remote_bandwidth_limits_as_it_should),
		cmocka_unit_test(test_remote_page_cache_is_modelled),
		cmocka_unit_test(test_latency_is_one_wait_a_small_file),
		cmocka_unit_test(test_remote_is_closed_while_an_open_hangs),
		cmocka_unit_test(test_synthetic_needs_no_data),
		cmocka_unit_test(test_decode_time_is_spent),
		cmocka_unit_test(test_synthetic_pictures_can_be_decoded),
		cmocka_unit_test(test_limits_end_a_run_early),
		cmocka_unit_test(test_stop_interrupts),
		cmocka_unit_test(test_too_much_memory_is_refused),
	};

	return cmocka_run_group_tests(tests, make_sets, remove_sets);
}
