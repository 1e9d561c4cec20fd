/* SPDX-License-Identifier: Apache-2.0 */
/* opens - which files are open through the kernel's OPEN, and how each was answered. The kernel knows
 * one way at a time for a node, and answers EIO to a program whose OPEN we answer in another:
 *
 *                 enter(0)                 join
 *        ┌────────────────────> CACHED(n) ──────> CACHED(n+1)
 *      CLOSED <── leave, n = 0 ───┘ │
 *        │  ^── leave, n = 0: the id is the caller's to close ─┐
 *        └────────────────────> PASSTHROUGH(n, id) ──────> PASSTHROUGH(n+1, id)
 *                 enter(id)                          join
 *
 * So the way is chosen when a file is opened that is not open; who comes later joins.
 *
 * It also sees what is opened, and says when not to be asked any more (NO_OPEN) is worth it: an
 * OPEN and its RELEASE cost a small file four fifths of its rate, while a large one loses a third or
 * more when the kernel reads it through FUSE's page cache (docs/performance.md). After NO_OPEN the
 * kernel opens by itself, in the way CACHED, for ever and everything, and tells of no RELEASE any
 * more: so not before the last PASSTHROUGH file is closed.
 *
 * Any thread may call; one mutex, held for a few hundred instructions. */
#ifndef CACHEFS_OPENS_H
#define CACHEFS_OPENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPENS_WINDOW 64    /* files looked at together */
#define OPENS_SMALL_MIN 58 /* of them that have to be small: 90% */
#define OPENS_SMALL_BYTES (1u << 20)
#define OPENS_WINDOW_BYTES (128ull << 20) /* in all of them: else the large ones weigh more */

enum open_way { CACHED, PASSTHROUGH, NO_OPEN };

struct open_answer {
	enum open_way way;
	int32_t id; /* of the backing file; PASSTHROUGH only */
};

struct opens;

/* latch: NO_OPEN may be answered. NULL without memory. */
struct opens *opens_new(bool latch);
void opens_free(struct opens *o); /* NULL is accepted */

/* An OPEN of a node of this size: true and how to answer it, counted, if it is open already or
 * nothing is asked any more. */
bool opens_join(struct opens *o, uint64_t node, uint64_t size, struct open_answer *ret);

/* Else: it opens as CACHED (id 0) or as PASSTHROUGH with this id, unless another thread was first.
 * An id that is not the answer's stays the caller's. -ENOMEM: not counted. */
int opens_enter(struct opens *o, uint64_t node, int32_t id, struct open_answer *ret);

/* A RELEASE, or an answer that did not reach the kernel. True: that was the last, and *ret is how it was
 * open; an id is to be closed then. */
bool opens_leave(struct opens *o, uint64_t node, struct open_answer *ret);

size_t opens_count(struct opens *o);       /* nodes that are open */
size_t opens_passthrough(struct opens *o); /* of them PASSTHROUGH: ids in use */

#endif
