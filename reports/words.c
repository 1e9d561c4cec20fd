/* SPDX-License-Identifier: Apache-2.0 */
/* Figures as text, and the verdict: see words.h. */
#include "reports/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/record.h"
#include "common/units.h"
#include "reports/doubts.h"
#include "reports/html.h"

#define COLD_WORTH_SAYING 1.0 /* points of per cent below the steady state */
#define ERROR_MAX 160         /* bytes of an error in the verdict */

char *words_count(double value, char buf[WORDS_MAX])
{
	char digits[WORDS_MAX / 2];
	int n = snprintf(digits, sizeof(digits), "%.0f", value);
	char *out = buf;

	if (n >= (int)sizeof(digits))
		return memcpy(buf, "?", 2);
	for (int i = 0; i < n; i++) {
		*out++ = digits[i];
		if (i < n - 1 && digits[i] != '-' && (n - 1 - i) % 3 == 0)
			*out++ = ',';
	}
	*out = '\0';
	return buf;
}

/* One decimal, two where one would round up to a whole it is not: 99.98% is not 100.0%. */
static void say_percent(double value, char buf[WORDS_MAX])
{
	snprintf(buf, WORDS_MAX, value > 99.9 && value < 99.995 ? "%.2f%%" : "%.1f%%", value);
}

char *words_metric(enum metric metric, double value, char buf[WORDS_MAX])
{
	char bytes[UNITS_MAX];

	if (isnan(value)) {
		snprintf(buf, WORDS_MAX, "-");
		return buf;
	}
	switch (metric) {
	case METRIC_AU:
	case METRIC_HIT_RATIO:
		say_percent(value * 100, buf);
		break;
	case METRIC_PCT:
	case METRIC_COLD_PCT:
		say_percent(value, buf);
		break;
	case METRIC_ORIGIN_BYTES:
		snprintf(buf, WORDS_MAX, "%s", units_human_bytes(value, bytes));
		break;
	case METRIC_WAIT_P99_MS:
		snprintf(buf, WORDS_MAX, value > 0 && value < 10 ? "%.1f ms" : "%.0f ms", value);
		break;
	default:
		words_count(value, buf);
	}
	return buf;
}

char *words_spread(enum metric metric, const struct figure *f, char buf[WORDS_MAX])
{
	char min[WORDS_MAX], max[WORDS_MAX];

	buf[0] = '\0';
	if (f->n < 2)
		return buf;
	words_metric(metric, f->min, min);
	words_metric(metric, f->max, max);
	if (strcspn(min, "%") < strlen(min)) /* the unit once is enough */
		min[strcspn(min, "%")] = '\0';
	snprintf(buf, WORDS_MAX, "%.28s to %.28s", min, max);
	return buf;
}

/* Value of a knob in the first record that has it, of runs with an origin if asked. */
static const char *knob_of_any(const struct model *m, const char *name, bool with_origin)
{
	json_t *record;
	size_t i;

	json_array_foreach(m->records, i, record)
	{
		const char *value = model_knob(record, name);

		if (*value && (!with_origin || record_has_origin(record)))
			return value;
	}
	return "";
}

static bool any_origin(const struct model *m)
{
	json_t *record;
	size_t i;

	json_array_foreach(m->records, i, record)
	{
		if (record_has_origin(record))
			return true;
	}
	return false;
}

/* "emulated at 498 MB/s and 10 ms", as the knobs of runs with an origin say. */
static void say_emulated(const struct model *m, char *buf, size_t size)
{
	int64_t bytes_per_s = 0, latency_ns = 0;
	char rate[UNITS_MAX];

	units_parse_rate(knob_of_any(m, "remote.bandwidth", true), &bytes_per_s);
	units_parse_duration(knob_of_any(m, "remote.latency", true), &latency_ns);
	if (bytes_per_s)
		snprintf(buf, size, "emulated at %s and %g ms",
			units_human_rate((double)bytes_per_s, rate), (double)latency_ns / 1e6);
	else if (any_origin(m))
		snprintf(buf, size, "emulated without a bandwidth limit and with %g ms",
			(double)latency_ns / 1e6);
}

static bool has_series(const struct model *m, const char *source)
{
	for (size_t i = 0; i < m->n_series; i++)
		if (!strcmp(m->series[i].source, source))
			return true;
	return false;
}

char *words_remote(const struct model *m, char *buf, size_t size)
{
	const char *path = knob_of_any(m, "remote.path", true);
	const char *origin = knob_of_any(m, "remote.origin", true);
	int n;

	buf[0] = '\0';
	if (!*path && !*origin) {
		say_emulated(m, buf, size);
		return buf;
	}
	n = snprintf(buf, size, "at %s%s%s", origin, *path && *origin ? " and " : "", path);
	/* Not the user's, but a disk beside it, with other data. */
	if (!*path && has_series(m, "remote") && n > 0 && (size_t)n < size) {
		n += snprintf(buf + n, size - (size_t)n, " and the remote disk ");
		if ((size_t)n < size)
			say_emulated(m, buf + n, size - (size_t)n);
	}
	return text_plain(buf);
}

/* ", 55.1% in the first epoch": what a cache does while it is cold, if that is less. */
static void say_cold(FILE *out, const struct cell *c)
{
	const struct figure *cold = &c->figure[METRIC_COLD_PCT];
	char buf[WORDS_MAX];

	if (cold->n && cold->median < c->figure[METRIC_PCT].median - COLD_WORTH_SAYING)
		fprintf(out, " (%s in the first epoch)",
			words_metric(METRIC_COLD_PCT, cold->median, buf));
}

static void say_alone(FILE *out, const struct series *s, const struct cell *c)
{
	char rate[WORDS_MAX], au[WORDS_MAX];

	fprintf(out, "%s reaches %s images/s at %s accelerator utilization", s->spoken,
		words_metric(METRIC_RATE, c->figure[METRIC_RATE].median, rate),
		words_metric(METRIC_AU, c->figure[METRIC_AU].median, au));
}

/* The start of an error; the page has all of it. */
static void say_error(FILE *out, const char *error)
{
	size_t n = text_cut(error, ERROR_MAX);

	fprintf(out, "%.*s%s", (int)n, error, error[n] ? "..." : "");
}

/* One source's part of the sentence. first: the full form, later ones may be shorter. */
static void say_series(
	FILE *out, const struct series *s, const char *reference, int gpus, bool first)
{
	const struct cell *c = series_cell(s, gpus);
	char buf[WORDS_MAX];

	if (!c) {
		fprintf(out, "%s was not measured", s->spoken);
	} else if (!c->ok) {
		fprintf(out, "%s failed (", s->spoken);
		say_error(out, c->error ? c->error : "no reason recorded");
		fputc(')', out);
	} else if (c->figure[METRIC_PCT].n) {
		fprintf(out, "%s %s%s", s->spoken, first ? "reaches " : "",
			words_metric(METRIC_PCT, c->figure[METRIC_PCT].median, buf));
		if (first)
			fprintf(out, " of the rate of %s", reference);
		say_cold(out, c);
	} else if (c->figure[METRIC_RATE].n) {
		say_alone(out, s, c);
		fputs(", with no synthetic run to compare with", out);
	} else {
		fprintf(out, "%s has no figures", s->spoken);
	}
}

static void say_where(FILE *out, const struct model *m, int gpus)
{
	const struct series *first = &m->series[0];
	const char *plural = gpus == 1 ? "" : "s";
	char remote[512], rate[WORDS_MAX];

	words_remote(m, remote, sizeof(remote));
	if (!model_accelerators_differ(m) && first->accelerator_label)
		fprintf(out, "At %d x %s", gpus, first->accelerator_label);
	else if (!model_accelerators_differ(m) && first->nominal > 0)
		fprintf(out, "At %d GPU%s of %s images/s%s", gpus, plural,
			words_count(first->nominal, rate), gpus == 1 ? "" : " each");
	else
		fprintf(out, "At %d GPU%s", gpus, plural);
	if (*remote)
		fprintf(out, ", with the remote %s", remote);
	fputs(", ", out);
}

static void say_reference(FILE *out, const struct series *s, int gpus)
{
	const struct cell *c = s ? series_cell(s, gpus) : NULL;

	if (!c || !c->ok) {
		fputs("no run finished", out);
		return;
	}
	say_alone(out, s, c);
	fputs("; nothing was compared with it", out);
}

/* Whatever it is called elsewhere, others are in per cent of it on their own accelerator. */
static const char *reference_name(const struct series *reference)
{
	if (!reference)
		return "synthetic";
	return reference->source_label ? reference->source_label : reference->source;
}

static void say_figures(FILE *out, const struct model *m)
{
	const struct series *reference = model_reference(m);
	int gpus = model_most_gpus(m), said = 0;
	bool first = true;

	say_where(out, m, gpus);
	for (size_t i = 0; i < m->n_series; i++) {
		const struct series *s = &m->series[i];
		const struct cell *c = series_cell(s, gpus);

		if (s->reference)
			continue;
		if (said++)
			fputs("; ", out);
		say_series(out, s, reference_name(reference), gpus, first);
		if (c && c->figure[METRIC_PCT].n)
			first = false;
	}
	if (!said)
		say_reference(out, reference, gpus);
	fputc('.', out);
}

static bool has_source(const struct model *m, const char *source)
{
	for (size_t i = 0; i < m->n_series; i++)
		if (!strcmp(m->series[i].source, source) ||
			(m->series[i].stands_in_for && !strcmp(m->series[i].stands_in_for, source)))
			return true;
	return false;
}

static void say_replaced(FILE *out, const struct model *m)
{
	for (size_t i = 0; i < m->n_series; i++)
		if (m->series[i].stands_in_for)
			fprintf(out, " %s stands in for %s, which could not run here.",
				m->series[i].label, m->series[i].stands_in_for);
}

/* run-bench leaves out the emulated disk of embedded data where there is an origin. */
static bool is_left_out(const struct model *m, const char *source)
{
	return !strcmp(source, "remote") && *knob_of_any(m, "remote.origin", false) &&
	       !*knob_of_any(m, "remote.path", false);
}

static void say_missing(FILE *out, const struct model *m)
{
	AUTO(free) char *asked = strdup(knob_of_any(m, "bench.sources", false));
	char *save = NULL;

	for (char *s = asked ? strtok_r(asked, ", ", &save) : NULL; s;
		s = strtok_r(NULL, ", ", &save))
		if (!has_source(m, s) && !is_left_out(m, s))
			fprintf(out, " %s was asked for and has no record.", s);
}

static void say_failed(FILE *out, const struct model *m)
{
	size_t n = 0, all = json_array_size(m->records), i;
	json_t *record;

	json_array_foreach(m->records, i, record)
	{
		n += !record_ok(record);
	}
	if (n)
		fprintf(out, " %zu of %zu runs failed.", n, all);
}

static void say_doubts(FILE *out, const struct model *m)
{
	json_t *doubts = doubts_collect(m, model_most_gpus(m)), *where;
	const char *name, *before = " Read it with care: ";

	json_object_foreach(doubts, name, where)
	{
		const char *brief = doubt_explain(m, name).brief;

		fprintf(out, "%s%s", before, name);
		if (*brief)
			fprintf(out, " (%s)", brief);
		before = ", ";
	}
	if (json_object_size(doubts))
		fputs("; see Doubts in the report.", out);
	json_decref(doubts);
}

char *words_verdict(const struct model *m)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	if (m->n_series) {
		say_figures(out, m);
		say_replaced(out, m);
	} else {
		fputs("No record could be read, so there is nothing to say.", out);
	}
	fclose(out);
	return text ? text_plain(text) : NULL;
}

char *words_care(const struct model *m)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	say_failed(out, m);
	say_missing(out, m);
	say_doubts(out, m);
	fclose(out);
	if (text && *text)
		memmove(text, text + 1, strlen(text)); /* each sentence brings its blank */
	return text ? text_plain(text) : NULL;
}

/* The first run at the largest number of GPUs. */
static const json_t *main_run(const struct model *m)
{
	json_t *record;
	size_t i;

	json_array_foreach(m->records, i, record)
	{
		if (json_integer_value(json_object_get(record, "gpus")) == model_most_gpus(m))
			return record;
	}
	return NULL;
}

/* Samples that runs at as many GPUs had to read; NaN: not known. */
static double samples_there(const struct model *m, const json_t *run)
{
	double gpus = record_number(run, "gpus"), there;
	json_t *record;
	size_t i;

	json_array_foreach(m->records, i, record)
	{
		there = record_number(record, "data.samples");
		if (!isnan(there) && record_number(record, "gpus") <= gpus &&
			record_number(record, "gpus") >= gpus)
			return there;
	}
	return NAN;
}

/* "30,720 images, 2.4% of ImageNet's"; or of fewer there, how often each is read in an epoch. */
static void say_images(FILE *out, double images, double there, double share)
{
	char buf[WORDS_MAX], times[WORDS_MAX];

	if (there > 0 && there < images && images / there < 1.5)
		fprintf(out, " %s images, some read twice in an epoch.", words_count(there, buf));
	else if (there > 0 && there < images)
		fprintf(out, " %s images, each read about %s times in an epoch.",
			words_count(there, buf), words_count(images / there, times));
	else
		fprintf(out, " %s images, %.2g%% of ImageNet's.", words_count(images, buf), share);
}

/* Of one run nobody knows the spread. By its design PATH does one, and raises no doubt about it. */
static void say_single(FILE *out, const json_t *run)
{
	if (!strcmp(record_text(run, "profile") ? record_text(run, "profile") : "", "path") &&
		record_number(run, "repeats") <= 1)
		fputs(" One run each: to compare figures, add --bench.repeats=3.", out);
}

static void say_setting(FILE *out, const struct model *m, const json_t *run)
{
	double rate = record_number(run, "nominal_images_per_s"),
	       batch = record_number(run, "batch");
	double full = record_number(run, "scale.batch_of_accelerator");
	double images = record_number(run, "scale.samples");
	double share = 100 * record_number(run, "scale.of_imagenet");
	const char *why = record_text(run, "scale.why");
	char buf[WORDS_MAX];

	if (!(rate > 0) || !(batch > 0))
		return;
	fprintf(out, "Each GPU: %s images/s%s, batch %.0f", words_count(rate, buf),
		json_is_true(json_object_get(run, "calibrated")) ? " (calibrated)" : "", batch);
	if (full > batch)
		fprintf(out, ", scaled %.3gx from %.0f", full / batch, full);
	fputc('.', out);
	if (images > 0)
		say_images(out, images, samples_there(m, run), share);
	if (why)
		fprintf(out, " Scaled down: %s.", why);
	say_single(out, run);
}

char *words_setting(const struct model *m)
{
	const json_t *run = main_run(m);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	if (run && !model_accelerators_differ(m))
		say_setting(out, m, run);
	fclose(out);
	return text ? text_plain(text) : NULL;
}
