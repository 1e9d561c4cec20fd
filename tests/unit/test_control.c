/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: what is taken and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cachefs/control.h"

static void warm_with_paths(void **state)
{
	const char text[] = "{\"op\":\"warm\",\"paths\":[\"a/b\",\"\"]}";
	struct control_message msg;

	assert_int_equal(control_parse(text, sizeof(text), &msg, NULL), 0);
	assert_int_equal(msg.op, CONTROL_WARM);
	assert_int_equal(msg.n, 2);
	assert_string_equal(msg.paths[0], "a/b");
	assert_string_equal(msg.paths[1], "");
	control_message_done(&msg);
}

static void text_need_not_end_in_nul(void **state)
{
	const char text[] = "{\"op\":\"drop\",\"paths\":[\"\"]}X";
	struct control_message msg;

	assert_int_equal(control_parse(text, strlen(text) - 1, &msg, NULL), 0);
	assert_int_equal(msg.op, CONTROL_DROP);
	control_message_done(&msg);
}

static void warm_with_a_plan(void **state)
{
	const char text[] = "{\"op\":\"warm\",\"plan\":\"/a/plan\"}";
	struct control_message msg;

	assert_int_equal(control_parse(text, sizeof(text), &msg, NULL), 0);
	assert_int_equal(msg.op, CONTROL_WARM);
	assert_int_equal(msg.n, 0);
	assert_string_equal(msg.plan, "/a/plan");
	control_message_done(&msg);
}

static void nonsense_is_refused(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "1", "{}", "{\"op\":\"warm\"}",
		"{\"op\":\"warm\",\"paths\":[]}", "{\"op\":\"warm\",\"paths\":\"a\"}",
		"{\"op\":\"warm\",\"paths\":[1]}", "{\"op\":\"burn\",\"paths\":[\"a\"]}",
		"{\"op\":\"warm\",\"paths\":[\"../a\"]}", "{\"op\":\"warm\",\"paths\":[\"/a\"]}",
		"{\"op\":\"warm\",\"plan\":\"plan\"}", "{\"op\":\"warm\",\"plan\":1}",
		"{\"op\":\"drop\",\"plan\":\"/plan\"}", "{\"op\":\"warm\",\"paths\":[\"a//b\"]}",
		"{\"op\":\"warm\",\"paths\":[\"a\",\"a/..\"]}"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct control_message msg;
		struct err err = {0};

		if (!control_parse(texts[i], strlen(texts[i]), &msg, &err))
			fail_msg("taken: %s", texts[i]);
		assert_true(*err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warm_with_paths),
		cmocka_unit_test(warm_with_a_plan),
		cmocka_unit_test(text_need_not_end_in_nul),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
