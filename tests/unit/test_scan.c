/* SPDX-License-Identifier: Apache-2.0 */
/* Trees of other people: what is found in them, and how long that may take. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/dataset.h"
#include "tests/harness_data.h"

#define LIMITS                                                                                     \
	{                                                                                          \
		.max_files = 100000, .timeout_ns = 60 * NSEC_PER_SEC, .format = SCAN_ANY_FORMAT    \
	}

static char *root; /* of each test */

static int make_root(void **state)
{
	root = scratch_make();
	return 0;
}

static int remove_root(void **state)
{
	scratch_remove(root);
	return 0;
}

static void put(const char *name)
{
	free(scratch_file(root, name, "0123456789"));
}

static void put_all(const char *const *names)
{
	for (; *names; names++)
		put(*names);
}

static struct dataset scan_with(struct scan_limits limits)
{
	struct err err = {{0}};
	struct dataset d;

	if (dataset_scan(root, &limits, &d, &err))
		fail_msg("%s", err.msg);
	return d;
}

static struct dataset scan(void)
{
	return scan_with((struct scan_limits)LIMITS);
}

static void expect_failure(const char *dir, int code, const char *words)
{
	const struct scan_limits limits = LIMITS;
	struct err err = {{0}};
	struct dataset d;

	assert_int_equal(dataset_scan(dir, &limits, &d, &err), -code);
	if (!strstr(err.msg, words) || !strstr(err.msg, dir))
		fail_msg("\"%s\" or \"%s\" not in: %s", words, dir, err.msg);
}

static bool has(const struct dataset *d, const char *path)
{
	for (uint32_t i = 0; i < d->n_files; i++)
		if (!strcmp(d->files[i].path, path))
			return true;
	return false;
}

static void test_names_of_shards(void **state)
{
	static const char *const good[] = {"a.tfrecord", "b.tfrecords", "c.TFRecord", "d.tfrec",
		"train-00000-of-01024", "imagenet-train.tfrecord-00007-of-00128",
		"x-00001-of-00002.tfrecord", NULL};
	static const char *const bad[] = {"a.tfrecord.idx", "b.tfrecord.gz", "tfrecord",
		".tfrecord", "train-of-lies", "train-0000x-of-00001", "train-00000-of-",
		"-of-00001", "notes-1-of-2.txt", "x.json-00000-of-00001", "labels.txt", NULL};
	struct dataset d;

	put_all(good);
	put_all(bad);
	d = scan();
	assert_int_equal(d.format, FORMAT_TFRECORD);
	for (size_t i = 0; good[i]; i++)
		if (!has(&d, good[i]))
			fail_msg("%s is missing", good[i]);
	assert_int_equal(d.n_files, ARRAY_SIZE(good) - 1);
	assert_int_equal(d.n_samples, 0);
	assert_int_equal(d.bytes, 10 * d.n_files);
	assert_int_equal(d.files[0].size, 10);
	dataset_done(&d);
}

static void test_pictures_in_class_folders(void **state)
{
	static const char *const names[] = {"cat/a.jpg", "cat/b.JPEG", "dog/c.Png", "dog/d.webp",
		"dog/notes.txt", "dog/.hidden.jpg", ".git/e.jpg", "at-the-root.jpg", NULL};
	struct dataset d;

	put_all(names);
	d = scan();
	assert_int_equal(d.format, FORMAT_IMAGEFOLDER);
	assert_int_equal(d.n_files, 4);
	assert_int_equal(d.n_samples, 4);
	assert_true(has(&d, "cat/b.JPEG") && has(&d, "dog/c.Png"));
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(d.samples[i].file, i);
		assert_int_equal(d.files[i].n, 1);
	}
	assert_int_equal(d.bytes, 40);
	assert_int_equal(d.scan.folders, 3);
	assert_false(d.scan.partial);
	dataset_done(&d);
}

static void test_nested_as_it_is_unpacked(void **state)
{
	struct dataset d;

	put("ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_10026.JPEG");
	put("a/b/c/d/e/f/g/picture.jpg");
	put("a/b/c/d/e/f/g/h/too-deep.jpg");
	d = scan();
	assert_int_equal(d.n_files, 2);
	assert_true(has(&d, "ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_10026.JPEG"));
	dataset_done(&d);
}

static void test_mixed_trees_give_the_larger_part(void **state)
{
	struct scan_limits limits = LIMITS;
	struct dataset d;
	char name[32];

	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "class%d/%d.jpg", i % 10, i);
		put(name);
	}
	put("stray.tfrecord");
	d = scan();
	assert_int_equal(d.format, FORMAT_IMAGEFOLDER);
	assert_int_equal(d.n_files, 150);
	assert_int_equal(d.scan.left_out, 1);
	dataset_done(&d);
	limits.format = FORMAT_TFRECORD;
	d = scan_with(limits);
	assert_int_equal(d.format, FORMAT_TFRECORD);
	assert_int_equal(d.n_files, 1);
	assert_int_equal(d.scan.left_out, 150);
	dataset_done(&d);
	AUTO(free) char *large = scratch_file(root, "large.tfrecord", "");

	assert_int_equal(truncate(large, 1 << 20), 0);
	d = scan();
	assert_int_equal(d.format, FORMAT_TFRECORD);
	assert_int_equal(d.n_files, 2);
	dataset_done(&d);
}

static void link_to(const char *target, const char *name)
{
	AUTO(free) char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", root, name) > 0);
	assert_int_equal(symlink(target, path), 0);
}

static void test_links_are_followed_but_not_in_circles(void **state)
{
	char *other = scratch_make();
	struct dataset d;

	free(scratch_file(other, "far/1.jpg", ""));
	put("class/2.jpg");
	link_to(other, "outside");
	link_to("class", "alias");
	link_to("2.jpg", "class/3.jpg");
	link_to("nowhere", "class/4.jpg");
	link_to(".", "round");
	link_to("..", "class/up");
	link_to("up", "class/up-up");
	link_to("5.jpg", "class/5.jpg"); /* to itself */
	d = scan();
	assert_true(has(&d, "outside/far/1.jpg"));
	assert_true(has(&d, "alias/2.jpg") && has(&d, "alias/3.jpg"));
	assert_true(has(&d, "class/2.jpg") && has(&d, "class/3.jpg"));
	assert_int_equal(d.n_files, 5);
	dataset_done(&d);
	scratch_remove(other);
}

/* Root reads everything, so this one becomes somebody else for a moment. */
static void test_folders_that_may_not_be_read(void **state)
{
	AUTO(free) char *secret = NULL;
	struct dataset d;

	put("open/1.jpg");
	put("secret/2.jpg");
	assert_true(asprintf(&secret, "%s/secret", root) > 0);
	assert_int_equal(chmod(secret, 0), 0);
	assert_int_equal(chmod(root, 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	d = scan();
	expect_failure(secret, EACCES, "Permission denied");
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(secret, 0700), 0);
	assert_int_equal(d.n_files, 1);
	assert_int_equal(d.scan.unreadable, 1);
	dataset_done(&d);
}

static void test_what_is_no_data_set(void **state)
{
	AUTO(free) char *file = scratch_file(root, "file", "");
	AUTO(free) char *missing = NULL;

	assert_true(asprintf(&missing, "%s/missing", root) > 0);
	expect_failure(root, ENODATA, "TFRecord");
	expect_failure(missing, ENOENT, "No such file");
	expect_failure(file, ENOTDIR, "Not a directory");
	put("only-at-the-root.jpg");
	expect_failure(root, ENODATA, "class folders");
	free(scratch_file(root, "n01/empty.jpg", ""));
	expect_failure(root, ENODATA, "no picture in it has a byte");
}

static void test_a_sample_of_thousands(void **state)
{
	struct scan_limits limits = LIMITS;
	struct dataset d;
	char name[32];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d/%d.jpg", i % 30, i);
		put(name);
	}
	d = scan();
	assert_int_equal(d.n_files, 3000);
	assert_int_equal(d.bytes, 30000); /* by 64 of them */
	assert_false(d.scan.partial);
	dataset_done(&d);
	limits.max_files = 100;
	d = scan_with(limits);
	assert_int_equal(d.n_files, 100);
	assert_true(d.scan.partial);
	dataset_done(&d);
	limits = (struct scan_limits)LIMITS;
	limits.enough_ns = 1; /* the first that is found will do */
	d = scan_with(limits);
	assert_int_equal(d.n_files, 1);
	assert_true(d.scan.partial);
	dataset_done(&d);
}

static void test_it_does_not_take_for_ever(void **state)
{
	struct scan_limits limits = LIMITS;
	volatile bool stop = true;
	struct err err = {{0}};
	struct dataset d;

	put("a.tfrecord");
	limits.timeout_ns = 1;
	assert_int_equal(dataset_scan(root, &limits, &d, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.msg, "external.timeout"));
	limits.timeout_ns = 60 * NSEC_PER_SEC;
	limits.stop = &stop;
	/* Either it was quicker, or it was told to stop. */
	int r = dataset_scan(root, &limits, &d, &err);

	assert_true(r == 0 || r == -EINTR);
	if (!r)
		dataset_done(&d);
}

static void test_a_manifest_says_more(void **state)
{
	struct scan_limits limits = LIMITS;
	struct test_data t;
	struct err err = {{0}};
	struct dataset d;

	test_data_make(&t, FORMAT_TFRECORD, 50, 3, 1000);
	assert_int_equal(dataset_scan(t.dir, &limits, &d, &err), 0);
	assert_true(d.manifest);
	assert_int_equal(d.n_samples, 50);
	assert_int_equal(d.bytes, t.set.bytes);
	assert_true(d.scan.ino != 0);
	dataset_done(&d);
	limits.max_samples = 20;
	assert_int_equal(dataset_scan(t.dir, &limits, &d, &err), 0);
	assert_int_equal(d.n_samples, 20);
	dataset_done(&d);
	test_data_remove(&t);
}

static void test_other_manifests(void **state)
{
	struct dataset d;

	put("class/1.jpg");
	put("manifest.txt"); /* somebody else's */
	d = scan();
	assert_false(d.manifest);
	assert_int_equal(d.n_files, 1);
	dataset_done(&d);
	free(scratch_file(root, "manifest.txt", DATASET_MAGIC " format=tfrecord samples=5\nF\t"));
	expect_failure(root, EBADMSG, "manifest.txt:2");
	AUTO(free) char *path = NULL;

	assert_true(asprintf(&path, "%s/manifest.txt", root) > 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	d = scan();
	assert_int_equal(d.n_files, 1);
	dataset_done(&d);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_names_of_shards),
		EACH(test_pictures_in_class_folders),
		EACH(test_nested_as_it_is_unpacked),
		EACH(test_mixed_trees_give_the_larger_part),
		EACH(test_links_are_followed_but_not_in_circles),
		EACH(test_folders_that_may_not_be_read),
		EACH(test_what_is_no_data_set),
		EACH(test_a_sample_of_thousands),
		EACH(test_it_does_not_take_for_ever),
		EACH(test_a_manifest_says_more),
		EACH(test_other_manifests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
