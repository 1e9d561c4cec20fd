/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: what a line may say, and how it is told what is wrong with one. */
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

#include "cachefs/plan.h"

static char path[] = "/tmp/test_plan.XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	close(fd);
	return fd < 0;
}

static int remove_file(void **state)
{
	return unlink(path);
}

static void write_plan(const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static struct plan *open_plan(const char *text)
{
	struct err err = {0};

	write_plan(text, strlen(text));
	struct plan *p = plan_open(path, &err);

	if (!p)
		fail_msg("%s", err.msg);
	return p;
}

static void next_is(struct plan *p, const char *name, uint64_t off, uint64_t len, uint64_t epoch)
{
	struct plan_line line;
	struct err err = {0};

	if (plan_next(p, &line, &err) != 1)
		fail_msg("no line, but %s should come: %s", name, err.msg);
	assert_string_equal(line.name, name);
	assert_int_equal(line.off, off);
	assert_int_equal(line.len, len);
	assert_int_equal(line.epoch, epoch);
}

static void lines_come_in_order(void **state)
{
	struct plan *p = open_plan("a/b\n\n# a remark\n# epoch 3\nc\t5\t7\nd%20e/%25%0a\xc3\xa4\n"
				   "#epoch 4\n%23x\n# epochs are many\n#\nlast");
	struct plan_line line;
	struct err err = {0};

	next_is(p, "a/b", 0, 0, 0);
	next_is(p, "c", 5, 7, 3);
	next_is(p, "d e/%\n\xc3\xa4", 0, 0, 3);
	next_is(p, "#x", 0, 0, 4);
	next_is(p, "last", 0, 0, 4);
	assert_int_equal(plan_next(p, &line, &err), 0);
	assert_int_equal(plan_next(p, &line, &err), 0);
	plan_close(p);
}

static void an_empty_plan_is_one(void **state)
{
	uint64_t lines = 9;

	write_plan("", 0);
	assert_int_equal(plan_check(path, NULL, &lines, NULL), 0);
	assert_int_equal(lines, 0);
}

/* What is wrong is told with its line, and nothing more is read. */
static void nonsense_is_told(void **state)
{
	static const struct {
		const char *line, *like;
	} bad[] = {{"/a", "no path below the mount"}, {"a//b", "no path"}, {"a/", "no path"},
		{"../a", "no path"}, {"a/./b", "no path"}, {"%2e%2e/a", "no path"},
		{"\t1\t2", "no path"}, {"%2", "hexadecimal"}, {"a%g0", "hexadecimal"},
		{"100%", "hexadecimal"}, {"a%00b", "%00"}, {"a\rb", "control character"},
		{"a\r", "control character"}, {"a\t5", "OFFSET"}, {"a\t", "OFFSET"},
		{"a\t5\t", "OFFSET"}, {"a\t-5\t1", "OFFSET"}, {"a\t5\t0", "OFFSET"},
		{"a\t5\t1\t2", "OFFSET"}, {"a\t 5\t1", "OFFSET"},
		{"a\t18446744073709551616\t1", "OFFSET"}, {"a\t18446744073709551615\t1", "OFFSET"},
		{"# epoch", "epoch N"}, {"# epoch x", "epoch N"}, {"# epoch 1 2", "epoch N"}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[256], where[64];
		struct err err = {0};
		uint64_t lines;

		snprintf(text, sizeof(text), "good\n\n%s\ngood\n", bad[i].line);
		snprintf(where, sizeof(where), "%s:3: ", path);
		write_plan(text, strlen(text));
		assert_int_equal(plan_check(path, NULL, &lines, &err), -EINVAL);
		if (strncmp(err.msg, where, strlen(where)) != 0 || !strstr(err.msg, bad[i].like))
			fail_msg("%s: told as %s", bad[i].line, err.msg);
	}
}

static void a_nul_byte_is_told(void **state)
{
	struct err err = {0};
	uint64_t lines;

	write_plan("a\nb\0c\n", 6);
	assert_int_equal(plan_check(path, NULL, &lines, &err), -EINVAL);
	assert_non_null(strstr(err.msg, ":2: a NUL byte"));
}

/* The longest name, each byte written as %XX, fits; a file without newlines is no plan. */
static void lines_have_a_longest(void **state)
{
	char *text = malloc(1 << 20);
	struct err err = {0};
	uint64_t lines;
	size_t n = 0;

	for (int i = 1; i <= 4095; i++)
		n += (size_t)sprintf(text + n, "%s",
			i % 200 && i > 1 ? "%61"
			: i > 1          ? "%2F"
					 : "%61");
	n += (size_t)sprintf(text + n, "\t18446744073709551000\t600\n");
	write_plan(text, n);
	if (plan_check(path, NULL, &lines, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(lines, 1);
	memset(text, 'a', 1 << 20);
	text[0] = '\n';
	write_plan(text, 1 << 20);
	assert_int_equal(plan_check(path, NULL, &lines, &err), -EINVAL);
	assert_non_null(strstr(err.msg, ":2: longer than 16 KiB"));
	free(text);
}

/* Lines cross the border of the buffer; each is found again at its place. */
static void a_long_plan_is_read_and_sought(void **state)
{
	enum { LINES = 20000 };
	static uint64_t where[LINES];
	FILE *f = fopen(path, "w");
	struct err err = {0};
	struct plan_line line;
	char name[64];

	for (int i = 0; i < LINES; i++)
		fprintf(f, "folder%%20%d/f%d\n", i % 77, i);
	fclose(f);
	struct plan *p = plan_open(path, &err);

	for (int i = 0; i < LINES; i++) {
		assert_int_equal(plan_next(p, &line, &err), 1);
		snprintf(name, sizeof(name), "folder %d/f%d", i % 77, i);
		assert_string_equal(line.name, name);
		where[i] = line.where;
	}
	for (int i = 5; i < LINES; i = i * 3 % LINES + (i % 7 ? 1 : 977)) {
		plan_seek(p, where[i]);
		assert_int_equal(plan_next(p, &line, &err), 1);
		snprintf(name, sizeof(name), "folder %d/f%d", i % 77, i);
		assert_string_equal(line.name, name);
		assert_int_equal(line.where, where[i]);
		if (i > LINES - 10)
			break;
	}
	plan_close(p);
}

static void only_files_are_plans(void **state)
{
	struct err err = {0};

	assert_null(plan_open("/dev/null", &err));
	assert_non_null(strstr(err.msg, "regular file"));
	assert_null(plan_open("/nowhere/plan", &err));
	assert_non_null(strstr(err.msg, "/nowhere/plan: cannot read the plan"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_in_order),
		cmocka_unit_test(an_empty_plan_is_one),
		cmocka_unit_test(nonsense_is_told),
		cmocka_unit_test(a_nul_byte_is_told),
		cmocka_unit_test(lines_have_a_longest),
		cmocka_unit_test(a_long_plan_is_read_and_sought),
		cmocka_unit_test(only_files_are_plans),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
