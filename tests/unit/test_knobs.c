/* SPDX-License-Identifier: Apache-2.0 */
/* The knob table holds what it promises, and what derives from it agrees with it. */
#include "tests/unit/test.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/knob.h"

AUTO_FREE(config, struct config, config_free);

static void dotted_name(const struct knob *k, char buf[64])
{
	snprintf(buf, 64, "%s.%s", k->section, k->name);
}

static void names_are_unique_and_have_help(void **state)
{
	for (size_t i = 0; i < KNOB_N; i++) {
		char dotted[64];

		dotted_name(&knobs[i], dotted);
		assert_true(strlen(knobs[i].help) > 10);
		assert_true(knobs[i].owner != 0);
		assert_ptr_equal(knob_find(dotted, NULL), &knobs[i]);
	}
}

/* Every default and every value that a sweep tries goes through the user's parser, and its text
 * reads back to the same value. */
static void defaults_and_sweep_values_parse(void **state)
{
	AUTO(config) struct config *cfg = config_new();

	assert_non_null(cfg);
	for (size_t i = 0; i < KNOB_N; i++) {
		char **values = list_split(
			knobs[i].type == KNOB_STRING ? "" : knobs[i].sweep, ',', NULL);
		char dotted[64];
		struct err err;

		dotted_name(&knobs[i], dotted);
		assert_false(config_is_set(cfg, &knobs[i]));
		for (char **v = values; *v; v++) {
			if (config_set(cfg, dotted, *v, "option", &err) < 0)
				fail_msg("%s", err.msg);
			assert_string_equal(config_text(cfg, &knobs[i]), *v);
		}
		list_free(values);
	}
}

/* CHOICE rows must name their words in the order of the enums of knob.h. */
static void choices_agree_with_their_enums(void **state)
{
	static const struct {
		const char *knob, *word;
		int value;
	} expected[] = {
		{"fuse.open_mode", "direct", OPEN_DIRECT},
		{"fuse.open_mode", "page", OPEN_PAGE},
		{"fuse.open_mode", "noopen", OPEN_NOOPEN},
		{"fuse.open_mode", "passthrough", OPEN_PASSTHROUGH},
		{"fuse.open_mode", "auto", OPEN_AUTO},
		{"fuse.dispatch", "pool", DISPATCH_POOL},
		{"fuse.dispatch", "inline", DISPATCH_INLINE},
		{"cpu.bind", "none", BIND_NONE},
		{"cpu.bind", "compact", BIND_COMPACT},
		{"cpu.bind", "spread", BIND_SPREAD},
		{"cache.fill", "sync", FILL_SYNC},
		{"cache.fill", "async", FILL_ASYNC},
		{"disk.page_cache", "keep", PAGE_CACHE_KEEP},
		{"disk.page_cache", "drop", PAGE_CACHE_DROP},
		{"data.format", "tfrecord", FORMAT_TFRECORD},
		{"data.format", "imagefolder", FORMAT_IMAGEFOLDER},
		{"bench.format", "imagefolder", FORMAT_IMAGEFOLDER},
		{"http.version", "auto", HTTP_VERSION_AUTO},
		{"http.version", "1.1", HTTP_VERSION_1_1},
		{"http.version", "2", HTTP_VERSION_2},
		{"http.listing", "auto", LIST_AUTO},
		{"http.listing", "s3", LIST_S3},
		{"http.listing", "autoindex", LIST_AUTOINDEX},
		{"bench.sync", "step", SYNC_STEP},
		{"bench.sync", "none", SYNC_NONE},
	};
	AUTO(config) struct config *cfg = config_new();

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		const struct knob *k = knob_find(expected[i].knob, NULL);

		assert_int_equal(config_set(cfg, expected[i].knob, expected[i].word, "", NULL), 0);
		assert_int_equal(*(int *)((char *)cfg + k->offset), expected[i].value);
	}
}

static void words_stand_for_values_beyond_the_range(void **state)
{
	AUTO(config) struct config *cfg = config_new();

	assert_int_equal(cfg->meta.expiration, KNOB_VALUE_NEVER);
	assert_int_equal(cfg->disk.capacity, KNOB_VALUE_AUTO);
	assert_int_equal(config_set(cfg, "bench.page_cache", "none", "", NULL), 0);
	assert_int_equal(cfg->bench.page_cache, 0);
	assert_int_equal(config_set(cfg, "bench.page_cache", "any", "", NULL), 0);
	assert_int_equal(cfg->bench.page_cache, PAGE_CACHE_ANY);
	assert_int_equal(config_set(cfg, "bench.decode", "250us", "", NULL), 0);
	assert_int_equal(cfg->bench.decode, 250000);
}

static void expect_message(const char *knob, const char *text, int code, const char *message)
{
	AUTO(config) struct config *cfg = config_new();
	struct err err = {""};

	assert_int_equal(config_set(cfg, knob, text, "option", &err), code);
	assert_string_equal(err.msg, message);
}

static void mistakes_name_the_remedy(void **state)
{
	expect_message("fuse.max_thread", "1", -ENOENT,
		"fuse.max_thread: unknown knob; did you mean fuse.max_threads?");
	expect_message("fues.max_threads", "1", -ENOENT,
		"fues.max_threads: there is no section \"fues\"; did you mean fuse?");
	expect_message("max_threads", "1", -ENOENT,
		"max_threads: unknown knob; did you mean fuse.max_threads?");
	expect_message("fuse.max_threads", "0", -ERANGE,
		"fuse.max_threads: 0 is out of range; give 1 to 4096");
	expect_message("fuse.open_mode", "pagee", -EINVAL,
		"fuse.open_mode: \"pagee\" is none of direct, page, noopen, passthrough, auto; did "
		"you mean page?");
	expect_message("mem.capacity", "lots", -EINVAL,
		"mem.capacity: \"lots\" is not a size such as 64K, 256M or 1.5G, or one of auto");
	expect_message(
		"meta.enabled", "maybe", -EINVAL, "meta.enabled: \"maybe\" is not yes or no");
}

static void a_refused_value_changes_nothing(void **state)
{
	AUTO(config) struct config *cfg = config_new();

	assert_int_equal(config_set(cfg, "fuse.max_threads", "5000", "option", NULL), -ERANGE);
	assert_int_equal(cfg->fuse.max_threads, 16);
	assert_string_equal(cfg->origin[KNOB_ID_fuse_max_threads].from, "default");
}

static void children_get_what_is_set(void **state)
{
	AUTO(config) struct config *cfg = config_new();

	config_set(cfg, "fuse.max_threads", "16", "option", NULL); /* as by default */
	config_set(cfg, "mem.capacity", "64K", "option", NULL);
	config_set(cfg, "bench.gpus", "1", "option", NULL); /* not cachefs's */
	char **args = config_to_args(cfg, OWNER_CACHEFS);

	assert_string_equal(args[0], "--mem.capacity=64K");
	assert_null(args[1]);
	list_free(args);
}

static void the_effective_profile_reads_back(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free) char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	config_set(cfg, "mem.capacity", "64K", "profile:x.ini:3", NULL);
	config_to_ini(cfg, OWNER_CACHEFS, out);
	fclose(out);
	assert_non_null(strstr(text, "[mem]\n# profile:x.ini:3\ncapacity = 64K\n"));
	assert_non_null(strstr(text, "# max_threads = 16\n"));
	assert_true(strstr(text, "capacity = 64K") < strstr(text, "max_threads = 16"));
}

static void json_tells_where_a_value_came_from(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(config) struct config *copy = NULL;

	config_set(cfg, "mem.capacity", "64K", "option", NULL);
	copy = config_copy(cfg);
	json_t *j = config_to_json(copy, OWNER_CACHEFS);
	const json_t *k = json_object_get(j, "mem.capacity");

	assert_string_equal(json_string_value(json_object_get(k, "value")), "64K");
	assert_string_equal(json_string_value(json_object_get(k, "from")), "option");
	assert_int_equal(copy->mem.capacity, 65536);
	assert_null(json_object_get(j, "bench.gpus"));
	json_decref(j);
}

static int other_option(const char *name, const char *value, void *arg, struct err *err)
{
	snprintf(arg, 64, "%s=%s", name, value ? value : "");
	return 0;
}

static void mount_options_set_knobs(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	char other[64] = "";
	struct err err = {""};

	assert_int_equal(config_set_mount_options(cfg,
				 "uid=5,fuse.max_threads=3,disk.path=/a\\,b,,mem.capacity=0",
				 OWNER_CACHEFS, other_option, other, &err),
		0);
	assert_string_equal(other, "uid=5");
	assert_int_equal(cfg->fuse.max_threads, 3);
	assert_string_equal(cfg->disk.path, "/a,b");
	assert_int_equal(config_set_mount_options(
				 cfg, "bench.gpus=1", OWNER_CACHEFS, other_option, other, &err),
		-EINVAL);
	assert_int_equal(config_set_mount_options(
				 cfg, "fuse.max_threads", OWNER_CACHEFS, other_option, other, &err),
		-EINVAL);
	assert_string_equal(
		err.msg, "-o fuse.max_threads: needs a value; give -o fuse.max_threads=VALUE");
}

static void lists_are_trimmed(void **state)
{
	size_t n;
	char **list = list_split(" 1, 2 ,,4", ',', &n);

	assert_int_equal(n, 3);
	assert_string_equal(list[1], "2");
	assert_string_equal(list[2], "4");
	list_free(list);
}

static void generated_texts_name_every_knob(void **state)
{
	static const struct cli cli = {
		"cachefs", "cachefs ORIGIN DIR", "a test", NULL, OWNER_CACHEFS, NULL, NULL};
	AUTO(free) char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	knob_print_help(out, &cli);
	knob_print_man(out, &cli);
	knob_print_completion(out, &cli);
	knob_print_ini(out, OWNER_CACHEFS);
	fclose(out);
	for (size_t i = 0; i < KNOB_N; i++) {
		char option[80];

		snprintf(option, sizeof(option), "--%s.%s= ", knobs[i].section, knobs[i].name);
		if (!(knobs[i].owner & OWNER_CACHEFS) != !strstr(text, option))
			fail_msg("completion and table disagree on %s", option);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_unique_and_have_help),
		cmocka_unit_test(defaults_and_sweep_values_parse),
		cmocka_unit_test(choices_agree_with_their_enums),
		cmocka_unit_test(words_stand_for_values_beyond_the_range),
		cmocka_unit_test(mistakes_name_the_remedy),
		cmocka_unit_test(a_refused_value_changes_nothing),
		cmocka_unit_test(children_get_what_is_set),
		cmocka_unit_test(the_effective_profile_reads_back),
		cmocka_unit_test(json_tells_where_a_value_came_from),
		cmocka_unit_test(mount_options_set_knobs),
		cmocka_unit_test(lists_are_trimmed),
		cmocka_unit_test(generated_texts_name_every_knob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
