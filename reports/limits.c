/* SPDX-License-Identifier: Apache-2.0 */
/* What limits each source, in words: see limits.h. */
#include "reports/limits.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/record.h"
#include "common/units.h"

static bool has_doubt(const json_t *record, const char *name)
{
	const json_t *doubt;
	size_t i;

	json_array_foreach(json_object_get(record, "doubts"), i, doubt)
	{
		if (json_is_string(doubt) && !strcmp(json_string_value(doubt), name))
			return true;
	}
	return false;
}

static double main_number(const json_t *record, const char *name)
{
	bool steady = !isnan(record_number(record, "steady.images_per_s"));

	return record_number(json_object_get(record, steady ? "steady" : "job"), name);
}

static bool is_disturbed(const json_t *record)
{
	return has_doubt(record, "clock-late") || has_doubt(record, "noisy-machine");
}

static const char *why_unknown(const json_t *record)
{
	if (has_doubt(record, "clock-late"))
		return "what limits cannot be told, this machine did not run the harness in time";
	if (has_doubt(record, "noisy-machine"))
		return "what limits cannot be told, repeats of the run differ too much";
	return "what limits is not known, too few steps ended";
}

static const char *limit_words(const char *limit, const json_t *record)
{
	static const struct {
		const char *limit, *words;
	} table[] = {
		{"gpus", "the GPUs are the limit, the storage keeps up"},
		{"harness", "this machine's CPUs are the limit, the storage may be faster"},
		{"origin", "the origin is the limit"},
		{"tier-disk", "the disk under the cache is the limit"},
		{"storage", "the storage is the limit"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(limit, table[i].limit))
			return table[i].words;
	return strcmp(limit, "unknown") ? limit : why_unknown(record);
}

/* NULL: a failed run, one without figures, or of a version that did not tell. */
static const char *limit_of(const json_t *record)
{
	return isnan(main_number(record, "au")) ? NULL : record_text(record, "limit");
}

static void say_rate(const json_t *record, FILE *out)
{
	double rate = main_number(record, "bytes_consumed") / main_number(record, "seconds");
	double demand = record_number(record, "demand_bytes_per_s");
	char have[UNITS_MAX], want[UNITS_MAX];

	if (rate > demand)
		fprintf(out, " (%s, all that was asked for)", units_human_rate(rate, have));
	else if (!isnan(rate) && !isnan(demand))
		fprintf(out, " (%s of the %s asked for)", units_human_rate(rate, have),
			units_human_rate(demand, want));
}

static bool same_text(const json_t *a, const json_t *b, const char *name)
{
	const char *x = record_text(a, name), *y = record_text(b, name);

	return x == y || (x && y && !strcmp(x, y));
}

static bool same_series(const json_t *a, const json_t *b)
{
	return same_text(a, b, "source") && same_text(a, b, "variant");
}

static int compare(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) -
	       (*(const double *)a < *(const double *)b);
}

/* Of a run and its repeats; NaN: none has the figure. */
static double median(const json_t *records, const json_t *record, const char *name)
{
	AUTO(free) double *values = calloc(json_array_size(records) + 1, sizeof(*values));
	const json_t *other;
	size_t i, n = 0;

	json_array_foreach(records, i, other)
	{
		double v = main_number(other, name);

		if (values && !isnan(v) && limit_of(other) && same_series(other, record) &&
			record_number(other, "gpus") == record_number(record, "gpus"))
			values[n++] = v;
	}
	if (!n)
		return NAN;
	qsort(values, n, sizeof(*values), compare);
	return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* The repeat of a run that is nearest to the median. */
static const json_t *middle(const json_t *records, const json_t *record)
{
	double au = median(records, record, "au"), far = INFINITY;
	const json_t *other, *found = record;
	size_t i;

	json_array_foreach(records, i, other)
	{
		double off = fabs(main_number(other, "au") - au);

		if (off < far && limit_of(other) && same_series(other, record) &&
			record_number(other, "gpus") == record_number(record, "gpus")) {
			found = other;
			far = off;
		}
	}
	return found;
}

static void say(const json_t *records, const json_t *record, FILE *out)
{
	const char *variant = record_text(record, "variant"), *limit;
	double pct = median(records, record, "pct_of_synthetic");
	int gpus = (int)record_number(record, "gpus");

	fprintf(out, "%s%s%s, %d GPU%s: ", record_text(record, "source"), variant ? " " : "",
		variant ? variant : "", gpus, gpus == 1 ? "" : "s");
	record = middle(records, record);
	limit = limit_of(record);
	if (limit && (strcmp(limit, "unknown") || is_disturbed(record))) {
		fprintf(out, "AU %.1f%%", 100 * median(records, record, "au"));
		if (!isnan(pct))
			fprintf(out, ", %.1f%% of synthetic", pct);
		fputs("; ", out);
	}
	if (limit)
		fputs(limit_words(limit, record), out);
	say_rate(record, out);
	fputs(".\n", out);
}

/* Whether another record stands for this one's source: more GPUs, or as many and later. */
static bool is_outdone(const json_t *records, size_t at)
{
	const json_t *record = json_array_get(records, at), *other;
	size_t i;

	json_array_foreach(records, i, other)
	{
		double more = record_number(other, "gpus") - record_number(record, "gpus");

		if (i != at && limit_of(other) && same_series(other, record) &&
			(more > 0 || (more == 0 && i > at)))
			return true;
	}
	return false;
}

char *limits_text(const json_t *records)
{
	const json_t *record;
	char *text = NULL;
	size_t i, len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	json_array_foreach(records, i, record)
	{
		const char *source = record_text(record, "source");

		if (limit_of(record) && source && strcmp(source, "synthetic") &&
			!is_outdone(records, i))
			say(records, record, out);
	}
	fclose(out);
	return text;
}
