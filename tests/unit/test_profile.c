/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: includes, variants, tables, and mistakes told by file, line, section and key. Every
 * profile that ships is loaded, with every variant. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>

#include "common/cleanup.h"
#include "common/profile.h"

AUTO_FREE(config, struct config, config_free);

static char *dir;

static int make_dir(void **state)
{
	dir = scratch_make();
	return 0;
}

static int remove_dir(void **state)
{
	scratch_remove(dir);
	return 0;
}

static void later_wins_across_includes(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free)
	char *base = scratch_file(
		dir, "sub/base.ini", "[fuse]\nmax_threads = 2\n[mem]\ncapacity=1M\n");
	AUTO(free)
	char *path = scratch_file(
		dir, "a.ini", "include = sub/base.ini\n[fuse]\nmax_threads = 5\n");
	struct profile p;

	assert_int_equal(profile_load(path, &p, NULL), 0);
	assert_int_equal(profile_apply(&p, NULL, cfg, NULL), 0);
	assert_int_equal(cfg->fuse.max_threads, 5);
	assert_int_equal(cfg->mem.capacity, 1 << 20);
	assert_non_null(strstr(cfg->origin[KNOB_ID_fuse_max_threads].from, "a.ini:3"));
	profile_done(&p);
}

static void variants_start_from_their_base(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free)
	char *path = scratch_file(dir, "v.ini",
		"[variant.a]\nfuse.max_threads = 3\nfuse.open_mode = direct\n"
		"[variant.b]\nbase = a\nfuse.max_threads = 4\n");
	struct profile p;
	struct err err = {""};

	assert_int_equal(profile_load(path, &p, NULL), 0);
	assert_int_equal(profile_apply(&p, "b", cfg, NULL), 0);
	assert_int_equal(cfg->fuse.max_threads, 4);
	assert_int_equal(cfg->fuse.open_mode, OPEN_DIRECT);
	assert_int_equal(profile_apply(&p, "c", cfg, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "there is no [variant.c]"));
	profile_done(&p);
}

static void tables_are_kept_as_text(void **state)
{
	AUTO(free)
	char *path = scratch_file(dir, "t.ini",
		"[accelerator.x]\nimages_per_s = 5\nsource = \xc3\xa9t\xc3\xa9\n[accelerator.y]\nbatch = 1\n");
	struct profile p;

	assert_int_equal(profile_load(path, &p, NULL), 0);
	char **names = profile_tables(&p, "accelerator");

	assert_string_equal(names[0], "x");
	assert_string_equal(names[1], "y");
	assert_null(names[2]);
	assert_string_equal(profile_value(&p, "accelerator", "x", "source"), "\xc3\xa9t\xc3\xa9");
	assert_null(profile_value(&p, "accelerator", "y", "source"));
	list_free(names);
	profile_done(&p);
}

static void indented_lines_go_on(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free) char *path = scratch_file(dir, "l.ini", "[bench]\ngpus = 1,\n   2,\n   4\n");
	struct profile p;

	assert_int_equal(profile_load(path, &p, NULL), 0);
	assert_int_equal(profile_apply(&p, NULL, cfg, NULL), 0);
	assert_string_equal(cfg->bench.gpus, "1, 2, 4");
	profile_done(&p);
}

static void expect_message(const char *text, const char *message)
{
	AUTO(free) char *path = scratch_file(dir, "bad.ini", text);
	AUTO(free) char *expected = NULL;
	struct profile p;
	struct err err = {""};

	assert_true(asprintf(&expected, "%s%s", path, message) > 0);
	assert_true(profile_load(path, &p, &err) < 0);
	assert_string_equal(err.msg, expected);
}

static void mistakes_name_file_line_and_remedy(void **state)
{
	AUTO(free) char *text = NULL;

	expect_message("[fuse]\n\nmax_thrads = 1\n",
		":3: [fuse] fuse.max_thrads: unknown knob; did you mean fuse.max_threads?");
	expect_message(
		"[fues]\nmax_threads = 1\n", ":2: [fues]: no such section; did you mean [fuse]?");
	expect_message("[fuse]\nmax_threads = 0\n",
		":2: [fuse] fuse.max_threads: 0 is out of range; give 1 to 4096");
	expect_message("[fuse]\nmax_threads\n", ":2: neither [section] nor key = value");
	expect_message("max_threads = 1\n",
		":1: max_threads: stands before any section; only include = FILE may");
	expect_message("[variant.x]\nfuse.nope = 1\n",
		":2: [variant.x] fuse.nope: unknown knob; see --help for those of section fuse");
	assert_true(asprintf(&text, "[log]\nfile = %0300d\n", 0) > 0);
	expect_message(text, ":2: line longer than 198 bytes; go on in an indented line");
	expect_message("include = bad.ini\n", ":1: include = bad.ini: the file includes itself");
}

static void included_mistakes_name_both_files(void **state)
{
	AUTO(free) char *inner = scratch_file(dir, "inner.ini", "[fuse]\nx = 1\n");
	AUTO(free) char *outer = scratch_file(dir, "outer.ini", "include = inner.ini\n");
	struct profile p;
	struct err err = {""};

	assert_true(profile_load(outer, &p, &err) < 0);
	assert_non_null(strstr(err.msg, "outer.ini:1: "));
	assert_non_null(strstr(err.msg, "inner.ini:2: "));
}

static void an_unknown_profile_names_the_nearest(void **state)
{
	struct err err = {""};

	assert_null(profile_find("quik", &err));
	assert_non_null(strstr(err.msg, "did you mean quick?"));
}

static void shipped_profiles_load(void **state)
{
	AUTO(closedir) DIR *profiles = opendir("profiles");
	struct dirent *entry;
	int n = 0;

	assert_non_null(profiles); /* run from the source tree */
	while ((entry = readdir(profiles))) {
		AUTO(config) struct config *cfg = config_new();
		AUTO(free) char *path = NULL;
		struct profile p;
		struct err err = {""};

		if (!strstr(entry->d_name, ".ini"))
			continue;
		assert_true(asprintf(&path, "profiles/%s", entry->d_name) > 0);
		if (profile_load(path, &p, &err) < 0 || profile_apply(&p, NULL, cfg, &err) < 0)
			fail_msg("%s", err.msg);
		char **variants = profile_tables(&p, "variant");

		for (char **v = variants; *v; v++)
			if (profile_apply(&p, *v, cfg, &err) < 0)
				fail_msg("%s", err.msg);
		list_free(variants);
		profile_done(&p);
		n++;
	}
	assert_true(n >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(later_wins_across_includes),
		cmocka_unit_test(variants_start_from_their_base),
		cmocka_unit_test(tables_are_kept_as_text),
		cmocka_unit_test(indented_lines_go_on),
		cmocka_unit_test(mistakes_name_file_line_and_remedy),
		cmocka_unit_test(included_mistakes_name_both_files),
		cmocka_unit_test(an_unknown_profile_names_the_nearest),
		cmocka_unit_test(shipped_profiles_load),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
