/* SPDX-License-Identifier: Apache-2.0 */
/* What the origins http and s3 share: everything but how the user names the place. */
#ifndef CACHEFS_STORES_HTTP_ORIGIN_H
#define CACHEFS_STORES_HTTP_ORIGIN_H

#include "cachefs/stores/http_place.h"
#include "cachefs/stores/s3_credentials.h"

/* Nothing is asked yet. Takes place and keys (NULL: unsigned) over, also when it fails. */
struct store *http_origin_open(const struct config *cfg, const struct store_ops *ops,
	struct http_place *place, struct s3_credentials *keys, struct err *err);
/* Asks for the root's listing, so that a wrong address is told at once, and settles how folders are
 * listed. Otherwise the first request does. */
int http_origin_check(struct store *st, struct err *err);
void http_origin_interrupt(struct store *st);
void http_origin_close(struct store *st);

int http_origin_stat(struct store *st, const char *name, enum store_wait wait, struct object *ret);
int http_origin_list(
	struct store *st, const char *dir, enum store_wait wait, list_fn *each, void *arg);
int http_origin_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg);
void http_origin_describe(struct store *st, json_t *into);

#endif
