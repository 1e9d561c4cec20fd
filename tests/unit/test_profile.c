/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: includes, variants, tables, and mistakes told by file, line, section and key. */
#include "tests/unit/test.h"

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
	free(scratch_file(dir, "sub/base.ini", "[fuse]\nmax_threads = 2\n[mem]\ncapacity=1M\n"));
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

static void an_include_is_beside_its_file_or_a_known_profile(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	char home[4096];

	assert_non_null(getcwd(home, sizeof(home)));
	free(scratch_file(dir, "cwd/profiles/known.ini", "[fuse]\nmax_threads = 7\n"));
	AUTO(free) char *path = scratch_file(dir, "far/own.ini", "include = known.ini\n");
	struct profile p;

	assert_int_equal(chdir(dir), 0);
	assert_int_equal(chdir("cwd"), 0);
	assert_int_equal(profile_load(path, &p, NULL), 0);
	assert_int_equal(profile_apply(&p, NULL, cfg, NULL), 0);
	assert_int_equal(cfg->fuse.max_threads, 7);
	profile_done(&p);
	free(scratch_file(dir, "far/known.ini", "[fuse]\nmax_threads = 8\n"));
	assert_int_equal(profile_load(path, &p, NULL), 0);
	assert_int_equal(profile_apply(&p, NULL, cfg, NULL), 0);
	assert_int_equal(cfg->fuse.max_threads, 8);
	profile_done(&p);
	assert_int_equal(chdir(home), 0);
}

static void variants_start_from_their_base(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free)
	char *path = scratch_file(dir, "v.ini",
		"[variant.a]\nfuse.max_threads = 3\nfuse.open_mode = direct\n"
		"[variant.b]\nbase = a\nfuse.max_threads = 4\n");
	struct profile p;

	assert_int_equal(profile_load(path, &p, NULL), 0);
	assert_int_equal(profile_apply(&p, "b", cfg, NULL), 0);
	assert_int_equal(cfg->fuse.max_threads, 4);
	assert_int_equal(cfg->fuse.open_mode, OPEN_DIRECT);
	profile_done(&p);
}

static void an_empty_variant_is_the_profile_itself(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free)
	char *path = scratch_file(dir, "e.ini",
		"[fuse]\nmax_threads = 3\n[variant.plain]\n[variant.more]\nfuse.max_threads = 9\n");
	struct profile p;

	assert_int_equal(profile_load(path, &p, NULL), 0);
	char **names = profile_tables(&p, "variant");

	assert_string_equal(names[0], "plain");
	assert_string_equal(names[1], "more");
	assert_null(names[2]);
	list_free(names);
	assert_int_equal(profile_apply(&p, "plain", cfg, NULL), 0);
	assert_int_equal(cfg->fuse.max_threads, 3);
	profile_done(&p);
}

static void an_unknown_variant_names_the_nearest(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free) char *path = scratch_file(dir, "n.ini", "[variant.direct]\n");
	AUTO(free) char *expected = NULL;
	struct profile p;
	struct err err = {""};

	assert_true(asprintf(&expected, "%s: there is no [variant.dirct]; did you mean direct?",
			    path) > 0);
	assert_int_equal(profile_load(path, &p, NULL), 0);
	assert_int_equal(profile_apply(&p, "dirct", cfg, &err), -ENOENT);
	assert_string_equal(err.msg, expected);
	profile_done(&p);
}

static void tables_are_kept_as_text(void **state)
{
	AUTO(free)
	char *path = scratch_file(dir, "t.ini",
		"[accelerator.x]\nimages_per_s = 5\nsource = \"\xc3\xa9t\xc3\xa9\"\n[accelerator.y]\nbatch = 1\nbatch = 2\n");
	struct profile p;

	assert_int_equal(profile_load(path, &p, NULL), 0);
	char **names = profile_tables(&p, "accelerator");

	assert_string_equal(names[0], "x");
	assert_string_equal(names[1], "y");
	assert_null(names[2]);
	assert_string_equal(
		profile_value(&p, "accelerator", "x", "source"), "\"\xc3\xa9t\xc3\xa9\"");
	assert_null(profile_value(&p, "accelerator", "y", "source"));
	assert_string_equal(profile_value(&p, "accelerator", "y", "batch"), "2"); /* the last */
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

static void a_backslash_joins_without_a_space(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free) char *path = scratch_file(dir, "j.ini", "[disk]\npath = /a/b\\\n\tc/d\\\n\te\n");
	struct profile p;

	assert_int_equal(profile_load(path, &p, NULL), 0);
	assert_int_equal(profile_apply(&p, NULL, cfg, NULL), 0);
	assert_string_equal(cfg->disk.path, "/a/bc/de");
	profile_done(&p);
}

/* What config_to_ini() writes is what profile_load() reads, with a path moved by shift bytes. */
static void expect_reads_back(size_t shift)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(config) struct config *back = config_new();
	AUTO(free) char *text = NULL;
	char long_path[1000];
	struct profile p;
	struct err err = {""};
	size_t len;
	FILE *out = open_memstream(&text, &len);

	memset(long_path, 'x', shift);
	for (size_t i = 0; i < 900; i++)
		long_path[shift + i] = "/a b  c\xc3\xa9"[i % 9];
	long_path[shift + 900] = '\0';
	config_set(cfg, "disk.path", long_path, "profile:x.ini:3", NULL);
	config_set(cfg, "disk.capacity", "1.5T", long_path, NULL);
	config_to_ini(cfg, OWNER_ANY, out);
	fclose(out);
	AUTO(free) char *path = scratch_file(dir, "effective.ini", text);

	if (profile_load(path, &p, &err) < 0 || profile_apply(&p, NULL, back, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < KNOB_N; i++)
		assert_string_equal(config_text(back, &knobs[i]), config_text(cfg, &knobs[i]));
	profile_done(&p);
}

/* A long value is cut, here once at each character of the pattern. */
static void the_effective_profile_reads_back(void **state)
{
	for (size_t shift = 0; shift < 9; shift++)
		expect_reads_back(shift);
}

/* --help=ini, with every "#name = default" made a setting. */
static void the_template_loads(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free) char *text = NULL;
	struct profile p;
	struct err err = {""};
	size_t len;
	FILE *out = open_memstream(&text, &len);

	knob_print_ini(out, OWNER_ANY);
	fclose(out);
	for (char *c = text; *c; c++)
		if (c[0] == '\n' && c[1] == '#' && c[2] != ' ')
			memmove(c + 1, c + 2, strlen(c + 2) + 1);
	AUTO(free) char *path = scratch_file(dir, "template.ini", text);

	if (profile_load(path, &p, &err) < 0 || profile_apply(&p, NULL, cfg, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(p.n, KNOB_N);
	for (size_t i = 0; i < KNOB_N; i++)
		assert_false(config_is_set(cfg, &knobs[i]));
	profile_done(&p);
}

static void expect_bytes_message(const char *text, size_t len, const char *message)
{
	AUTO(free) char *path = scratch_file(dir, "bad.ini", "");
	AUTO(free) char *expected = NULL;
	struct profile p;
	struct err err = {""};

	assert_int_equal(file_write_atomic(path, text, len, 0644, NULL), 0);
	assert_true(asprintf(&expected, "%s%s", path, message) > 0);
	assert_true(profile_load(path, &p, &err) < 0);
	assert_string_equal(err.msg, expected);
}

static void expect_message(const char *text, const char *message)
{
	expect_bytes_message(text, strlen(text), message);
}

static void sections_have_to_exist(void **state)
{
	expect_message(
		"[fues]\nmax_threads = 1\n", ":1: [fues]: no such section; did you mean [fuse]?");
	expect_message(
		"\n[variants.x]\n", ":2: [variants.x]: no such section; did you mean [variant.x]?");
	expect_message(
		"[zzzzzz]\n", ":1: [zzzzzz]: no such section; see --help=ini for all of them");
	expect_message("\xef\xbb\xbf[fues]\nmax_threads = 1\n",
		":2: [fues]: no such section; did you mean [fuse]?");
}

static void keys_and_values_are_checked(void **state)
{
	expect_message("[fuse]\n\nmax_thrads = 1\n",
		":3: [fuse] fuse.max_thrads: unknown knob; did you mean fuse.max_threads?");
	expect_message("[fuse]\nmax_threads = 0\n",
		":2: [fuse] fuse.max_threads: 0 is out of range; give 1 to 4096");
	expect_message("[variant.x]\nfuse.nope = 1\n",
		":2: [variant.x] fuse.nope: unknown knob; see --help for those of section fuse");
	expect_message("[variant.x]\nfuse.open_mode = pge\n",
		":2: [variant.x] fuse.open_mode: \"pge\" is none of direct, page, noopen, passthrough, auto; "
		"did you mean page?");
}

static void lines_have_to_be_settings(void **state)
{
	AUTO(free) char *text = NULL;

	expect_message("[fuse]\nmax_threads\n", ":2: neither [section] nor key = value");
	expect_message("[fuse\nmax_threads = 2\n", ":1: neither [section] nor key = value");
	expect_message("max_threads = 1\n",
		":1: max_threads: stands before any section; only include = FILE may");
	expect_message("[fuse]\ninclude = x.ini\n",
		":2: [fuse] include: must stand before the first section");
	expect_message("[disk]\n  path = /a\n  capacity = 5G\n",
		":2: path: starts with a space, as only what goes on with the line above may");
	expect_bytes_message("[fuse]\n\0", 8, ":2: a NUL byte; a profile is a text file");
	assert_true(asprintf(&text, "[log]\nfile = %0191d\n[fuse]\nmax_threads = 0\n", 0) > 0);
	expect_message(text, /* 198 bytes are read */
		":4: [fuse] fuse.max_threads: 0 is out of range; give 1 to 4096");
	free(text);
	assert_true(asprintf(&text, "[log]\nfile = %0192d\n", 0) > 0);
	expect_message(text, ":2: line longer than 198 bytes; go on in an indented line");
}

static void bases_have_to_exist_and_end(void **state)
{
	AUTO(free) char *path = NULL, *message = NULL;

	assert_true(asprintf(&path, "%s/bad.ini", dir) > 0);
	assert_true(asprintf(&message,
			    ":2: [variant.a] base: %s: there is no [variant.bb]; did you mean b?",
			    path) > 0);
	expect_message("[variant.a]\nbase = bb\n[variant.b]\n", message);
	expect_message("[variant.a]\nbase = b\n[variant.b]\nbase = a\n",
		":4: [variant.b] base = a: bases go in a circle");
}

static void includes_do_not_go_in_a_circle(void **state)
{
	AUTO(free) char *message = NULL;

	/* The same file by another path. */
	assert_true(asprintf(&message, ":1: %s/./bad.ini: the file includes itself", dir) > 0);
	expect_message("include = ./bad.ini\n", message);
}

static void includes_go_eight_deep(void **state)
{
	struct profile p;
	struct err err = {""};

	for (int i = 0; i <= 9; i++) {
		char name[24], text[48];

		snprintf(name, sizeof(name), "d%d.ini", i);
		snprintf(text, sizeof(text), i ? "include = d%d.ini\n" : "[fuse]\n", i - 1);
		free(scratch_file(dir, name, text));
	}
	AUTO(free) char *eight = scratch_file(dir, "x.ini", "include = d7.ini\n");
	AUTO(free) char *nine = scratch_file(dir, "y.ini", "include = d8.ini\n");

	assert_int_equal(profile_load(eight, &p, &err), 0);
	profile_done(&p);
	assert_true(profile_load(nine, &p, &err) < 0);
	assert_non_null(
		strstr(err.msg, "d1.ini:1: include = d0.ini: files include each other more"));
}

static void files_have_to_be_readable(void **state)
{
	AUTO(free) char *expected = NULL;
	struct profile p;
	struct err err = {""};

	assert_int_equal(profile_load("/nowhere.ini", &p, &err), -ENOENT);
	assert_string_equal(err.msg, "/nowhere.ini: cannot read: No such file or directory; check "
				     "the path and its mode");
	assert_true(
		asprintf(&expected, "%s: cannot read: Is a directory; check the path and its mode",
			dir) > 0);
	assert_int_equal(profile_load(dir, &p, &err), -EISDIR);
	assert_string_equal(err.msg, expected);
}

static void included_mistakes_name_both_files(void **state)
{
	free(scratch_file(dir, "inner.ini", "[fuse]\nx = 1\n"));
	AUTO(free) char *outer = scratch_file(dir, "outer.ini", "include = inner.ini\n");
	struct profile p;
	struct err err = {""};

	assert_true(profile_load(outer, &p, &err) < 0);
	assert_non_null(strstr(err.msg, "outer.ini:1: "));
	assert_non_null(strstr(err.msg, "inner.ini:2: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(later_wins_across_includes),
		cmocka_unit_test(an_include_is_beside_its_file_or_a_known_profile),
		cmocka_unit_test(variants_start_from_their_base),
		cmocka_unit_test(tables_are_kept_as_text),
		cmocka_unit_test(an_empty_variant_is_the_profile_itself),
		cmocka_unit_test(an_unknown_variant_names_the_nearest),
		cmocka_unit_test(indented_lines_go_on),
		cmocka_unit_test(a_backslash_joins_without_a_space),
		cmocka_unit_test(the_effective_profile_reads_back),
		cmocka_unit_test(the_template_loads),
		cmocka_unit_test(sections_have_to_exist),
		cmocka_unit_test(keys_and_values_are_checked),
		cmocka_unit_test(lines_have_to_be_settings),
		cmocka_unit_test(bases_have_to_exist_and_end),
		cmocka_unit_test(included_mistakes_name_both_files),
		cmocka_unit_test(includes_do_not_go_in_a_circle),
		cmocka_unit_test(includes_go_eight_deep),
		cmocka_unit_test(files_have_to_be_readable),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
