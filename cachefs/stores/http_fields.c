/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields, dates and URL text: see http_fields.h. */
#include "cachefs/stores/http_fields.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"

#define ETAG_TEXT_MAX 1024 /* longer ones are no tags */

/* Digits at *p, moved past. */
static bool take_number(const char **p, uint64_t *ret)
{
	uint64_t n = 0;
	const char *s = *p;

	for (; *s >= '0' && *s <= '9'; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (n > (INT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	if (s == *p)
		return false;
	*p = s;
	*ret = n;
	return true;
}

static bool take_text(const char **p, const char *text)
{
	size_t len = strlen(text);

	if (strncasecmp(*p, text, len))
		return false;
	*p += len;
	return true;
}

int field_number(const char *text, uint64_t *ret)
{
	uint64_t n;

	if (!take_number(&text, &n) || *text)
		return -EINVAL;
	*ret = n;
	return 0;
}

int field_content_range(const char *text, struct content_range *ret)
{
	struct content_range r;

	if (!take_text(&text, "bytes ") || !take_number(&text, &r.first) ||
		!take_text(&text, "-") || !take_number(&text, &r.last) || !take_text(&text, "/") ||
		!take_number(&text, &r.total) || *text)
		return -EINVAL;
	if (r.first > r.last || r.last >= r.total)
		return -EINVAL;
	*ret = r;
	return 0;
}

int field_retry_after(const char *text, int64_t now_s, int64_t *ret_ns)
{
	uint64_t wait_s = 0;

	if (field_number(text, &wait_s) < 0) {
		int64_t at_s = field_date(text) / NSEC_PER_SEC;

		if (!at_s)
			return -EINVAL;
		wait_s = at_s > now_s ? (uint64_t)(at_s - now_s) : 0;
	}
	if (wait_s > INT64_MAX / NSEC_PER_SEC)
		wait_s = INT64_MAX / NSEC_PER_SEC;
	*ret_ns = (int64_t)wait_s * NSEC_PER_SEC;
	return 0;
}

int64_t field_date(const char *text)
{
	static const char *const formats[] = {"%a, %d %b %Y %H:%M:%S GMT", "%Y-%m-%dT%H:%M:%S"};

	for (int i = 0; i < 2; i++) {
		struct tm tm = {0};
		const char *end = strptime(text, formats[i], &tm);
		time_t s = end ? timegm(&tm) : 0;

		if (s > 0 && s < INT64_MAX / NSEC_PER_SEC)
			return s * NSEC_PER_SEC;
	}
	return 0;
}

/* ---- entity tags ---- */

/* Length of the tag at text, quotes included; 0: there is none. */
static size_t etag_length(const char *text)
{
	size_t weak = strncmp(text, "W/", 2) ? 0 : 2, n = weak + 1;

	if (text[weak] != '"')
		return 0;
	while (text[n] && text[n] != '"') {
		if ((unsigned char)text[n] <= ' ' || text[n] == 0x7f || n == ETAG_TEXT_MAX)
			return 0;
		n++;
	}
	return text[n] ? n + 1 : 0;
}

/* The tag in text, with quotes; "" if there is none. */
static void read_etag(const char *text, char ret[ETAG_TEXT_MAX + 4])
{
	size_t len = strlen(text);

	*ret = '\0';
	if (len && len < ETAG_TEXT_MAX && !strpbrk(text, "\"/")) {
		ret[0] = '"';
		memcpy(ret + 1, text, len);
		memcpy(ret + 1 + len, "\"", 2);
		text = ret;
		len += 2;
	}
	size_t n = etag_length(text);

	if (n != len || !n)
		*ret = '\0';
	else if (text != ret)
		memcpy(ret, text, n + 1);
}

void field_object(struct object *obj, const char *etag, uint64_t size, int64_t mtime_ns)
{
	char tag[ETAG_TEXT_MAX + 4] = "";

	if (etag)
		read_etag(etag, tag);
	obj->size = size;
	obj->mtime_ns = mtime_ns;
	obj->version = store_version(tag, size, mtime_ns);
	obj->etag[0] = '\0';
	if (strlen(tag) < sizeof(obj->etag))
		strcpy(obj->etag, tag);
}

bool field_etag_strong(const char *etag)
{
	return *etag == '"';
}

/* ---- names in URLs ---- */

static bool unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~", c));
}

char *url_encode(const char *text, bool slashes)
{
	static const char hex[] = "0123456789ABCDEF";
	char *ret = malloc(3 * strlen(text) + 1), *to = ret;

	if (!ret)
		return NULL;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (unreserved(*text) || (slashes && c == '/')) {
			*to++ = *text;
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	*to = '\0';
	return ret;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t url_decode(char *text, bool plus)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		int high = *from == '%' ? hex_digit(from[1]) : -1;
		int low = high >= 0 ? hex_digit(from[2]) : -1;

		if (low >= 0) {
			*to++ = (char)(high << 4 | low);
			from += 2;
		} else {
			*to++ = plus && *from == '+' ? ' ' : *from;
		}
	}
	*to = '\0';
	return (size_t)(to - text);
}
