/* SPDX-License-Identifier: Apache-2.0 */
/* The rules, one function each: see doubt.h. A figure that was not measured is NaN here, and every
 * comparison with NaN is false: what is not known raises nothing unless its absence is the point. */
#include "harness/doubt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/record.h"
#include "common/units.h"

#define STEPS_LEAST 50   /* MLPerf-like rule of docs/method.md: steps of an epoch */
#define QUEUES_LEAST 10  /* times the queue */
#define REPEATS_LEAST 3  /* below, no spread can be told */
#define SPREAD_MOST 0.08 /* of repeats, before a machine counts as noisy */
#define TIER_HEADROOM 1.15
#define FULL_AU 0.98      /* below, something limits */
#define SYNTHETIC_AU 0.99 /* below, the harness is what limits */
#define FAR_BEHIND_PCT 25 /* of synthetic */
#define COLD_SHARE 0.995  /* of bytes consumed that must come from the origin */
#define LATE_SHARE 0.05   /* of steps */
#define FASTER_PCT 100.5  /* timing noise of two full-speed runs is below 0.5% */
#define AMPLIFIED                                                                                  \
	1.2 /* bytes of the origin for a byte consumed; records have headers, requests edges */
#define ESTIMATE_SLACK 1.1 /* of the bytes of listed shards, estimated from 64 of them */

static double part_number(const json_t *record, const char *part, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s.%s", part, name);
	return record_number(record, path);
}

const char *doubt_main_part(const json_t *record)
{
	return isnan(record_number(record, "steady.images_per_s")) ? "job" : "steady";
}

static double main_number(const json_t *record, const char *name)
{
	return part_number(record, doubt_main_part(record), name);
}

static bool same_text(const json_t *a, const json_t *b, const char *name)
{
	const char *x = record_text(a, name), *y = record_text(b, name);

	return x == y || (x && y && !strcmp(x, y));
}

static const json_t *synthetic_of(const json_t *record, const json_t *earlier)
{
	const char *id = record_text(record, "synthetic_run");
	json_t *other;
	size_t i;

	json_array_foreach(earlier, i, other)
	{
		const char *run = record_text(other, "run");

		if (id && run && !strcmp(id, run))
			return other;
	}
	return NULL;
}

static double steps_of(const json_t *record, const char *part)
{
	return part_number(record, part, "images") /
	       (record_number(record, "batch") * record_number(record, "gpus"));
}

double doubt_steps(const json_t *record)
{
	const char *part = doubt_main_part(record);
	double epochs = record_number(record, "epochs");

	if (!strcmp(part, "steady"))
		epochs--; /* but of the only one */
	return steps_of(record, part) / fmax(epochs, 1);
}

double doubt_queue(const json_t *record)
{
	double queue = record_number(record, "queue_depth");

	return isnan(queue) ? record_number(record, "prefetch") : queue;
}

/* Where there is one epoch only, its figure is doubted too: nobody knows how warm it was. */
static bool not_cold(const json_t *record, const json_t *earlier)
{
	const json_t *chilled = json_object_get(record, "chilled");
	double consumed = record_number(record, "cold.bytes_consumed");

	if (json_is_false(chilled) && record_number(record, "epochs") == 1)
		return true;
	if (isnan(record_number(record, "cold.images")) || !json_is_boolean(chilled))
		return false;
	return json_is_false(chilled) ||
	       record_number(record, "cold.origin_bytes") < COLD_SHARE * consumed;
}

/* Of all that ran here for this run; a part that there was not, or that ran in the harness, is null. */
static double cpu_used(const json_t *record)
{
	return record_number(record, "cpu_s.harness") +
	       fmax(0, record_number(record, "cpu_s.cachefs")) +
	       fmax(0, record_number(record, "cpu_s.remote"));
}

/* A storage that is far behind a harness which cannot keep up is the limit itself. */
static bool harness_limit(const json_t *record, const json_t *earlier)
{
	const json_t *synthetic = synthetic_of(record, earlier);
	double cpus = record_number(record, "cpus");
	double used = cpu_used(record) / record_number(record, "job.seconds");

	if (synthetic && main_number(synthetic, "au") < SYNTHETIC_AU &&
		!(main_number(record, "pct_of_synthetic") < FAR_BEHIND_PCT))
		return true;
	return main_number(record, "au") < FULL_AU && used > 0.9 * cpus;
}

/* remote.bandwidth in bytes/s; NaN: no limit. */
static double bandwidth_of(const json_t *record)
{
	const json_t *knob = json_object_get(json_object_get(record, "knobs"), "remote.bandwidth");
	const char *text = json_string_value(json_object_get(knob, "value"));
	int64_t bandwidth = 0;

	if (!text || units_parse_rate(text, &bandwidth) || !bandwidth)
		return NAN;
	return (double)bandwidth;
}

static bool origin_limit(const json_t *record, const json_t *earlier)
{
	double rate = main_number(record, "origin_bytes") / main_number(record, "seconds");

	return json_is_true(json_object_get(record, "has_tier")) &&
	       main_number(record, "au") < FULL_AU && rate > 0.95 * bandwidth_of(record);
}

/* What stands for the remote disk is slower than what it is to be, where that is asked for. */
static bool local_disk_limit(const json_t *record, const json_t *earlier)
{
	double wanted = fmin(bandwidth_of(record), record_number(record, "demand_bytes_per_s"));

	return main_number(record, "au") < FULL_AU &&
	       record_number(record, "data_native_bytes_per_s") < TIER_HEADROOM * wanted;
}

/* A disk that was probed while it was busy with something else, and then fed everybody, is no limit. */
static bool tier_disk_limit(const json_t *record, const json_t *earlier)
{
	return main_number(record, "au") < FULL_AU &&
	       record_number(record, "tier_native_bytes_per_s") <
		       TIER_HEADROOM * record_number(record, "demand_bytes_per_s");
}

/* A late pacer frees memory late, which can only lower a figure: a full one was not harmed. GPUs on
 * their own are late on their own. */
static bool clock_late(const json_t *record, const json_t *earlier)
{
	const json_t *knob = json_object_get(json_object_get(record, "knobs"), "bench.sync");
	const char *sync = json_string_value(json_object_get(knob, "value"));
	double each = sync && !strcmp(sync, "none") ? record_number(record, "gpus") : 1;

	return main_number(record, "au") < FULL_AU &&
	       record_number(record, "late_steps") > LATE_SHARE * each * steps_of(record, "job");
}

static bool same_cell(const json_t *a, const json_t *b)
{
	return same_text(a, b, "source") && same_text(a, b, "variant") &&
	       same_text(a, b, "accelerator") &&
	       record_number(a, "gpus") == record_number(b, "gpus");
}

static int compare(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) -
	       (*(const double *)a < *(const double *)b);
}

static bool noisy_machine(const json_t *record, const json_t *earlier)
{
	AUTO(free) double *rate = calloc(json_array_size(earlier) + 1, sizeof(*rate));
	json_t *other;
	size_t i, n = 0;

	if (!rate)
		return false;
	rate[n++] = main_number(record, "images_per_s");
	json_array_foreach(earlier, i, other)
	{
		double r = same_cell(record, other) ? main_number(other, "images_per_s") : NAN;

		if (!isnan(r))
			rate[n++] = r;
	}
	qsort(rate, n, sizeof(*rate), compare);
	return rate[n - 1] - rate[0] > SPREAD_MOST * rate[n / 2];
}

static bool page_cache_served(const json_t *record, const json_t *earlier)
{
	const json_t *pages = json_object_get(record, "page_cache");

	return !isnan(record_number(pages, "max_seen")) &&
	       json_is_false(json_object_get(pages, "verified"));
}

static bool page_cache_unverified(const json_t *record, const json_t *earlier)
{
	return !isnan(record_number(record, "page_cache.asked")) &&
	       isnan(record_number(record, "page_cache.max_seen"));
}

static bool too_short(const json_t *record, const json_t *earlier)
{
	double steps = doubt_steps(record) + 0.5;

	return steps < STEPS_LEAST || steps < QUEUES_LEAST * doubt_queue(record);
}

/* run-bench PATH does one run unless told; a doubt about each of its figures would say nothing, so
 * its report has a sentence instead. */
static bool single_by_design(const json_t *record)
{
	const json_t *knob = json_object_get(json_object_get(record, "knobs"), "bench.repeats");
	const char *from = json_string_value(json_object_get(knob, "from"));
	const char *profile = record_text(record, "profile");

	return profile && !strcmp(profile, "path") && from && !strcmp(from, "default");
}

static bool few_repeats(const json_t *record, const json_t *earlier)
{
	return !single_by_design(record) && record_number(record, "repeats") < REPEATS_LEAST;
}

/* The data are fewer than what was read in an epoch. */
static bool read_again(const json_t *record)
{
	double epochs = record_number(record, "epochs");
	double samples = record_number(record, "data.samples");

	if (!isnan(samples))
		return record_number(record, "job.images") > epochs * samples;
	return record_number(record, "job.bytes_consumed") >
	       epochs * ESTIMATE_SLACK * record_number(record, "data.bytes");
}

static bool sample_count(const json_t *record, const json_t *earlier)
{
	return read_again(record) || record_number(record, "samples.twice") > 0 ||
	       record_number(record, "samples.missing") > 0 ||
	       record_number(record, "samples.crc_errors") > 0;
}

static bool faster_than_synthetic(const json_t *record, const json_t *earlier)
{
	return main_number(record, "pct_of_synthetic") > FASTER_PCT;
}

/* A hit ratio ends at 0 and does not tell. What was under way when a run was stopped is not it. */
static bool read_amplified(const json_t *record, const json_t *earlier)
{
	if (json_is_true(json_object_get(record, "ended_early")))
		return false;
	return main_number(record, "origin_bytes") >
		       AMPLIFIED * main_number(record, "bytes_consumed") ||
	       record_number(record, "cold.origin_bytes") >
		       AMPLIFIED * record_number(record, "cold.bytes_consumed");
}

const struct doubt_rule doubt_rules[] = {
	{"not-cold", not_cold},
	{"harness-limit", harness_limit},
	{"origin-limit", origin_limit},
	{"tier-disk-limit", tier_disk_limit},
	{"local-disk-limit", local_disk_limit},
	{"read-amplified", read_amplified},
	{"clock-late", clock_late},
	{"noisy-machine", noisy_machine},
	{"page-cache-served", page_cache_served},
	{"page-cache-unverified", page_cache_unverified},
	{"too-short", too_short},
	{"few-repeats", few_repeats},
	{"sample-count", sample_count},
	{"faster-than-synthetic", faster_than_synthetic},
};
const size_t doubt_rules_n = ARRAY_SIZE(doubt_rules);

void doubts_judge(json_t *record, const json_t *earlier)
{
	const char *status = record_text(record, "status");
	json_t *names = json_array();

	for (size_t i = 0; status && !strcmp(status, "ok") && i < doubt_rules_n; i++)
		if (doubt_rules[i].raised(record, earlier))
			json_array_append_new(names, json_string(doubt_rules[i].name));
	json_object_set_new(record, "doubts", names);
}
