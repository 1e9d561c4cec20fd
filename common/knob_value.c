/* SPDX-License-Identifier: Apache-2.0 */
/* Text to the value of a knob: the type's parser, the row's words, its bounds, and what to tell the
 * user when it does not fit. */
#include "common/knob_value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/units.h"

/* Calls of words_next() walk "auto=-1,never=-2" or "direct,page": each word and its value. */
static const char *words_next(const char *p, char word[32], int64_t *value)
{
	size_t n = strcspn(p, ",=");

	if (!*p)
		return NULL;
	snprintf(word, 32, "%.*s", (int)n, p);
	p += n;
	if (*p == '=')
		*value = strtoll(p + 1, (char **)&p, 10);
	return *p == ',' ? p + 1 : p;
}

static bool word_value(const struct knob *k, const char *text, int64_t *ret)
{
	char word[32];
	int64_t value = 0;

	for (const char *p = k->words; (p = words_next(p, word, &value)); value++) {
		if (!strcmp(word, text) && word[strlen(word) - 1] != ':') {
			*ret = value;
			return true;
		}
	}
	return false;
}

static const char *type_example(enum knob_type type)
{
	static const char *const examples[] = {
		[KNOB_BOOL] = "yes or no",
		[KNOB_COUNT] = "a whole number such as 64 or 10k",
		[KNOB_SIZE] = "a size such as 64K, 256M or 1.5G",
		[KNOB_RATE] = "a rate such as 100M/s, 1.25G/s or 800Mbit/s",
		[KNOB_TIME] = "a time such as 30s, 10ms or 2h",
		[KNOB_RATIO] = "a number such as 0.95 or 95%",
		[KNOB_CHOICE] = "",
		[KNOB_STRING] = "a text of one line",
	};

	return examples[type];
}

static int parse_number(enum knob_type type, const char *text, struct knob_value *ret)
{
	switch (type) {
	case KNOB_COUNT:
		return units_parse_count(text, &ret->number);
	case KNOB_SIZE:
		return units_parse_size(text, &ret->number);
	case KNOB_RATE:
		return units_parse_rate(text, &ret->number);
	case KNOB_TIME:
		return units_parse_duration(text, &ret->number);
	case KNOB_RATIO:
		return units_parse_ratio(text, &ret->ratio);
	default:
		return -EINVAL;
	}
}

static int parse_bool(const char *text, struct knob_value *ret)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
			ret->number = !strcmp(text, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

/* Whether v lies below (sign -1) or above (sign 1) the bound written in text. */
static bool beyond(const struct knob *k, const char *bound, const struct knob_value *v, int sign)
{
	struct knob_value b = {0};

	if (!*bound || parse_number(k->type, bound, &b) < 0)
		return false;
	if (k->type == KNOB_RATIO)
		return (v->ratio - b.ratio) * sign > 0;
	return sign < 0 ? v->number < b.number : v->number > b.number;
}

/* What follows a word such as "cpu:" of text, and what 1 of a bare number is worth there. */
static const char *after_prefix(const struct knob *k, const char *text, int64_t *ret_unit)
{
	char word[32];
	int64_t value = 0;

	for (const char *p = k->words; (p = words_next(p, word, &value)); value++) {
		size_t n = strlen(word);

		if (word[n - 1] == ':' && !strncmp(text, word, n)) {
			*ret_unit = value;
			return text + n;
		}
	}
	return NULL;
}

/* A bare number, in the unit of its prefix, or one with a unit of its own. */
static int parse_after_prefix(
	const struct knob *k, const char *text, int64_t unit, struct knob_value *ret)
{
	double v;
	char *end;

	if (!*text || text[strspn(text, "0123456789.")])
		return parse_number(k->type, text, ret);
	v = strtod(text, &end) * (double)unit;
	if (*end)
		return -EINVAL;
	if (v > 1e18)
		return -ERANGE;
	ret->number = llround(v);
	return 0;
}

static int parse_value(const struct knob *k, const char *text, struct knob_value *ret)
{
	int64_t unit = 0;
	const char *rest;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (k->type == KNOB_STRING)
		return strpbrk(text, "\n\r") ? -EINVAL : 0;
	if (k->type == KNOB_BOOL)
		return parse_bool(text, ret);
	if (word_value(k, text, &ret->number)) {
		ret->is_word = true;
		return 0;
	}
	rest = after_prefix(k, text, &unit);
	r = rest ? parse_after_prefix(k, rest, unit, ret) : parse_number(k->type, text, ret);
	if (r < 0)
		return r;
	return beyond(k, k->min, ret, -1) || beyond(k, k->max, ret, 1) ? -ERANGE : 0;
}

/* "auto=-1,never=-2" as people read it: "auto, never". */
static void words_text(const struct knob *k, char *buf, size_t len)
{
	char word[32];
	int64_t value = 0;
	size_t n = 0;

	buf[0] = '\0';
	for (const char *p = k->words; (p = words_next(p, word, &value)) && n < len;)
		n += (size_t)snprintf(buf + n, len - n, "%s%s", n ? ", " : "", word);
}

static int explain_choice(
	const struct knob *k, const char *text, const char *words, struct err *err)
{
	char **list = list_split(words, ',', NULL);
	const char *near = list ? err_nearest(text, (const char *const *)list, SIZE_MAX) : NULL;

	err_set(err, EINVAL, "%s.%s: \"%s\" is none of %s%s%s%s", k->section, k->name, text, words,
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	list_free(list);
	return -EINVAL;
}

static int explain_range(const struct knob *k, const char *text, const char *words, struct err *err)
{
	struct knob_value v;

	if (parse_number(k->type, text, &v) == -ERANGE)
		return err_set(err, ERANGE, "%s.%s: %s is larger than any value can be", k->section,
			k->name, text);
	return err_set(err, ERANGE, "%s.%s: %s is out of range; give %s%s%s%s%s%s", k->section,
		k->name, text, *k->min ? k->min : "at most ", *k->min && *k->max ? " to " : "",
		*k->max ? k->max : " or more", *words ? " (or " : "", words, *words ? ")" : "");
}

static int explain(const struct knob *k, const char *text, int code, struct err *err)
{
	char words[160];

	words_text(k, words, sizeof(words));
	if (k->type == KNOB_CHOICE)
		return explain_choice(k, text, words, err);
	if (code == -ERANGE)
		return explain_range(k, text, words, err);
	return err_set(err, EINVAL, "%s.%s: \"%s\" is not %s%s%s", k->section, k->name, text,
		type_example(k->type), *words ? ", or one of " : "", words);
}

int knob_parse(const struct knob *k, const char *text, struct knob_value *ret, struct err *err)
{
	struct knob_value v;
	int r = parse_value(k, text, &v);

	if (r < 0)
		return explain(k, text, r, err);
	*ret = v;
	return 0;
}

bool knob_same_value(const struct knob *k, const struct knob_value *a, const struct knob_value *b)
{
	if (k->type == KNOB_RATIO)
		return fabs(a->ratio - b->ratio) < 1e-12 && a->number == b->number;
	return a->number == b->number;
}
