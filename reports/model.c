/* SPDX-License-Identifier: Apache-2.0 */
/* Records to series, cells and figures: see model.h. */
#include "reports/model.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/record.h"
#include "reports/html.h"

#define FILE_MAX_BYTES (4 << 20) /* of environment.json and profile.ini */

/* part NULL: see enum metric. */
static const struct {
	const char *part, *field;
} metrics[METRIC_N] = {
	[METRIC_COLD_RATE] = {"cold", "images_per_s"},
	[METRIC_STEADY_RATE] = {"steady", "images_per_s"},
	[METRIC_JOB_RATE] = {"job", "images_per_s"},
	[METRIC_RATE] = {NULL, "images_per_s"},
	[METRIC_AU] = {NULL, "au"},
	[METRIC_PCT] = {NULL, "pct_of_synthetic"},
	[METRIC_COLD_PCT] = {"cold", "pct_of_synthetic"},
	[METRIC_ORIGIN_BYTES] = {"job", "origin_bytes"},
	[METRIC_HIT_RATIO] = {NULL, "hit_ratio"},
	[METRIC_WAIT_P99_MS] = {NULL, "step_wait_p99_ms"},
};

static double part_number(const json_t *record, const char *part, const char *field)
{
	const json_t *value = json_object_get(json_object_get(record, part), field);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *main_part(const json_t *record)
{
	static const char *const parts[] = {"steady", "job", "cold"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!isnan(part_number(record, parts[i], "images_per_s")))
			return parts[i];
	return "steady";
}

static double metric_value(const json_t *record, enum metric m)
{
	const char *part = metrics[m].part;

	if (m == METRIC_COLD_PCT && !(record_number(record, "epochs") > 1))
		return NAN;
	return part_number(record, part ? part : main_part(record), metrics[m].field);
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

bool record_usable(const json_t *record)
{
	json_int_t gpus = json_integer_value(json_object_get(record, "gpus"));

	return text_of(record, "source") && gpus > 0 && gpus <= 1 << 20;
}

bool record_ok(const json_t *record)
{
	const char *status = text_of(record, "status");

	return status && !strcmp(status, "ok");
}

bool record_has_origin(const json_t *record)
{
	return !isnan(part_number(record, "job", "origin_bytes"));
}

static int record_gpus(const json_t *record)
{
	return (int)json_integer_value(json_object_get(record, "gpus"));
}

const char *model_knob(const json_t *record, const char *name)
{
	const json_t *knob = json_object_get(json_object_get(record, "knobs"), name);
	const char *value = text_of(knob, "value");

	return value ? value : "";
}

void model_note(struct model *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_array_append_new(m->notes, json_vsprintf(fmt, ap));
	va_end(ap);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool series_has(const struct series *s, const json_t *record)
{
	return same_text(s->source, text_of(record, "source")) &&
	       same_text(s->variant, text_of(record, "variant")) &&
	       same_text(s->accelerator, text_of(record, "accelerator"));
}

static int series_add(struct model *m, const json_t *record)
{
	struct series *bigger = realloc(m->series, (m->n_series + 1) * sizeof(*bigger));
	struct series *s;

	if (!bigger)
		return -ENOMEM;
	m->series = bigger;
	s = &m->series[m->n_series++];
	*s = (struct series){.source = text_of(record, "source"),
		.variant = text_of(record, "variant"),
		.accelerator = text_of(record, "accelerator"),
		.source_label = text_of(record, "source_label"),
		.accelerator_label = text_of(record, "accelerator_label"),
		.nominal = record_number(record, "nominal_images_per_s"),
		.stands_in_for = text_of(record, "stands_in_for")};
	return 0;
}

static int compare_ints(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static int gpus_add(struct model *m, int gpus)
{
	int *bigger;

	for (size_t i = 0; i < m->n_gpus; i++)
		if (m->gpus[i] == gpus)
			return 0;
	bigger = realloc(m->gpus, (m->n_gpus + 1) * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	m->gpus = bigger;
	m->gpus[m->n_gpus++] = gpus;
	return 0;
}

static int find_series(struct model *m)
{
	json_t *record;
	size_t i, k;
	int r = 0;

	json_array_foreach(m->records, i, record)
	{
		for (k = 0; k < m->n_series && !series_has(&m->series[k], record); k++)
			;
		if (k == m->n_series)
			r = series_add(m, record);
		if (!r)
			r = gpus_add(m, record_gpus(record));
		if (r)
			return r;
	}
	if (m->n_gpus)
		qsort(m->gpus, m->n_gpus, sizeof(*m->gpus), compare_ints);
	return 0;
}

static int compare_doubles(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) -
	       (*(const double *)a < *(const double *)b);
}

/* values is sorted in place. */
static struct figure figure_of(double *values, size_t n)
{
	if (!n)
		return (struct figure){.median = NAN, .min = NAN, .max = NAN};
	qsort(values, n, sizeof(*values), compare_doubles);
	return (struct figure){.median = (values[(n - 1) / 2] + values[n / 2]) / 2,
		.min = values[0],
		.max = values[n - 1],
		.n = (int)n};
}

static void cell_fill(struct cell *c, json_t **runs, size_t n, double *values)
{
	for (enum metric metric = 0; metric < METRIC_N; metric++) {
		size_t n_values = 0;

		for (size_t i = 0; i < n; i++) {
			double v = record_ok(runs[i]) ? metric_value(runs[i], metric) : NAN;

			if (!isnan(v))
				values[n_values++] = v;
		}
		c->figure[metric] = figure_of(values, n_values);
	}
	for (size_t i = 0; i < n; i++) {
		c->ok += record_ok(runs[i]);
		c->failed += !record_ok(runs[i]);
		if (!record_ok(runs[i]) && text_of(runs[i], "error"))
			c->error = text_of(runs[i], "error");
	}
}

static int series_fill(const struct model *m, struct series *s)
{
	size_t most = json_array_size(m->records);
	AUTO(free) json_t **runs = calloc(most + 1, sizeof(json_t *));
	AUTO(free) double *values = calloc(most + 1, sizeof(double));

	s->cells = calloc(m->n_gpus + 1, sizeof(*s->cells));
	if (!s->cells || !runs || !values)
		return -ENOMEM;
	for (size_t g = 0; g < m->n_gpus; g++) {
		json_t *record;
		size_t i, n = 0;

		json_array_foreach(m->records, i, record)
		{
			if (record_gpus(record) == m->gpus[g] && series_has(s, record))
				runs[n++] = record;
		}
		if (!n)
			continue;
		s->cells[s->n_cells] = (struct cell){.gpus = m->gpus[g]};
		cell_fill(&s->cells[s->n_cells++], runs, n, values);
	}
	return 0;
}

static const json_t *run_by_id(const struct model *m, const char *id)
{
	json_t *record;
	size_t i;

	json_array_foreach(m->records, i, record)
	{
		if (same_text(text_of(record, "run"), id))
			return record;
	}
	return NULL;
}

static void find_references(struct model *m)
{
	json_t *record;
	size_t i;

	json_array_foreach(m->records, i, record)
	{
		const char *id = text_of(record, "synthetic_run");
		const json_t *run = id ? run_by_id(m, id) : NULL;

		for (size_t k = 0; run && k < m->n_series; k++)
			if (series_has(&m->series[k], run))
				m->series[k].reference = true;
	}
}

bool model_accelerators_differ(const struct model *m)
{
	for (size_t i = 1; i < m->n_series; i++)
		if (!same_text(m->series[i].accelerator, m->series[0].accelerator))
			return true;
	return false;
}

/* "cached small on v100", and as a sentence says it: "the cache (small) on v100". */
static int name_one(struct series *s, bool accelerators)
{
	const char *on = accelerators && s->accelerator ? " on " : "";
	const char *accelerator = *on ? s->accelerator : "";
	const char *variant = s->variant ? s->variant : "";

	if (asprintf(&s->label, "%s%s%s%s%s", s->source, *variant ? " " : "", variant, on,
		    accelerator) < 0)
		s->label = NULL;
	if (asprintf(&s->spoken, "%s%s%s%s%s%s", s->source_label ? s->source_label : s->source,
		    *variant ? " (" : "", variant, *variant ? ")" : "", on, accelerator) < 0)
		s->spoken = NULL;
	return s->label && s->spoken ? 0 : -ENOMEM;
}

static int name_series(struct model *m)
{
	bool accelerators = model_accelerators_differ(m);
	int color = 1;

	for (size_t i = 0; i < m->n_series; i++) {
		struct series *s = &m->series[i];

		s->color = s->reference ? 0 : color++;
		if (name_one(s, accelerators))
			return -ENOMEM;
	}
	return 0;
}

static void drop_unusable(struct model *m)
{
	size_t dropped = 0;

	for (size_t i = json_array_size(m->records); i--;) {
		if (record_usable(json_array_get(m->records, i)))
			continue;
		json_array_remove(m->records, i);
		dropped++;
	}
	if (dropped)
		model_note(
			m, "%zu record%s without source or gpus", dropped, dropped == 1 ? "" : "s");
}

static int load_records(struct model *m, const char *dir, struct err *err)
{
	AUTO(free) char *path = NULL;
	struct err why = {0};
	int skipped = 0;

	if (asprintf(&path, "%s/records.jsonl", dir) < 0)
		return -ENOMEM;
	if (access(path, R_OK) < 0)
		return err_set(err, errno, "%s: %s; give a folder that run-bench wrote", path,
			strerror(errno));
	m->records = record_load(path, &skipped, &why);
	if (!m->records) {
		m->records = json_array();
		model_note(m, "%s", why.msg[0] ? why.msg : "records.jsonl: cannot be read");
	} else if (skipped) {
		model_note(m, "%d line%s of records.jsonl: %s", skipped, skipped == 1 ? "" : "s",
			why.msg[0] ? why.msg : "cut off, or of an unknown schema");
	}
	drop_unusable(m);
	return 0;
}

/* A text file of the folder; a note when there is none. */
static char *load_text(struct model *m, const char *dir, const char *name, const char *left_out)
{
	AUTO(free) char *path = NULL;
	char *data = NULL;
	size_t len;
	int r;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return NULL;
	r = file_read(path, FILE_MAX_BYTES, &data, &len);
	if (r)
		model_note(m, "%s (%s: %s)", left_out, name, strerror(-r));
	return data ? text_valid(data) : NULL;
}

static void load_environment(struct model *m, const char *dir)
{
	AUTO(free) char *text = load_text(m, dir, "environment.json", "the environment");

	if (!text)
		return;
	m->environment = json_loads(text, 0, NULL);
	if (!json_is_object(m->environment))
		model_note(m, "the environment (environment.json: not a JSON object)");
}

struct model *model_load(const char *dir, struct err *err)
{
	AUTO(model) struct model *m = calloc(1, sizeof(*m));
	int r = -ENOMEM;

	if (m)
		m->notes = json_array();
	if (m && m->notes)
		r = load_records(m, dir, err);
	if (!r)
		r = find_series(m);
	if (!r) {
		find_references(m);
		r = name_series(m);
	}
	for (size_t i = 0; !r && i < m->n_series; i++)
		r = series_fill(m, &m->series[i]);
	if (r == -ENOMEM)
		err_set(err, ENOMEM, "%s: not enough memory for its records", dir);
	if (r)
		return NULL;
	load_environment(m, dir);
	m->profile = load_text(m, dir, "profile.ini", "the effective profile");
	return TAKE(m);
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_series; i++) {
		free(m->series[i].label);
		free(m->series[i].spoken);
		free(m->series[i].cells);
	}
	free(m->series);
	free(m->gpus);
	free(m->profile);
	json_decref(m->records);
	json_decref(m->environment);
	json_decref(m->notes);
	free(m);
}

const struct series *model_reference(const struct model *m)
{
	for (size_t i = 0; i < m->n_series; i++)
		if (m->series[i].reference)
			return &m->series[i];
	return NULL;
}

const struct series *model_series_of(const struct model *m, const json_t *record)
{
	for (size_t i = 0; i < m->n_series; i++)
		if (series_has(&m->series[i], record))
			return &m->series[i];
	return NULL;
}

const struct cell *series_cell(const struct series *s, int gpus)
{
	for (size_t i = 0; i < s->n_cells; i++)
		if (s->cells[i].gpus == gpus)
			return &s->cells[i];
	return NULL;
}

int model_most_gpus(const struct model *m)
{
	return m->n_gpus ? m->gpus[m->n_gpus - 1] : 0;
}
