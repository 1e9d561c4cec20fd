/* SPDX-License-Identifier: Apache-2.0 */
/* mountinfo lines, good and garbage; mounts of our own in a private namespace. */
#include "tests/unit/test.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "harness/mounts.h"

#define HEAD "36 35 98:0 /mnt1 "

static bool private_namespace;

static bool parse(const char *text, struct mount_entry *ret)
{
	static char line[4096];

	snprintf(line, sizeof(line), "%s", text);
	return mounts_parse_line(line, ret);
}

static void expect(const char *text, const char *path, const char *type, const char *source)
{
	struct mount_entry m = {0};

	assert_true(parse(text, &m));
	assert_string_equal(m.path, path);
	assert_string_equal(m.type, type);
	assert_string_equal(m.source, source);
}

static void test_lines_of_the_kernel(void **state)
{
	expect(HEAD "/mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n", "/mnt2",
		"ext3", "/dev/root");
	expect(HEAD "/ rw - overlay overlay rw,lowerdir=/a:/b\n", "/", "overlay", "overlay");
	expect(HEAD "/x rw shared:1 master:2 propagate_from:3 unbindable - nfs4 host:/export rw\n",
		"/x", "nfs4", "host:/export");
	expect(HEAD "/data rw - fuse.cachefs https://host/a ro", "/data", "fuse.cachefs",
		"https://host/a");
}

static void test_octal_escapes(void **state)
{
	expect(HEAD "/my\\040data\\011\\012\\134x rw - fuse.sshfs me@host:/a\\040b rw\n",
		"/my data\t\n\\x", "fuse.sshfs", "me@host:/a b");
	expect(HEAD "/a\\043\\303\\244 rw - tmpfs none rw\n", "/a#\303\244", "tmpfs", "none");
	/* No escapes: cut short, or no octal digits. */
	expect(HEAD "/a\\04 rw - tmpfs none rw\n", "/a\\04", "tmpfs", "none");
	expect(HEAD "/a\\049 rw - tmpfs no\\08\\ rw\n", "/a\\049", "tmpfs", "no\\08\\");
}

static void test_garbage_is_no_mount(void **state)
{
	static const char *const lines[] = {
		"",
		"\n",
		" ",
		"-",
		"- - - - -",
		"36",
		"36 35 98:0 /mnt1",
		HEAD "/x",
		HEAD "/x rw",
		HEAD "/x rw -",
		HEAD "/x rw - ext4",
		HEAD "/x rw ext4 /dev/sda rw",
		"\\040\\040\\040",
	};
	struct mount_entry m = {0};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (parse(lines[i], &m))
			fail_msg("\"%s\" passes for a mount at %s", lines[i], m.path);
	assert_null(m.path);
}

static void test_types_that_may_hold_training_data(void **state)
{
	static const char *const remote[] = {"nfs", "nfs4", "cifs", "ceph", "lustre", "fuse",
		"fuse.cachefs", "fuse.alluxio-fuse"};
	static const char *const other[] = {"ext4", "tmpfs", "overlay", "proc", "fusectl",
		"fuseblk", "fuse.lxcfs", "fuse.gvfsd-fuse", "nfsd", ""};

	for (size_t i = 0; i < ARRAY_SIZE(remote); i++)
		if (!mounts_type_is_remote(remote[i]))
			fail_msg("%s is taken for local", remote[i]);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		if (mounts_type_is_remote(other[i]))
			fail_msg("%s is taken for remote", other[i]);
}

static void need_namespace(void)
{
	if (!private_namespace) {
		print_message("no private mount namespace here\n");
		skip();
	}
}

static char *folder(const char *dir, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	assert_int_equal(mkdir(path, 0700), 0);
	return path;
}

static void mount_here(const char *path)
{
	if (mount("feedrate test", path, "tmpfs", 0, "size=64k"))
		fail_msg("%s: %s", path, strerror(errno));
}

static void test_odd_names_are_found_and_detached(void **state)
{
	need_namespace();
	char *dir = scratch_make();
	AUTO(free) char *odd = folder(dir, "a b\t\\040\n\344");
	AUTO(free) char *other = folder(dir, "other");

	assert_false(mounts_is_mounted(odd));
	mount_here(odd);
	mount_here(other);
	assert_true(mounts_is_mounted(odd));
	assert_int_equal(mounts_detach_below(odd), 0);
	assert_false(mounts_is_mounted(odd));
	assert_true(mounts_is_mounted(other));
	assert_int_equal(mounts_detach_below(dir), 0);
	assert_false(mounts_is_mounted(other));
	scratch_remove(dir);
}

/* "/w/1" is below "/w" and not below "/w/10" or "/w/1/.."; mounts in and over one another go. */
static void test_detach_takes_what_is_below_and_no_neighbour(void **state)
{
	need_namespace();
	char *dir = scratch_make();
	AUTO(free) char *one = folder(dir, "1");
	AUTO(free) char *ten = folder(dir, "10");

	mount_here(ten);
	mount_here(one);
	AUTO(free) char *inner = folder(one, "inner");
	mount_here(inner);
	mount_here(inner);
	FILE *busy = fopen(inner, "re");

	assert_int_equal(mounts_detach_below(one), 0);
	assert_false(mounts_is_mounted(one));
	assert_false(mounts_is_mounted(inner));
	assert_true(mounts_is_mounted(ten));
	if (busy)
		fclose(busy);
	assert_int_equal(mounts_detach_below(dir), 0);
	scratch_remove(dir);
}

static int count(const struct mount_entry *m, void *arg)
{
	return ++*(int *)arg == 2 ? 7 : 0;
}

static void test_a_walk_ends_when_told_to(void **state)
{
	int n = 0;

	need_namespace();
	assert_int_equal(mounts_each(count, &n), 7);
	assert_int_equal(n, 2);
}

/* Whatever the answer is here: it has a reason, and leaves nothing mounted. */
static void test_asking_for_fuse_leaves_nothing(void **state)
{
	need_namespace();
	char *dir = scratch_make();
	struct err err = {{0}};
	int r = mounts_fuse_usable(dir, &err);

	assert_true(r == 0 || err.msg[0]);
	assert_false(mounts_is_mounted(dir));
	scratch_remove(dir);
}

static int enter_namespace(void **state)
{
	private_namespace = !unshare(CLONE_NEWNS) &&
			    !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_of_the_kernel),
		cmocka_unit_test(test_octal_escapes),
		cmocka_unit_test(test_garbage_is_no_mount),
		cmocka_unit_test(test_types_that_may_hold_training_data),
		cmocka_unit_test(test_odd_names_are_found_and_detached),
		cmocka_unit_test(test_detach_takes_what_is_below_and_no_neighbour),
		cmocka_unit_test(test_a_walk_ends_when_told_to),
		cmocka_unit_test(test_asking_for_fuse_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
