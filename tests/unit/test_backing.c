/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the disk tier that the kernel reads by itself: whole and verified, never written again. */
#include "tests/test_disk.h"

#include <sys/resource.h>

#define LARGE 7 /* number of an object with a file of its own */

static int back(struct fixture *f, int n, int *ret_fd)
{
	char name[32];
	struct object obj;

	null_origin_object(f->origin, n, name, &obj);
	return store_backing(stack_top(f->stack), &obj, ret_fd);
}

/* Every byte of object n is what fd reads. */
static void assert_backs(struct fixture *f, int n, int fd)
{
	char name[32];
	struct object obj;
	struct stat st;

	null_origin_object(f->origin, n, name, &obj);
	AUTO(free) char *buf = malloc(obj.size);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, obj.size);
	assert_int_equal(file_pread_all(fd, buf, obj.size, 0), 0);
	assert_true(null_origin_right(&obj, 0, buf, obj.size));
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
}

static void warm_one(struct fixture *f, int n)
{
	char name[32];
	struct object obj;

	null_origin_object(f->origin, n, name, &obj);
	assert_int_equal(stack_warm(f->stack, &obj, NULL), 0);
}

static void test_whole_files_are_lent(void **state)
{
	struct fixture f;
	struct object obj;
	char name[32];
	int fd;

	open_first(&f, "");
	assert_int_equal(back(&f, LARGE, &fd), -EAGAIN);
	null_origin_object(f.origin, LARGE, name, &obj);
	assert_int_equal(test_read(f.stack, &obj, 0, 10), 0); /* a part of it */
	assert_int_equal(back(&f, LARGE, &fd), -EAGAIN);
	warm_all(&f);
	assert_int_equal(back(&f, LARGE - 1, &fd), -ENOTSUP); /* packed with others */
	for (int n = 3; n < FILES; n += 4) {
		assert_int_equal(back(&f, n, &fd), 0);
		assert_backs(&f, n, fd);
		close(fd);
	}
	assert_int_equal(store_backing(stack_top(f.stack), NULL, &fd), 0);
	close(fd);
	assert_int_equal(count_held(&f), FILES);
	close_last(&f);
}

static void test_lent_files_go_whole(void **state)
{
	struct fixture f;
	int fd[2];

	open_first(&f, "disk.capacity=16M");
	for (int i = 0; i < 2; i++) {
		warm_one(&f, 3 + 4 * i);
		assert_int_equal(back(&f, 3 + 4 * i, &fd[i]), 0);
	}
	for (int round = 0; round < 3; round++)
		warm_all(&f); /* does not fit */
	assert_in_range(test_counter(f.stack, "disk", "used_bytes"), 12 << 20, 16 << 20);
	store_drop(stack_top(f.stack), "");
	assert_int_equal(test_counter(f.stack, "disk", "used_bytes"), 0);
	assert_in_range(usage(&f), 0, 1 << 20);
	for (int i = 0; i < 2; i++) {
		assert_backs(&f, 3 + 4 * i, fd[i]);
		close(fd[i]);
	}
	warm_one(&f, 3); /* into another file */
	assert_int_equal(back(&f, 3, &fd[0]), 0);
	assert_backs(&f, 3, fd[0]);
	close(fd[0]);
	close_last(&f);
}

/* What is in short supply for a moment is no reason to give a whole file up. */
static void test_no_descriptor_is_no_loss(void **state)
{
	struct rlimit all, none;
	struct fixture f;
	int fd;

	open_first(&f, "");
	warm_one(&f, 3);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit){0, all.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int r = back(&f, 3, &fd);

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(r, -EMFILE);
	assert_int_equal(test_counter(f.stack, "disk", "crc_errors"), 0);
	assert_int_equal(back(&f, 3, &fd), 0);
	assert_backs(&f, 3, fd);
	close(fd);
	close_last(&f);
}

/* An open counts as a use: what was opened last stays. */
static void test_lending_counts_as_a_use(void **state)
{
	struct fixture f;
	int fd;

	open_first(&f, "disk.capacity=16M");
	for (int n = 3; n <= 11; n += 4)
		warm_one(&f, n);
	for (int n = 3; n <= 11; n += 4) {
		assert_int_equal(back(&f, n, &fd), 0);
		close(fd);
	}
	assert_int_equal(back(&f, 3, NULL), 0);
	for (int n = 15; n <= 23; n += 4)
		warm_one(&f, n);
	assert_int_equal(back(&f, 7, &fd), -EAGAIN);
	assert_int_equal(back(&f, 3, &fd), 0);
	assert_backs(&f, 3, fd);
	close(fd);
	close_last(&f);
}

static void test_unverified_files_are_not_lent(void **state)
{
	struct fixture f;
	int fd;

	open_first(&f, "disk.scrub=0");
	warm_all(&f);
	close_stack(&f);
	open_again(&f);
	assert_int_equal(back(&f, LARGE, &fd), -EINPROGRESS);
	assert_int_equal(count_held(&f), FILES);
	assert_int_equal(back(&f, LARGE, &fd), -EINPROGRESS);
	assert_int_equal(test_counter(f.stack, "disk", "scrubbed_bytes"), 0);
	close_stack(&f);
	f.settings = "disk.scrub=1G";
	open_again(&f);
	for (int i = 0; i < 5000 && back(&f, LARGE, NULL); i++)
		usleep(1000);
	assert_int_equal(back(&f, LARGE, &fd), 0);
	assert_backs(&f, LARGE, fd);
	close(fd);
	for (int i = 0; i < 5000 && back(&f, 39, NULL); i++)
		usleep(1000);
	for (int i = 0; i < 5000 && test_counter(f.stack, "disk", "unverified_blocks") > 30; i++)
		usleep(1000);
	assert_int_equal(test_counter(f.stack, "disk", "unverified_blocks"), 30); /* the packed */
	close_last(&f);
}

/* Who was lent a file before a restart may read it still. */
static void test_sealed_files_stay_sealed(void **state)
{
	struct fixture f;
	int fd;

	open_first(&f, "");
	warm_all(&f);
	assert_int_equal(back(&f, LARGE, &fd), 0);
	close_stack(&f);
	f.settings = "disk.capacity=7M disk.scrub=0";
	open_again(&f); /* most of it has no room now */
	for (int round = 0; round < 2; round++)
		warm_all(&f);
	assert_backs(&f, LARGE, fd);
	close(fd);
	close_last(&f);
}

static void test_sealed_file_without_a_block_goes(void **state)
{
	struct fixture f;
	struct stat st;
	char path[128];
	int fd;

	open_first(&f, "");
	warm_one(&f, LARGE);
	assert_int_equal(back(&f, LARGE, &fd), 0);
	close_stack(&f);
	tier_path(&f, "index", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 5), 0); /* its last block is not known */
	open_again(&f);
	assert_int_equal(test_counter(f.stack, "disk", "used_bytes"), 0);
	warm_one(&f, LARGE);
	assert_backs(&f, LARGE, fd);
	close(fd);
	assert_int_equal(back(&f, LARGE, &fd), 0);
	assert_backs(&f, LARGE, fd);
	close(fd);
	close_last(&f);
}

static void test_scrub_finds_rot(void **state)
{
	struct fixture f;
	char path[128];
	int fd;

	open_first(&f, "");
	warm_one(&f, LARGE);
	close_stack(&f);
	tier_path(&f, "obj-00000000", path);
	damage(path, 2 << 20);
	open_again(&f);
	assert_int_equal(back(&f, LARGE, &fd), -EINPROGRESS);
	for (int i = 0; i < 5000 && test_counter(f.stack, "disk", "crc_errors") < 1; i++)
		usleep(1000);
	assert_int_equal(test_counter(f.stack, "disk", "crc_errors"), 1);
	assert_true(back(&f, LARGE, &fd) < 0);
	for (int i = 0; i < 5000 && back(&f, LARGE, NULL); i++) {
		warm_one(&f, LARGE);
		usleep(1000);
	}
	assert_int_equal(back(&f, LARGE, &fd), 0);
	assert_backs(&f, LARGE, fd);
	close(fd);
	close_last(&f);
}

/* Of a sealed file one wrong chunk is enough for all of it to go: it is not written again. */
static void test_rot_in_a_sealed_file(void **state)
{
	struct fixture f;
	char path[128], name[32];
	struct object obj;
	int fd;

	open_first(&f, "");
	warm_one(&f, LARGE);
	assert_int_equal(back(&f, LARGE, &fd), 0);
	tier_path(&f, "obj-00000000", path);
	damage(path, 2 << 20);
	null_origin_object(f.origin, LARGE, name, &obj);
	assert_int_equal(test_read(f.stack, &obj, 0, (size_t)obj.size), 0); /* right bytes */
	assert_true(access(path, F_OK) < 0);
	warm_one(&f, LARGE);
	close(fd);
	assert_int_equal(back(&f, LARGE, &fd), 0);
	assert_backs(&f, LARGE, fd);
	close(fd);
	close_last(&f);
}

static void test_layers_above_and_drop_switch_it_off(void **state)
{
	static const char *const off[] = {"cache.stack=mem,throttle,disk",
		"cache.stack=mem,delay,disk", "cache.stack=mem,fault,disk", "disk.page_cache=drop"};
	struct fixture f;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		open_first(&f, off[i]);
		warm_all(&f);
		assert_int_equal(back(&f, LARGE, &fd), -ENOTSUP);
		assert_int_equal(store_backing(stack_top(f.stack), NULL, &fd), -ENOTSUP);
		close_last(&f);
	}
}

/* Lent, read, dropped and filled by many at once. */
struct lending {
	struct fixture *f;
	int64_t until_ns;
	int number;
};

static void *lend_and_drop(void *arg)
{
	struct lending *l = arg;
	char name[32];

	for (int i = l->number; clock_now_ns() < l->until_ns; i++) {
		int n = 3 + 4 * (i * 7 % 10), fd;
		struct object obj;

		null_origin_object(l->f->origin, n, name, &obj);
		if (i % 3 == 0)
			stack_warm(l->f->stack, &obj, NULL);
		else if (i % 11 == 0)
			store_drop(stack_top(l->f->stack), name);
		else if (i % 3 == 1)
			assert_int_equal(test_read(l->f->stack, &obj, 0, (size_t)obj.size), 0);
		else if (!back(l->f, n, &fd)) {
			assert_backs(l->f, n, fd);
			close(fd);
		}
	}
	return NULL;
}

static void test_lent_by_many_at_once(void **state)
{
	struct lending lending[4];
	pthread_t thread[4];
	struct fixture f;

	open_first(&f, "disk.capacity=16M cache.fill=async mem.capacity=4M");
	for (int i = 0; i < 4; i++) {
		lending[i] = (struct lending){&f, clock_now_ns() + 300 * NSEC_PER_MSEC, i};
		pthread_create(&thread[i], NULL, lend_and_drop, &lending[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	close_last(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_files_are_lent),
		cmocka_unit_test(test_lent_files_go_whole),
		cmocka_unit_test(test_no_descriptor_is_no_loss),
		cmocka_unit_test(test_lending_counts_as_a_use),
		cmocka_unit_test(test_unverified_files_are_not_lent),
		cmocka_unit_test(test_sealed_files_stay_sealed),
		cmocka_unit_test(test_sealed_file_without_a_block_goes),
		cmocka_unit_test(test_scrub_finds_rot),
		cmocka_unit_test(test_rot_in_a_sealed_file),
		cmocka_unit_test(test_layers_above_and_drop_switch_it_off),
		cmocka_unit_test(test_lent_by_many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
