/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong, where, and what to do about it: one line for the user.
 *
 * Library code neither prints nor exits. Failures are -errno; set-up code also fills a struct err,
 * which main() prints as "PROGRAM: MESSAGE". A message names the value and ends with a remedy:
 * "quick.ini:12: [fuse] max_thread: unknown knob; did you mean max_threads?" */
#ifndef FEEDRATE_ERR_H
#define FEEDRATE_ERR_H

#include <stddef.h>

struct err {
	char msg[1024]; /* empty: nothing was reported */
};

/* Fills err (which may be NULL) and returns -code, so that callers can write
 * `return err_set(err, EINVAL, "...")`. A later call replaces an earlier message. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before a message already there; returns code unchanged. */
int err_prefix(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The word of words[0..n) nearest to what the user typed, or NULL when nothing is near enough
 * (edit distance above a third of its length and one). Words may be NULL-terminated with n = SIZE_MAX. */
const char *err_nearest(const char *typed, const char *const *words, size_t n);

/* Exit codes of every program. */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,     /* a run failed */
	EXIT_USAGE = 2,      /* bad usage or bad input; nothing was changed */
	EXIT_REGRESSION = 3, /* run-bench compare */
	EXIT_INTERRUPTED = 130
};

#endif
