/* SPDX-License-Identifier: Apache-2.0 */
/* path_mode - `run-bench PATH`: what a mount or folder that exists already feeds. */
#ifndef HARNESS_PATH_MODE_H
#define HARNESS_PATH_MODE_H

#include "harness/settings.h"

/* s: as settings_parse() left it; the first operand is the path. Returns an enum exit_code; err is
 * filled unless it is EXIT_DONE or messages have been printed. */
int path_mode_run(struct settings *s, struct err *err);

#endif
