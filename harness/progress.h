/* SPDX-License-Identifier: Apache-2.0 */
/* progress - what a person sees while runs go on: one line that rewrites itself on a terminal, one
 * plain line a finished run elsewhere, nothing when quiet. On stderr. */
#ifndef HARNESS_PROGRESS_H
#define HARNESS_PROGRESS_H

#include "harness/matrix.h"

struct progress {
	bool quiet, terminal;
	int run, runs;      /* number of the current run, of all */
	double left_s;      /* of the runs after it */
	double cell_s;      /* of it, as estimated */
	int64_t started_ns; /* of it */
	const struct cell *cell;
};

void progress_init(struct progress *p, bool quiet, int runs);
void progress_start(struct progress *p, const struct cell *c, double cell_s, double left_s);

/* For run_spec.progress; arg is the struct progress. */
void progress_tick(const struct run_progress *now, void *arg);

/* "cached, 8 GPUs: 7,620 images/s ..." in place of the running line. */
void progress_end(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same of a run that failed, and with quiet too. */
void progress_failed(struct progress *p, const char *error);

/* A line of its own, unless quiet. */
void progress_say(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
