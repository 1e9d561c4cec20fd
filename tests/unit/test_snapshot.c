/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata snapshot: what the next mount knows, and what it does not believe. */
#include "tests/test_names.h"

#include <stdio.h>
#include <sys/stat.h>

static char folder[] = "/tmp/test-snapshot-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/meta", folder);
	return 0;
}

static int remove_folder(void **state)
{
	return file_remove_tree(folder);
}

static int remove_file(void **state)
{
	unlink(path);
	return 0;
}

static void open_as(struct fixture *f, const char *origin_text, const char *settings)
{
	struct err err = {0};
	char text[256];

	snprintf(text, sizeof(text), "cache.stack=meta meta.snapshot=%s %s", path, settings);
	f->cfg = test_config(text);
	f->origin = null_origin_new(100, 10, size_of);
	f->stack = stack_open_over(f->cfg, &f->origin->base, origin_text, &err);
	if (!f->stack)
		fail_msg("%s", err.msg);
	f->top = stack_top(f->stack);
}

static void open_fixture(struct fixture *f, const char *settings)
{
	open_as(f, "null", settings);
}

static int list_now(struct fixture *f, const char *dir)
{
	int n = 0, r = store_list(f->top, dir, STORE_NOWAIT, count, &n);

	return r < 0 ? r : n;
}

/* A mount that lists root, d1 and d2, looks up d3/f30 and d1/none, and leaves. */
static void first_mount(void)
{
	struct fixture f;

	open_fixture(&f, "");
	assert_int_equal(list(&f, ""), 10);
	assert_int_equal(list(&f, "d1"), 10);
	assert_int_equal(list(&f, "d2"), 10);
	assert_int_equal(stat_wait(&f, "d3/f30"), 0);
	assert_int_equal(stat_wait(&f, "d4/none"), -ENOENT);
	assert_int_equal(stat_wait(&f, ""), 0);
	close_fixture(&f);
}

static int64_t errors(struct fixture *f)
{
	return test_counter(f->stack, "meta", "errors");
}

static void next_mount_knows_without_asking(void **state)
{
	struct fixture f;
	struct stat st;

	first_mount();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	for (int round = 0; round < 2; round++) { /* nothing learnt: the file stays as it is */
		open_fixture(&f, "");
		f.origin->down = true;
		assert_int_equal(list_now(&f, ""), 10);
		assert_int_equal(list_now(&f, "d1"), 10);
		assert_int_equal(stat_now(&f, "d2/f25"), 0);
		assert_int_equal(f.obj.size, 125);
		assert_string_equal(f.obj.etag, "\"25-0\"");
		assert_int_equal(stat_now(&f, "d3/f30"), 0);
		assert_string_equal(f.obj.etag, "\"30-0\"");
		assert_int_equal(stat_now(&f, ""), 0);
		assert_true(f.obj.is_dir);
		assert_int_equal(stat_now(&f, "d2/none"), -ENOENT);
		assert_int_equal(stat_now(&f, "d4/none"), -EAGAIN);
		assert_int_equal(stat_now(&f, "d5/f50"), -EAGAIN);
		assert_int_equal(f.origin->lists + f.origin->stats, 0);
		assert_int_equal(errors(&f), 0);
		close_fixture(&f);
	}
}

static void what_is_newer_replaces_what_was_kept(void **state)
{
	struct fixture f;

	first_mount();
	open_fixture(&f, "");
	f.origin->generation[12]++;
	assert_int_equal(store_stat(f.top, "d1/f12", STORE_FRESH, &f.obj), 0);
	close_fixture(&f);
	open_fixture(&f, "");
	assert_int_equal(stat_now(&f, "d1/f12"), 0);
	assert_string_equal(f.obj.etag, "\"12-1\"");
	close_fixture(&f);
}

static void dropped_names_do_not_come_back(void **state)
{
	struct fixture f;

	first_mount();
	open_fixture(&f, "");
	assert_int_equal(store_drop(f.top, "d1"), 0);
	assert_int_equal(access(path, F_OK), -1); /* a crash now would not bring them back either */
	close_fixture(&f);
	open_fixture(&f, "");
	assert_int_equal(stat_now(&f, "d1/f12"), -EAGAIN);
	assert_int_equal(list_now(&f, ""), -EAGAIN); /* it has d1 in it */
	assert_int_equal(list_now(&f, "d2"), 10);
	assert_int_equal(store_drop(f.top, ""), 0);
	close_fixture(&f);
	open_fixture(&f, "");
	assert_int_equal(stat_now(&f, "d2/f20"), -EAGAIN);
	close_fixture(&f);
}

static void age_counts_from_when_it_was_learnt(void **state)
{
	struct fixture f;

	first_mount();
	clock_sleep_until(clock_now_ns() + 60 * NSEC_PER_MSEC);
	open_fixture(&f, "meta.expiration=50ms");
	assert_int_equal(stat_now(&f, "d1/f12"), -EAGAIN);
	f.origin->down = true; /* and while it does not answer, what is known holds */
	assert_int_equal(stat_wait(&f, "d1/f12"), 0);
	assert_true(test_counter(f.stack, "meta", "stale") > 0);
	close_fixture(&f);
	open_fixture(&f, "meta.expiration=1h");
	assert_int_equal(stat_now(&f, "d1/f12"), 0);
	close_fixture(&f);
}

static void size_is_bounded(void **state)
{
	struct fixture f;

	first_mount();
	open_fixture(&f, "meta.max_size=25");
	assert_in_range(test_counter(f.stack, "meta", "blocks"), 1, 25);
	assert_int_equal(stat_wait(&f, "d1/f12"), 0);
	close_fixture(&f);
}

/* ---- what is not believed ---- */

static char *read_file(size_t *ret_len)
{
	char *data;

	assert_int_equal(file_read(path, 1 << 20, &data, ret_len), 0);
	return data;
}

static void write_file(const void *data, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_int_equal(fwrite(data, 1, len, file), len);
	fclose(file);
	chmod(path, 0600);
}

/* Opens over the file as it is: whatever is known is right. Returns how many errors were counted. */
static int64_t open_damaged(void)
{
	struct fixture f;
	char name[32];

	open_fixture(&f, "");
	f.origin->down = true;
	for (int i = 10; i < 40; i++) {
		struct object right;

		null_origin_object(f.origin, i, name, &right);
		if (stat_now(&f, name) == -EAGAIN)
			continue;
		assert_int_equal(f.obj.version, right.version);
		assert_int_equal(f.obj.size, right.size);
		assert_string_equal(f.obj.etag, right.etag);
	}
	int64_t n = errors(&f);

	close_fixture(&f);
	return n;
}

static void damage_is_counted_and_harmless(void **state)
{
	size_t len;

	first_mount();
	char *data = read_file(&len);

	for (size_t i = 8; i < len; i += i < 40 ? 1 : 5) {
		data[i] ^= 0x20;
		write_file(data, len);
		data[i] ^= 0x20;
		int64_t n = open_damaged();

		if (n < 1) /* nothing looks at the zeros behind a folder's name */
			assert_int_equal(data[i], 0);
	}
	for (size_t cut = 1; cut < len; cut += 37) {
		write_file(data, len - cut);
		assert_true(open_damaged() >= 1);
	}
	free(data);
}

static void of_another_origin(void **state)
{
	struct fixture f;

	first_mount();
	open_as(&f, "other", "");
	assert_int_equal(list_now(&f, "d1"), -EAGAIN);
	assert_int_equal(errors(&f), 1);
	close_fixture(&f);
	open_fixture(&f, "s3.endpoint=http://elsewhere");
	assert_int_equal(list_now(&f, "d1"), -EAGAIN);
	close_fixture(&f);
}

static void of_another_version(void **state)
{
	size_t len;

	first_mount();
	char *data = read_file(&len);

	data[8]++;
	write_file(data, len);
	free(data);
	assert_int_equal(open_damaged(), 1);
}

static void refused(const char *why)
{
	char text[128];
	struct err err = {0};
	struct null_origin *origin = null_origin_new(10, 10, size_of);

	snprintf(text, sizeof(text), "cache.stack=meta meta.snapshot=%s", path);
	struct config *cfg = test_config(text);

	assert_null(stack_open_over(cfg, &origin->base, "null", &err));
	if (!strstr(err.msg, why))
		fail_msg("%s", err.msg);
	config_free(cfg);
}

static void other_files_are_left_alone(void **state)
{
	size_t len;

	write_file("precious", 8);
	refused("it is no snapshot of cachefs");
	char *data = read_file(&len);

	assert_string_equal(data, "precious");
	free(data);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	refused("it cannot be opened");
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	refused("it is no regular file");
	rmdir(path);
	first_mount();
	chmod(path, 0666);
	refused("others may write to it");
}

static void folder_has_to_be_there(void **state)
{
	char right[sizeof(path)];

	memcpy(right, path, sizeof(path));
	snprintf(path, sizeof(path), "%s/nothing/meta", folder);
	refused("meta.snapshot: cannot write to folder");
	memcpy(path, right, sizeof(path));
}

static void none_is_kept_on_request(void **state)
{
	struct fixture f;
	char right[sizeof(path)];

	memcpy(right, path, sizeof(path));
	strcpy(path, "none");
	open_fixture(&f, "");
	assert_int_equal(list(&f, "d1"), 10);
	close_fixture(&f);
	assert_int_equal(access("none", F_OK), -1);
	memcpy(path, right, sizeof(path));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_teardown(f, remove_file)
	const struct CMUnitTest tests[] = {
		CASE(next_mount_knows_without_asking),
		CASE(what_is_newer_replaces_what_was_kept),
		CASE(dropped_names_do_not_come_back),
		CASE(age_counts_from_when_it_was_learnt),
		CASE(size_is_bounded),
		CASE(damage_is_counted_and_harmless),
		CASE(of_another_origin),
		CASE(of_another_version),
		CASE(other_files_are_left_alone),
		CASE(folder_has_to_be_there),
		CASE(none_is_kept_on_request),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
