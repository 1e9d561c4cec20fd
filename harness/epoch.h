/* SPDX-License-Identifier: Apache-2.0 */
/* epoch - one pass over the data: starts the threads, watches over them, ends them.
 *
 * Every epoch starts with empty queues: what was read ahead for the next one would be counted in
 * this one. */
#ifndef HARNESS_EPOCH_H
#define HARNESS_EPOCH_H

#include "harness/pacer.h"
#include "harness/pipeline.h"

struct epoch {
	int number;       /* from 0; set by the caller, as the next */
	int64_t until_ns; /* end early then; INT64_MAX: never */

	int64_t begin_ns; /* threads started; pace.first_start_ns - begin_ns is the start-up */
	struct pace pace;
	struct hist reads;
	uint64_t bytes, samples, checked, twice, missing;
	bool ended_early;
	bool stuck; /* threads are left behind in calls that do not return: pipeline_leave() */
};

/* Reads an epoch. 0, or -errno with err: -EINTR when spec->stop was set. */
int epoch_run(struct pipeline *p, const struct run_spec *spec, struct epoch *e, struct err *err);
void epoch_done(struct epoch *e);

#endif
