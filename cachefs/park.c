/* SPDX-License-Identifier: Apache-2.0 */
/* Pending requests and the thread that watches their deadlines: see park.h.
 *
 * Locks, in the order they are taken: libfuse's lock of a request (held while it calls us about an
 * INTERRUPT), then park.lock. Nothing is answered under park.lock. */
#include "cachefs/fs_ops.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define TICK_NS (100 * NSEC_PER_MSEC)
#define LISTING_DEADLINES 60 /* the longest life of one */

struct park {
	struct fs *fs;
	pthread_t watcher;
	pthread_mutex_t lock; /* all below, and the private part of every pending */
	pthread_cond_t claimed, stopped;
	struct pending *first;
	bool stop;
};

static void unlink_pending(struct park *park, struct pending *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		park->first = p->next;
	if (p->next)
		p->next->prev = p->prev;
}

/* Locked. */
static fuse_req_t claim(struct park *park, struct pending *p)
{
	fuse_req_t req = p->req;

	p->req = NULL;
	if (req) {
		counter_add(&park->fs->counters, FUSE_waiting, -1);
		pthread_cond_broadcast(&park->claimed);
	}
	return req;
}

fuse_req_t pending_claim(struct pending *p)
{
	struct park *park = p->fs->park;

	HOLD(&park->lock);
	return claim(park, p);
}

void pending_ref(struct pending *p)
{
	HOLD(&p->fs->park->lock);
	p->refs++;
}

void pending_put(struct pending *p)
{
	struct park *park = p->fs->park;
	bool last;

	pthread_mutex_lock(&park->lock);
	last = !--p->refs;
	if (last)
		unlink_pending(park, p);
	pthread_mutex_unlock(&park->lock);
	if (!last)
		return;
	inode_put(p->fs->inodes, p->node);
	free(p);
}

/* Whether a thread will never come back from its system call because it is being killed: SIGKILL,
 * or any signal whose default action ends it, is then pending for each of its threads as SIGKILL.
 * Other signals have handlers (timers, profilers, children that ended), and a program does not
 * expect EINTR from stat() or a file's read(): local filesystems never give it. True where it
 * cannot be told (another pid namespace, hidden /proc). */
static bool is_dying(pid_t thread)
{
	char path[64], line[128];
	unsigned long long pending = 0;
	bool dying = thread <= 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	AUTO(fclose) FILE *status = dying ? NULL : fopen(path, "re");

	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "SigPnd: %llx", &pending) == 1)
			dying = pending >> (SIGKILL - 1) & 1;
	return dying || !status;
}

/* libfuse calls this with the request's lock held: from another thread, or from within
 * fuse_req_interrupt_func(), where the request must not be answered. The kernel tells of the first
 * signal only, so a request that goes on is looked at again by the watcher. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct fs *fs = fs_of(req); /* libfuse may be clearing data meanwhile */
	struct park *park = fs->park;
	bool dying = is_dying(fuse_req_ctx(req)->pid), answer, cancel;
	struct pending *p;

	pthread_mutex_lock(&park->lock);
	for (p = park->first; p && p->req != req; p = p->next)
		;
	if (!p) {
		pthread_mutex_unlock(&park->lock);
		return;
	}
	p->interrupted = true;
	p->refs++;
	answer = dying && !p->new &&claim(park, p);
	cancel = answer && p->parked;
	pthread_mutex_unlock(&park->lock);
	if (answer) {
		counter_add(&fs->counters, FUSE_interrupts, 1);
		fuse_reply_err(req, EINTR);
	}
	if (cancel)
		stack_cancel(fs->stack, &p->read);
	pending_put(p);
}

struct pending *pending_new(struct fs *fs, fuse_req_t req, struct inode *node, const char *name)
{
	size_t len = strlen(name) + 1;
	struct pending *p = calloc(1, sizeof(*p) + len);
	struct park *park = fs->park;
	bool interrupted;

	if (!p) {
		inode_put(fs->inodes, node);
		fs_reply_error(fs, req, -ENOMEM);
		return NULL;
	}
	p->fs = fs;
	p->node = node;
	p->req = req;
	p->refs = 1;
	p->new = true;
	p->caller = fuse_req_ctx(req)->pid;
	p->deadline_ns = clock_now_ns() + fs->deadline_ns;
	memcpy(p->name, name, len);
	counter_add(&fs->counters, FUSE_parked, 1);
	counter_add(&fs->counters, FUSE_waiting, 1);
	pthread_mutex_lock(&park->lock);
	p->next = park->first;
	if (p->next)
		p->next->prev = p;
	park->first = p;
	pthread_mutex_unlock(&park->lock);
	fuse_req_interrupt_func(req, on_interrupt, NULL);
	pthread_mutex_lock(&park->lock);
	p->new = false;
	interrupted = (p->interrupted && is_dying(p->caller)) || park->stop;
	if (interrupted)
		claim(park, p);
	pthread_mutex_unlock(&park->lock);
	if (!interrupted)
		return p;
	counter_add(&fs->counters, FUSE_interrupts, 1);
	fuse_reply_err(req, EINTR);
	pending_put(p);
	return NULL;
}

void pending_parked(struct pending *p)
{
	struct park *park = p->fs->park;
	bool cancel;

	pthread_mutex_lock(&park->lock);
	p->parked = true;
	cancel = p->interrupted && !p->req;
	pthread_mutex_unlock(&park->lock);
	if (cancel)
		stack_cancel(p->fs->stack, &p->read);
}

void pending_wait(struct pending *p)
{
	struct park *park = p->fs->park;

	HOLD(&park->lock);
	while (p->req)
		pthread_cond_wait(&park->claimed, &park->lock);
}

/* ---- deadlines ---- */

void pending_lists(struct pending *p)
{
	int64_t received = stack_received(p->fs->stack);

	HOLD(&p->fs->park->lock);
	p->lists = true;
	p->received = received;
	p->last_ns = p->deadline_ns + (LISTING_DEADLINES - 1) * p->fs->deadline_ns;
}

/* Locked. A folder of a million names takes many answers of the origin: while some come, more time. */
static bool give_time(struct pending *p, int64_t now_ns)
{
	int64_t received = p->lists ? stack_received(p->fs->stack) : 0;

	if (!p->lists || received == p->received || now_ns >= p->last_ns)
		return false;
	p->received = received;
	p->deadline_ns = now_ns + p->fs->deadline_ns;
	return true;
}

/* Locked. What to answer p with now; 0: nothing yet. */
static int verdict(const struct park *park, struct pending *p, int64_t now_ns)
{
	if (!p->req || p->new)
		return 0;
	if (park->stop)
		return -ESHUTDOWN;
	if (p->deadline_ns <= now_ns && !give_time(p, now_ns))
		return -ETIMEDOUT;
	return p->interrupted && is_dying(p->caller) ? -EINTR : 0;
}

/* Locked. The request of one pending that is due; NULL when none is. */
static fuse_req_t claim_due(struct park *park, int64_t now_ns, int *ret_code)
{
	for (struct pending *p = park->first; p; p = p->next)
		if ((*ret_code = verdict(park, p, now_ns)))
			return claim(park, p);
	return NULL;
}

static void answer_due(struct park *park)
{
	int64_t now_ns = clock_now_ns();
	fuse_req_t req;
	int code;

	do {
		pthread_mutex_lock(&park->lock);
		req = claim_due(park, now_ns, &code);
		pthread_mutex_unlock(&park->lock);
		if (req)
			fs_reply_error(park->fs, req, code);
		if (req && code == -EINTR)
			counter_add(&park->fs->counters, FUSE_interrupts, 1);
	} while (req);
}

static void *watch(void *arg)
{
	struct park *park = arg;
	struct timespec until;
	bool stop = false;

	while (!stop) {
		int64_t wake_ns = clock_now_ns() + TICK_NS;

		until = (struct timespec){wake_ns / NSEC_PER_SEC, wake_ns % NSEC_PER_SEC};
		pthread_mutex_lock(&park->lock);
		if (!park->stop)
			pthread_cond_clockwait(
				&park->stopped, &park->lock, CLOCK_MONOTONIC, &until);
		stop = park->stop;
		pthread_mutex_unlock(&park->lock);
		answer_due(park);
	}
	return NULL;
}

struct park *park_new(struct fs *fs, struct err *err)
{
	struct park *park = calloc(1, sizeof(*park));
	int r = park ? 0 : ENOMEM;

	if (park) {
		park->fs = fs;
		pthread_mutex_init(&park->lock, NULL);
		pthread_cond_init(&park->claimed, NULL);
		pthread_cond_init(&park->stopped, NULL);
		r = pthread_create(&park->watcher, NULL, watch, park);
	}
	if (r) {
		err_set(err, r, "cannot start a thread: %s", strerror(r));
		free(park);
		return NULL;
	}
	return park;
}

void park_shut(struct park *park)
{
	pthread_mutex_lock(&park->lock);
	park->stop = true;
	pthread_cond_broadcast(&park->stopped);
	pthread_mutex_unlock(&park->lock);
	pthread_join(park->watcher, NULL);
}

void park_free(struct park *park)
{
	if (!park)
		return;
	pthread_cond_destroy(&park->claimed);
	pthread_cond_destroy(&park->stopped);
	pthread_mutex_destroy(&park->lock);
	free(park);
}
