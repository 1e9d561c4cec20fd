/* SPDX-License-Identifier: Apache-2.0 */
/* model - the records of a folder, sorted into what a report shows.
 *
 *   series   one line of a picture: records of the same source, variant and accelerator
 *   cell     a series at one number of GPUs: its runs and repeats
 *   figure   one metric of a cell: median, least and most over the repeats
 *
 * Series keep the order of the records. The reference, that others are compared with, is the
 * series whose runs are named by "synthetic_run". Only runs of status "ok" give figures. */
#ifndef REPORTS_MODEL_H
#define REPORTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

#include "common/cleanup.h"
#include "common/err.h"

/* Where a metric without a part of its own comes from: steady state where a run has it, else the
 * whole job, else the first epoch. */
enum metric {
	METRIC_COLD_RATE,
	METRIC_STEADY_RATE,
	METRIC_JOB_RATE,
	METRIC_RATE, /* images/s: the figure that stands for the run */
	METRIC_AU,
	METRIC_PCT,      /* of synthetic */
	METRIC_COLD_PCT, /* the same in the first epoch, of runs that have later ones */
	METRIC_ORIGIN_BYTES,
	METRIC_HIT_RATIO,
	METRIC_WAIT_P99_MS,
	METRIC_N
};

struct figure {
	double median, min, max;
	int n; /* repeats measured; 0: not measured */
};

struct cell {
	int gpus, ok, failed;
	const char *error; /* of the last failed run; NULL if none */
	struct figure figure[METRIC_N];
};

struct series {
	/* Owned by records; all but source may be NULL. Labels are how a sentence names them. */
	const char *source, *variant, *accelerator, *source_label, *accelerator_label;
	const char *stands_in_for; /* the source it replaces; NULL: none */
	double nominal;            /* images/s of one GPU; NaN if not known */
	char *label;               /* as tables and pictures name it */
	char *spoken;              /* as a sentence names it */
	bool reference;
	int color; /* 0: the reference, else 1.. in order */
	struct cell *cells;
	size_t n_cells;
};

struct model {
	json_t *records, *environment; /* environment may be NULL */
	char *profile;                 /* text of profile.ini; NULL if missing */
	json_t *notes;                 /* array of strings: what was left out */
	struct series *series;
	size_t n_series;
	int *gpus; /* every number of GPUs seen, ascending */
	size_t n_gpus;
};

/* NULL and err if there is no records.jsonl. */
struct model *model_load(const char *dir, struct err *err);
void model_free(struct model *m);

AUTO_FREE(model, struct model, model_free);

const struct series *model_reference(const struct model *m); /* NULL if there is none */
const struct series *model_series_of(const struct model *m, const json_t *record); /* or NULL */
const struct cell *series_cell(const struct series *s, int gpus);
int model_most_gpus(const struct model *m); /* 0 without records */
bool model_accelerators_differ(const struct model *m);

/* The run got bytes from an origin, and counted them. */
bool record_has_origin(const json_t *record);

/* Value of a knob in a record, "" if it has none. */
const char *model_knob(const json_t *record, const char *name);

/* Record fit for the report: has a source and a number of GPUs. */
bool record_usable(const json_t *record);
bool record_ok(const json_t *record);

void model_note(struct model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
