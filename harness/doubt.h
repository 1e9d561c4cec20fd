/* SPDX-License-Identifier: Apache-2.0 */
/* doubt - why a figure may not be what it seems, decided from records alone.
 *
 * Every doubt is a name in the record; reports/doubts.c has its meaning and remedy. Judging from the
 * record and nothing else means that anybody can check it later. */
#ifndef HARNESS_DOUBT_H
#define HARNESS_DOUBT_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

struct doubt_rule {
	const char *name;
	/* earlier: the records before this one, among them its synthetic run. */
	bool (*raised)(const json_t *record, const json_t *earlier);
};

extern const struct doubt_rule doubt_rules[];
extern const size_t doubt_rules_n;

/* Sets record["doubts"]; a failed run has none. */
void doubts_judge(json_t *record, const json_t *earlier);

/* The part that stands for a run: "steady" where it was measured, else "job". */
const char *doubt_main_part(const json_t *record);

/* Of that part: steps ended in an epoch, on average; and batches a GPU that may be full before the
 * first, so that the storage shows only after as many. NaN: not known. */
double doubt_steps(const json_t *record);
double doubt_queue(const json_t *record);

#endif
