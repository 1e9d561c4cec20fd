/* SPDX-License-Identifier: Apache-2.0 */
/* Whole bodies in memory: http_text() of http_client.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/stores/http_client.h"

struct text {
	char *data;
	size_t len, room, max;
};

static int text_begin(void *arg, const struct http_answer *a)
{
	struct text *text = arg;

	text->len = 0;
	text->data[0] = '\0';
	return 0;
}

static int text_add(void *arg, const void *data, size_t len)
{
	struct text *text = arg;

	if (len > text->max - text->len)
		return -EFBIG;
	if (text->len + len >= text->room) {
		size_t room = 2 * text->room + len + 4096;
		char *more = realloc(text->data, room);

		if (!more)
			return -ENOMEM;
		text->data = more;
		text->room = room;
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
	return 0;
}

int http_text(struct http_client *c, const char *url, size_t max, char **ret_text, size_t *ret_len,
	struct http_answer *ret)
{
	struct text text = {.max = max, .data = calloc(1, 1), .room = 1};
	struct http_request req = {

		.url = url,
		.accept = text_begin,
		.accept_arg = &text,
		.each = text_add,
		.arg = &text};
	int r = text.data ? http_ask(c, &req, ret) : -ENOMEM;

	if (r == -EFBIG)
		snprintf(ret->cause, sizeof(ret->cause), "answered more than %zu bytes", max);
	if (r) {
		free(text.data);
		return r;
	}
	*ret_text = text.data;
	*ret_len = text.len;
	return 0;
}
