/* SPDX-License-Identifier: Apache-2.0 */
/* The disk tier's folder after each kind of damage: no wrong byte, nothing lost that is not its own, and it
 * works again. */
#include "tests/test_disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cachefs/stores/disk_index.h"

static void cut_segment(struct fixture *f)
{
	char path[128];

	tier_path(f, "seg-00000000", path);
	assert_int_equal(truncate(path, 50000), 0);
}

static void remove_segment(struct fixture *f)
{
	char path[128];

	tier_path(f, "seg-00000000", path);
	assert_int_equal(unlink(path), 0);
}

static void clear_segment(struct fixture *f)
{
	char path[128];

	tier_path(f, "seg-00000000", path);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, 8 << 20), 0);
}

static void swap_objects(struct fixture *f)
{
	char a[128], b[128], c[128];

	tier_path(f, "obj-00000000", a);
	tier_path(f, "obj-00000001", b);
	tier_path(f, "away", c);
	assert_int_equal(rename(a, c), 0);
	assert_int_equal(rename(b, a), 0);
	assert_int_equal(rename(c, b), 0);
}

static void object_is_a_folder(struct fixture *f)
{
	char path[128];

	tier_path(f, "obj-00000000", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void remove_index(struct fixture *f)
{
	char path[128];

	tier_path(f, "index", path);
	assert_int_equal(unlink(path), 0);
}

static void write_index(struct fixture *f, off_t at, const char *bytes, size_t len)
{
	char path[128];

	tier_path(f, "index", path);
	AUTO(close) int fd = open(path, O_WRONLY);

	assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
}

static void index_of_another_version(struct fixture *f)
{
	write_index(f, offsetof(struct index_header, format), "\x7f", 1);
}

static void index_of_something_else(struct fixture *f)
{
	write_index(f, 0, "PK\3\4", 4);
}

static void index_is_a_folder(struct fixture *f)
{
	char path[128];

	remove_index(f);
	tier_path(f, "index", path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void empty_index(struct fixture *f)
{
	char path[128];

	tier_path(f, "index", path);
	assert_int_equal(truncate(path, 0), 0);
}

/* The first half of the records again at the end: they name places that are others' by now. */
static void old_records_again(struct fixture *f)
{
	char path[128], buf[4096];

	tier_path(f, "index", path);
	AUTO(close) int fd = open(path, O_RDWR | O_APPEND);
	ssize_t n = pread(fd, buf, sizeof(buf), sizeof(struct index_header));

	assert_true(n > 200);
	assert_int_equal(write(fd, buf, (size_t)n / 2), n / 2);
}

static void leave_unfinished_index(struct fixture *f)
{
	char path[128];

	tier_path(f, "index.tmp", path);
	AUTO(close) int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, "feedrate", 8), 8);
}

/* Whatever was damaged: right bytes from the first read on, what is none of ours stays, and the tier works again. */
static void check_damage(void (*damage_it)(struct fixture *f))
{
	struct fixture f;
	char path[128];
	struct stat st;

	open_first(&f, "");
	warm_all(&f);
	tier_path(&f, "notes.txt", path);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	close_stack(&f);
	damage_it(&f);
	open_again(&f);
	read_all(&f); /* checks every byte */
	read_all(&f);
	warm_all(&f);
	close_stack(&f);
	open_again(&f);
	assert_in_range(count_held(&f), FILES - 1, FILES);
	assert_int_equal(stat(path, &st), 0);
	close_last(&f);
}

static void test_each_kind_of_damage_gives_no_wrong_byte(void **state)
{
	static void (*const damages[])(struct fixture *) = {cut_segment, remove_segment,
		clear_segment, swap_objects, remove_index, index_of_another_version,
		index_of_something_else, empty_index, old_records_again, leave_unfinished_index};

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++)
		check_damage(damages[i]);
}

static void test_object_that_is_a_folder_is_gone_round(void **state)
{
	struct fixture f;

	open_first(&f, "");
	warm_all(&f);
	close_stack(&f);
	object_is_a_folder(&f);
	open_again(&f);
	read_all(&f);
	assert_in_range(count_held(&f), FILES - 10, FILES);
	close_last(&f);
}

static void test_index_that_cannot_be_written_is_told(void **state)
{
	struct fixture f;
	struct null_origin *origin = null_origin_new(FILES, 10, size_of);
	struct err err = {0};

	open_first(&f, "");
	close_stack(&f);
	index_is_a_folder(&f);
	f.cfg = test_config("cache.stack=mem,disk mem.capacity=0");
	assert_int_equal(config_set(f.cfg, "disk.path", f.dir, "test", &err), 0);
	assert_null(stack_open_over(f.cfg, &origin->base, "null", &err));
	assert_non_null(strstr(err.msg, "index: Is a directory"));
	config_free(f.cfg);
	file_remove_tree(f.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind_of_damage_gives_no_wrong_byte),
		cmocka_unit_test(test_object_that_is_a_folder_is_gone_round),
		cmocka_unit_test(test_index_that_cannot_be_written_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
