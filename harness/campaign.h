/* SPDX-License-Identifier: Apache-2.0 */
/* campaign - `run-bench run`: plan, prepare, every run of the matrix, records, report. */
#ifndef HARNESS_CAMPAIGN_H
#define HARNESS_CAMPAIGN_H

#include "harness/settings.h"

struct dataset;

/* What a caller has found out before, as `run-bench PATH` does. */
struct campaign_known {
	const struct dataset *external; /* the data of source external, listed; borrowed */
	int most_batch;                 /* every variant's batch is lowered to it; 0: stays */
	int64_t read_bytes;             /* read already of bench.max_bytes */
	const char *why_scaled;         /* "" or why batches are lowered */
};

/* Returns an enum exit_code; messages have been printed. profile: the name of the results folder.
 * known may be NULL. s->given is set where the user's data ask for another bench.format. */
int campaign_run(struct settings *s, const char *profile, const struct campaign_known *known);

/* Set by SIGINT and SIGTERM from the first campaign on. */
extern volatile bool campaign_stop;

#endif
