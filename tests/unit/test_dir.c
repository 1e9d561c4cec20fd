/* SPDX-License-Identifier: Apache-2.0 */
/* The origin dir, beyond the contract of all stores: what is shown of a folder, and that a file
 * which changes is never read as the version it was. */
#include "tests/test_stack.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

struct fixture {
	char dir[32];
	struct config *cfg;
	struct store *st;
};

static char *path_of(const struct fixture *f, const char *name)
{
	static char path[4200];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return path;
}

static void put_file(const struct fixture *f, const char *name, char fill, size_t len)
{
	static char data[1 << 20];
	AUTO(close) int fd = open(path_of(f, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	memset(data, fill, len);
	assert_true(len <= sizeof(data) && fd >= 0);
	assert_int_equal(file_pwrite_all(fd, data, len, 0), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err = {0};

	snprintf(f->dir, sizeof(f->dir), "/tmp/dir-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->cfg = test_config("");
	f->st = store_find("dir")->open(f->cfg, f->dir, NULL, &err);
	assert_non_null(f->st);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	f->st->ops->close(f->st);
	config_free(f->cfg);
	file_remove_tree(f->dir);
	free(f);
	return 0;
}

static int join_names(void *arg, const struct object *entry)
{
	char *all = arg;

	sprintf(all + strlen(all), "%s%s ", entry->name, entry->is_dir ? "/" : "");
	return 0;
}

static void test_shows_files_and_folders_beneath(void **state)
{
	struct fixture *f = *state;
	char all[256] = "", *at;
	struct object obj;

	put_file(f, "file", 'x', 10);
	assert_int_equal(mkdir(path_of(f, "folder"), 0700), 0);
	assert_int_equal(symlink("file", path_of(f, "inner")), 0);
	assert_int_equal(symlink("/etc/passwd", path_of(f, "outer")), 0);
	assert_int_equal(symlink("../..", path_of(f, "up")), 0);
	assert_int_equal(symlink("gone", path_of(f, "broken")), 0);
	assert_int_equal(symlink("loop", path_of(f, "loop")), 0);
	assert_int_equal(mkfifo(path_of(f, "fifo"), 0600), 0);
	assert_int_equal(store_list(f->st, "", STORE_WAIT, join_names, all), 0);
	for (const char **want = (const char *[]){"file ", "folder/ ", "inner ", NULL}; *want;
		want++) {
		assert_non_null(at = strstr(all, *want));
		memmove(at, at + strlen(*want), strlen(at + strlen(*want)) + 1);
	}
	assert_string_equal(all, "");
	assert_int_equal(store_stat(f->st, "inner", STORE_WAIT, &obj), 0);
	assert_int_equal(obj.size, 10);
	for (const char **no = (const char *[]){"outer", "up", "up/etc", "broken", "loop", "fifo",
		     "file/x", NULL};
		*no; no++)
		assert_int_equal(store_stat(f->st, *no, STORE_WAIT, &obj), -ENOENT);
}

static void test_stops_a_listing(void **state)
{
	struct fixture *f = *state;
	char all[256] = "";

	assert_int_equal(store_list(f->st, "no", STORE_WAIT, join_names, all), -ENOENT);
	put_file(f, "a", 'x', 1);
	assert_int_equal(store_list(f->st, "a", STORE_WAIT, join_names, all), -ENOTDIR);
	assert_int_equal(store_list(f->st, "", STORE_NOWAIT, join_names, all), -EAGAIN);
	assert_string_equal(all, "");
}

/* Each of these makes another version: the old one cannot be read any more. */
static void change(const struct fixture *f, int how)
{
	struct timespec times[2];
	struct stat st;

	assert_int_equal(stat(path_of(f, "a"), &st), 0);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	clock_sleep_until(clock_now_ns() + 20 * NSEC_PER_MSEC); /* a tick of a coarse clock */
	switch (how) {
	case 0: /* written in place, and the mtime put back */
		put_file(f, "a", 'y', 1000);
		assert_int_equal(utimensat(AT_FDCWD, path_of(f, "a"), times, 0), 0);
		break;
	case 1: { /* replaced by one of the same size and mtime */
		char to[4200];

		put_file(f, "b", 'y', 1000);
		assert_int_equal(utimensat(AT_FDCWD, path_of(f, "b"), times, 0), 0);
		snprintf(to, sizeof(to), "%s", path_of(f, "a"));
		assert_int_equal(rename(path_of(f, "b"), to), 0);
		break;
	}
	case 2:
		assert_int_equal(truncate(path_of(f, "a"), 10), 0);
		break;
	case 3:
		assert_int_equal(unlink(path_of(f, "a")), 0);
		break;
	case 4:
		assert_int_equal(unlink(path_of(f, "a")), 0);
		assert_int_equal(mkdir(path_of(f, "a"), 0700), 0);
		break;
	default:
		assert_int_equal(unlink(path_of(f, "a")), 0);
		assert_int_equal(mkfifo(path_of(f, "a"), 0600), 0);
	}
}

static void test_another_version_is_stale(void **state)
{
	struct fixture *f = *state;
	char buf[1000];

	for (int how = 0; how < 6; how++) {
		struct object obj;

		file_remove_tree(path_of(f, "a"));
		put_file(f, "a", 'x', sizeof(buf));
		assert_int_equal(store_stat(f->st, "a", STORE_WAIT, &obj), 0);
		assert_int_equal(store_read(f->st, &obj, 0, buf, sizeof(buf)), 0);
		change(f, how);
		assert_int_equal(store_read(f->st, &obj, 0, buf, sizeof(buf)), -ESTALE);
	}
}

struct seen {
	const struct fixture *f;
	size_t got;
	bool mixed;
};

static int change_meanwhile(void *arg, const void *data, size_t len)
{
	struct seen *s = arg;

	s->mixed |= memchr(data, 'y', len) != NULL;
	if (!s->got) {
		clock_sleep_until(clock_now_ns() + 20 * NSEC_PER_MSEC);
		put_file(s->f, "a", 'y', 1 << 20);
	}
	s->got += len;
	return 0;
}

static void test_a_change_during_a_fetch_is_never_handed_up(void **state)
{
	struct fixture *f = *state;
	struct seen s = {.f = f};
	struct object obj;

	put_file(f, "a", 'x', 1 << 20);
	assert_int_equal(store_stat(f->st, "a", STORE_WAIT, &obj), 0);
	assert_int_equal(store_fetch(f->st, &obj, 0, obj.size, change_meanwhile, &s), -ESTALE);
	assert_false(s.mixed);
	assert_true(s.got < obj.size);
}

static void test_says_what_is_wrong_with_the_root(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	put_file(f, "a", 'x', 1);
	assert_null(f->st->ops->open(f->cfg, path_of(f, "a"), NULL, &err));
	assert_non_null(strstr(err.msg, "Not a directory"));
	assert_null(f->st->ops->open(f->cfg, path_of(f, "none"), NULL, &err));
	assert_non_null(strstr(err.msg, "No such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_shows_files_and_folders_beneath, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stops_a_listing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_version_is_stale, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_change_during_a_fetch_is_never_handed_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_says_what_is_wrong_with_the_root, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
