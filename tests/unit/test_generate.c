/* SPDX-License-Identifier: Apache-2.0 */
/* Making a set with many threads, stopping and going on: for the sanitizers above all; whether the
 * bytes are right is system/synth_data.py's to say. */
#include "tests/unit/test.h"

#include <errno.h>

#include "common/cleanup.h"
#include "synth/generate.h"

#define SAMPLES 90

static struct job job_of(enum data_format format, const char *dir, atomic_bool *stop)
{
	return (struct job){
		.dir = dir,
		.set = {format, 3, SAMPLES, format == FORMAT_TFRECORD ? 30 : 0, 12},
		.threads = 7,
		.stop = stop,
	};
}

static void expect_made(const struct job *job)
{
	struct err err = {""};
	struct made m;

	assert_int_equal(generate(job, &m, &err), 0);
	assert_int_equal(m.samples, SAMPLES);
	assert_true(m.bytes >= m.image_bytes && m.image_bytes > SAMPLES * 2048);
	assert_int_equal(m.before_bytes + m.made_bytes, m.image_bytes);
}

static void expect_files(const char *dir, enum data_format format)
{
	AUTO(free) char *manifest = NULL, *text = NULL, *journal = NULL;
	size_t len;
	char head[96];

	assert_true(asprintf(&manifest, "%s/manifest.txt", dir) > 0);
	assert_true(asprintf(&journal, "%s/manifest.partial", dir) > 0);
	assert_int_equal(file_read(manifest, 1 << 20, &text, &len), 0);
	assert_int_not_equal(access(journal, F_OK), 0);
	snprintf(head, sizeof(head), "feedrate-manifest/1 format=%s seed=3 samples=%d bytes=",
		format == FORMAT_TFRECORD ? "tfrecord" : "imagefolder", SAMPLES);
	assert_memory_equal(text, head, strlen(head));
}

static void make_and_repeat(enum data_format format)
{
	char *dir = scratch_make();
	atomic_bool stop = false;
	struct job job = job_of(format, dir, &stop);
	struct made m;

	expect_made(&job);
	expect_files(dir, format);
	assert_int_equal(generate(&job, &m, NULL), 0); /* complete: nothing to do */
	assert_int_equal(m.made_bytes, 0);
	job.set.seed++;
	assert_int_equal(generate(&job, &m, NULL), -EEXIST);
	scratch_remove(dir);
}

static void test_tfrecord(void **state)
{
	make_and_repeat(FORMAT_TFRECORD);
}

static void test_imagefolder(void **state)
{
	make_and_repeat(FORMAT_IMAGEFOLDER);
}

static void *stop_soon(void *stop)
{
	usleep(700 * 1000);
	atomic_store((atomic_bool *)stop, true);
	return NULL;
}

/* Stopped before it began, and somewhere on the way. */
static void test_goes_on(void **state)
{
	char *dir = scratch_make();
	atomic_bool stop = true;
	struct job job = job_of(FORMAT_TFRECORD, dir, &stop);
	pthread_t stopper;
	struct made m;

	assert_int_equal(generate(&job, &m, NULL), -EINTR);
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&stopper, NULL, stop_soon, &stop), 0);
	int r = generate(&job, &m, NULL);

	pthread_join(stopper, NULL);
	assert_true(!r || r == -EINTR);
	atomic_store(&stop, false);
	if (r)
		expect_made(&job);
	expect_files(dir, FORMAT_TFRECORD);
	scratch_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tfrecord),
		cmocka_unit_test(test_imagefolder),
		cmocka_unit_test(test_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
