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
 * of a stack (with mem.capacity=0 it is fetch buffers only). Starts threads: call it after fork. */
struct stack *stack_open(const struct config *cfg, const char *origin, struct err *err);

/* The same over an origin that is open already; the stack takes it over, also when it fails.
 * text: names the origin, as the disk tier's folder is named after it. */
struct stack *stack_open_over(
	const struct config *cfg, struct store *origin, const char *text, struct err *err);

/* Answers what is parked with -ESHUTDOWN, joins the pool, closes the layers. */
void stack_close(struct stack *s);

/* The top layer, for store_stat() and the like. */
struct store *stack_top(struct stack *s);

/* Bytes of a reply: verified, complete; those of stack_read_now() are valid until reply_put(). */
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

/* A parked read. The stack has it from the moment stack_read_later() was called until done(),
 * which runs once, on another thread than the caller's, with status 0 and the bytes, which are
 * valid until done() returns, or -errno and NULL. */
struct parked {
	void (*done)(struct parked *p, int status, struct reply *reply);
	uint64_t off;
	size_t len;
	int64_t deadline_ns; /* CLOCK_MONOTONIC; then -ETIMEDOUT */
};

/* 0: done() will be called, or was. -errno: it will not. */
int stack_read_later(struct stack *s, const struct object *obj, struct parked *p);

/* INTERRUPT: done() is called with -EINTR, on this thread, if it was still parked. p is not looked
 * into, so it may be one that was answered already. */
void stack_cancel(struct stack *s, struct parked *p);

/* Runs fn(arg) on a pool thread; -EAGAIN when the queue (a bound in stack.c) is full. */
int stack_submit(struct stack *s, void (*fn)(void *arg), void *arg);

/* Bytes that came from the origin so far. */
int64_t stack_received(struct stack *s);

/* {"layers":{"mem":{...}},"order":["meta","mem","http"],"origin":{...}} */
json_t *stack_stats(struct stack *s);

/* Reads [0,size) of obj into the lowest tier and waits until it is there; used by cachefs-ctl warm.
 * *ret_added (may be NULL): bytes that were not there yet. -ENOSPC: the tier does not keep it, or its
 * disk is full. Blocks; call it from stack_submit(). */
int stack_warm(struct stack *s, const struct object *obj, uint64_t *ret_added);
/* The same for the blocks of [off, off+len), which lies in obj. */
int stack_warm_range(
	struct stack *s, const struct object *obj, uint64_t off, uint64_t len, uint64_t *ret_added);

/* Of the lowest tier: whether it has the block at off, what it may hold, what of that is free. */
bool stack_holds(struct stack *s, const struct object *obj, uint64_t off);
uint64_t stack_capacity(struct stack *s);
uint64_t stack_free_bytes(struct stack *s);

#endif
