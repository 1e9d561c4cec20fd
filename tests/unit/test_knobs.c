/* SPDX-License-Identifier: Apache-2.0 */
/* The knob table holds what it promises, and what derives from it agrees with it. */
#include "tests/unit/test.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/knob.h"
#include "common/log.h"

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

/* The bytes of a field, or what a text field points to. */
static void expect_same_field(const struct config *a, const struct config *b, const struct knob *k)
{
	static const size_t size[] = {
		[KNOB_BOOL] = sizeof(bool),
		[KNOB_COUNT] = sizeof(int64_t),
		[KNOB_SIZE] = sizeof(int64_t),
		[KNOB_RATE] = sizeof(int64_t),
		[KNOB_TIME] = sizeof(int64_t),
		[KNOB_RATIO] = sizeof(double),
		[KNOB_CHOICE] = sizeof(int),
	};
	const char *x = (const char *)a + k->offset, *y = (const char *)b + k->offset;

	if (k->type == KNOB_STRING)
		assert_string_equal(*(char *const *)x, *(char *const *)y);
	else
		assert_memory_equal(x, y, size[k->type]);
}

static void expect_round_trip(const struct knob *k, const char *text)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(config) struct config *back = config_new();
	char dotted[64];
	struct err err = {""};

	dotted_name(k, dotted);
	if (config_set(cfg, dotted, text, "option", &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(config_set(back, dotted, config_text(cfg, k), "", NULL), 0);
	expect_same_field(cfg, back, k);
}

/* Through the user's parser, which checks the bounds, and back. */
static void defaults_sweep_values_and_words_read_back(void **state)
{
	for (size_t i = 0; i < KNOB_N; i++) {
		const struct knob *k = &knobs[i];
		/* The sweep of a list (bench.gpus) is one value after another of it too. */
		char **values = list_split(k->sweep, ',', NULL);
		char **words = list_split(k->words, ',', NULL);

		expect_round_trip(k, k->def);
		for (char **v = values; *v; v++)
			expect_round_trip(k, *v);
		for (char **w = words; *w; w++) {
			char text[40];
			int n = (int)strcspn(*w, "=");

			snprintf(
				text, sizeof(text), "%.*s%s", n, *w, (*w)[n - 1] == ':' ? "1" : "");
			expect_round_trip(k, text);
		}
		list_free(values);
		list_free(words);
	}
}

/* A bound that does not parse would bind nobody. */
static void bounds_are_values(void **state)
{
	for (size_t i = 0; i < KNOB_N; i++) {
		if (*knobs[i].min)
			expect_round_trip(&knobs[i], knobs[i].min);
		if (*knobs[i].max)
			expect_round_trip(&knobs[i], knobs[i].max);
		if (*knobs[i].min || *knobs[i].max)
			assert_true(knobs[i].type >= KNOB_COUNT && knobs[i].type <= KNOB_RATIO);
	}
}

static void sections_hold_knobs_and_have_help(void **state)
{
	for (const struct knob_section *s = knob_sections; s->name; s++) {
		size_t n = 0;

		for (size_t i = 0; i < KNOB_N; i++)
			n += !strcmp(knobs[i].section, s->name);
		assert_true(n > 0);
		assert_true(*s->help != '\0');
		assert_true(knob_is_section(s->name));
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
		{"mem.promote", "auto", PROMOTE_AUTO},
		{"mem.promote", "yes", PROMOTE_YES},
		{"mem.promote", "no", PROMOTE_NO},
		{"disk.page_cache", "auto", PAGE_CACHE_AUTO},
		{"disk.page_cache", "keep", PAGE_CACHE_KEEP},
		{"disk.page_cache", "drop", PAGE_CACHE_DROP},
		{"data.format", "tfrecord", FORMAT_TFRECORD},
		{"data.format", "imagefolder", FORMAT_IMAGEFOLDER},
		{"bench.format", "tfrecord", FORMAT_TFRECORD},
		{"bench.format", "imagefolder", FORMAT_IMAGEFOLDER},
		{"http.version", "auto", HTTP_VERSION_AUTO},
		{"http.version", "1.1", HTTP_VERSION_1_1},
		{"http.version", "2", HTTP_VERSION_2},
		{"http.listing", "auto", LIST_AUTO},
		{"http.listing", "s3", LIST_S3},
		{"http.listing", "autoindex", LIST_AUTOINDEX},
		{"bench.sync", "step", SYNC_STEP},
		{"s3.style", "auto", S3_STYLE_AUTO},
		{"s3.style", "path", S3_STYLE_PATH},
		{"s3.style", "host", S3_STYLE_HOST},
		{"bench.sync", "none", SYNC_NONE},
		{"bench.verify", "none", 0},
		{"bench.verify", "crc", 1},
		{"log.level", "error", LOG_ERROR},
		{"log.level", "warn", LOG_WARN},
		{"log.level", "info", LOG_INFO},
		{"log.level", "debug", LOG_DEBUG},
		{"cache.policy", "lru", 0}, /* the order of cachefs/policy.c's registry */
		{"cache.policy", "none", 1},
	};
	AUTO(config) struct config *cfg = config_new();

	for (size_t i = 0; i < KNOB_N; i++) {
		char **words = list_split(knobs[i].words, ',', NULL);
		char dotted[64];
		size_t named = 0, n = 0;

		dotted_name(&knobs[i], dotted);
		while (words[n])
			n++;
		list_free(words);
		for (size_t j = 0; j < ARRAY_SIZE(expected); j++)
			named += !strcmp(expected[j].knob, dotted);
		if (knobs[i].type == KNOB_CHOICE && named != n)
			fail_msg("%s has %zu words, this test knows %zu", dotted, n, named);
	}
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
	assert_int_equal(config_set(cfg, "bench.decode", "none", "", NULL), 0);
	assert_int_equal(cfg->bench.decode, BENCH_DECODE_NONE);
	assert_string_equal(config_text(cfg, &knobs[KNOB_ID_bench_decode]), "none");
	/* The value itself is none of the user's business. */
	assert_int_equal(config_set(cfg, "disk.capacity", "-1", "", NULL), -EINVAL);
}

/* The word "cpu:" of bench.decode: what the documentation writes, and what people try. */
static void a_prefix_goes_before_a_number(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {{"cpu:250", 250000}, {"cpu:250us", 250000}, {"cpu:1ms", 1000000},
		{"cpu:0.5", 500}, {"cpu:1000000", 1000000000}, {"cpu:0", 0}, {"250us", 250000}};
	static const struct {
		const char *text;
		int code;
	} bad[] = {{"cpu:", -EINVAL}, {"cpu", -EINVAL}, {"cpu:fast", -EINVAL},
		{"cpu:1.2.3", -EINVAL}, {"cpu:.", -EINVAL}, {"cpu:-5", -EINVAL}, {"cpu: ", -EINVAL},
		{"cpu:jpeg", -EINVAL}, {"cpu:1000001", -ERANGE}, {"cpu:2s", -ERANGE},
		{"250", -ERANGE}, {"cpu:99999999999999999999999", -ERANGE}};
	AUTO(config) struct config *cfg = config_new();

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		AUTO(config) struct config *again = config_new();
		const struct knob *k = &knobs[KNOB_ID_bench_decode];

		assert_int_equal(config_set(cfg, "bench.decode", good[i].text, "", NULL), 0);
		assert_int_equal(cfg->bench.decode, good[i].ns);
		assert_int_equal(
			config_set(again, "bench.decode", config_text(cfg, k), "", NULL), 0);
		assert_int_equal(again->bench.decode, good[i].ns);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (config_set(cfg, "bench.decode", bad[i].text, "", NULL) != bad[i].code)
			fail_msg("%s", bad[i].text);
	assert_int_equal(cfg->bench.decode, 250000); /* the last good one */
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
	expect_message("cpu.count", "5000", -ERANGE,
		"cpu.count: 5000 is out of range; give 1 to 4096 (or auto, ceil, floor)");
	expect_message("data.seed", "-1", -ERANGE, "data.seed: -1 is out of range; give 0 or more");
	expect_message("throttle.bandwidth", "0.4", -EINVAL,
		"throttle.bandwidth: \"0.4\" is not a rate such as 100M/s, 1.25G/s or 800Mbit/s");
	expect_message("data.seed", "9223372036854775808", -ERANGE,
		"data.seed: 9223372036854775808 is larger than any value can be");
	expect_message(
		"disk.path", "a\nb", -EINVAL, "disk.path: \"a\nb\" is not a text of one line");
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

static void the_effective_profile_says_where_from(void **state)
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

/* Paths are bytes. */
static void json_holds_what_is_no_utf8(void **state)
{
	AUTO(config) struct config *cfg = config_new();

	config_set(cfg, "disk.path", "/\xff", "option", NULL);
	json_t *j = config_to_json(cfg, OWNER_CACHEFS), *k = json_object_get(j, "disk.path");

	assert_true(json_is_null(json_object_get(k, "value")));
	assert_string_equal(json_string_value(json_object_get(k, "from")), "option");
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
	assert_int_equal(
		config_set_mount_options(cfg, "=5", OWNER_CACHEFS, other_option, other, &err),
		-EINVAL);
	assert_string_equal(err.msg, "-o =5: a value without a name");
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

static const struct cli cachefs = {
	"cachefs", "cachefs ORIGIN DIR", "a test", NULL, NULL, OWNER_CACHEFS, NULL, NULL};

/* What print writes for a program with the knobs of cachefs. */
static char *text_of(void (*print)(FILE *, const struct cli *))
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	print(out, &cachefs);
	fclose(out);
	return text;
}

static void completion_names_every_knob_of_the_program(void **state)
{
	AUTO(free) char *text = text_of(knob_print_completion);

	for (size_t i = 0; i < KNOB_N; i++) {
		char option[80];

		snprintf(option, sizeof(option), "--%s.%s= ", knobs[i].section, knobs[i].name);
		if (!(knobs[i].owner & OWNER_CACHEFS) != !strstr(text, option))
			fail_msg("completion and table disagree on %s", option);
	}
}

/* Runs bash over the generated text, as if TAB were pressed after the last of words. */
static void expect_completions(const char *words, const char *expected)
{
	char *dir = scratch_make(), got[256] = "";
	AUTO(free) char *text = text_of(knob_print_completion);
	AUTO(free) char *path = scratch_file(dir, "completion", text);
	AUTO(free) char *command = NULL;

	assert_true(asprintf(&command,
			    "bash -uc 'compopt() { :; }; . %s; COMP_WORDS=(cachefs %s); "
			    "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _cachefs; "
			    "echo -n \"${COMPREPLY[*]}\"'",
			    path, words) > 0);
	FILE *bash = popen(command, "r");

	assert_non_null(bash);
	got[fread(got, 1, sizeof(got) - 1, bash)] = '\0';
	assert_int_equal(pclose(bash), 0);
	assert_string_equal(got, expected);
	scratch_remove(dir);
}

static void completion_works_in_bash(void **state)
{
	expect_completions("--fuse.op", "--fuse.open_mode=");
	expect_completions("--fuse.open_mode =", "direct page noopen passthrough auto");
	expect_completions("--fuse.open_mode = pag", "page");
	expect_completions("--meta.enabled = y", "yes");
	expect_completions("--disk.path = /dev/nul", "/dev/null");
}

static void help_fits_a_screen(void **state)
{
	AUTO(free) char *text = text_of(knob_print_help);
	size_t lines = 0;

	for (char *line = text; *line; line += strcspn(line, "\n") + 1) {
		assert_true(strcspn(line, "\n") <= 79);
		lines++;
	}
	assert_true(lines <= 24);
	for (size_t i = 0; i < KNOB_N; i++) {
		char name[64];

		snprintf(name, sizeof(name), " %s", knobs[i].name);
		if (knobs[i].owner & OWNER_CACHEFS)
			assert_non_null(strstr(text, name));
	}
}

static void a_program_without_knobs_speaks_of_none(void **state)
{
	static const struct cli none = {"x-ctl", "x-ctl DIR", "a test", NULL, NULL, 0, NULL, NULL};
	AUTO(free) char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	knob_print_help(out, &none);
	fclose(out);
	assert_string_equal(text, "x-ctl: a test\n\nUsage: x-ctl DIR\n\n"
				  "  -h, --help                   this\n"
				  "  -V, --version                the version\n");
}

static void help_in_depth_says_all_of_a_row(void **state)
{
	AUTO(free) char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	knob_print_depth(out, &knobs[KNOB_ID_cpu_count]);
	fclose(out);
	assert_string_equal(text,
		"cpu.count = COUNT\n\n"
		"  CPUs that thread pools are sized for; auto: affinity, cpuset and the\n"
		"  smallest cgroup quota up to the root.\n\n"
		"  default     auto\n"
		"  range       1 to 4096\n"
		"  or          auto, ceil, floor\n"
		"  swept over  1,2,auto\n"
		"  elsewhere   -XX:ActiveProcessorCount\n"
		"  takes hold  at start\n");
}

static void the_manual_page_has_a_paragraph_a_knob(void **state)
{
	AUTO(free) char *text = text_of(knob_print_man);

	for (size_t i = 0; i < KNOB_N; i++) {
		char option[80];

		snprintf(option, sizeof(option), ".TP\n.BI \\-\\-%s.%s= ", knobs[i].section,
			knobs[i].name);
		if (!(knobs[i].owner & OWNER_CACHEFS) != !strstr(text, option))
			fail_msg("manual page and table disagree on %s", option);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_unique_and_have_help),
		cmocka_unit_test(defaults_sweep_values_and_words_read_back),
		cmocka_unit_test(bounds_are_values),
		cmocka_unit_test(sections_hold_knobs_and_have_help),
		cmocka_unit_test(choices_agree_with_their_enums),
		cmocka_unit_test(words_stand_for_values_beyond_the_range),
		cmocka_unit_test(a_prefix_goes_before_a_number),
		cmocka_unit_test(mistakes_name_the_remedy),
		cmocka_unit_test(a_refused_value_changes_nothing),
		cmocka_unit_test(children_get_what_is_set),
		cmocka_unit_test(the_effective_profile_says_where_from),
		cmocka_unit_test(json_tells_where_a_value_came_from),
		cmocka_unit_test(json_holds_what_is_no_utf8),
		cmocka_unit_test(mount_options_set_knobs),
		cmocka_unit_test(lists_are_trimmed),
		cmocka_unit_test(completion_names_every_knob_of_the_program),
		cmocka_unit_test(completion_works_in_bash),
		cmocka_unit_test(help_fits_a_screen),
		cmocka_unit_test(a_program_without_knobs_speaks_of_none),
		cmocka_unit_test(help_in_depth_says_all_of_a_row),
		cmocka_unit_test(the_manual_page_has_a_paragraph_a_knob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
