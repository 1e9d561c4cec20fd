/* SPDX-License-Identifier: Apache-2.0 */
/* What servers say in text, as pure functions: header fields (RFC 9110), dates, names in URLs.
 * All of it comes from elsewhere, so all of it is checked. */
#ifndef CACHEFS_STORES_HTTP_FIELDS_H
#define CACHEFS_STORES_HTTP_FIELDS_H

#include "cachefs/store.h"

struct content_range {
	uint64_t first, last; /* last is inside; first <= last < total */
	uint64_t total;
};

/* "bytes 0-99/1000". -EINVAL for anything else, an unknown total included. */
int field_content_range(const char *text, struct content_range *ret);

/* Digits alone, at most INT64_MAX. -EINVAL. */
int field_number(const char *text, uint64_t *ret);

/* How long to wait: seconds, or a date compared with now_s (since 1970). -EINVAL. */
int field_retry_after(const char *text, int64_t now_s, int64_t *ret_ns);

/* "Sun, 06 Nov 1994 08:49:37 GMT", or "1994-11-06T08:49:37.123Z" as S3 lists it. Nanoseconds since
 * 1970 in whole seconds, since headers have no more; 0: no date. */
int64_t field_date(const char *text);

/* Fills version, size, time and entity tag of a file. etag: as a header or a listing gives it (NULL:
 * none); without quotes they are added; what is no tag is left out, what is too long for
 * obj->etag still makes the version. */
void field_object(struct object *obj, const char *etag, uint64_t size, int64_t mtime_ns);

/* Whether a tag may stand in If-Match: weak ones never match there. */
bool field_etag_strong(const char *etag);

/* Percent-encodes all but unreserved characters, and '/' unless slashes is false. NULL without
 * memory. */
char *url_encode(const char *text, bool slashes);

/* Decodes text in place; plus: '+' is a space, as S3 encodes listings. Returns the length, for the
 * result may hold NULs; broken escapes stay as they are. */
size_t url_decode(char *text, bool plus);

#endif
