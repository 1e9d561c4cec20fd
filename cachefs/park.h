/* SPDX-License-Identifier: Apache-2.0 */
/* park - requests that wait for the stack while their FUSE thread has gone on.
 *
 * Exactly one of these answers a pending request: the stack when it is done, INTERRUPT of a caller
 * that is being killed (EINTR), the deadline (ETIMEDOUT), or the end of the session (ESHUTDOWN). Whoever does claims the request
 * first; the others find nothing to claim. The memory goes with the last reference, so the stack
 * may come back late. */
#ifndef CACHEFS_PARK_H
#define CACHEFS_PARK_H

#include <stdbool.h>

#include "cachefs/inode.h"
#include "cachefs/stack.h"

struct fuse_req;
struct fs;
struct park;

struct pending {
	struct fs *fs;
	struct inode *node; /* pinned for the request, or NULL */
	struct parked read; /* off and len also tell a deferred READDIR what was asked */
	bool plus;          /* READDIRPLUS */
	void (*run)(struct pending *p);
	/* private to park.c, under its lock */
	struct pending *prev, *next;
	struct fuse_req *req; /* NULL once claimed */
	unsigned refs;
	bool new, interrupted, parked;
	pid_t caller; /* thread that asked; 0: of another pid namespace */
	bool lists;   /* see pending_lists() */
	int64_t deadline_ns, last_ns, received;
	char name[]; /* deferred LOOKUP: the name in the folder node */
};

/* NULL and err on failure. */
struct park *park_new(struct fs *fs, struct err *err);
/* Answers everything that waits; from now on nothing waits. Pending requests may still come back
 * from the stack until it is closed, so free after that. */
void park_shut(struct park *p);
void park_free(struct park *p); /* NULL is accepted */

/* Parks req with a reference for the caller. node: pinned, taken over. NULL when the request is
 * answered already (interrupted, no memory). */
struct pending *pending_new(
	struct fs *fs, struct fuse_req *req, struct inode *node, const char *name);

/* A folder is being listed: the deadline moves on as long as the origin goes on sending. */
void pending_lists(struct pending *p);

/* The stack has p->read now: an INTERRUPT is passed on to it from here on. */
void pending_parked(struct pending *p);

/* The request, for the caller to answer; NULL when somebody else has. */
struct fuse_req *pending_claim(struct pending *p);

void pending_ref(struct pending *p);
void pending_put(struct pending *p);

/* Waits until somebody has claimed the request (fuse.dispatch=inline). */
void pending_wait(struct pending *p);

#endif
