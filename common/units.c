/* SPDX-License-Identifier: Apache-2.0 */
/* Text with units to numbers and back: see units.h.
 *
 * A number is a decimal and a suffix from a table that gives its factor. Whole numbers never pass
 * through floating point, so seeds and sizes of any magnitude stay what was written. */
#include "common/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"

struct suffix {
	const char *text;
	int64_t factor;
};

#define KI INT64_C(1024)
#define MI (KI * KI)
#define GI (MI * KI)
#define TI (GI * KI)
#define K INT64_C(1000)
#define M (K * K)
#define G (M * K)
#define T (G * K)

/* clang-format off */
static const struct suffix sizes[] = {
	{"", 1}, {"B", 1},
	{"K", KI}, {"KiB", KI}, {"kB", K}, {"M", MI}, {"MiB", MI}, {"MB", M},
	{"G", GI}, {"GiB", GI}, {"GB", G}, {"T", TI}, {"TiB", TI}, {"TB", T},
};
static const struct suffix rates[] = {
	{"", 1}, {"B/s", 1},
	{"K", K}, {"K/s", K}, {"kB/s", K}, {"KiB/s", KI}, {"KiB", KI},
	{"M", M}, {"M/s", M}, {"MB/s", M}, {"MiB/s", MI}, {"MiB", MI},
	{"G", G}, {"G/s", G}, {"GB/s", G}, {"GiB/s", GI}, {"GiB", GI},
	{"Kbit/s", K / 8}, {"Mbit/s", M / 8}, {"Gbit/s", G / 8},
};
static const struct suffix durations[] = {
	{"", G}, {"ns", 1}, {"us", K}, {"ms", M}, {"s", G}, {"m", 60 * G}, {"min", 60 * G},
	{"h", 3600 * G}, {"d", 86400 * G},
};
static const struct suffix counts[] = {{"", 1}, {"k", K}, {"M", M}, {"G", G}};
/* clang-format on */

#undef K
#undef M
#undef G
#undef T

/* The factor of suffix text: exactly as written, else in any case where that is unambiguous
 * ("64k", "1gb/s" are common; "m" of durations stays minutes). 0: unknown. */
static int64_t find_factor(const struct suffix *table, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(table[i].text, text))
			return table[i].factor;
	for (size_t i = 0; i < n; i++)
		if (!strcasecmp(table[i].text, text))
			return table[i].factor;
	return 0;
}

static const char *skip_space(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

/* Copies the word at s, which must be all that is left; false if more follows. */
static bool last_word(const char *s, char word[12])
{
	size_t len = strcspn(s, " \t\n\v\f\r");

	if (len >= 12)
		return false;
	memcpy(word, s, len);
	word[len] = '\0';
	return !*skip_space(s + len);
}

/* A decimal taken apart: sign, digits before the point, and what follows it as a fraction. */
struct decimal {
	bool negative, overflow;
	int64_t whole;
	double fraction;
};

/* Returns what follows the number; NULL if there is none. */
static const char *read_decimal(const char *s, struct decimal *ret)
{
	struct decimal d = {0};
	double unit = 1;
	bool digits = false;

	if (*s == '-' || *s == '+')
		d.negative = *s++ == '-';
	for (; isdigit((unsigned char)*s); s++, digits = true)
		d.overflow |= __builtin_mul_overflow(d.whole, 10, &d.whole) ||
			      __builtin_add_overflow(d.whole, *s - '0', &d.whole);
	if (*s == '.')
		for (s++; isdigit((unsigned char)*s); s++, digits = true)
			d.fraction += (*s - '0') * (unit /= 10);
	*ret = d;
	return digits ? s : NULL;
}

struct integer {
	const struct suffix *suffixes;
	size_t n;
	bool is_signed, must_be_whole;
};

/* The product of a fraction and a factor is below 2^47, so its error is far below a millionth. */
#define NEARLY 1e-6

static int parse_integer(const char *s, const struct integer *type, int64_t *ret)
{
	char suffix[12];
	struct decimal d;
	int64_t v;

	s = read_decimal(skip_space(s), &d);
	if (!s || !last_word(skip_space(s), suffix))
		return -EINVAL;
	int64_t factor = find_factor(type->suffixes, type->n, suffix);

	if (!factor || (d.negative && !type->is_signed))
		return -EINVAL;
	double part = d.fraction * (double)factor;

	if (type->must_be_whole && fabs(part - round(part)) > NEARLY)
		return -EINVAL;
	if (d.overflow || __builtin_mul_overflow(d.whole, factor, &v) ||
		__builtin_add_overflow(v, llround(part), &v))
		return -ERANGE;
	/* 0 often means "no limit": nothing above it may become that. */
	if (!v && d.fraction > 0)
		return -EINVAL;
	*ret = d.negative ? -v : v;
	return 0;
}

int units_parse_size(const char *s, int64_t *ret_bytes)
{
	return parse_integer(
		s, &(struct integer){sizes, ARRAY_SIZE(sizes), false, false}, ret_bytes);
}

int units_parse_rate(const char *s, int64_t *ret_bytes_per_s)
{
	return parse_integer(
		s, &(struct integer){rates, ARRAY_SIZE(rates), false, false}, ret_bytes_per_s);
}

int units_parse_duration(const char *s, int64_t *ret_ns)
{
	return parse_integer(
		s, &(struct integer){durations, ARRAY_SIZE(durations), false, false}, ret_ns);
}

int units_parse_count(const char *s, int64_t *ret)
{
	return parse_integer(s, &(struct integer){counts, ARRAY_SIZE(counts), true, true}, ret);
}

int units_parse_ratio(const char *s, double *ret)
{
	char suffix[12];
	char *end;

	s = skip_space(s);
	/* strtod would take signs, "inf", "nan" and hexadecimal. */
	if (!isdigit((unsigned char)*s) && *s != '.')
		return -EINVAL;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		return -EINVAL;
	double v = strtod(s, &end);

	if (end == s || !last_word(skip_space(end), suffix))
		return -EINVAL;
	if (!isfinite(v))
		return -ERANGE;
	if (!strcmp(suffix, "%"))
		v /= 100;
	else if (*suffix)
		return -EINVAL;
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

	/* 1250000000 is 1.25G/s to people, not 1250M/s. */
	int64_t giga = bytes_per_s / 1000000000, rest = bytes_per_s % 1000000000;

	if (giga && rest && rest % 10000000 == 0) {
		int digits = rest % 100000000 ? 2 : 1;

		snprintf(buf, UNITS_MAX, "%" PRId64 ".%0*" PRId64 "G/s", giga, digits,
			rest / (digits == 2 ? 10000000 : 100000000));
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
