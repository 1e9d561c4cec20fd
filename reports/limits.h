/* SPDX-License-Identifier: Apache-2.0 */
/* limits - what limits each source, as its records say ("limit"), in a line. */
#ifndef REPORTS_LIMITS_H
#define REPORTS_LIMITS_H

#include <jansson.h>

/* A line for each source at its largest number of GPUs, synthetic ones left out: AU, per cent of
 * synthetic, what limits it; medians of its repeats. "" where no record tells. free() it; NULL
 * without memory. */
char *limits_text(const json_t *records);

#endif
