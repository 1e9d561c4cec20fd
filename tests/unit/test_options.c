/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of cachefs: standard mount options beside knobs, paths made absolute, secrets
 * kept out of what people see; and mountinfo. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cachefs/mount.h"
#include "cachefs/options.h"

struct parsed {
	struct config *cfg;
	struct mount_request req;
	struct err err;
	bool exit;
	int r;
};

/* argv: what follows "cachefs", NULL-terminated. */
static struct parsed parse(char **argv)
{
	char *all[16] = {"cachefs"};
	struct parsed p = {.cfg = config_new()};
	int n = 1;

	while (*argv)
		all[n++] = *argv++;
	p.r = options_parse(n, all, p.cfg, &p.req, &p.exit, &p.err);
	return p;
}

#define PARSE(...) parse((char *[]){__VA_ARGS__, NULL})

static void done(struct parsed *p)
{
	options_done(&p->req);
	config_free(p->cfg);
}

static void origin_and_mountpoint_become_absolute(void **state)
{
	char root[4096];
	struct parsed p;

	assert_int_equal(chdir("/usr/lib"), 0);
	assert_non_null(getcwd(root, sizeof(root)));
	p = PARSE("dir:.", "../lib");
	assert_int_equal(p.r, 0);
	assert_string_equal(p.req.origin, root);
	assert_string_equal(p.req.mountpoint, root);
	done(&p);
}

static void disk_path_becomes_absolute(void **state)
{
	struct parsed p;

	assert_int_equal(chdir("/usr"), 0);
	p = PARSE("/", "/tmp", "-o", "disk.path=lib/..");
	assert_string_equal(p.cfg->disk.path, "/usr/lib/..");
	done(&p);
}

static void defaults_are_the_mounting_user_and_read_only_bits(void **state)
{
	struct parsed p = PARSE("/", "/tmp");

	assert_int_equal(p.req.uid, getuid());
	assert_int_equal(p.req.file_mode, 0444);
	assert_int_equal(p.req.dir_mode, 0555);
	assert_false(p.req.allow_other || p.req.foreground || p.req.nonempty || p.req.noexec);
	done(&p);
}

static void standard_options_stand_beside_knobs(void **state)
{
	static char options[] =
		"ro,allow_other,uid=7,gid=8,file_mode=0440,dir_mode=550,noauto,_netdev,nofail,"
		"x-systemd.automount,nodev,nosuid,noexec,user,defaults,nonempty,fuse.max_threads=3";
	struct parsed p = PARSE("/", "/tmp", "-f", "-o", options);

	assert_string_equal(p.err.msg, "");
	assert_int_equal(p.r, 0);
	assert_int_equal(p.req.uid, 7);
	assert_int_equal(p.req.gid, 8);
	assert_int_equal(p.req.file_mode, 0440);
	assert_int_equal(p.req.dir_mode, 0550);
	assert_true(p.req.allow_other && p.req.foreground && p.req.nonempty && p.req.noexec);
	assert_int_equal(p.cfg->fuse.max_threads, 3);
	done(&p);
}

static void knobs_are_long_options_too(void **state)
{
	struct parsed p = PARSE("/", "/tmp", "--fuse.open_mode=direct");

	assert_int_equal(p.cfg->fuse.open_mode, OPEN_DIRECT);
	done(&p);
}

static void rw_is_refused(void **state)
{
	struct parsed p = PARSE("/", "/tmp", "-o", "rw");

	assert_true(p.r < 0);
	assert_non_null(strstr(p.err.msg, "read-only"));
	done(&p);
}

/* mount(8) says "rw" when nobody said ro; mount.fuse3 adds dev,suid. */
static void what_mount8_gives_is_accepted(void **state)
{
	struct parsed p = PARSE("http://h/a", "/tmp", "-o", "rw,dev,suid");

	assert_int_equal(p.r, 0);
	done(&p);
}

static void refused(char **argv, const char *word)
{
	struct parsed p = parse(argv);

	assert_true(p.r < 0);
	if (!strstr(p.err.msg, word))
		fail_msg("\"%s\" does not name %s", p.err.msg, word);
	done(&p);
}

#define REFUSED(word, ...) refused((char *[]){__VA_ARGS__, NULL}, word)

static void bad_input_is_named(void **state)
{
	REFUSED("usage", "/");
	REFUSED("usage", "/", "/tmp", "/usr");
	REFUSED("allow_other", "/", "/tmp", "-o", "allow_othr");
	REFUSED("uid", "/", "/tmp", "-o", "uid=x");
	REFUSED("uid", "/", "/tmp", "-o", "uid");
	REFUSED("file_mode", "/", "/tmp", "-o", "file_mode=9");
	REFUSED("dir_mode", "/", "/tmp", "-o", "dir_mode=7777");
	REFUSED("max_threads", "/", "/tmp", "-o", "fuse.max_thread=4");
	REFUSED("fuse.max_threads", "/", "/tmp", "-o", "fuse.max_threads=0");
	REFUSED("/nowhere/x", "/nowhere/x", "/tmp");
	REFUSED("mkdir", "/", "/nowhere/x");
	REFUSED("none of direct, page, noopen, passthrough, auto", "/", "/tmp", "-o",
		"fuse.open_mode=splice");
}

static void comma_in_a_value_is_escaped(void **state)
{
	struct parsed p = PARSE("/", "/tmp", "-o", "log.file=/a\\,b,ro");

	assert_string_equal(p.cfg->log.file, "/a,b");
	done(&p);
}

static void given_descriptor_is_a_mountpoint(void **state)
{
	struct parsed p = PARSE("/", "/dev/fd/17");

	assert_string_equal(p.req.mountpoint, "/dev/fd/17");
	done(&p);
	assert_int_equal(mount_given_fd("/dev/fd/3"), 3);
	assert_int_equal(mount_given_fd("/dev/fd/"), -1);
	assert_int_equal(mount_given_fd("/dev/fd/3x"), -1);
	assert_int_equal(mount_given_fd("/dev/fd/-3"), -1);
	assert_int_equal(mount_given_fd("/mnt"), -1);
}

static void public_url(const char *origin, const char *expected)
{
	char *url = options_public_url(origin);

	assert_string_equal(url, expected);
	free(url);
}

static void credentials_stay_out_of_sight(void **state)
{
	public_url("http://u:p@h:80/a", "http://h:80/a");
	public_url("https://h/a?sig=secret#x", "https://h/a");
	public_url("https://u:p@ss@h/a@b", "https://h/a@b");
	public_url("s3://bucket/a", "s3://bucket/a");
	public_url("/data/a?b", "/data/a?b");
}

static void mountinfo_is_understood(void **state)
{
	char path[] = "/tmp/mountinfo.XXXXXX";
	FILE *out = fdopen(mkstemp(path), "w");
	struct mount_entry at;

	fputs("21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	      "36 21 0:31 / /mnt/a\\040b rw,noatime shared:1 master:2 - tmpfs none rw\n"
	      "37 36 0:32 / /mnt/a\\040b ro - fuse.cachefs http://h/x\\040y ro\n"
	      "garbage\n",
		out);
	fclose(out);
	assert_int_equal(mount_find(path, "/mnt/a b", &at), 0);
	assert_string_equal(at.type, "fuse.cachefs");
	assert_string_equal(at.source, "http://h/x y");
	assert_int_equal(at.minor, 32);
	assert_true(mount_find(path, "/mnt", &at) < 0);
	unlink(path);
}

static void fdinfo_tells_the_mount(void **state)
{
	char path[] = "/tmp/fdinfo.XXXXXX";
	FILE *out = fdopen(mkstemp(path), "w");
	struct mount_entry at;

	fputs("pos:\t0\nflags:\t02100002\nmnt_id:\t24\nino:\t90\nfuse_connection:\t8388648\n", out);
	fclose(out);
	assert_int_equal(mount_of_fd(path, &at), 0);
	assert_int_equal(at.major, 8);
	assert_int_equal(at.minor, 40);
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(mount_of_fd(path, &at), -ENOENT);
	unlink(path);
	assert_int_equal(mount_of_fd(path, &at), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(origin_and_mountpoint_become_absolute),
		cmocka_unit_test(disk_path_becomes_absolute),
		cmocka_unit_test(defaults_are_the_mounting_user_and_read_only_bits),
		cmocka_unit_test(standard_options_stand_beside_knobs),
		cmocka_unit_test(knobs_are_long_options_too),
		cmocka_unit_test(rw_is_refused),
		cmocka_unit_test(what_mount8_gives_is_accepted),
		cmocka_unit_test(bad_input_is_named),
		cmocka_unit_test(comma_in_a_value_is_escaped),
		cmocka_unit_test(given_descriptor_is_a_mountpoint),
		cmocka_unit_test(credentials_stay_out_of_sight),
		cmocka_unit_test(mountinfo_is_understood),
		cmocka_unit_test(fdinfo_tells_the_mount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
