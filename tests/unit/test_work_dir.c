/* SPDX-License-Identifier: Apache-2.0 */
/* Work folders: whose they are, and what sweeping takes and leaves. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "harness/work_dir.h"

static char *join(const char *dir, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	return path;
}

static bool there(const char *dir, const char *name)
{
	AUTO(free) char *path = join(dir, name);
	struct stat st;

	return !lstat(path, &st);
}

static void touch(const char *dir, const char *name)
{
	free(scratch_file(dir, name, "x"));
}

/* A process number that nobody has. */
static pid_t dead_pid(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* The folder that an invocation which was killed leaves, and its name. */
static void leave_dead(const char *root, char name[32])
{
	char lock[64];

	snprintf(name, 32, "%d-abcXYZ", (int)dead_pid());
	snprintf(lock, sizeof(lock), "%s/lock", name);
	touch(root, lock);
	snprintf(lock, sizeof(lock), "%s/3/tier/file", name);
	touch(root, lock);
}

static void test_a_folder_of_its_own(void **state)
{
	char *root = scratch_make();
	AUTO(free) char *deep = join(root, "a/b");
	struct work_dir w;
	struct err err = {{0}};
	struct stat st;

	assert_int_equal(work_dir_open(&w, deep, &err), 0);
	assert_int_equal(stat(w.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(there(w.path, "lock"));
	AUTO(free) char *run = work_dir_run(&w, 5, &err);
	AUTO(free) char *again = work_dir_run(&w, 5, &err);

	assert_string_equal(run, again);
	touch(run, "tier/data");
	work_dir_drop(run);
	assert_false(there(w.path, "5"));
	char path[256];

	snprintf(path, sizeof(path), "%s", w.path);
	work_dir_close(&w);
	assert_int_equal(stat(path, &st), -1);
	work_dir_close(&w); /* never opened, as it were */
	scratch_remove(root);
}

static void test_a_root_that_cannot_be(void **state)
{
	char *root = scratch_make();
	AUTO(free) char *file = scratch_file(root, "file", "");
	struct work_dir w;
	struct err err = {{0}};

	assert_int_equal(work_dir_open(&w, file, &err), -ENOTDIR);
	assert_non_null(strstr(err.msg, file));
	work_dir_close(&w);
	scratch_remove(root);
}

static void test_sweep_takes_the_dead_and_leaves_the_living(void **state)
{
	char *root = scratch_make(), name[32];
	struct work_dir mine;
	struct work_sweep found;

	leave_dead(root, name);
	assert_int_equal(work_dir_open(&mine, root, NULL), 0);
	AUTO(free) char *run = work_dir_run(&mine, 1, NULL);

	for (int only_look = 1; only_look >= 0; only_look--) {
		assert_int_equal(work_dir_sweep(root, only_look, &found), 0);
		assert_int_equal(found.dead, 1);
		assert_int_equal(found.living, 1);
		assert_true(found.bytes >= 1);
		assert_true(there(root, name) == only_look);
	}
	assert_true(there(mine.path, "1"));
	work_dir_close(&mine);
	assert_int_equal(work_dir_sweep(root, false, &found), 0);
	assert_int_equal(found.dead + found.living, 0);
	scratch_remove(root);
}

static void test_sweep_leaves_what_is_not_ours(void **state)
{
	static const char *const names[] = {"notes", "12", "12-", "12-abc", "12-abcdefg",
		"x-abcdef", "12-abc.ef", "lock", "12-abcdef.bak", ".12-abcdef"};
	char *root = scratch_make();
	struct work_sweep found;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AUTO(free) char *file = join(names[i], "file");

		touch(root, file);
	}
	assert_int_equal(work_dir_sweep(root, false, &found), 0);
	assert_int_equal(found.dead, 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(there(root, names[i]));
	scratch_remove(root);
}

static void test_sweep_of_nothing(void **state)
{
	struct work_sweep found = {.living = 5, .dead = 5};

	assert_int_equal(work_dir_sweep("/nowhere/at/all", false, &found), 0);
	assert_int_equal(found.living + found.dead, 0);
}

/* The moment between making a folder and locking it belongs to the one who makes it. */
static void test_sweep_leaves_a_folder_that_is_being_made(void **state)
{
	char *root = scratch_make(), name[32], lock[64];
	struct work_sweep found;

	snprintf(name, sizeof(name), "%d-abcdef", (int)getpid());
	AUTO(free) char *path = join(root, name);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(work_dir_sweep(root, false, &found), 0);
	assert_int_equal(found.dead, 0);
	assert_int_equal(found.living, 1);
	snprintf(lock, sizeof(lock), "%s/lock", name);
	touch(root, lock);
	assert_int_equal(work_dir_sweep(root, false, &found), 0);
	assert_int_equal(found.dead, 0);
	scratch_remove(root);
}

static void link_to(const char *target, const char *dir, const char *name)
{
	AUTO(free) char *path = join(dir, name);

	assert_int_equal(symlink(target, path), 0);
}

/* Whoever may write into the folder of a dead one must not choose what is deleted. */
static void test_hostile_links_are_not_followed(void **state)
{
	char *root = scratch_make(), *victim = scratch_make(), name[32], other[32];
	AUTO(free) char *dir = NULL;
	struct work_sweep found;

	touch(victim, "precious/file");
	touch(victim, "lock");
	leave_dead(root, name);
	dir = join(root, name);
	link_to(victim, dir, "0");
	link_to(victim, dir, "3/tier/link");
	link_to("../../../..", dir, "3/up");
	/* A link in place of a whole folder. */
	snprintf(other, sizeof(other), "%d-zzzzzz", (int)dead_pid());
	link_to(victim, root, other);
	assert_int_equal(work_dir_sweep(root, false, &found), 0);
	assert_false(there(root, name));
	assert_true(there(victim, "precious/file"));
	assert_true(there(victim, "lock"));
	scratch_remove(victim);
	scratch_remove(root);
}

/* A lock that is a link would let its owner hold a folder, or have another file created. */
static void test_a_lock_that_is_a_link_is_not_taken(void **state)
{
	char *root = scratch_make(), name[32];
	AUTO(free) char *target = join(root, "target");
	struct work_sweep found;

	snprintf(name, sizeof(name), "%d-abcdef", (int)dead_pid());
	AUTO(free) char *dir = join(root, name);

	assert_int_equal(mkdir(dir, 0700), 0);
	link_to(target, dir, "lock");
	assert_int_equal(work_dir_sweep(root, false, &found), 0);
	assert_false(there(root, "target"));
	scratch_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_folder_of_its_own),
		cmocka_unit_test(test_a_root_that_cannot_be),
		cmocka_unit_test(test_sweep_takes_the_dead_and_leaves_the_living),
		cmocka_unit_test(test_sweep_leaves_what_is_not_ours),
		cmocka_unit_test(test_sweep_of_nothing),
		cmocka_unit_test(test_sweep_leaves_a_folder_that_is_being_made),
		cmocka_unit_test(test_hostile_links_are_not_followed),
		cmocka_unit_test(test_a_lock_that_is_a_link_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
