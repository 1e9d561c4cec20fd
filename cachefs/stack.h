/* SPDX-License-Identifier: Apache-2.0 */
/* stack - a whole read path: the layers that cache.stack names over one origin, and the fetch pool
 * whose threads do all waiting. No libfuse here: cachefs and the harness's source `stack` share it.
 *
 *   reader thread:  stack_read_now()  tiers hold it: verified bytes, no waiting
 *                   stack_read_later() parks the request on the block's flight and returns;
 *                                     a pool thread answers it as soon as its range has arrived,
 *                                     which is before the whole block has
 *                   stack_submit()    anything else that may wait (LOOKUP, READDIR misses)
 */
#ifndef CACHEFS_STACK_H
#define CACHEFS_STACK_H

#include <sys/uio.h>

#include "cachefs/store.h"

struct stack;

/* origin: PATH or dir:PATH, http(s)://HOST[:PORT]/PREFIX, s3://BUCKET[/PREFIX]. mem is always part
 * of a stack (with mem.capacity=0 it is fetch buffers only). */
struct stack *stack_open(const struct config *cfg, const char *origin, struct err *err);

/* Answers what is parked with -ESHUTDOWN, joins the pool, closes the layers. */
void stack_close(struct stack *s);

/* The top layer, for store_stat() and the like. */
struct store *stack_top(struct stack *s);

/* Bytes of a reply: verified, complete, valid until reply_put(). */
#define REPLY_PARTS 64
#define REPLY_SCRATCH(len) ((len) + 2 * CHUNK_SIZE)
struct reply {
	struct iovec iov[REPLY_PARTS];
	struct extent ext[REPLY_PARTS];
	int n, n_ext;
	void *scratch;      /* caller's buffer for bytes read from files */
	size_t scratch_len; /* >= REPLY_SCRATCH(len): CRCs want whole chunks; NULL and 0 is legal
			     * where no tier has files, else such reads are -EAGAIN */
};

/* All of [off, off+len) from the tiers, or -EAGAIN. CRCs are checked here; a chunk that fails is
 * dropped and counts as not there. -EIO only for errors below that have no other way. */
int stack_read_now(
	struct stack *s, const struct object *obj, uint64_t off, size_t len, struct reply *ret);
void reply_put(struct reply *r);

/* A parked read. The caller owns it from stack_read_later() until done() was called; done runs
 * once, on a pool thread, with status 0 and the bytes, or -errno and NULL. */
struct parked {
	void (*done)(struct parked *p, int status, struct reply *reply);
	uint64_t off;
	size_t len;
	int64_t deadline_ns; /* CLOCK_MONOTONIC; then -ETIMEDOUT */
	/* private to stack.c and cache.c */
	struct parked *next;
	void *flight;
	struct object obj; /* copy; name is owned by the flight */
};

int stack_read_later(struct stack *s, const struct object *obj, struct parked *p);

/* INTERRUPT: done() is called with -EINTR if it was still parked. */
void stack_cancel(struct stack *s, struct parked *p);

/* Runs fn(arg) on a pool thread; -EAGAIN when the queue (a bound in stack.c) is full. */
int stack_submit(struct stack *s, void (*fn)(void *arg), void *arg);

/* {"layers":{"mem":{...}},"order":["meta","mem","http"],"origin":{...}} */
json_t *stack_stats(struct stack *s);

/* Reads [0,size) of obj into the lowest tier; used by cachefs-ctl warm. Blocks; call it from
 * stack_submit(). */
int stack_warm(struct stack *s, const struct object *obj);

#endif
