/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields and URL text: every parser over the same text. */
#include <stdlib.h>
#include <string.h>

#include "cachefs/stores/http_fields.h"
#include "common/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_object(const char *text)
{
	struct object obj = {0};

	field_object(&obj, text, 1, 2);
	if (!obj.version || strpbrk(obj.etag, "\r\n ") || strlen(obj.etag) == 1)
		abort();
	if (*obj.etag && obj.version != store_version(obj.etag, 0, 0))
		abort();
}

static void check_url(const char *text)
{
	AUTO(free) char *encoded = url_encode(text, false);
	AUTO(free) char *copy = strdup(text);

	if (!encoded || !copy || strpbrk(encoded, " \"<>/?#&=+") ||
		url_decode(copy, true) > strlen(text))
		abort();
	if (url_decode(encoded, true) != strlen(text) || strcmp(encoded, text) != 0)
		abort(); /* there and back */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(free) char *text = strndup((const char *)data, len);
	struct content_range range;
	uint64_t number;
	int64_t wait_ns;

	if (!text)
		return 0;
	if (!field_content_range(text, &range) &&
		(range.first > range.last || range.last >= range.total || range.total > INT64_MAX))
		abort();
	if (!field_number(text, &number) && number > INT64_MAX)
		abort();
	if (!field_retry_after(text, 1735787045, &wait_ns) && wait_ns < 0)
		abort();
	if (field_date(text) < 0)
		abort();
	check_object(text);
	check_url(text);
	return 0;
}
