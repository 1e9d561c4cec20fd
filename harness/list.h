/* SPDX-License-Identifier: Apache-2.0 */
/* list - `run-bench list WHAT`: names that profiles and options may use, with a line about each. */
#ifndef HARNESS_LIST_H
#define HARNESS_LIST_H

#include "harness/settings.h"

/* The second operand: knobs, sources, layers, policies, accelerators or profiles. With s->json an
 * array of objects. Returns an enum exit_code; err is filled if it is not EXIT_DONE. */
int list_run(struct settings *s, struct err *err);

#endif
