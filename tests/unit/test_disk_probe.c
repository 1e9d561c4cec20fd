/* SPDX-License-Identifier: Apache-2.0 */
/* The rate of the disk under a folder: told, or said to be unknown, in the time given. */
#include "tests/unit/test.h"

#include <fcntl.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/disk_probe.h"
#include "tests/harness_data.h"

static bool direct_works(const struct test_data *t)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", t->dir, t->set.files[0].path);
	AUTO(close) int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	AUTO(free) void *buf = aligned_alloc(4096, 4096);

	return fd >= 0 && pread(fd, buf, 4096, 0) == 4096;
}

static void test_a_rate(void **state)
{
	struct test_data t;
	double rate;

	test_data_make(&t, FORMAT_TFRECORD, 60, 4, 40000); /* 600 KB a shard */
	rate = disk_probe_rate(t.dir, 4, 10);
	if (direct_works(&t))
		assert_true(rate > 1e5 && rate < 1e12);
	else
		assert_true(rate < 0);
	test_data_remove(&t);
}

static void test_it_ends_in_time(void **state)
{
	struct test_data t;
	int64_t begin;

	test_data_make(&t, FORMAT_TFRECORD, 60, 4, 40000);
	begin = clock_now_ns();
	disk_probe_rate(t.dir, 2, 0); /* no time at all */
	assert_true(clock_now_ns() - begin < 5 * NSEC_PER_SEC);
	test_data_remove(&t);
}

static void test_unknown(void **state)
{
	struct test_data t;

	test_data_make(&t, FORMAT_IMAGEFOLDER, 20, 2, 1000); /* files smaller than one block */
	char manifest[256];
	snprintf(manifest, sizeof(manifest), "%s/manifest.txt", t.dir);
	assert_int_equal(unlink(manifest), 0);
	assert_true(disk_probe_rate(t.dir, 4, 1) < 0);
	assert_true(disk_probe_rate("/nowhere/at/all", 4, 1) < 0);
	assert_true(disk_probe_rate(t.dir, 0, 1) < 0);
	test_data_remove(&t);
}

/* A tier's file is sparse until it is full: 64 MB that are not there are not read. */
static void test_holes_are_left_out(void **state)
{
	char *dir = scratch_make();
	AUTO(free) char *path = scratch_file(dir, "sparse", "");
	AUTO(free) char *block = calloc(1, 4096);
	double rate;

	assert_int_equal(truncate(path, 64 << 20), 0);
	assert_true(disk_probe_rate(dir, 1, 1) < 0);
	AUTO(close) int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, block, 4096, 32 << 20), 4096);
	rate = disk_probe_rate(dir, 1, 1);
	assert_true(rate < 1e9); /* one block; 64 MB in the time of one would be more */
	scratch_remove(dir);
}

/* The files of a tier lie in folders of their own. */
static void test_folders_below(void **state)
{
	struct test_data t;

	test_data_make(&t, FORMAT_IMAGEFOLDER, 40, 4, 30000);
	if (direct_works(&t))
		assert_true(disk_probe_rate(t.dir, 4, 10) > 1e4);
	test_data_remove(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rate),
		cmocka_unit_test(test_it_ends_in_time),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_holes_are_left_out),
		cmocka_unit_test(test_folders_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
