/* SPDX-License-Identifier: Apache-2.0 */
/* results - the folder of an invocation: records.jsonl, profile.ini, environment.json.
 *
 * Without -o it is results/TIME-PROFILE, and results/latest links to it. With -o DIR it is DIR; if DIR
 * has a profile.ini with the same text, finished runs are kept and the rest is done, else the
 * command is refused. What the machine has scaled down for the finished ones holds for the rest. */
#ifndef HARNESS_RESULTS_H
#define HARNESS_RESULTS_H

#include <jansson.h>

#include "harness/matrix.h"

struct results {
	char *dir, *records_path;
	int lock;        /* on dir, so that two invocations do not mix; -1: none */
	char stamp[32];  /* of this invocation, UTC: "20260131T120000" */
	json_t *records; /* earlier ones and those appended since */
	int kept;        /* earlier runs that need not be done again */
};

/* s: names and options; profile: what the invocation is called. -EEXIST: DIR holds something else
 * (bad usage). */
int results_open(struct results *r, const struct settings *s, const struct matrix *m,
	const char *profile, struct err *err);
void results_done(struct results *r);

/* Lowers the steps of variants to those of runs that are kept in the folder of -o, so that the rest
 * can be compared with them; why gets the reason that these recorded, if they were lowered. */
void results_keep_steps(const struct settings *s, struct matrix *m, char *why, size_t why_len);

/* The ok record of a cell, borrowed; NULL if it is still to do. */
json_t *results_find(const struct results *r, const struct cell *c);

/* Steals record. */
int results_append(struct results *r, json_t *record, struct err *err);

/* Whether a record is of this cell. */
bool results_same_cell(const json_t *record, const struct cell *c);

#endif
