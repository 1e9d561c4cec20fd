/* SPDX-License-Identifier: Apache-2.0 */
/* s3 - an origin named by its bucket: s3://BUCKET[/PREFIX], signed where there are keys.
 * With s3.endpoint the bucket * is the first part of the path; at AWS it is part of the host's name (s3.style). */
#include "cachefs/stores/http_origin.h"

extern const struct store_ops s3_ops;

static struct store *s3_open(
	const struct config *cfg, const char *origin, struct store *lower, struct err *err)
{
	struct http_place place;
	struct s3_credentials *keys;

	if (place_from_bucket(cfg, origin, &place, err) < 0)
		return NULL;
	if (s3_credentials_open(cfg, &keys, err) < 0) {
		place_done(&place);
		return NULL;
	}
	return http_origin_open(cfg, &s3_ops, &place, keys, err);
}

const struct store_ops s3_ops = {
	.name = "s3",
	.summary = "Objects of an S3 bucket.",
	.origin = true,
	.open = s3_open,
	.check = http_origin_check,
	.interrupt = http_origin_interrupt,
	.close = http_origin_close,
	.stat = http_origin_stat,
	.list = http_origin_list,
	.fetch = http_origin_fetch,
	.describe = http_origin_describe,
};
