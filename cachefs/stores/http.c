/* SPDX-License-Identifier: Apache-2.0 */
/* http - an origin named by its URL: http(s)://HOST[:PORT][/PATH].
 *
 * Folders are listed by S3's ListObjectsV2 or by nginx's JSON autoindex; http.listing says which, and
 * auto takes what the server answers. */
#include <string.h>

#include "cachefs/stores/http_origin.h"

extern const struct store_ops http_ops;

static struct store *http_open(
	const struct config *cfg, const char *origin, struct store *lower, struct err *err)
{
	struct http_place place;

	if (place_from_url(origin, &place, err) < 0)
		return NULL;
	return http_origin_open(cfg, &http_ops, &place, NULL, err);
}

const struct store_ops http_ops = {
	.name = "http",
	.summary = "Files of a web server or object store, by URL.",
	.origin = true,
	.open = http_open,
	.check = http_origin_check,
	.interrupt = http_origin_interrupt,
	.close = http_origin_close,
	.stat = http_origin_stat,
	.list = http_origin_list,
	.fetch = http_origin_fetch,
	.describe = http_origin_describe,
};
