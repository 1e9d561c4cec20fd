/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts of common: messages, histogram, token bucket, CRC32C, counters, files, log lines. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/bucket.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/counters.h"
#include "common/crc32c.h"
#include "common/hist.h"
#include "common/log.h"

static void the_nearest_word_is_near(void **state)
{
	static const char *const words[] = {"lru", "none", "s3fifo", NULL};

	assert_string_equal(err_nearest("lur", words, 3), "lru");
	assert_string_equal(err_nearest("s3fif", words, SIZE_MAX), "s3fifo");
	assert_null(err_nearest("clairvoyant", words, 3));
	assert_null(err_nearest("", words, 0));
}

static void a_word_too_long_is_near_nothing(void **state)
{
	char typed[200];
	const char *const words[] = {typed};

	memset(typed, 'a', sizeof(typed) - 1);
	typed[sizeof(typed) - 1] = '\0';
	assert_null(err_nearest(typed, words, 1));
}

static void a_long_message_is_cut(void **state)
{
	struct err err;
	char longer[2 * sizeof(err.msg)];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_set(&err, EIO, "%s", longer);
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	err_prefix(&err, -EIO, "x");
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_memory_equal(err.msg, "x: aaa", 6);
}

static void a_prefix_goes_before_the_message(void **state)
{
	struct err err = {""};

	assert_int_equal(err_set(&err, EIO, "b %d", 1), -EIO);
	assert_int_equal(err_prefix(&err, -EIO, "a"), -EIO);
	assert_string_equal(err.msg, "a: b 1");
}

/* Test vectors of RFC 3720, appendix B.4. */
static void crc32c_agrees_with_rfc_3720(void **state)
{
	unsigned char zeros[32] = {0}, ones[32], up[32];

	memset(ones, 0xff, sizeof(ones));
	for (int i = 0; i < 32; i++)
		up[i] = (unsigned char)i;
	assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa);
	assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
	assert_int_equal(crc32c(0, up, 32), 0x46dd794e);
	assert_int_equal(crc32c(crc32c(0, up, 11), up + 11, 21), 0x46dd794e);
}

static void counters_print_by_group(void **state)
{
	static struct counter_set set;

	counter_add(&set, LAYER_reads, 2);
	counter_add(&set, LAYER_reads, 3);
	counter_put(&set, FUSE_threads, 7);
	json_t *layer = counters_to_json(&set, GROUP_LAYER);
	json_t *fuse = counters_to_json(&set, GROUP_FUSE);

	assert_int_equal(json_integer_value(json_object_get(layer, "reads")), 5);
	assert_int_equal(json_integer_value(json_object_get(fuse, "threads")), 7);
	assert_int_equal(json_integer_value(json_object_get(fuse, "reads")), 0);
	assert_null(json_object_get(layer, "threads"));
	json_decref(layer);
	json_decref(fuse);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void quantiles_are_within_a_bucket(void **state)
{
	enum { N = 10000 };
	static int64_t samples[N];
	static struct hist h;
	uint64_t x = 12345;

	for (int i = 0; i < N; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		samples[i] = (int64_t)(x >> (30 + (x & 15)));
		hist_add(&h, samples[i]);
	}
	qsort(samples, N, sizeof(samples[0]), compare);
	for (int q = 1; q < 100; q++) {
		int64_t exact = samples[N * q / 100 - 1], got = hist_quantile_ns(&h, q / 100.0);

		assert_true(llabs(got - exact) <= exact / 15 + 1);
	}
	hist_reset(&h);
	assert_int_equal(hist_quantile_ns(&h, 0.5), -1);
}

static void merged_histograms_hold_both(void **state)
{
	static struct hist a, b;

	for (int i = 0; i < 99; i++)
		hist_add(&a, 10);
	hist_add(&b, -5);               /* counts as 0 */
	hist_add(&b, INT64_C(1) << 50); /* beyond the last bucket */
	hist_merge(&a, &b);
	assert_int_equal(a.count, 101);
	assert_int_equal(a.max_ns, INT64_C(1) << 50);
	assert_int_equal(hist_quantile_ns(&a, 0), 0);
	assert_int_equal(hist_quantile_ns(&a, 0.5), 10);
	assert_true(hist_quantile_ns(&a, 1) > INT64_C(1) << 39);
}

static void a_bucket_delivers_its_rate(void **state)
{
	struct bucket b;
	int64_t start = clock_now_ns() + 1000, until = start;

	bucket_init(&b, 1e6, 50 * NSEC_PER_MSEC);
	for (int i = 0; i < 1000; i++)
		until = bucket_charge(&b, 1000, start); /* all at once */
	assert_true(llabs(until - start - NSEC_PER_SEC) < NSEC_PER_MSEC);
	/* Idle for 10 s: credit is the burst and no more. */
	until = bucket_charge(&b, 100000, start + 10 * NSEC_PER_SEC);
	assert_int_equal(until, start + 10 * NSEC_PER_SEC + 50 * NSEC_PER_MSEC);
}

static void an_unlimited_bucket_never_waits(void **state)
{
	struct bucket b;

	bucket_init(&b, 0, 0);
	assert_int_equal(bucket_charge(&b, UINT64_MAX, 5), 5);
	assert_int_equal(bucket_wait(&b, UINT64_MAX), 0);
}

static struct bucket shared;
static _Atomic int64_t latest;
static pthread_barrier_t all_there;

static void *charge_many(void *arg)
{
	pthread_barrier_wait(&all_there);
	for (int i = 0; i < 100000; i++) {
		int64_t until = bucket_charge(&shared, 1, *(int64_t *)arg), seen = latest;

		while (until > seen && !atomic_compare_exchange_weak(&latest, &seen, until))
			;
	}
	return NULL;
}

static void threads_share_a_rate(void **state)
{
	pthread_t threads[4];
	int64_t start;

	bucket_init(&shared, 400000, 0);
	start = shared.paid_until_ns;
	assert_int_equal(pthread_barrier_init(&all_there, NULL, 4), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, charge_many, &start), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_there);
	assert_int_equal(latest - start, NSEC_PER_SEC);
}

static int entries_of(const char *path)
{
	AUTO(closedir) DIR *dir = opendir(path);
	struct dirent *entry;
	int n = 0;

	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	return n;
}

static void a_file_is_replaced_at_once(void **state)
{
	char *dir = scratch_make();
	AUTO(free) char *path = scratch_file(dir, "x", "old");
	AUTO(free) char *text = NULL;
	size_t len;

	assert_int_equal(file_write_atomic(path, "new", 3, 0644, NULL), 0);
	assert_int_equal(file_read(path, 100, &text, &len), 0);
	assert_string_equal(text, "new");
	assert_int_equal(entries_of(dir), 1);
	scratch_remove(dir);
}

/* A limit on the size of files makes write(2) stop half way, as a full disk does. */
static void a_failed_write_leaves_the_old_file(void **state)
{
	static const char data[65536];
	char *dir = scratch_make();
	AUTO(free) char *path = scratch_file(dir, "x", "old");
	AUTO(free) char *text = NULL;
	struct rlimit before, small;
	struct err err = {""};
	size_t len;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){4096, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = file_write_atomic(path, data, sizeof(data), 0644, &err);

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(err.msg, "/x: cannot write: File too large"));
	assert_int_equal(file_read(path, 100, &text, &len), 0);
	assert_string_equal(text, "old");
	assert_int_equal(entries_of(dir), 1);
	scratch_remove(dir);
}

static void a_full_disk_is_told(void **state)
{
	AUTO(close) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_int_equal(file_pwrite_all(full, "x", 1, 0), -ENOSPC);
}

static void a_read_that_ends_early_is_an_error(void **state)
{
	AUTO(close) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char c;

	assert_int_equal(file_pread_all(null, &c, 1, 0), -EIO);
}

static void folders_are_made_on_the_way(void **state)
{
	char *dir = scratch_make();
	AUTO(free) char *deep = NULL, *file = scratch_file(dir, "file", "x");
	struct stat st;

	assert_true(asprintf(&deep, "%s/a/b/c", dir) > 0);
	assert_int_equal(file_make_dirs(deep, 0755), 0);
	assert_int_equal(file_make_dirs(deep, 0755), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(file_make_dirs(file, 0755), -ENOTDIR);
	scratch_remove(dir);
}

static void free_space_is_that_of_the_nearest_parent(void **state)
{
	int64_t here = -1, below = -1;

	assert_int_equal(file_free_bytes("/tmp", &here), 0);
	assert_int_equal(file_free_bytes("/tmp/not/made/yet", &below), 0);
	assert_true(here > 0 && below > 0);
	assert_int_equal(file_free_bytes("not-made", &below), 0);
}

static void reading_is_bounded(void **state)
{
	AUTO(free) char *text = NULL;
	size_t len;

	assert_int_equal(file_read("/dev/zero", 10000, &text, &len), -EFBIG);
	assert_null(text);
	assert_int_equal(file_read("/nowhere", 10, &text, &len), -ENOENT);
}

static void removing_a_tree_follows_no_links(void **state)
{
	char *dir = scratch_make(), *outside = scratch_make();
	AUTO(free) char *kept = scratch_file(outside, "kept", "x");
	AUTO(free) char *link = NULL;

	free(scratch_file(dir, "a/b/c", "x"));
	assert_true(asprintf(&link, "%s/a/link", dir) > 0);
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(file_remove_tree(dir), 0);
	assert_int_equal(access(dir, F_OK), -1);
	assert_int_equal(access(kept, F_OK), 0);
	free(dir);
	scratch_remove(outside);
}

static void the_cache_home_follows_xdg(void **state)
{
	setenv("HOME", "/home/x", 1);
	setenv("XDG_CACHE_HOME", "/var/x", 1);
	AUTO(free) char *xdg = file_cache_home();

	setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored, says the XDG specification */
	AUTO(free) char *home = file_cache_home();

	assert_string_equal(xdg, "/var/x/feedrate");
	assert_string_equal(home, "/home/x/.cache/feedrate");
}

static void programs_are_found_beside_this_one_first(void **state)
{
	char *dir = scratch_make();
	AUTO(free) char *other = scratch_file(dir, "unit_test_basics", "");
	AUTO(free) char *elsewhere = scratch_file(dir, "feedrate-other", "");

	assert_int_equal(chmod(other, 0755), 0);
	assert_int_equal(chmod(elsewhere, 0755), 0);
	setenv("PATH", dir, 1);
	AUTO(free) char *beside = file_sibling_program("unit_test_basics");
	AUTO(free) char *in_path = file_sibling_program("feedrate-other");

	assert_non_null(beside);
	assert_string_not_equal(beside, other);
	assert_string_equal(in_path, elsewhere);
	assert_null(file_sibling_program("feedrate-nowhere"));
	scratch_remove(dir);
}

static void a_call_site_logs_ten_lines_a_second(void **state)
{
	char *dir = scratch_make();
	AUTO(free) char *path = NULL, *text = NULL;
	struct stat st;
	size_t len;
	int lines = 0;

	assert_true(asprintf(&path, "%s/log", dir) > 0);
	assert_int_equal(log_open("test", LOG_INFO, path, NULL), 0);
	for (int i = 0; i < 100; i++)
		log_info("line %d", i);
	log_debug("not this one");
	log_close();
	assert_int_equal(file_read(path, 1 << 20, &text, &len), 0);
	for (char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 10);
	assert_non_null(strstr(text, " test info line 0\n"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	scratch_remove(dir);
}

static void what_was_left_out_is_counted(void **state)
{
	char *dir = scratch_make();
	AUTO(free) char *path = NULL, *text = NULL;
	size_t len;

	assert_true(asprintf(&path, "%s/log", dir) > 0);
	assert_int_equal(log_open("test", LOG_INFO, path, NULL), 0);
	for (int i = 0; i < 26; i++) {
		if (i == 25)
			clock_sleep_until(clock_now_ns() + NSEC_PER_SEC + 10 * NSEC_PER_MSEC);
		log_info("line %d", i);
	}
	log_close();
	assert_int_equal(file_read(path, 1 << 20, &text, &len), 0);
	assert_non_null(strstr(text, "line 9\n"));
	assert_null(strstr(text, "line 10"));
	assert_non_null(strstr(text, "line 25 (15 alike left out)\n"));
	scratch_remove(dir);
}

static void a_name_cannot_forge_a_line(void **state)
{
	char *dir = scratch_make();
	AUTO(free) char *path = NULL, *text = NULL;
	size_t len;

	assert_true(asprintf(&path, "%s/log", dir) > 0);
	assert_int_equal(log_open("test", LOG_INFO, path, NULL), 0);
	log_error("%s", "key\n2026 cachefs error: forged\x1b[2J");
	log_close();
	assert_int_equal(file_read(path, 1 << 20, &text, &len), 0);
	assert_non_null(strstr(text, " test error key?2026 cachefs error: forged?[2J\n"));
	scratch_remove(dir);
}

static void sleeping_does_not_drift(void **state)
{
	int64_t deadline = clock_now_ns() + 2 * NSEC_PER_MSEC;
	int64_t late = clock_sleep_until(deadline);

	assert_true(late >= 0);
	assert_true(clock_now_ns() >= deadline + late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nearest_word_is_near),
		cmocka_unit_test(a_word_too_long_is_near_nothing),
		cmocka_unit_test(a_prefix_goes_before_the_message),
		cmocka_unit_test(a_long_message_is_cut),
		cmocka_unit_test(counters_print_by_group),
		cmocka_unit_test(crc32c_agrees_with_rfc_3720),
		cmocka_unit_test(quantiles_are_within_a_bucket),
		cmocka_unit_test(merged_histograms_hold_both),
		cmocka_unit_test(a_bucket_delivers_its_rate),
		cmocka_unit_test(an_unlimited_bucket_never_waits),
		cmocka_unit_test(threads_share_a_rate),
		cmocka_unit_test(a_file_is_replaced_at_once),
		cmocka_unit_test(a_failed_write_leaves_the_old_file),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(a_read_that_ends_early_is_an_error),
		cmocka_unit_test(folders_are_made_on_the_way),
		cmocka_unit_test(free_space_is_that_of_the_nearest_parent),
		cmocka_unit_test(reading_is_bounded),
		cmocka_unit_test(removing_a_tree_follows_no_links),
		cmocka_unit_test(the_cache_home_follows_xdg),
		cmocka_unit_test(programs_are_found_beside_this_one_first),
		cmocka_unit_test(a_call_site_logs_ten_lines_a_second),
		cmocka_unit_test(what_was_left_out_is_counted),
		cmocka_unit_test(a_name_cannot_forge_a_line),
		cmocka_unit_test(sleeping_does_not_drift),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
