/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges, entity tags and dates: see synth_remote_http.h. */
#include "synth/synth_remote_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/clock.h"

#define BLANKS " \t"

/* Digits at *p to a number; false if there are none or too many. */
static bool take_number(const char **p, uint64_t *ret)
{
	char *end;

	if (**p < '0' || **p > '9')
		return false;
	errno = 0;
	unsigned long long n = strtoull(*p, &end, 10);

	if (errno)
		return false;
	*p = end;
	*ret = n;
	return true;
}

/* "first-", "first-last" or "-last" and nothing after it; a number that is absent stays. */
static bool take_spec(const char *p, bool *ret_has_first, uint64_t *ret_first, uint64_t *ret_last)
{
	p += strspn(p, BLANKS);
	*ret_has_first = take_number(&p, ret_first);
	if (*p++ != '-')
		return false;
	bool has_last = take_number(&p, ret_last);

	p += strspn(p, BLANKS);
	if (*p || (!*ret_has_first && !has_last))
		return false;
	return !*ret_has_first || *ret_first <= *ret_last;
}

enum range_kind http_range(const char *header, uint64_t size, uint64_t *ret_off, uint64_t *ret_len)
{
	uint64_t first = 0, last = UINT64_MAX;
	bool has_first;

	*ret_off = 0;
	*ret_len = size;
	if (!header || strncasecmp(header, "bytes=", 6) ||
		!take_spec(header + 6, &has_first, &first, &last))
		return RANGE_WHOLE;
	if (!has_first) { /* the last so many bytes */
		if (!last || !size)
			return RANGE_UNSATISFIABLE;
		first = last < size ? size - last : 0;
		last = size - 1;
	}
	if (first >= size)
		return RANGE_UNSATISFIABLE;
	*ret_off = first;
	*ret_len = (last < size ? last + 1 : size) - first;
	return RANGE_PART;
}

void http_etag(const struct stat *st, char ret[HTTP_ETAG_MAX])
{
	uint64_t mtime = (uint64_t)st->st_mtim.tv_sec * NSEC_PER_SEC +
			 (uint64_t)st->st_mtim.tv_nsec;

	snprintf(ret, HTTP_ETAG_MAX, "\"%llx-%llx-%llx\"", (unsigned long long)st->st_ino,
		(unsigned long long)mtime, (unsigned long long)st->st_size);
}

void http_date(int64_t seconds, char ret[HTTP_DATE_MAX])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = seconds;
	struct tm tm;

	/* Not strftime(): its names follow the locale. */
	if (!gmtime_r(&t, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099)
		memset(&tm, 0, sizeof(tm));
	snprintf(ret, HTTP_DATE_MAX, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
		days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900,
		tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Whether a list of tags names etag. A weak tag in the list equals only in weak comparison. */
static bool list_names(const char *list, const char *etag, bool weak_too)
{
	size_t len = strlen(etag);

	for (const char *p = list; *p;) {
		p += strspn(p, BLANKS ",");
		if (*p == '*')
			return true;
		bool weak = !strncmp(p, "W/", 2);

		if (weak)
			p += 2;
		if (!strncmp(p, etag, len) && (!weak || weak_too))
			return true;
		if (*p == '"')
			p += 1 + strcspn(p + 1, "\"");
		p += strcspn(p, ",");
	}
	return false;
}

int http_condition_status(const struct http_conditions *c, const char *etag)
{
	if (c->if_match && !list_names(c->if_match, etag, false))
		return 412;
	if (c->if_none_match && list_names(c->if_none_match, etag, true))
		return 304;
	return 200;
}

bool http_range_applies(const struct http_conditions *c, const char *etag, const char *date)
{
	return !c->if_range || !strcmp(c->if_range, etag) || !strcmp(c->if_range, date);
}
