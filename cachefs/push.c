/* SPDX-License-Identifier: Apache-2.0 */
/* The pushing thread: see push.h. */
#include "cachefs/push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/fs_ops.h"
#include "cachefs/lookup.h"
#include "cachefs/mount.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/topology.h"

#define FILE_MAX (1u << 20)
#define LOOK_BYTES (16 << 20) /* pushed between two looks at the memory that is left */
#define SHORT_NS NSEC_PER_SEC /* pause when it is short */
#define BARRIER_NS (60 * NSEC_PER_SEC)
#define UNHEARD_PARTS                                                                              \
	32 /* of the budget: one file in each is not pushed, where opens are not seen */

struct push {
	struct fs *fs;
	struct fuse_session *se;
	pthread_t thread;
	struct prefetch_cursor cursor;
	char *scratch;
	size_t scratch_len;
	int64_t until_look; /* bytes */
	struct lookup *_Atomic lookup;
	const char *_Atomic lookup_why;
	_Atomic bool stop;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t stored;
	bool storing; /* from the reading of a file to the end of its store */
	uint64_t stores;
};

/* ---- memory ---- */

/* Twice the budget, and a sixteenth of the machine's memory, have to be free for others. */
static bool memory_is_short(const struct push *p)
{
	struct memory_room room;

	topology_memory("", &room);
	return room.free_bytes < (int64_t)p->cursor.budget * 2 + room.ram_bytes / 16;
}

static void pause_pushing(struct push *p)
{
	int64_t until_ns = clock_now_ns() + SHORT_NS;

	counter_add(&p->fs->counters, PLAN_held_back, 1);
	while (!p->stop && clock_now_ns() < until_ns)
		clock_sleep_until(clock_now_ns() + 20 * NSEC_PER_MSEC);
}

static void wait_for_memory(struct push *p)
{
	if (p->until_look > 0)
		return;
	while (!p->stop && memory_is_short(p))
		pause_pushing(p);
	p->until_look = LOOK_BYTES;
}

/* ---- one file ---- */

static bool begin_store(struct push *p)
{
	HOLD(&p->lock);
	p->storing = !p->stop;
	return p->storing;
}

static void end_store(struct push *p)
{
	HOLD(&p->lock);
	p->storing = false;
	p->stores++;
	pthread_cond_broadcast(&p->stored);
}

/* Until the store that is under way now, if any, is over; until_ns at most. */
static void wait_for_store(struct push *p, int64_t until_ns)
{
	struct timespec until = {until_ns / NSEC_PER_SEC, until_ns % NSEC_PER_SEC};
	int r = 0;

	HOLD(&p->lock);
	for (uint64_t n = p->stores; p->storing && p->stores == n && !r;)
		r = pthread_cond_clockwait(&p->stored, &p->lock, CLOCK_MONOTONIC, &until);
}

static int store_bytes(struct push *p, uint64_t id, const struct reply *reply)
{
	AUTO(free)
	struct fuse_bufvec *v = calloc(1, sizeof(*v) + (size_t)reply->n * sizeof(v->buf[0]));

	if (!v)
		return -ENOMEM;
	v->count = (size_t)reply->n;
	for (int i = 0; i < reply->n; i++)
		v->buf[i] = (struct fuse_buf){
			.mem = reply->iov[i].iov_base, .size = reply->iov[i].iov_len, .fd = -1};
	return fuse_lowlevel_notify_store(p->se, id, 0, v, 0);
}

/* -ENOENT: the kernel does not know the node; -EAGAIN: the tiers do not hold all of it. */
static int push_node(struct push *p, const struct inode *node)
{
	struct reply reply = {.scratch = p->scratch, .scratch_len = p->scratch_len};
	char name[INODE_NAME_BYTES];
	struct object obj;

	if (node->kind != INODE_FILE || !node->size || node->size > FILE_MAX)
		return -EINVAL;
	inode_object(node, name, &obj);
	if (!begin_store(p))
		return -ECANCELED;
	int r = stack_read_now(p->fs->stack, &obj, 0, (size_t)obj.size, &reply);

	if (r >= 0) {
		r = store_bytes(p, node->id, &reply);
		reply_put(&reply);
	}
	end_store(p);
	return r;
}

struct candidate {
	uint64_t piece;
	char name[INODE_NAME_BYTES];
};

static void push_name(struct push *p, const struct candidate *c)
{
	struct counter_set *count = &p->fs->counters;
	uint64_t id = inode_id_of(p->fs->inodes, c->name);
	struct inode *node = id ? inode_get(p->fs->inodes, id) : NULL;
	bool late = !prefetch_unread(p->fs->prefetch, &p->cursor, c->piece);
	int r = late ? -ESTALE : node ? push_node(p, node) : -ENOENT;

	if (r >= 0) {
		counter_add(count, PLAN_pushed, 1);
		counter_add(count, PLAN_pushed_bytes, (int64_t)node->size);
		p->until_look -= (int64_t)node->size;
	} else {
		counter_add(count, PLAN_not_pushed, 1);
		prefetch_return(p->fs->prefetch, &p->cursor, c->piece);
	}
	inode_put(p->fs->inodes, node);
}

/* ---- names ---- */

/* Those of the names that the kernel does not know, as far as is known here. */
static void look_up(struct push *p, const struct candidate *c, int n)
{
	struct lookup *lookup = p->lookup;
	const char *unknown[LOOKUP_NAMES];
	size_t count = 0;

	for (int i = 0; i < n && lookup; i++)
		if (!inode_id_of(p->fs->inodes, c[i].name))
			unknown[count++] = c[i].name;
	if (!count)
		return;
	if (lookup_names(lookup, unknown, count))
		counter_add(&p->fs->counters, PLAN_looked_up, (int64_t)count);
	else
		p->lookup_why = "the helper has gone";
}

static int take_candidates(struct push *p, struct candidate *c)
{
	bool unheard = p->fs->open.mode == OPEN_NOOPEN; /* auto may have become that */
	int n = 0;

	p->cursor.unheard = unheard ? p->cursor.budget / UNHEARD_PARTS : 0;
	while (n < LOOKUP_NAMES &&
		prefetch_next(p->fs->prefetch, &p->cursor, !n, &p->stop, c[n].name)) {
		c[n].piece = p->cursor.next - 1;
		n++;
	}
	return n;
}

/* Only now: most mounts have no plan. */
static void start_lookup(struct push *p)
{
	const char *why = "the mounter owns the mount";

	if (mount_given_fd(p->fs->request->mountpoint) < 0)
		p->lookup = lookup_new(p->fs->request->mountpoint, &why);
	p->lookup_why = why;
}

static void *run_push(void *arg)
{
	struct push *p = arg;
	AUTO(free) struct candidate *c = malloc(sizeof(*c) * LOOKUP_NAMES);
	bool begun = false;

	while (c && !p->stop) {
		int n = take_candidates(p, c);

		if (n && !begun)
			start_lookup(p);
		begun = begun || n;
		look_up(p, c, n);
		for (int i = 0; i < n && !p->stop; i++) {
			wait_for_memory(p);
			push_name(p, &c[i]);
		}
	}
	return NULL;
}

/* ---- life ---- */

struct push *push_new(struct fs *fs, struct fuse_session *se, struct err *err)
{
	struct push *p = calloc(1, sizeof(*p));

	if (!p || !(p->scratch = malloc(REPLY_SCRATCH(FILE_MAX)))) {
		free(p);
		err_set(err, ENOMEM, "not enough memory");
		return NULL;
	}
	p->fs = fs;
	p->se = se;
	p->scratch_len = REPLY_SCRATCH(FILE_MAX);
	p->lookup_why = "no plan yet";
	p->cursor.budget = (uint64_t)fs->cfg->fuse.push;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->stored, NULL);
	int r = pthread_create(&p->thread, NULL, run_push, p);

	if (r) {
		err_set(err, r, "cannot start a thread: %s", strerror(r));
		free(p->scratch);
		free(p);
		return NULL;
	}
	return p;
}

void push_disarm(struct push *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_mutex_unlock(&p->lock);
	prefetch_wake(p->fs->prefetch);
	wait_for_store(p, clock_now_ns() + NSEC_PER_SEC);
}

void push_free(struct push *p)
{
	if (!p)
		return;
	push_disarm(p);
	pthread_join(p->thread, NULL);
	lookup_free(p->lookup);
	prefetch_cursor_done(&p->cursor);
	pthread_cond_destroy(&p->stored);
	pthread_mutex_destroy(&p->lock);
	free(p->scratch);
	free(p);
}

void push_barrier(struct push *p)
{
	if (p)
		wait_for_store(p, clock_now_ns() + BARRIER_NS);
}

json_t *push_stats(struct push *p)
{
	return json_pack("{s:I,s:s}", "budget_bytes", p ? (json_int_t)p->cursor.budget : 0,
		"helper", p ? p->lookup_why : "off");
}
