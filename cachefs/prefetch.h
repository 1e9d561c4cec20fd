/* SPDX-License-Identifier: Apache-2.0 */
/* prefetch - follows a plan: fetches its pieces into the lowest tier ahead of the readers, in the plan's
 * order, many at once.
 *
 *      plan file ──> piece by piece ──> held already?  ──yes──> here
 *                         │ waits              └─no─> fetch pool: attributes and bytes ──> here
 *                         └ for room in the window (window.h): a plan larger than the tier is followed at
 *                           the readers' pace, and nothing is pushed out before it is read
 *
 * A file whose attributes are not known is asked for on the pool thread that then fetches it, so an
 * origin that sends its first bytes along gives a small file in one request. One plan at a time. */
#ifndef CACHEFS_PREFETCH_H
#define CACHEFS_PREFETCH_H

#include "cachefs/stack.h"

struct prefetch;

struct prefetch_progress {
	int64_t lines, lines_done; /* of the plan; done: all of it is here, or cannot be */
	int64_t bytes_done, bytes_added, errors, epoch;
	bool pacing; /* waits for readers */
	bool full;   /* ended early: the tier keeps nothing more */
	char error[1024];
};

/* most: pieces fetched at once. The counters outlive it. NULL without memory. */
struct prefetch *prefetch_new(
	struct stack *stack, const struct config *cfg, int most, struct counter_set *count);
/* No prefetch_follow() is under way. NULL is accepted. */
void prefetch_free(struct prefetch *pf);

/* Returns when all of the plan is here, or *stop is true (look again: prefetch_wake()), or -errno and
 * err: the plan cannot be read. What it has fetched is watched on until the next plan. */
int prefetch_follow(
	struct prefetch *pf, const char *path, const _Atomic bool *stop, struct err *err);
void prefetch_wake(struct prefetch *pf);

/* Somebody opens name, or reads it at off. Any thread. watches: whether that is of interest. */
bool prefetch_watches(struct prefetch *pf, uint64_t off);
void prefetch_note(struct prefetch *pf, const char *name, uint64_t off);

/* Goes along the plan between its readers and what is fetched, for who wants to bring it closer still. */
struct prefetch_cursor {
	uint64_t budget; /* bytes that it may be ahead of the readers */
	uint64_t
		unheard; /* reads of what it gave are not seen: it leaves out one piece in so many bytes, so that
			   * the reads of these tell where the readers are; 0: they are seen */
	uint64_t next;     /* number of the piece after the one it gave last */
	struct plan *plan; /* below: private; zero at first */
	uint64_t since, pieces, generation;
	bool ahead;
};

/* Small whole files, one after the other, that are here, unread, and within the budget; name has room for
 * 4096 bytes. wait: until there is one, or *stop (see prefetch_wake()). False: none. */
bool prefetch_next(struct prefetch *pf, struct prefetch_cursor *c, bool wait,
	const _Atomic bool *stop, char *name);
/* Whether piece n that it gave is still to be read. */
bool prefetch_unread(struct prefetch *pf, const struct prefetch_cursor *c, uint64_t n);
/* Piece n that it gave was not brought closer. */
void prefetch_return(struct prefetch *pf, const struct prefetch_cursor *c, uint64_t n);
void prefetch_cursor_done(struct prefetch_cursor *c);

/* Of the plan that is followed, or was last. */
void prefetch_progress(struct prefetch *pf, struct prefetch_progress *ret);

/* {"fetched":..,...,"ahead_bytes":..,"window_bytes":..} */
json_t *prefetch_stats(struct prefetch *pf);

#endif
