/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that may be left behind: see deadline.h. */
#include "harness/deadline.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "common/clock.h"

#define LOOK_NS (50 * NSEC_PER_MSEC) /* how often a wait looks at *stop */

void deadline_init(struct deadline_call *c, int (*run)(struct deadline_call *c),
	void (*free)(struct deadline_call *c))
{
	pthread_condattr_t attr;

	c->run = run;
	c->free = free;
	c->done = false;
	atomic_store(&c->passed, false);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->ended, &attr);
	pthread_condattr_destroy(&attr);
}

void deadline_destroy(struct deadline_call *c)
{
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->ended);
}

bool deadline_passed(const struct deadline_call *c)
{
	return atomic_load(&c->passed);
}

static void *call_main(void *arg)
{
	struct deadline_call *c = arg;
	int r = c->run(c);
	bool alone;

	pthread_mutex_lock(&c->lock);
	c->status = r;
	c->done = true;
	alone = deadline_passed(c);
	pthread_cond_signal(&c->ended);
	pthread_mutex_unlock(&c->lock);
	if (alone)
		c->free(c);
	return NULL;
}

/* Under c->lock: until the call has ended, or nobody waits for it any more: 0, -ETIMEDOUT, -EINTR. */
static int wait_for(struct deadline_call *c, int64_t until, const volatile bool *stop)
{
	while (!c->done) {
		int64_t now = clock_now_ns(), next = now + LOOK_NS < until ? now + LOOK_NS : until;
		struct timespec ts = {next / NSEC_PER_SEC, next % NSEC_PER_SEC};

		if (stop && *stop)
			return -EINTR;
		if (now >= until)
			return -ETIMEDOUT;
		pthread_cond_timedwait(&c->ended, &c->lock, &ts);
	}
	return 0;
}

int deadline_run(struct deadline_call **cp, int64_t timeout_ns, const volatile bool *stop)
{
	struct deadline_call *c = *cp;
	pthread_t thread;
	bool late;
	int r = pthread_create(&thread, NULL, call_main, c);

	if (r)
		return -r;
	pthread_mutex_lock(&c->lock);
	r = wait_for(c, clock_now_ns() + timeout_ns, stop);
	late = r != 0;
	atomic_store(&c->passed, late);
	r = late ? r : c->status;
	pthread_mutex_unlock(&c->lock);
	if (late) {
		pthread_detach(thread);
		*cp = NULL;
	} else {
		pthread_join(thread, NULL);
	}
	return r;
}
