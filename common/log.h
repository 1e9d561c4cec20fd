/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines of daemons: "2026-01-31T12:00:00.123Z cachefs warn http: ...", to stderr or a file.
 *
 * Threads may log at any time; a line is written by one write(2). Lines of one call site are
 * limited to 10 a second, with a count of what was left out, so that a dead origin does not fill a
 * disk. Secrets never reach a log: callers pass names and sizes, not headers. */
#ifndef FEEDRATE_LOG_H
#define FEEDRATE_LOG_H

#include <stdint.h>

#include "common/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* program: static string. file: NULL or "" for stderr; else opened for appending, mode 0600. */
int log_open(const char *program, enum log_level level, const char *file, struct err *err);
void log_close(void);

struct log_site { /* one a call site, zero at first */
	_Atomic uint64_t window_ns;
	_Atomic uint32_t lines, dropped;
};

void log_line(enum log_level level, struct log_site *site, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define LOG_AT(level, ...)                                                                         \
	do {                                                                                       \
		static struct log_site log_site_;                                                  \
		log_line(level, &log_site_, __VA_ARGS__);                                          \
	} while (0)
#define log_error(...) LOG_AT(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_WARN, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_INFO, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_DEBUG, __VA_ARGS__)

#endif
