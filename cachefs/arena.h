/* SPDX-License-Identifier: Apache-2.0 */
/* arena - small pieces of memory that stay where they are and that 32 bits can name.
 *
 * Pieces of one size (in steps of 8 bytes) share chunks of 256 KiB; a chunk whose last piece is
 * freed goes back to the system. No lock: one caller at a time. */
#ifndef CACHEFS_ARENA_H
#define CACHEFS_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define ARENA_PIECE_MAX 512

struct chunk;

struct arena {
	struct chunk *room[ARENA_PIECE_MAX / 8 + 1]; /* by size: chunks that have some left */
	struct chunk **chunk;                        /* by number; NULL: none */
	size_t chunks, chunks_room;
};

void arena_init(struct arena *a);
void arena_done(struct arena *a); /* every piece goes */

/* 0 < bytes <= ARENA_PIECE_MAX. Content is undefined. NULL without memory. */
void *arena_alloc(struct arena *a, size_t bytes);
void arena_free(struct arena *a, void *piece);

/* The number of a piece, never 0, and back. */
uint32_t arena_ref(const void *piece);
void *arena_at(const struct arena *a, uint32_t ref);

/* A piece, handed out or freed, that has the number; NULL: there is none. Of a freed one the bytes from
 * ARENA_FREED to ARENA_KEPT stay as they were. */
#define ARENA_FREED 8
#define ARENA_KEPT 16
void *arena_find(const struct arena *a, uint32_t ref);

/* Calls each for every piece, handed out or freed. */
typedef void piece_fn(void *arg, void *piece);
void arena_each(const struct arena *a, piece_fn *each, void *arg);

#endif
