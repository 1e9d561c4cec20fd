/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: every form of an option, operands, help, and mistakes. */
#include "tests/unit/test.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/knob.h"

AUTO_FREE(config, struct config, config_free);

static char seen_text[256];

static int seen(const char *name, const char *value, void *arg, struct err *err)
{
	size_t n = strlen(seen_text);

	snprintf(seen_text + n, sizeof(seen_text) - n, "%s=%s;", name, value ? value : "");
	return 0;
}

static const struct cli_option options[] = {
	{"gpus", 0, "LIST", "bench.gpus", "GPU counts"},
	{"profile", 'p', "NAME", NULL, "profile"},
	{"json", 0, NULL, NULL, "print JSON"},
	{NULL, 0, NULL, NULL, NULL},
};

static const struct cli cli = {"run-bench", "run-bench [OPTION]", "a test", NULL, options,
	OWNER_RUN_BENCH | OWNER_CACHEFS, seen, NULL};

/* Parses argv; *ret_operands and argv as cli_parse leaves them. */
static int parse(struct config *cfg, char **argv, int *ret_operands, struct err *err)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	seen_text[0] = '\0';
	return cli_parse(&cli, cfg, argc, argv, ret_operands, err);
}

static void all_forms_are_one(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	char *argv[] = {"run-bench", "--fuse.max_threads=3", "a", "--mem.capacity", "64K",
		"-pquick", "--gpus", "1,2", "-p", "x", "--json", "--meta.enabled=no", "b", NULL};
	int n;

	assert_int_equal(parse(cfg, argv, &n, NULL), 0);
	assert_int_equal(cfg->fuse.max_threads, 3);
	assert_int_equal(cfg->mem.capacity, 65536);
	assert_string_equal(cfg->bench.gpus, "1,2");
	assert_false(cfg->meta.enabled);
	assert_string_equal(seen_text, "profile=quick;profile=x;json=;");
	assert_int_equal(n, 2);
	assert_string_equal(argv[1], "a");
	assert_string_equal(argv[2], "b");
	assert_string_equal(cfg->origin[KNOB_ID_fuse_max_threads].from, "option");
}

static void a_first_pass_leaves_argv_alone(void **state)
{
	char *argv[] = {"run-bench", "--fuse.max_threads=3", "a", "-p", "x", NULL};
	int n;

	assert_int_equal(parse(NULL, argv, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_string_equal(argv[1], "--fuse.max_threads=3");
	assert_string_equal(seen_text, "profile=x;");
}

static void two_dashes_end_the_options(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	char *argv[] = {"run-bench", "--", "--json", NULL};
	int n;

	assert_int_equal(parse(cfg, argv, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_string_equal(argv[1], "--json");
}

static void negative_values_are_values(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	char *argv[] = {"run-bench", "--fuse.max_idle_threads", "-1", "-", NULL};
	int n;

	assert_int_equal(parse(cfg, argv, &n, NULL), 0);
	assert_int_equal(cfg->fuse.max_idle_threads, -1);
	assert_int_equal(n, 1);
	assert_string_equal(argv[1], "-"); /* often: standard input */
}

static void the_last_one_wins(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	char *argv[] = {"run-bench", "--gpus=1", "--bench.gpus=2", "--disk.path=", NULL};
	int n;

	assert_int_equal(parse(cfg, argv, &n, NULL), 0);
	assert_string_equal(cfg->bench.gpus, "2");
	assert_string_equal(cfg->disk.path, "");
}

/* What parsing argv, which asks for a text, prints. */
static char *printed(char **argv)
{
	AUTO(config) struct config *cfg = config_new();
	FILE *file = tmpfile();
	int n, r, kept = dup(STDOUT_FILENO);
	char *text = calloc(1, 1 << 18);

	assert_non_null(file);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	r = parse(cfg, argv, &n, NULL);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	rewind(file);
	fread(text, 1, (1 << 18) - 1, file);
	fclose(file);
	assert_int_equal(r, 1);
	return text;
}

static void expect_printed(char *option, char *argument, const char *start)
{
	char *argv[] = {"run-bench", option, argument, NULL};
	AUTO(free) char *text = printed(argv);

	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("%s printed \"%.80s\"", option, text);
}

static void texts_are_printed_on_demand(void **state)
{
	expect_printed("--help", NULL, "run-bench: a test\n\nUsage: run-bench [OPTION]\n");
	expect_printed("-h", NULL, "run-bench: a test\n");
	expect_printed("--help=mem.capacity", NULL, "mem.capacity = SIZE\n");
	expect_printed("--help", "mem.capacity", "mem.capacity = SIZE\n");
	expect_printed("--help", "gpus", "bench.gpus = TEXT\n");
	expect_printed("--help=man", NULL, ".TH run-bench 1 ");
	expect_printed("--help=ini", NULL, "# Metadata cache\n[meta]\n");
	expect_printed("--help=completion", NULL, "# bash completion for run-bench\n");
	expect_printed("--version", NULL, "run-bench (feedrate) ");
	expect_printed("-V", NULL, "run-bench (feedrate) ");
}

static void expect_two(char *word, char *next, const char *message)
{
	AUTO(config) struct config *cfg = config_new();
	char *argv[] = {"run-bench", word, next, NULL};
	struct err err = {""};
	int n;

	assert_true(parse(cfg, argv, &n, &err) < 0);
	assert_string_equal(err.msg, message);
}

static void expect_message(char *word, const char *message)
{
	expect_two(word, NULL, message);
}

static void mistakes_name_the_remedy(void **state)
{
	expect_message("--fuse.max_thread=3",
		"--fuse.max_thread: unknown option; did you mean --fuse.max_threads?");
	expect_message("--jsn", "--jsn: unknown option; did you mean --json?");
	expect_message("-q", "-q: unknown option; see --help");
	expect_message(
		"--mem.capacity", "--mem.capacity: needs a value; give --mem.capacity=VALUE");
	expect_message(
		"--meta.enabled", "--meta.enabled: give --meta.enabled=yes or --meta.enabled=no");
	expect_message("--json=1", "--json: takes no value");
	expect_message(
		"--data.samples=1", "--data.samples: a knob of synth-data, not of run-bench");
	expect_message("--gpus", "--gpus: needs a value; give --gpus=LIST");
	expect_message("-p", "--profile: needs a value; give --profile=NAME");
	expect_message("--help=fuse.max_thrads",
		"fuse.max_thrads: unknown knob; did you mean fuse.max_threads?");
	expect_message("--zzzzzzzzzzzz", "--zzzzzzzzzzzz: unknown option; see --help");
	expect_message("--fues.max_threads=3",
		"--fues.max_threads: unknown option; did you mean --fuse.max_threads?");
	expect_message("--mem.capacity=x",
		"mem.capacity: \"x\" is not a size such as 64K, 256M or 1.5G, or one of auto");
}

/* An option that follows is not the value that was forgotten. */
static void a_forgotten_value_eats_no_option(void **state)
{
	expect_two("--gpus", "--json", "--gpus: needs a value; give --gpus=LIST");
	expect_two("--meta.enabled", "no",
		"--meta.enabled: give --meta.enabled=yes or --meta.enabled=no");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_forms_are_one),
		cmocka_unit_test(a_first_pass_leaves_argv_alone),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(negative_values_are_values),
		cmocka_unit_test(the_last_one_wins),
		cmocka_unit_test(texts_are_printed_on_demand),
		cmocka_unit_test(mistakes_name_the_remedy),
		cmocka_unit_test(a_forgotten_value_eats_no_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
