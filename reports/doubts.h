/* SPDX-License-Identifier: Apache-2.0 */
/* doubts - what the names of doubts in records mean to a reader, and what to do about them. */
#ifndef REPORTS_DOUBTS_H
#define REPORTS_DOUBTS_H

#include "reports/model.h"

struct doubt_text {
	const char *name;
	const char *brief; /* means, in a few words; "": unknown */
	const char *means, *remedy;
};

/* Of a name this version does not know, means and remedy say so. */
struct doubt_text doubt_find(const char *name);

/* The same, where the records of m tell more. */
struct doubt_text doubt_explain(const struct model *m, const char *name);

/* {"few-repeats": {"cached": [1, 2], ...}, ...}: label of a series, numbers of GPUs; in order of
 * appearance, of all runs or (only_gpus not 0) of those with that many GPUs; the caller's. */
json_t *doubts_collect(const struct model *m, int only_gpus);

#endif
