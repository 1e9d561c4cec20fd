/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, good and bad; the order of an epoch; TFRecord framing and tf.train.Example. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "harness/dataset.h"
#include "harness/deadline.h"
#include "harness/decode.h"
#include "harness/order.h"
#include "harness/tfrecord.h"

#define HEAD "feedrate-manifest/1 format=tfrecord seed=1 samples=3 bytes=30 shards=2 classes=2\n"
#define SHARD "F\ta.tfrecord\t52\t0\t2\nS\t0\t10\t00000001\t0\nS\t26\t10\tdeadbeef\t1\n"
#define LAST "F\tb/b.tfrecord\t26\t2\t1\nS\t0\t10\t00000003\t0\n"

static int parse(const char *text, uint32_t most, struct dataset *ret, struct err *err)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int r = dataset_parse(in, "manifest.txt", most, ret, err);

	fclose(in);
	return r;
}

static void test_manifest_is_read(void **state)
{
	struct err err = {{0}};
	struct dataset d;

	assert_int_equal(parse(HEAD SHARD LAST, 0, &d, &err), 0);
	assert_int_equal(d.n_files, 2);
	assert_int_equal(d.n_samples, 3);
	assert_int_equal(d.bytes, 30);
	assert_int_equal(d.samples[1].crc, 0xdeadbeef);
	assert_int_equal(d.samples[2].file, 1);
	assert_string_equal(d.files[1].path, "b/b.tfrecord");
	dataset_done(&d);
}

static void test_prefix_stops_inside_a_file(void **state)
{
	struct err err = {{0}};
	struct dataset d;

	assert_int_equal(parse(HEAD SHARD LAST, 1, &d, &err), 0);
	assert_int_equal(d.n_files, 1);
	assert_int_equal(d.files[0].n, 1);
	assert_int_equal(d.n_samples, 1);
	dataset_done(&d);
}

static void test_bad_manifests_are_refused_with_their_line(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "0: ends before"},
		{"feedrate-manifest/2 format=tfrecord samples=1\n", "1: not a manifest"},
		{"feedrate-manifest/1 format=zip samples=1\n", "1: format="},
		{"feedrate-manifest/1 format=tfrecord samples=-1\n", "1: samples="},
		{HEAD, "1: ends before"},
		{HEAD "S\t0\t10\t00000001\t0\n", "2: a sample without a file"},
		{HEAD "F\t../x\t52\t0\t2\n", "2: the path leaves"},
		{HEAD "F\t/etc/passwd\t52\t0\t2\n", "2: the path leaves"},
		{HEAD "F\ta//b\t52\t0\t2\n", "2: the path leaves"},
		{HEAD "F\ta\t52\t1\t2\n", "2: sample numbers"},
		{HEAD "F\ta\t52\t0\t4\n", "2: sample numbers"},
		{HEAD "F\ta\t52\t0\t2\nS\t0\t60\t00000001\t0\n", "3: the sample does not fit"},
		{HEAD "F\ta\t52\t0\t2\nS\t1\t10\t00000001\t0\n", "3: the sample does not fit"},
		{HEAD "F\ta\t52\t0\t2\nS\t0\t10\t0000001\t0\n", "3: S<TAB>"},
		{HEAD "F\ta\t99999999999999999999\t0\t2\n", "2: F<TAB>"},
		{HEAD "F\ta\t52\t0\t2\nF\tb\t52\t0\t2\n", "3: the file before"},
		{HEAD "X\n", "2: a line starts"},
		{HEAD SHARD "F\tb\t26\t2\t1", "5: the line is cut"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {{0}};
		struct dataset d;

		assert_int_equal(parse(cases[i].text, 0, &d, &err), -EBADMSG);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("case %zu: \"%s\" not in: %s", i, cases[i].says, err.msg);
	}
}

static _Atomic bool let_go, freed;

static int block(struct deadline_call *c)
{
	while (!atomic_load(&let_go))
		clock_sleep_until(clock_now_ns() + NSEC_PER_MSEC);
	return deadline_passed(c) ? -1 : 7;
}

static void free_call(struct deadline_call *c)
{
	deadline_destroy(c);
	free(c);
	atomic_store(&freed, true);
}

static void test_call_that_does_not_return_is_left_behind(void **state)
{
	struct deadline_call *c = malloc(sizeof(*c));

	deadline_init(c, block, free_call);
	assert_int_equal(deadline_run(&c, 20 * NSEC_PER_MSEC, NULL), -ETIMEDOUT);
	assert_null(c);
	assert_false(atomic_load(&freed));
	atomic_store(&let_go, true);
	for (int i = 0; i < 2000 && !atomic_load(&freed); i++)
		clock_sleep_until(clock_now_ns() + NSEC_PER_MSEC);
	assert_true(atomic_load(&freed));
	c = malloc(sizeof(*c));
	deadline_init(c, block, free_call);
	assert_int_equal(deadline_run(&c, 10 * NSEC_PER_SEC, NULL), 7);
	free_call(c);
}

static void test_call_is_left_behind_on_interrupt(void **state)
{
	struct deadline_call *c = malloc(sizeof(*c));
	const volatile bool stop = true;

	atomic_store(&let_go, false);
	atomic_store(&freed, false);
	deadline_init(c, block, free_call);
	assert_int_equal(deadline_run(&c, 60 * NSEC_PER_SEC, &stop), -EINTR);
	assert_null(c);
	atomic_store(&let_go, true);
	for (int i = 0; i < 2000 && !atomic_load(&freed); i++)
		clock_sleep_until(clock_now_ns() + NSEC_PER_MSEC);
	assert_true(atomic_load(&freed));
}

static void test_epochs_differ_and_seeds_repeat(void **state)
{
	struct data_sample samples[100] = {{0}};
	struct dataset d = {.samples = samples, .n_samples = 100};
	struct order a = {0}, b = {0};
	int same = 0;

	assert_int_equal(order_plan(&a, &d, 2, 50, 1, false), 0);
	assert_int_equal(order_plan(&b, &d, 2, 50, 1, false), 0);
	assert_memory_equal(a.perm, b.perm, 400);
	assert_int_equal(order_plan(&b, &d, 2, 50, 2, false), 0);
	for (int i = 0; i < 100; i++)
		same += a.perm[i] == b.perm[i];
	assert_in_range(same, 0, 10);
	order_done(&a);
	order_done(&b);
}

static void test_count_of_samples_tells_twice_and_missing(void **state)
{
	struct data_sample samples[4] = {{0}};
	struct dataset d = {.samples = samples, .n_samples = 4};
	struct order o = {0};
	uint64_t twice, missing;

	assert_int_equal(order_plan(&o, &d, 1, 4, 1, false), 0);
	order_mark(&o, 0);
	order_mark(&o, 1);
	order_mark(&o, 1);
	order_mark(&o, 3);
	order_check(&o, &d, &twice, &missing);
	assert_int_equal(twice, 1);
	assert_int_equal(missing, 1);
	order_done(&o);
}

static void test_record_needs_all_its_bytes(void **state)
{
	uint8_t buf[12 + 5 + 4] = {5}, hello[5] = {'h', 'e', 'l', 'l', 'o'};
	uint32_t crc = crc32c_mask(crc32c(0, buf, 8));
	struct tfrecord rec;

	memcpy(buf + 8, &crc, 4);
	memcpy(buf + 12, hello, 5);
	crc = crc32c_mask(crc32c(0, hello, 5));
	memcpy(buf + 17, &crc, 4);
	for (size_t have = 0; have < sizeof(buf); have++)
		assert_int_equal(tfrecord_parse(buf, have, true, &rec), have < 12 ? 12 : 21);
	assert_int_equal(tfrecord_parse(buf, sizeof(buf), true, &rec), 0);
	assert_int_equal(rec.len, 5);
	assert_int_equal(rec.crc, crc32c(0, hello, 5));
	buf[13] ^= 1;
	assert_int_equal(tfrecord_parse(buf, sizeof(buf), true, &rec), -EBADMSG);
	assert_int_equal(tfrecord_parse(buf, sizeof(buf), false, &rec), 0);
}

/* Example{features{feature{"a":int64 7}, feature{"image/encoded":bytes "JPG"}}}, by hand. */
static const uint8_t example[] = "\x0a\x27"
				 "\x0a\x0a\x0a\x01"
				 "a\x12\x05\x1a\x03\x0a\x01\x07"
				 "\x0a\x19\x0a\x0d"
				 "image/encoded\x12\x08\x0a\x06\x0a\x04"
				 "JPEG";

static void test_example_gives_its_picture(void **state)
{
	const uint8_t *got;
	size_t len;

	assert_int_equal(
		example_bytes(example, sizeof(example) - 1, "image/encoded", &got, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(got, "JPEG", 4);
	assert_int_equal(
		example_bytes(example, sizeof(example) - 1, "image/other", &got, &len), -ENOENT);
	assert_int_equal(example_bytes(example, 20, "image/encoded", &got, &len), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifest_is_read),
		cmocka_unit_test(test_prefix_stops_inside_a_file),
		cmocka_unit_test(test_bad_manifests_are_refused_with_their_line),
		cmocka_unit_test(test_call_that_does_not_return_is_left_behind),
		cmocka_unit_test(test_call_is_left_behind_on_interrupt),
		cmocka_unit_test(test_epochs_differ_and_seeds_repeat),
		cmocka_unit_test(test_count_of_samples_tells_twice_and_missing),
		cmocka_unit_test(test_record_needs_all_its_bytes),
		cmocka_unit_test(test_example_gives_its_picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
