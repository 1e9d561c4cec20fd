/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for users, and the nearest valid word. */
#include "common/err.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
		va_end(ap);
	}
	return -code;
}

int err_prefix(struct err *err, int code, const char *fmt, ...)
{
	char rest[sizeof(err->msg)];
	va_list ap;
	int n;

	if (!err || !err->msg[0])
		return code;
	memcpy(rest, err->msg, sizeof(rest));
	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n + 3 > sizeof(err->msg))
		return code;
	size_t room = sizeof(err->msg) - (size_t)n - 3;

	memcpy(err->msg + n, ": ", 3);
	strncat(err->msg, rest, room);
	return code;
}

#define WORD_MAX 64

/* Levenshtein distance, a row at a time. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *err_nearest(const char *typed, const char *const *words, size_t n)
{
	size_t limit = strlen(typed) / 3 + 1, best = limit + 1;
	const char *ret = NULL;

	for (size_t i = 0; i < n && (n != SIZE_MAX || words[i]); i++) {
		size_t d = edit_distance(typed, words[i]);

		if (d < best) {
			best = d;
			ret = words[i];
		}
	}
	return ret;
}
