/* SPDX-License-Identifier: Apache-2.0 */
/* Names that others chose never lead out of their root, with openat2(2) and without. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/beneath.h"
#include "common/cleanup.h"

typedef int open_fn(int root, const char *name, int flags);

static open_fn *const openers[] = {beneath_open, beneath_open_walk};

static char *outer; /* holds "secret" and the folder "root" */
static int root = -1;

static void make_link(const char *target, const char *name)
{
	assert_int_equal(symlinkat(target, root, name), 0);
}

static int make_tree(void **state)
{
	AUTO(free) char *path = NULL;

	outer = scratch_make();
	free(scratch_file(outer, "secret", "x"));
	free(scratch_file(outer, "root/a/b/file", "inside"));
	assert_true(asprintf(&path, "%s/root", outer) > 0);
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make_link("../secret", "up");
	make_link("/etc/passwd", "absolute");
	make_link("..", "parent");
	make_link("a/b/file", "inside");
	make_link("loop", "loop");
	assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
	return root < 0;
}

static int remove_tree(void **state)
{
	close(root);
	scratch_remove(outer);
	return 0;
}

static void what_lies_inside_opens(void **state)
{
	static const char *const names[] = {"a/b/file", "a/b", "a/", "a", ""};

	for (size_t i = 0; i < ARRAY_SIZE(openers); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			AUTO(close) int fd = openers[i](root, names[j], O_RDONLY);

			if (fd < 0)
				fail_msg("\"%s\": %s", names[j], strerror(-fd));
		}
	}
}

static void the_right_file_opens(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(openers); i++) {
		AUTO(close) int fd = openers[i](root, "a/b/file", O_RDONLY);
		char text[6];

		assert_int_equal(file_pread_all(fd, text, sizeof(text), 0), 0);
		assert_memory_equal(text, "inside", 6);
	}
}

static void nothing_leads_out(void **state)
{
	static const char *const names[] = {"..", "../secret", "a/../../secret", "/etc/passwd",
		"up", "absolute", "parent/secret", "parent", "a/b/../../../secret"};

	for (size_t i = 0; i < ARRAY_SIZE(openers); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			AUTO(close) int fd = openers[i](root, names[j], O_RDONLY);

			if (fd != -EXDEV && fd != -ELOOP && fd != -ENOTDIR)
				fail_msg("\"%s\" gave %d", names[j], fd);
		}
	}
}

static void links_that_stay_inside_open_where_the_kernel_can(void **state)
{
	AUTO(close) int by_kernel = beneath_open(root, "inside", O_RDONLY);

	assert_int_equal(beneath_open_walk(root, "inside", O_RDONLY), -ELOOP);
	assert_true(by_kernel >= 0 || by_kernel == -ELOOP);
	assert_int_equal(beneath_open(root, "loop", O_RDONLY), -ELOOP);
}

static void absent_names_are_absent(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(openers); i++) {
		assert_int_equal(openers[i](root, "a/none", O_RDONLY), -ENOENT);
		assert_int_equal(openers[i](root, "none/a", O_RDONLY), -ENOENT);
		assert_int_equal(openers[i](root, "a/b/file/c", O_RDONLY), -ENOTDIR);
	}
}

/* Without O_NONBLOCK this would wait for a writer for ever. */
static void a_fifo_does_not_hang(void **state)
{
	alarm(10);
	for (size_t i = 0; i < ARRAY_SIZE(openers); i++) {
		AUTO(close) int fd = openers[i](root, "fifo", O_RDONLY);

		assert_true(fd >= 0);
	}
	alarm(0);
}

static void entries_are_stated_where_they_lead(void **state)
{
	AUTO(closedir) DIR *dir = fdopendir(beneath_open(root, "", O_RDONLY | O_DIRECTORY));
	struct dirent *entry;
	int seen = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		struct stat st;
		int r = beneath_stat_entry(root, "", dir, entry, &st);

		if (!strcmp(entry->d_name, "a")) {
			assert_int_equal(r, 0);
			assert_true(S_ISDIR(st.st_mode));
			seen++;
		} else if (!strcmp(entry->d_name, "up")) {
			assert_true(r == -EXDEV || r == -ELOOP);
			seen++;
		} else if (!strcmp(entry->d_name, "inside") && !r) {
			assert_int_equal(st.st_size, 6);
		}
	}
	assert_int_equal(seen, 2);
}

static void plain_keys_have_plain_components(void **state)
{
	static const char *const plain[] = {"a", "a/b", "...", ".a/b..", "a b"};
	static const char *const others[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/..", "../a"};
	char longest[4097];

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		assert_true(beneath_plain(plain[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (beneath_plain(others[i]))
			fail_msg("\"%s\" is taken as plain", others[i]);
	memset(longest, 'a', sizeof(longest));
	longest[4096] = '\0';
	assert_false(beneath_plain(longest));
	longest[4095] = '\0';
	assert_true(beneath_plain(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lies_inside_opens),
		cmocka_unit_test(the_right_file_opens),
		cmocka_unit_test(nothing_leads_out),
		cmocka_unit_test(links_that_stay_inside_open_where_the_kernel_can),
		cmocka_unit_test(absent_names_are_absent),
		cmocka_unit_test(a_fifo_does_not_hang),
		cmocka_unit_test(entries_are_stated_where_they_lead),
		cmocka_unit_test(plain_keys_have_plain_components),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
