/* SPDX-License-Identifier: Apache-2.0 */
/* estimate - what an invocation will cost, before it starts: time, bytes, requests, memory. */
#ifndef HARNESS_ESTIMATE_H
#define HARNESS_ESTIMATE_H

#include "harness/prepare.h"

struct cost {
	double seconds;
	double bytes;    /* read by the GPUs' readers */
	double requests; /* read calls and opens that a filesystem will see */
};

/* One run, with images of image_bytes. */
struct cost estimate_cell(const struct cell *c, double image_bytes);

/* All runs still to do (skip: per cell, may be NULL), data generation included. */
struct cost estimate_matrix(
	const struct matrix *m, const struct prepared *p, const bool *skip, double image_bytes);

/* Fills the spec of a run but for data, folders and progress. */
void estimate_spec(const struct cell *c, struct run_spec *ret);

/* Memory of the hungriest run, in bytes; refused above half of RAM. */
int estimate_memory(const struct matrix *m, int64_t *ret_bytes, struct err *err);

#endif
