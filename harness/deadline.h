/* SPDX-License-Identifier: Apache-2.0 */
/* deadline - calls into filesystems that may never answer, and still no hang.
 *
 * The function runs in a thread of its own. If it is not done in time the caller goes on without
 * it; the thread stays behind, owns the call, and frees it if it ever comes back. Such a function
 * touches nothing but its call after anything that may block, unless deadline_passed() says no. */
#ifndef HARNESS_DEADLINE_H
#define HARNESS_DEADLINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Embedded first in what the function needs; allocated by malloc. */
struct deadline_call {
	int (*run)(struct deadline_call *c);   /* returns what deadline_run() is to return */
	void (*free)(struct deadline_call *c); /* all of it */
	_Atomic bool passed;
	/* Private: guarded by lock. */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
	int status;
};

void deadline_init(struct deadline_call *c, int (*run)(struct deadline_call *c),
	void (*free)(struct deadline_call *c));
void deadline_destroy(struct deadline_call *c); /* for free() to call */

/* Sets *cp to NULL when it returns -ETIMEDOUT, or -EINTR after a signal handler has set *stop (may
 * be NULL): the thread owns it then. Else the caller does. */
int deadline_run(struct deadline_call **cp, int64_t timeout_ns, const volatile bool *stop);

/* For the function: the caller has gone. */
bool deadline_passed(const struct deadline_call *c);

#endif
