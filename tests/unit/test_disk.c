/* SPDX-License-Identifier: Apache-2.0 */
/* The disk tier: what survives a restart, a kill, a damaged index, damaged data and a full disk. */
#include "tests/test_disk.h"

#include "cachefs/stores/disk_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <linux/magic.h>

static void test_blocks_survive_a_restart(void **state)
{
	struct fixture f;

	open_first(&f, "");
	warm_all(&f);
	close_stack(&f);
	open_again(&f);
	assert_int_equal(count_held(&f), FILES);
	assert_int_equal(f.origin->fetches, 0);
	assert_int_equal(test_counter(f.stack, "disk", "fills"), 0);
	close_last(&f);
}

/* Nothing goes while the index is read back, which fills the tier far above the watermark. */
static void test_watermarks_count_once_all_is_restored(void **state)
{
	struct fixture f;

	open_first(&f, "");
	for (int round = 0; round < 5; round++) {
		f.settings = "";
		warm_all(&f);
		close_stack(&f);
		f.settings = "cache.watermark_high=0.02 cache.watermark_low=0.01";
		open_again(&f);
		for (int i = 0; i < 5000 && test_counter(f.stack, "disk", "used_bytes") > 1 << 20;
			i++)
			usleep(1000);
		assert_in_range(test_counter(f.stack, "disk", "used_bytes"), 0, 1 << 20);
		assert_int_equal(test_counter(f.stack, "disk", "crc_errors"), 0);
		read_all(&f);
		close_stack(&f);
		f.settings = "";
		open_again(&f);
	}
	close_last(&f);
}

static void test_async_fills_are_written_at_close(void **state)
{
	struct fixture f;

	open_first(&f, "cache.fill=async cache.fill_queue=512");
	read_all(&f);
	close_stack(&f);
	open_again(&f);
	assert_in_range(count_held(&f), FILES / 2, FILES);
	close_last(&f);
}

static void test_dropped_stays_dropped(void **state)
{
	struct fixture f;

	open_first(&f, "");
	warm_all(&f);
	store_drop(stack_top(f.stack), "d1");
	assert_int_equal(count_held(&f), FILES - 10);
	close_stack(&f);
	open_again(&f);
	assert_int_equal(count_held(&f), FILES - 10);
	close_last(&f);
}

static void test_another_block_size_starts_empty(void **state)
{
	struct fixture f;

	open_first(&f, "");
	warm_all(&f);
	close_stack(&f);
	f.settings = "cache.block_size=256K";
	open_again(&f);
	assert_int_equal(count_held(&f), 0);
	assert_int_equal(test_counter(f.stack, "disk", "used_bytes"), 0);
	warm_all(&f);
	assert_int_equal(count_held(&f), FILES);
	close_last(&f);
}

static void test_torn_index_keeps_what_is_whole(void **state)
{
	struct fixture f;
	struct stat st;
	char path[128];

	open_first(&f, "");
	warm_all(&f);
	close_stack(&f);
	tier_path(&f, "index", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 5), 0);
	open_again(&f);
	assert_int_equal(count_held(&f), FILES - 1);
	warm_all(&f);
	close_stack(&f);
	open_again(&f);
	assert_int_equal(count_held(&f), FILES);
	close_last(&f);
}

static void test_garbled_index_gives_no_wrong_byte(void **state)
{
	struct fixture f;
	char path[128];

	open_first(&f, "");
	for (int round = 0; round < 8; round++) {
		warm_all(&f);
		close_stack(&f);
		tier_path(&f, "index", path);
		int fd = open(path, O_RDWR);
		struct stat st;

		fstat(fd, &st);
		for (int i = 0; i < 4; i++) {
			off_t at = 24 + (round * 7919 + i * 104729) % (st.st_size - 24);

			assert_int_equal(pwrite(fd, "\xff\x00\x5a", 3, at), 3);
		}
		close(fd);
		open_again(&f);
		assert_in_range(count_held(&f), 1, FILES - 1);
	}
	close_last(&f);
}

static void test_rot_is_noticed_and_fetched_again(void **state)
{
	struct fixture f;
	char path[128], name[32];
	struct object obj;

	open_first(&f, "");
	null_origin_object(f.origin, 1, name, &obj);
	assert_int_equal(stack_warm(f.stack, &obj, NULL), 0);
	assert_int_equal(f.origin->fetches, 1);
	tier_path(&f, "seg-00000000", path);
	damage(path, 3000);
	assert_int_equal(test_read(f.stack, &obj, 0, (size_t)obj.size), 0); /* right bytes */
	assert_int_equal(f.origin->fetches, 2);
	assert_int_equal(test_counter(f.stack, "disk", "crc_errors"), 1);
	assert_int_equal(stack_warm(f.stack, &obj, NULL), 0); /* written again by now, or soon */
	assert_true(test_held(f.stack, &obj, 0, (size_t)obj.size));
	close_last(&f);
}

static void test_capacity_holds_on_disk(void **state)
{
	struct fixture f;

	open_first(&f, "disk.capacity=8M");
	for (int round = 0; round < 3; round++) {
		warm_all(&f);
		assert_in_range(test_counter(f.stack, "disk", "used_bytes"), 6 << 20, 8 << 20);
		assert_in_range(usage(&f), 6 << 20, (8 << 20) + (256 << 10));
	}
	assert_true(test_counter(f.stack, "disk", "evictions") > 20);
	close_stack(&f);
	f.settings = "disk.capacity=2M";
	open_again(&f);
	assert_in_range(test_counter(f.stack, "disk", "used_bytes"), 1 << 20, 2 << 20);
	read_all(&f);
	close_last(&f);
}

static void test_policy_none_keeps_what_came_first(void **state)
{
	struct fixture f;
	char name[32];
	struct object obj;

	open_first(&f, "disk.capacity=4M cache.policy=none");
	read_all(&f);
	null_origin_object(f.origin, 0, name, &obj);
	assert_true(test_held(f.stack, &obj, 0, (size_t)obj.size));
	assert_int_equal(test_counter(f.stack, "disk", "evictions"), 0);
	assert_true(test_counter(f.stack, "disk", "bypasses") > 0);
	close_last(&f);
}

static void test_second_user_is_refused(void **state)
{
	struct fixture f;
	struct null_origin *other = null_origin_new(FILES, 10, size_of);
	struct err err = {0};

	open_first(&f, "");
	assert_null(stack_open_over(f.cfg, &other->base, "null", &err));
	assert_non_null(strstr(err.msg, "in use by another cachefs"));
	close_last(&f);
}

static void test_folder_is_private(void **state)
{
	struct fixture f;
	struct stat st;
	char path[128];

	open_first(&f, "");
	tier_path(&f, "", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	close_last(&f);
}

static uint64_t size_of_many(int file)
{
	return PACKED_MAX + 1;
}

/* Those past the page cache count, too: what the tier leaves of the limit is the streams'. */
static void test_descriptors_are_bounded(void **state)
{
	enum { MANY = 80 };
	struct rlimit all, few = {.rlim_cur = 130};
	struct fixture f = {.dir = "/tmp/disk-XXXXXX"};
	char settings[256], name[32];
	struct object obj;
	int used = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	few.rlim_max = all.rlim_max;
	assert_non_null(mkdtemp(f.dir));
	snprintf(settings, sizeof(settings),
		"cache.stack=mem,disk mem.capacity=0 disk.path=%s disk.page_cache=drop cache.fill=sync",
		f.dir);
	f.cfg = test_config(settings);
	f.origin = null_origin_new(MANY, 10, size_of_many);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	f.stack = test_stack(f.cfg, f.origin);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	for (int i = 0; i < MANY; i++) {
		null_origin_object(f.origin, i, name, &obj);
		assert_int_equal(stack_warm(f.stack, &obj, NULL), 0);
		assert_true(test_held(f.stack, &obj, 0, (size_t)obj.size));
	}
	for (int fd = 0; fd < 1000; fd++)
		used += fcntl(fd, F_GETFD) >= 0;
	assert_in_range(used, 0, 65 + 20);
	close_last(&f);
}

static void test_unwritable_tier_is_gone_round(void **state)
{
	struct fixture f;
	char path[128], name[32];
	struct object obj;

	open_first(&f, "");
	tier_path(&f, "seg-00000000", path);
	assert_int_equal(mkdir(path, 0700), 0); /* opening the segment will fail */
	null_origin_object(f.origin, 1, name, &obj);
	assert_int_equal(test_read(f.stack, &obj, 0, (size_t)obj.size), 0);
	for (int i = 0; i < 2000 && test_counter(f.stack, "disk", "bypasses") < 1; i++)
		usleep(1000); /* the read was answered before the block was written */
	assert_int_equal(test_counter(f.stack, "disk", "bypasses"), 1);
	assert_true(test_counter(f.stack, "disk", "errors") > 0);
	assert_int_equal(test_counter(f.stack, "disk", "used_bytes"), 0);
	close_last(&f);
}

static uint64_t small(int file)
{
	return 200 + (uint64_t)file % 3000;
}

static void test_index_is_compacted(void **state)
{
	struct fixture f = {.dir = "/tmp/disk-XXXXXX"};
	char path[128], name[32], settings[256];
	struct object obj;
	struct stat st;
	off_t largest = 0;

	assert_non_null(mkdtemp(f.dir));
	snprintf(settings, sizeof(settings),
		"cache.stack=disk mem.capacity=0 cache.fill=sync disk.path=%s disk.capacity=256K",
		f.dir);
	f.cfg = test_config(settings);
	f.origin = null_origin_new(4000, 10, small);
	f.stack = test_stack(f.cfg, f.origin);
	tier_path(&f, "index", path);
	for (int i = 0; i < 12000; i++) {
		null_origin_object(f.origin, i % 4000, name, &obj);
		assert_int_equal(stack_warm(f.stack, &obj, NULL), 0);
		if (i % 100 == 0 && !stat(path, &st) && st.st_size > largest)
			largest = st.st_size;
	}
	assert_in_range(largest, 256 << 10, 300 << 10); /* 24,000 records are 2 MB */
	close_stack(&f);
	f.cfg = test_config(settings);
	f.origin = null_origin_new(4000, 10, small);
	f.stack = test_stack(f.cfg, f.origin);
	assert_int_equal(test_counter(f.stack, "disk", "blocks"), 64);
	null_origin_object(f.origin, 3999, name, &obj);
	assert_true(test_held(f.stack, &obj, 0, (size_t)obj.size));
	close_last(&f);
}

/* A real full disk: a tmpfs of 2 MiB, where that is allowed. */
static void test_full_disk_is_gone_round(void **state)
{
	struct fixture f = {.dir = "/tmp/disk-XXXXXX", .settings = ""};

	assert_non_null(mkdtemp(f.dir));
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", f.dir, "tmpfs", 0, "size=2M") < 0) {
		rmdir(f.dir);
		skip();
	}
	open_again(&f);
	for (int round = 0; round < 2; round++)
		read_all(&f);
	assert_true(test_counter(f.stack, "disk", "bypasses") > 0);
	assert_true(count_held(&f) > 0);
	close_stack(&f);
	open_again(&f);
	count_held(&f); /* what is found is right */
	close_stack(&f);
	umount(f.dir);
	rmdir(f.dir);
}

static void test_page_cache_drop_gives_the_same_bytes(void **state)
{
	struct fixture f;

	open_first(&f, "disk.page_cache=drop");
	warm_all(&f);
	assert_int_equal(count_held(&f), FILES);
	close_last(&f);
}

/* ---- reading around ---- */

/* What was written goes to the disk and out of the page cache; false: the filesystem keeps it (tmpfs). */
static bool make_cold(struct fixture *f)
{
	char path[128];
	struct statfs st;

	tier_path(f, "seg-00000000", path);
	AUTO(close) int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	fsync(fd);
	return !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) && !fstatfs(fd, &st) &&
	       st.f_type != TMPFS_MAGIC;
}

static void read_file(struct fixture *f, int n)
{
	char name[32];
	struct object obj;

	null_origin_object(f->origin, n, name, &obj);
	assert_true(test_held(f->stack, &obj, 0, (size_t)obj.size));
}

/* Opens a tier with cold small files; all of them lie in the first 4 MiB of a segment. */
static void open_cold(struct fixture *f, const char *settings)
{
	open_first(f, settings);
	warm_all(f);
	if (make_cold(f))
		return;
	close_last(f);
	skip();
}

static void test_neighbours_are_read_along(void **state)
{
	struct fixture f;

	open_cold(&f, "disk.read_around=64M");
	read_file(&f, 0);
	assert_int_equal(test_counter(f.stack, "disk", "read_around_bytes"), 1 << 20);
	for (int i = 1; i < 10; i++)
		if (i % 4 != 3) /* small ones */
			read_file(&f, i);
	assert_int_equal(test_counter(f.stack, "disk", "read_around_bytes"), 1 << 20);
	close_last(&f);
}

static void test_reading_around_ends_with_its_credit(void **state)
{
	struct fixture f;

	open_cold(&f, "disk.read_around=1M");
	for (int i = 36; i >= 0; i -= 4) /* far apart first, so nothing is paid back */
		read_file(&f, i);
	assert_int_equal(test_counter(f.stack, "disk", "read_around_bytes"), 1 << 20);
	close_last(&f);
}

static void test_nothing_is_read_along_where_nothing_may_stay(void **state)
{
	static const char *const settings[] = {"disk.read_around=0", "disk.page_cache=drop"};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		struct fixture f;

		open_cold(&f, settings[i]);
		assert_int_equal(count_held(&f), FILES);
		assert_int_equal(test_counter(f.stack, "disk", "read_around_bytes"), 0);
		close_last(&f);
	}
}

/* Bytes of the first segment in the page cache. */
static size_t resident(struct fixture *f)
{
	unsigned char page[4096];
	char path[128];
	struct stat st;
	size_t n = 0;

	tier_path(f, "seg-00000000", path);
	AUTO(close) int fd = open(path, O_RDONLY);

	assert_int_equal(fstat(fd, &st), 0);
	assert_in_range(st.st_size, 1 << 20, sizeof(page) * 4096);
	void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mincore(map, (size_t)st.st_size, page), 0);
	munmap(map, (size_t)st.st_size);
	for (off_t i = 0; i < (st.st_size + 4095) / 4096; i++)
		n += page[i] & 1 ? 4096 : 0;
	return n;
}

static void test_what_was_read_does_not_stay_a_second_time(void **state)
{
	static const struct {
		const char *settings;
		size_t least, most; /* of 2.9 MB */
	} cases[] = {{"disk.page_cache=drop", 0, 0},
		{"disk.page_cache=auto disk.read_around=0", 0, 0},
		{"disk.page_cache=auto", 0, 400 << 10}, {"disk.page_cache=keep", 2 << 20, 4 << 20},
		{"disk.page_cache=auto fuse.open_mode=direct", 2 << 20, 4 << 20}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture f;

		open_cold(&f, cases[i].settings);
		assert_int_equal(resident(&f), 0);
		assert_int_equal(count_held(&f), FILES);
		assert_in_range(resident(&f), cases[i].least, cases[i].most);
		close_last(&f);
	}
}

/* Every way of reading gives the right bytes, cold and again. */
static void test_all_ways_of_reading_agree(void **state)
{
	static const char *const settings[] = {"disk.page_cache=keep", "disk.page_cache=drop",
		"disk.page_cache=auto", "disk.page_cache=auto fuse.open_mode=direct",
		"disk.page_cache=auto disk.read_around=0",
		"disk.page_cache=drop disk.read_around=8M"};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		struct fixture f;

		open_first(&f, settings[i]);
		warm_all(&f);
		make_cold(&f);
		assert_int_equal(count_held(&f), FILES);
		assert_int_equal(count_held(&f), FILES);
		assert_int_equal(test_counter(f.stack, "disk", "crc_errors"), 0);
		close_last(&f);
	}
}

/* A child fills and evicts until it is ended at some moment; what it left has to be right. */
static void kill_once(struct fixture *f, int round)
{
	pid_t pid = fork();

	if (!pid) {
		open_again(f);
		for (int i = 0; i < 200; i++) {
			char name[32];
			struct object obj;

			if (i == 10 + round * 17)
				_exit(0);
			null_origin_object(f->origin, i * 7 % FILES, name, &obj);
			test_read(f->stack, &obj, 0, (size_t)obj.size);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_killed_at_any_time_gives_no_wrong_byte(void **state)
{
	struct fixture f;

	open_first(&f, "cache.fill=async disk.capacity=9M mem.capacity=4M");
	close_stack(&f);
	for (int round = 0; round < 10; round++) {
		kill_once(&f, round);
		open_again(&f);
		assert_in_range(count_held(&f), 1, FILES); /* checks every byte */
		assert_in_range(usage(&f), 0, (9 << 20) + (256 << 10));
		close_stack(&f);
	}
	file_remove_tree(f.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_survive_a_restart),
		cmocka_unit_test(test_watermarks_count_once_all_is_restored),
		cmocka_unit_test(test_async_fills_are_written_at_close),
		cmocka_unit_test(test_dropped_stays_dropped),
		cmocka_unit_test(test_another_block_size_starts_empty),
		cmocka_unit_test(test_torn_index_keeps_what_is_whole),
		cmocka_unit_test(test_garbled_index_gives_no_wrong_byte),
		cmocka_unit_test(test_rot_is_noticed_and_fetched_again),
		cmocka_unit_test(test_capacity_holds_on_disk),
		cmocka_unit_test(test_policy_none_keeps_what_came_first),
		cmocka_unit_test(test_second_user_is_refused),
		cmocka_unit_test(test_folder_is_private),
		cmocka_unit_test(test_descriptors_are_bounded),
		cmocka_unit_test(test_unwritable_tier_is_gone_round),
		cmocka_unit_test(test_index_is_compacted),
		cmocka_unit_test(test_full_disk_is_gone_round),
		cmocka_unit_test(test_page_cache_drop_gives_the_same_bytes),
		cmocka_unit_test(test_neighbours_are_read_along),
		cmocka_unit_test(test_reading_around_ends_with_its_credit),
		cmocka_unit_test(test_nothing_is_read_along_where_nothing_may_stay),
		cmocka_unit_test(test_what_was_read_does_not_stay_a_second_time),
		cmocka_unit_test(test_all_ways_of_reading_agree),
		cmocka_unit_test(test_killed_at_any_time_gives_no_wrong_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
