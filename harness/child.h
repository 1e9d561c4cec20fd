/* SPDX-License-Identifier: Apache-2.0 */
/* child - programs that run-bench starts and never leaves behind.
 *
 * A child runs in a process group of its own, so that Ctrl-C reaches run-bench alone, which then
 * stops its children in order; and it gets SIGTERM from the kernel when the thread that started it
 * ends, so that even kill -9 on run-bench leaves no child. Start children from the main thread. */
#ifndef HARNESS_CHILD_H
#define HARNESS_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

struct child {
	pid_t pid;        /* 0: none is running */
	int pidfd;        /* valid while pid is */
	const char *name; /* for messages, borrowed */
	char *log;        /* file that has its messages; NULL: they go to our stderr */
	int status;       /* as waitpid() gives it, once it ended */
	double cpu_s;     /* user and system time, once it ended */
};

/* Starts argv[0] (a path). Messages of the child go to the file log (NULL: our stderr). ret_out
 * (may be NULL): gets the reading end of a pipe that is its stdout. err says why it cannot run. */
int child_start(struct child *c, const char *name, char *const argv[], const char *log,
	int *ret_out, struct err *err);

/* Whether it still runs. */
bool child_alive(struct child *c);

/* Waits until it ends or timeout_ns have passed: 0 or -ETIMEDOUT. *stop (may be NULL) ends the wait
 * with -EINTR when a signal handler sets it. */
int child_wait(struct child *c, int64_t timeout_ns, const volatile bool *stop);

/* SIGTERM, then SIGKILL after timeout_ns; no child is left. Legal when none runs. */
void child_stop(struct child *c, int64_t timeout_ns);

/* CPU seconds so far; negative if unknown. */
double child_cpu_s(struct child *c);

/* What it said last, one line, or how it ended: for messages. Returns buf. */
char *child_last_words(const struct child *c, char *buf, size_t len);

/* A line of fd without its newline, within timeout_ns: 0, -ETIMEDOUT, -EPIPE at its end, -EINTR as
 * child_wait(). */
int child_read_line(int fd, char *buf, size_t len, int64_t timeout_ns, const volatile bool *stop);

/* Frees what the struct holds; no child may run any more. */
void child_done(struct child *c);

#endif
