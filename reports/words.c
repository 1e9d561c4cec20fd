/* SPDX-License-Identifier: Apache-2.0 */
/* Figures as text, and the verdict: see words.h. */
#include "reports/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"
#include "reports/doubts.h"
#include "reports/html.h"

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
		say_percent(value, buf);
		break;
	case METRIC_ORIGIN_BYTES:
		snprintf(buf, WORDS_MAX, "%s", units_human_bytes(value, bytes));
		break;
	case METRIC_WAIT_P99_MS:
		snprintf(buf, WORDS_MAX, value < 10 ? "%.1f ms" : "%.0f ms", value);
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

/* Value of a knob in the first record that has it. */
static const char *knob_of_any(const struct model *m, const char *name)
{
	json_t *record;
	size_t i;

	json_array_foreach(m->records, i, record)
	{
		const char *value = model_knob(record, name);

		if (*value)
			return value;
	}
	return "";
}

static bool any_origin_bytes(const struct model *m)
{
	for (size_t i = 0; i < m->n_series; i++)
		for (size_t k = 0; k < m->series[i].n_cells; k++)
			if (m->series[i].cells[k].figure[METRIC_ORIGIN_BYTES].n)
				return true;
	return false;
}

char *words_remote(const struct model *m, char *buf, size_t size)
{
	const char *path = knob_of_any(m, "remote.path");
	const char *origin = knob_of_any(m, "remote.origin");
	char rate[UNITS_MAX];
	int64_t bytes_per_s = 0, latency_ns = 0;

	buf[0] = '\0';
	if (*path || *origin) {
		snprintf(buf, size, "at %s%s%s", origin, *path && *origin ? " and " : "", path);
		return text_plain(buf);
	}
	units_parse_rate(knob_of_any(m, "remote.bandwidth"), &bytes_per_s);
	units_parse_duration(knob_of_any(m, "remote.latency"), &latency_ns);
	if (bytes_per_s)
		snprintf(buf, size, "emulated at %s and %g ms",
			units_human_rate((double)bytes_per_s, rate), (double)latency_ns / 1e6);
	else if (latency_ns || any_origin_bytes(m))
		snprintf(buf, size, "emulated without a bandwidth limit and with %g ms",
			(double)latency_ns / 1e6);
	return buf;
}

/* One source's part of the sentence. first: the full form, later ones may be shorter. */
static void say_series(
	FILE *out, const struct series *s, const char *reference, int gpus, bool first)
{
	const struct cell *c = series_cell(s, gpus);
	char buf[WORDS_MAX];

	if (!c)
		fprintf(out, "%s was not measured", s->spoken);
	else if (!c->ok)
		fprintf(out, "%s failed (%s)", s->spoken,
			c->error ? c->error : "no reason recorded");
	else if (c->figure[METRIC_PCT].n && first)
		fprintf(out, "%s feeds %s of %s", s->spoken,
			words_metric(METRIC_PCT, c->figure[METRIC_PCT].median, buf),
			reference ? reference : "synthetic");
	else if (c->figure[METRIC_PCT].n)
		fprintf(out, "%s %s", s->spoken,
			words_metric(METRIC_PCT, c->figure[METRIC_PCT].median, buf));
	else if (c->figure[METRIC_RATE].n)
		fprintf(out, "%s feeds %s images/s, with no synthetic run to compare with",
			s->spoken, words_count(c->figure[METRIC_RATE].median, buf));
	else
		fprintf(out, "%s has no figures", s->spoken);
}

static void say_where(FILE *out, const struct model *m, int gpus)
{
	const char *accelerator = m->series[0].accelerator_spoken;
	char remote[512];

	words_remote(m, remote, sizeof(remote));
	if (model_accelerators_differ(m) || !accelerator)
		fprintf(out, "At %d GPU%s", gpus, gpus == 1 ? "" : "s");
	else
		fprintf(out, "At %d x %s", gpus, accelerator);
	if (*remote)
		fprintf(out, ", with the remote %s,", remote);
	fputc(' ', out);
}

static void say_reference(FILE *out, const struct series *s, int gpus)
{
	const struct cell *c = s ? series_cell(s, gpus) : NULL;
	char rate[WORDS_MAX], au[WORDS_MAX];

	if (!c || !c->ok) {
		fputs("no run finished", out);
		return;
	}
	fprintf(out,
		"%s reaches %s images/s at %s accelerator utilization; nothing was compared with it",
		s->spoken, words_count(c->figure[METRIC_RATE].median, rate),
		words_metric(METRIC_AU, c->figure[METRIC_AU].median, au));
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
		say_series(out, s, reference ? reference->spoken : NULL, gpus, first);
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

static void say_replaced_and_missing(FILE *out, const struct model *m)
{
	AUTO(free) char *asked = strdup(knob_of_any(m, "bench.sources"));
	char *save = NULL;

	for (size_t i = 0; i < m->n_series; i++)
		if (m->series[i].stands_in_for)
			fprintf(out, " %s stands in for %s, which could not run here.",
				m->series[i].label, m->series[i].stands_in_for);
	for (char *s = asked ? strtok_r(asked, ", ", &save) : NULL; s;
		s = strtok_r(NULL, ", ", &save))
		if (!has_source(m, s))
			fprintf(out, " %s was asked for and has no record.", s);
}

static void say_doubts(FILE *out, const struct model *m)
{
	json_t *doubts = doubts_collect(m, model_most_gpus(m)), *where;
	const char *name, *before = " Read it with care: ";

	json_object_foreach(doubts, name, where)
	{
		fprintf(out, "%s%s", before, name);
		before = ", ";
	}
	if (json_object_size(doubts))
		fputc('.', out);
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
		say_replaced_and_missing(out, m);
		say_doubts(out, m);
	} else {
		fputs("No record could be read, so there is nothing to say.", out);
	}
	fclose(out);
	return text ? text_plain(text) : NULL;
}
