/* SPDX-License-Identifier: Apache-2.0 */
/* words - figures and findings as text, the same on the page and in the terminal. */
#ifndef REPORTS_WORDS_H
#define REPORTS_WORDS_H

#include <stddef.h>

#include "reports/model.h"

#define WORDS_MAX 64

/* 7530.4 as "7,530". */
char *words_count(double value, char buf[WORDS_MAX]);

/* A value of a metric with its unit; "-" if it was not measured (NaN). */
char *words_metric(enum metric metric, double value, char buf[WORDS_MAX]);

/* "7,501 to 7,544" over the repeats; empty with fewer than two. */
char *words_spread(enum metric metric, const struct figure *f, char buf[WORDS_MAX]);

/* The verdict: one sentence with the figures at the largest number of GPUs, and a second one if a
 * source was replaced. free() it. */
char *words_verdict(const struct model *m);

/* What else one must know to read the verdict: what failed, is missing, or is doubtful at that
 * number of GPUs; "" if nothing. free() it. */
char *words_care(const struct model *m);

/* What was emulated and how far it was scaled down: "Each GPU: 953 images/s (calibrated), batch 64,
 * scaled 4x from 256. 30,720 images, 2.4% of ImageNet's."; "" if runs differ or do not tell. free()
 * it. */
char *words_setting(const struct model *m);

/* "emulated at 498 MB/s and 10 ms", or what else stood behind the sources; empty if no run had an
 * origin. */
char *words_remote(const struct model *m, char *buf, size_t size);

#endif
