/* SPDX-License-Identifier: Apache-2.0 */
/* campaign - `run-bench run`: plan, prepare, every run of the matrix, records, report. */
#ifndef HARNESS_CAMPAIGN_H
#define HARNESS_CAMPAIGN_H

#include "harness/settings.h"

/* Returns an enum exit_code; messages have been printed. profile: the name of the results folder. */
int campaign_run(const struct settings *s, const char *profile);

/* Set by SIGINT and SIGTERM from the first campaign on. */
extern volatile bool campaign_stop;

#endif
