/* SPDX-License-Identifier: Apache-2.0 */
/* flight - single flight: one block on its way from below, and the reads that wait for it.
 *
 * The first read that misses a block makes a flight; its maker queues it for some thread to fill.
 * Later ones join. No thread waits: a read leaves a piece, and the filling thread calls
 * piece->arrived as soon as the piece's range is there, which is before the whole block is. Who
 * fills is settled by a claim, so that a caller that has to wait anyway fills a flight itself
 * which is still queued: threads of the pool never wait for a turn in the pool.
 *
 *      join ──> parked ──> arrived(0, bytes) | arrived(-errno, NULL)     on the filling thread
 *                  └─────> leave                                         it is not called then
 *
 * Lock: one for all flights of a stack, never held over I/O or a call of arrived. */
#ifndef CACHEFS_FLIGHT_H
#define CACHEFS_FLIGHT_H

#include <pthread.h>

#include "cachefs/store.h"

#define FLIGHT_BUCKETS 256

struct flight;

/* Part of a read, inside one block. The owner keeps it until arrived() began or leave() was true. */
struct piece {
	/* data: the piece's bytes, valid during the call; NULL with a status. */
	void (*arrived)(struct piece *p, int status, const void *data);
	uint64_t off; /* in the object */
	size_t len;
	struct piece *next;    /* below: private */
	struct flight *flight; /* NULL: not parked */
	bool late;             /* set by join: its range is there already; see flights_poke() */
};

struct flight {
	struct flight *next;
	struct object obj; /* with a name of its own */
	uint64_t off;      /* of the block */
	uint32_t number, len, filled;
	const char *data; /* where the block lands; NULL until filling begins */
	int poking;       /* threads in flights_poke() that use data */
	int uses;         /* by the queue, and by who claimed it */
	bool claimed;
	struct piece *waiting;
};

struct flights {
	pthread_mutex_t lock; /* all below, and every flight */
	pthread_cond_t poked;
	struct flight *bucket[FLIGHT_BUCKETS];
	bool closing;
};

void flights_init(struct flights *fs);
void flights_done(struct flights *fs);

/* A block to fetch. */
struct flight_block {
	const struct object *obj;
	uint64_t off;
	uint32_t number, len;
};

/* Parks piece, which lies in block, on the block's flight. fill: the caller can fill it now, and has
 * to if *ret is not NULL (it is claimed for it). Else *ret is the flight if it was made now, for
 * the caller to queue. -ENOMEM, -ESHUTDOWN. */
int flight_join(struct flights *fs, const struct flight_block *block, struct piece *piece,
	bool fill, struct flight **ret);

/* A flight that nobody waits for, for the caller to queue. -EEXIST: there is one; -ENOMEM, -ESHUTDOWN. */
int flight_start(struct flights *fs, const struct flight_block *block, struct flight **ret);
bool flight_leave(struct flights *fs, struct piece *piece);

/* A queued flight whose turn has come. True: the caller fills it; false: another does or did. Either
 * way flight_unqueue() ends the queue's use of it. */
bool flight_claim(struct flights *fs, struct flight *f);
void flight_unqueue(struct flights *fs, struct flight *f);

/* The filling thread: bytes will land at data; the first `filled` are there (answers who can be
 * answered; -ESHUTDOWN: give up); it is over (answers all, ends the claim). */
void flight_begin(struct flights *fs, struct flight *f, const void *data);
int flight_advance(struct flights *fs, struct flight *f, uint32_t filled);
void flight_end(struct flights *fs, struct flight *f, int status);

/* Answers every piece that joined when its range was there already, without waiting for the next
 * bytes of its flight, which may be long in coming. */
void flights_poke(struct flights *fs);

/* No new flights; those under way end with -ESHUTDOWN at their next advance. */
void flights_shutdown(struct flights *fs);

#endif
