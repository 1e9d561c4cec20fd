/* SPDX-License-Identifier: Apache-2.0 */
/* Parses control messages: see control.h. They come from any program that may open the mount. */
#include "cachefs/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

#include "cachefs/store.h"
#include "common/cleanup.h"

AUTO_FREE(json, json_t, json_decref);

static const char *const op_names[] = {
	[CONTROL_WARM] = "warm", [CONTROL_DROP] = "drop", [CONTROL_REFRESH] = "refresh"};

const char *control_op_name(enum control_op op)
{
	return op_names[op];
}

static int parse_op(const char *word, enum control_op *ret, struct err *err)
{
	for (size_t i = 0; word && i < ARRAY_SIZE(op_names); i++)
		if (!strcmp(word, op_names[i])) {
			*ret = (enum control_op)i;
			return 0;
		}
	return err_set(err, EINVAL, "op: give \"warm\", \"drop\" or \"refresh\"");
}

static int parse_paths(const json_t *array, struct control_message *ret, struct err *err)
{
	size_t n = json_array_size(array);

	if (!n)
		return err_set(err, EINVAL, "paths: give a list of at least one path (\"\": all)");
	ret->paths = calloc(n + 1, sizeof(char *));
	for (size_t i = 0; ret->paths && i < n; i++) {
		const char *path = json_string_value(json_array_get(array, i));

		if (!path || (*path && !store_name_valid(path)))
			return err_set(err, EINVAL,
				"paths[%zu]: give a path below the mount without leading '/' and "
				"\"..\"",
				i);
		ret->paths[i] = strdup(path);
		if (!ret->paths[i])
			return err_set(err, ENOMEM, "not enough memory");
		ret->n++;
	}
	return ret->paths ? 0 : err_set(err, ENOMEM, "not enough memory");
}

/* "warm" with a plan in place of paths. */
static int parse_plan(const json_t *plan, struct control_message *ret, struct err *err)
{
	const char *path = json_string_value(plan);

	if (ret->op != CONTROL_WARM || !path || *path != '/')
		return err_set(err, EINVAL, "plan: give \"warm\" the absolute path of a plan");
	ret->plan = strdup(path);
	return ret->plan ? 0 : err_set(err, ENOMEM, "not enough memory");
}

int control_parse(const char *text, size_t len, struct control_message *ret, struct err *err)
{
	struct control_message msg = {0};
	json_error_t at;
	AUTO(json) json_t *root = json_loadb(text, strnlen(text, len), JSON_REJECT_DUPLICATES, &at);
	int r;

	if (!json_is_object(root))
		return err_set(err, EINVAL, "control message is no JSON object: %s", at.text);
	r = parse_op(json_string_value(json_object_get(root, "op")), &msg.op, err);
	const json_t *plan = json_object_get(root, "plan");

	if (r >= 0)
		r = plan ? parse_plan(plan, &msg, err)
			 : parse_paths(json_object_get(root, "paths"), &msg, err);
	if (r < 0) {
		control_message_done(&msg);
		return r;
	}
	*ret = msg;
	return 0;
}

void control_message_done(struct control_message *msg)
{
	for (size_t i = 0; i < msg->n; i++)
		free(msg->paths[i]);
	free(msg->paths);
	free(msg->plan);
	*msg = (struct control_message){.op = msg->op};
}
