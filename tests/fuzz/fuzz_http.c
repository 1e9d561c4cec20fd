/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may send synth-remote: lines are a Range, If-Match, If-None-Match and If-Range
 * header, then a key. */
#include <stdlib.h>
#include <string.h>

#include "common/beneath.h"
#include "synth/synth_remote_http.h"

#define SIZE 1000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_range(const char *header, uint64_t size)
{
	uint64_t off, n;

	if (http_range(header, size, &off, &n) == RANGE_UNSATISFIABLE)
		return;
	if (off > size || n > size - off || (size && !n))
		abort();
}

static void check_key(const char *key)
{
	bool plain = beneath_plain(key);

	if (plain &&
		(*key == '/' || !strcmp(key, "..") || strstr(key, "/../") || strstr(key, "//")))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1), *line[5] = {0}, *next = text;
	struct http_conditions c;

	if (!text)
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	for (int i = 0; i < 5 && next; i++)
		line[i] = strsep(&next, "\n");
	c = (struct http_conditions){line[1], line[2], line[3]};
	int status = http_condition_status(&c, "\"1f-2-3\"");

	if (status != 200 && status != 304 && status != 412)
		abort();
	if (line[1] && !strstr(line[1], "\"1f-2-3\"") && !strchr(line[1], '*') && status != 412)
		abort(); /* neither the tag nor any */
	http_range_applies(&c, "\"1f-2-3\"", "Sun, 06 Nov 1994 08:49:37 GMT");
	check_range(line[0], SIZE);
	check_range(line[0], 0);
	check_range(line[0], UINT64_MAX);
	if (line[4])
		check_key(line[4]);
	free(text);
	return 0;
}
