/* SPDX-License-Identifier: Apache-2.0 */
/* push - puts small files of the plan into the kernel's page cache just before they are read
 * (FUSE_NOTIFY_STORE), so that their first read costs no request.
 *
 *      prefetch.h: next piece, at most fuse.push ahead of its readers
 *         └─> name known to the kernel?  no ──> lookup.h has it asked for
 *               └─> node, its bytes from the tiers (checked), into the pages of that node
 *
 * A node is one version, and the bytes are asked for under its name and version: pages are never of another. Only
 * whole files of one block, up to 1 MiB; larger ones have readahead, and may be passed through. Never in
 * mode direct, which has no pages.
 *
 * On a thread of its own: a store waits for pages that the kernel keeps locked until a READ is answered, so a
 * request handler that stored could wait for itself; and for the same reason no store may be under way when
 * the session's loop ends. */
#ifndef CACHEFS_PUSH_H
#define CACHEFS_PUSH_H

#include <jansson.h>

#include "common/err.h"

struct fs;
struct fuse_session;
struct push;

/* NULL and err on failure. */
struct push *push_new(struct fs *fs, struct fuse_session *se, struct err *err);

/* No store begins any more; waits a second at most for one that is under way. Call it while requests are still
 * answered. NULL is accepted. */
void push_disarm(struct push *p);

/* Joins: when the connection has ended, or after push_disarm(). NULL is accepted. */
void push_free(struct push *p);

/* The tiers have just dropped something: when this returns, nothing that was read before is on its way to
 * the kernel. */
void push_barrier(struct push *p);

/* {"budget_bytes":..,"helper":"why it runs or not"} */
json_t *push_stats(struct push *p);

#endif
