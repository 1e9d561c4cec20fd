/* SPDX-License-Identifier: Apache-2.0 */
/* notify - tells the kernel to drop names and pages that it caches.
 *
 * From a thread of its own: an invalidation waits for locks that the kernel holds while it waits
 * for our answer to a request, so a request handler that sent one could wait for itself. */
#ifndef CACHEFS_NOTIFY_H
#define CACHEFS_NOTIFY_H

#include <stdint.h>

#include "common/err.h"

struct fuse_session;
struct notify;

struct notify *notify_new(struct fuse_session *se, struct err *err); /* NULL and err on failure */

/* Leaves out what still waits, and joins: the mount must be gone. NULL is accepted. */
void notify_free(struct notify *n);

/* The kernel forgets name (one component) in folder; it will look it up again. Never waits. */
void notify_name(struct notify *n, uint64_t folder, const char *name);

/* Waits until the kernel has taken all that was said so far. Not for handlers of requests. */
void notify_flush(struct notify *n);

/* The kernel drops pages and attributes of a node (of a folder: its listing). Never waits. */
void notify_node(struct notify *n, uint64_t id);

#endif
