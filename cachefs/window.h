/* SPDX-License-Identifier: Apache-2.0 */
/* window - how far a plan is followed: which of its pieces are under way, here, read.
 *
 * A piece is a block of a file; the plan is a row of them, numbered as they come.
 *
 *      plan    ░░░░░░░░░░░░░░████████▓▓▓▓▓▓▓▓▒▒▒▒▒▒······
 *              remembered    │ here   │ flying │
 *                            tail = position   head        head - tail: at most `limit` bytes
 *
 * The tail is the reader's position: the first piece that was not read. Readers go about in the plan's
 * order (worker processes each have a batch of their own), and a read of what lies in the kernel's page
 * cache is not seen. So a piece counts as passed when a quarter of the limit lies between it and the
 * front, which is where the fourth of the furthest reads was: a few reads far ahead move nothing.
 *
 * Bookkeeping alone: no I/O, lock, clock. Whoever uses it holds a lock. 36 bytes a piece. */
#ifndef CACHEFS_WINDOW_H
#define CACHEFS_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_PAGE 4096u
#define WINDOW_PIECES_MAX (1u << 20)
#define WINDOW_FRONTS 4

enum piece_state { PIECE_FLYING, PIECE_HERE, PIECE_FAILED };
enum window_seen { SEEN_NOT, SEEN_AGAIN, SEEN_LATE, SEEN_HERE };

struct window_piece {
	uint64_t key;
	uint64_t where : 40,
		block : 24; /* the caller's: a place in the plan, a block of that file */
	uint32_t at;        /* pages of the plan before it; wraps */
	uint32_t older;     /* the piece before it in its bucket: number, low bits */
	uint16_t pages;
	uint8_t state;
	bool read;
	bool far;   /* added beyond the limit, and not renewed */
	bool given; /* counted in given_pages */
};

struct window {
	struct window_piece *piece;       /* piece n is at n modulo size */
	uint32_t *bucket;                 /* number of its newest piece, low bits */
	size_t size;                      /* a power of two; as many buckets */
	uint64_t head, tail, renewed;     /* renewed: pieces before it are no more far */
	uint32_t head_at, limit;          /* pages */
	uint64_t given_tail, given_pages; /* pieces before it are not counted */
	uint64_t front[WINDOW_FRONTS];    /* numbers + 1, the furthest first; 0: none */
};

/* -ENOMEM. */
int window_init(struct window *w, uint64_t limit_bytes);
void window_done(struct window *w);

/* Key of a block of a name. */
uint64_t window_key(const char *name, uint64_t block);

/* Whether a piece of so many bytes may be added now. One always fits into an empty window; beyond: the
 * limit does not matter. */
bool window_room(const struct window *w, uint64_t bytes, bool beyond);

/* Adds a piece, FLYING, for which there is room: its number. It is block `block` of name. */
uint64_t window_add(
	struct window *w, const char *name, uint64_t block, uint64_t bytes, uint64_t where);

/* The next piece that was added beyond the limit and has come into it, as its readers come closer; it is
 * not told again. false: none. */
bool window_renew(struct window *w, uint64_t *ret_n);

/* Piece n is here, and that large, or is not coming. It may be past by now. */
void window_landed(struct window *w, uint64_t n, bool here, uint64_t bytes);

/* Somebody reads the piece with this key: the first between tail and head that was not read yet,
 * which moves the tail; else one that was passed. AGAIN: it was read before; NOT: it is none of these. */
enum window_seen window_read(struct window *w, uint64_t key);

/* Piece n, which is between tail and head or was so lately; NULL: it is neither. */
const struct window_piece *window_piece(const struct window *w, uint64_t n);

/* Piece n, which is here, goes on to somewhere; or it did not after all. */
void window_give(struct window *w, uint64_t n);
void window_take_back(struct window *w, uint64_t n);

/* Bytes of pieces that were given on and are not read; those so many bytes behind the front count as read. */
uint64_t window_given(struct window *w, uint64_t slack);

/* Bytes between tail and head. */
uint64_t window_bytes(const struct window *w);

#endif
