/* SPDX-License-Identifier: Apache-2.0 */
/* The rate of the disk under a data set: told, or said to be unknown, in the time given. */
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
	rate = disk_probe_rate(t.dir, &t.set, 4, 10);
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
	disk_probe_rate(t.dir, &t.set, 2, 0); /* no time at all */
	assert_true(clock_now_ns() - begin < 5 * NSEC_PER_SEC);
	test_data_remove(&t);
}

static void test_unknown(void **state)
{
	struct test_data t;

	test_data_make(&t, FORMAT_IMAGEFOLDER, 20, 2, 3000); /* files smaller than one read */
	assert_true(disk_probe_rate(t.dir, &t.set, 4, 1) < 0);
	assert_true(disk_probe_rate("/nowhere/at/all", &t.set, 4, 1) < 0);
	assert_true(disk_probe_rate(t.dir, &t.set, 0, 1) < 0);
	test_data_remove(&t);
	test_data_make(&t, FORMAT_TFRECORD, 60, 2, 40000);
	free(t.set.files[1].path);
	t.set.files[1].path = strdup("not-there");
	assert_true(disk_probe_rate(t.dir, &t.set, 1, 1) < 0);
	test_data_remove(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rate),
		cmocka_unit_test(test_it_ends_in_time),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
