/* SPDX-License-Identifier: Apache-2.0 */
/* gnuplot - one run of gnuplot: a script in, a picture out. */
#ifndef REPORTS_GNUPLOT_H
#define REPORTS_GNUPLOT_H

#include <stddef.h>

#include "common/err.h"

/* Runs script with dir as working folder, without a shell and without the user's settings, and
 * returns what it wrote to standard output (free() it; NUL-terminated). -ENOENT: not installed;
 * -ETIMEDOUT: killed after deadline_s; -EIO: it failed or drew nothing. err names the reason. */
int gnuplot_run(const char *dir, const char *script, int deadline_s, char **ret_data,
	size_t *ret_len, struct err *err);

#endif
