/* SPDX-License-Identifier: Apache-2.0 */
/* Text with units to numbers and back: see units.h.
 *
 * All parsers are one: a decimal number, then a suffix from a table that gives its factor. */
#include "common/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"

struct suffix {
	const char *text;
	double factor;
};

#define KI 1024.0
#define MI (KI * KI)
#define GI (MI * KI)
#define TI (GI * KI)

/* clang-format off */
static const struct suffix sizes[] = {
	{"", 1}, {"B", 1},
	{"K", KI}, {"KiB", KI}, {"kB", 1e3}, {"M", MI}, {"MiB", MI}, {"MB", 1e6},
	{"G", GI}, {"GiB", GI}, {"GB", 1e9}, {"T", TI}, {"TiB", TI}, {"TB", 1e12},
};
static const struct suffix rates[] = {
	{"", 1}, {"B/s", 1},
	{"K", 1e3}, {"K/s", 1e3}, {"kB/s", 1e3}, {"KiB/s", KI}, {"KiB", KI},
	{"M", 1e6}, {"M/s", 1e6}, {"MB/s", 1e6}, {"MiB/s", MI}, {"MiB", MI},
	{"G", 1e9}, {"G/s", 1e9}, {"GB/s", 1e9}, {"GiB/s", GI}, {"GiB", GI},
	{"Kbit/s", 1e3 / 8}, {"Mbit/s", 1e6 / 8}, {"Gbit/s", 1e9 / 8},
};
static const struct suffix durations[] = {
	{"", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"min", 60e9},
	{"h", 3600e9}, {"d", 86400e9},
};
static const struct suffix counts[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}};
static const struct suffix ratios[] = {{"", 1}, {"%", 0.01}};
/* clang-format on */

/* The factor of suffix text: exactly as written, else in any case where that is unambiguous
 * ("64k", "1gb/s" are common; "m" of durations stays minutes). */
static double find_factor(const struct suffix *table, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(table[i].text, text))
			return table[i].factor;
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(table[i].text, text))
			return table[i].factor;
	return 0;
}

static int parse(const char *s, const struct suffix *table, size_t n, double *ret)
{
	char suffix[12];
	size_t len = 0;
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	/* strtod would take "inf", "nan" and hexadecimal. */
	if (strspn(s, "+-.0123456789") == 0 || s[strspn(s, "+-")] == '\0' ||
		strpbrk(s, "xXpP") != NULL)
		return -EINVAL;
	errno = 0;
	double v = strtod(s, &end);

	if (end == s || !isfinite(v))
		return errno == ERANGE ? -ERANGE : -EINVAL;
	while (isspace((unsigned char)*end))
		end++;
	while (*end && !isspace((unsigned char)*end) && len < sizeof(suffix) - 1)
		suffix[len++] = *end++;
	suffix[len] = '\0';
	while (isspace((unsigned char)*end))
		end++;
	double factor = find_factor(table, n, suffix);

	if (*end || factor == 0)
		return -EINVAL;
	*ret = v * factor;
	return 0;
}

static int parse_integer(
	const char *s, const struct suffix *table, size_t n, double min, int64_t *ret)
{
	double v;
	int r = parse(s, table, n, &v);

	if (r < 0)
		return r;
	if (v < min)
		return -EINVAL;
	if (fabs(v) >= 0x1p63)
		return -ERANGE;
	*ret = (int64_t)llround(v);
	return 0;
}

int units_parse_size(const char *s, int64_t *ret_bytes)
{
	return parse_integer(s, sizes, ARRAY_SIZE(sizes), 0, ret_bytes);
}

int units_parse_rate(const char *s, int64_t *ret_bytes_per_s)
{
	return parse_integer(s, rates, ARRAY_SIZE(rates), 0, ret_bytes_per_s);
}

int units_parse_duration(const char *s, int64_t *ret_ns)
{
	return parse_integer(s, durations, ARRAY_SIZE(durations), 0, ret_ns);
}

int units_parse_count(const char *s, int64_t *ret)
{
	double v;
	int r = parse(s, counts, ARRAY_SIZE(counts), &v);

	if (r < 0)
		return r;
	if (v != floor(v))
		return -EINVAL;
	return parse_integer(s, counts, ARRAY_SIZE(counts), -0x1p63, ret);
}

int units_parse_ratio(const char *s, double *ret)
{
	double v;
	int r = parse(s, ratios, ARRAY_SIZE(ratios), &v);

	if (r < 0 || v < 0)
		return r < 0 ? r : -EINVAL;
	*ret = v;
	return 0;
}

struct step {
	const char *suffix;
	int64_t factor;
};

/* The largest step that divides v, so that the text is exact. */
static char *format_exact(int64_t v, const struct step *steps, size_t n, char buf[UNITS_MAX])
{
	for (size_t i = 0; i < n; i++) {
		if (v && v % steps[i].factor)
			continue;
		snprintf(buf, UNITS_MAX, "%" PRId64 "%s", v / steps[i].factor,
			v ? steps[i].suffix : "");
		return buf;
	}
	return buf;
}

char *units_format_size(int64_t bytes, char buf[UNITS_MAX])
{
	static const struct step steps[] = {
		{"T", 1LL << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};

	return format_exact(bytes, steps, ARRAY_SIZE(steps), buf);
}

char *units_format_rate(int64_t bytes_per_s, char buf[UNITS_MAX])
{
	static const struct step steps[] = {
		{"G/s", 1000000000}, {"M/s", 1000000}, {"K/s", 1000}, {"", 1}};

	/* 1250000000 is 1.25G/s to people: three decimals of G are exact in millions. */
	if (bytes_per_s >= 1000000000 && bytes_per_s % 10000000 == 0) {
		snprintf(buf, UNITS_MAX, "%.10gG/s", (double)bytes_per_s / 1e9);
		return buf;
	}
	return format_exact(bytes_per_s, steps, ARRAY_SIZE(steps), buf);
}

char *units_format_duration(int64_t ns, char buf[UNITS_MAX])
{
	static const struct step steps[] = {{"d", 86400000000000}, {"h", 3600000000000},
		{"m", 60000000000}, {"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};

	return format_exact(ns, steps, ARRAY_SIZE(steps), buf);
}

/* Three significant digits of v with the unit among units[] that keeps it under 1000. */
static char *human(double v, const char *const *units, size_t n, char buf[UNITS_MAX])
{
	size_t i = 0;

	while (v >= 999.5 && i + 1 < n) {
		v /= 1000;
		i++;
	}
	snprintf(buf, UNITS_MAX, "%.*f %s",
		v >= 99.95 || i == 0 ? 0
		: v >= 9.995         ? 1
				     : 2,
		v, units[i]);
	return buf;
}

char *units_human_bytes(double bytes, char buf[UNITS_MAX])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};

	return human(bytes, units, ARRAY_SIZE(units), buf);
}

char *units_human_rate(double bytes_per_s, char buf[UNITS_MAX])
{
	static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s"};

	return human(bytes_per_s, units, ARRAY_SIZE(units), buf);
}

char *units_human_duration(double seconds, char buf[UNITS_MAX])
{
	int64_t s = (int64_t)(seconds + 0.5);

	if (seconds < 10)
		snprintf(buf, UNITS_MAX, "%.1fs", seconds);
	else if (s < 60)
		snprintf(buf, UNITS_MAX, "%" PRId64 "s", s);
	else if (s < 3600)
		snprintf(buf, UNITS_MAX, "%" PRId64 "m %02" PRId64 "s", s / 60, s % 60);
	else
		snprintf(buf, UNITS_MAX, "%" PRId64 "h %02" PRId64 "m", s / 3600, s / 60 % 60);
	return buf;
}
