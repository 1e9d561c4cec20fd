/* SPDX-License-Identifier: Apache-2.0 */
/* From figures to a sentence: see verdict.h. */
#include "harness/verdict.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/record.h"
#include "common/units.h"
#include "harness/doubt.h"

#define FED_AU 0.98 /* at which GPUs count as fed; doubt.c asks for as much */

static bool has_doubt(const json_t *record, const char *name)
{
	const json_t *doubt;
	size_t i;

	json_array_foreach(json_object_get(record, "doubts"), i, doubt)
	{
		if (!strcmp(json_string_value(doubt), name))
			return true;
	}
	return false;
}

static double main_number(const json_t *record, const char *name)
{
	return record_number(json_object_get(record, doubt_main_part(record)), name);
}

const char *verdict_limit(const json_t *record)
{
	double au = main_number(record, "au");

	if (isnan(au))
		return NULL;
	if (au >= FED_AU)
		return "gpus";
	if (has_doubt(record, "harness-limit"))
		return "harness";
	if (has_doubt(record, "origin-limit"))
		return "origin";
	return has_doubt(record, "tier-disk-limit") ? "tier-disk" : "storage";
}

static void say_limit(const json_t *record, FILE *out)
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
	const char *limit = verdict_limit(record);
	double rate = main_number(record, "bytes_consumed") / main_number(record, "seconds");
	double demand = record_number(record, "demand_bytes_per_s");
	char have[UNITS_MAX], want[UNITS_MAX];

	for (size_t i = 0; limit && i < ARRAY_SIZE(table); i++)
		if (!strcmp(limit, table[i].limit))
			fprintf(out, "; %s", table[i].words);
	if (!isnan(rate) && !isnan(demand))
		fprintf(out, " (%s of the %s asked for)", units_human_rate(rate, have),
			units_human_rate(demand, want));
}

static void say(const json_t *record, FILE *out)
{
	const char *variant = record_text(record, "variant");
	double pct = main_number(record, "pct_of_synthetic");
	int gpus = (int)record_number(record, "gpus");

	fprintf(out, "%s%s%s, %d GPU%s: AU %.1f%%", record_text(record, "source"),
		variant ? " " : "", variant ? variant : "", gpus, gpus == 1 ? "" : "s",
		100 * main_number(record, "au"));
	if (!isnan(pct))
		fprintf(out, ", %.1f%% of synthetic", pct);
	say_limit(record, out);
	fputs(".\n", out);
}

static bool same_text(const json_t *a, const json_t *b, const char *name)
{
	const char *x = record_text(a, name), *y = record_text(b, name);

	return x == y || (x && y && !strcmp(x, y));
}

/* Whether another record stands for this one's source: more GPUs, or as many and later. */
static bool is_outdone(const json_t *records, size_t at)
{
	const json_t *record = json_array_get(records, at), *other;
	size_t i;

	json_array_foreach(records, i, other)
	{
		double more = record_number(other, "gpus") - record_number(record, "gpus");

		if (i != at && verdict_limit(other) && same_text(other, record, "source") &&
			same_text(other, record, "variant") && (more > 0 || (more == 0 && i > at)))
			return true;
	}
	return false;
}

void verdict_print(const json_t *records, FILE *out)
{
	const json_t *record;
	size_t i;

	json_array_foreach(records, i, record)
	{
		const char *source = record_text(record, "source");

		if (verdict_limit(record) && source && strcmp(source, "synthetic") &&
			!is_outdone(records, i))
			say(record, out);
	}
}
