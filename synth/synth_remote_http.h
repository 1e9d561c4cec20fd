/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of HTTP (RFC 9110) that synth-remote decides itself, as pure functions over text:
 * ranges, entity tags, conditions, dates. */
#ifndef SYNTH_REMOTE_HTTP_H
#define SYNTH_REMOTE_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define HTTP_DATE_MAX 64
#define HTTP_ETAG_MAX 64

enum range_kind {
	RANGE_WHOLE,        /* none, malformed, several, or another unit: the whole with 200 */
	RANGE_PART,         /* 206 */
	RANGE_UNSATISFIABLE /* 416 */
};

/* A Range header (NULL: none) on an object of size bytes. For WHOLE and PART *ret_off, *ret_len
 * lie inside the object. */
enum range_kind http_range(const char *header, uint64_t size, uint64_t *ret_off, uint64_t *ret_len);

/* A strong tag: differs whenever inode, size or modification time do. Quotes included. */
void http_etag(const struct stat *st, char ret[HTTP_ETAG_MAX]);
void http_date(int64_t seconds, char ret[HTTP_DATE_MAX]); /* IMF-fixdate */

/* What a request makes its answer depend on; NULL where the header is absent. */
struct http_conditions {
	const char *if_match, *if_none_match, *if_range;
};

/* 200, 304 or 412 for an object that exists. */
int http_condition_status(const struct http_conditions *c, const char *etag);

/* Whether If-Range lets a Range header stand. */
bool http_range_applies(const struct http_conditions *c, const char *etag, const char *date);

#endif
