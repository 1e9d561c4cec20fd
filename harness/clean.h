/* SPDX-License-Identifier: Apache-2.0 */
/* clean - `run-bench clean`: removes what runs left on this machine. */
#ifndef HARNESS_CLEAN_H
#define HARNESS_CLEAN_H

#include "harness/settings.h"

/* Mounts and work folders of dead runs, and embedded data sets; says what and how much. While a run
 * lives its folder stays, and so do the data sets, which it may be reading. With --dry-run nothing
 * is removed. Returns an enum exit_code; err is filled if it is not EXIT_DONE. */
int clean_run(struct settings *s, struct err *err);

#endif
