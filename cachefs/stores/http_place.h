/* SPDX-License-Identifier: Apache-2.0 */
/* http_place - where an origin's objects are, and where they are listed.
 *
 *   https://HOST/a/b      file x is https://HOST/a/b/x; its folder is listed at /a/b/, or, where that
 *                         is no bucket, at /a/ with prefix b/, or at / with prefix a/b/
 *   s3://BUCKET/a/b       the same, at ENDPOINT/BUCKET or BUCKET.ENDPOINT, as s3.style says */
#ifndef CACHEFS_STORES_HTTP_PLACE_H
#define CACHEFS_STORES_HTTP_PLACE_H

#include "cachefs/store.h"

struct http_place {
	char *url;         /* of the root folder, without '/' at its end */
	size_t bucket_len; /* so much of it is the bucket's URL */
	char *prefix;      /* key of the root folder in the bucket: "" or "a/b/" */
	bool guessed;      /* the bucket may be shorter: place_shorten() */
};

/* http:// or https://, a host and a path; no user, query or fragment. */
int place_from_url(const char *url, struct http_place *ret, struct err *err);

/* s3://BUCKET[/PREFIX] with s3.endpoint, s3.region and s3.style. */
int place_from_bucket(
	const struct config *cfg, const char *text, struct http_place *ret, struct err *err);
/* The region, from knob or environment. */
const char *place_region(const struct config *cfg);
void place_done(struct http_place *p);

/* Takes the last part of the bucket's path as part of the prefix. -ENOENT: there is
 * none, or the user named the bucket; -ENOMEM. */
int place_shorten(struct http_place *p);

/* malloc'ed, NULL without memory. folder: with '/' at the end. */
char *place_object_url(const struct http_place *p, const char *name, bool folder);

/* One page of at most max keys of folder dir. token: "" for the first. */
char *place_list_url(const struct http_place *p, const char *dir, const char *token, int max);

/* The key prefix of folder dir. */
char *place_list_prefix(const struct http_place *p, const char *dir);

#endif
