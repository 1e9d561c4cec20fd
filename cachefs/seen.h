/* SPDX-License-Identifier: Apache-2.0 */
/* seen - whether a block is asked for again so soon that a memory of `window` bytes, kept by lru, would
 * have had it: no more than that many bytes were asked for in between. So reading round and round over
 * more than the window finds nothing, and no memory is spent on what would be gone by its next turn.
 *
 * A table of 8 bytes for 16 KiB of window, each of the last block that fell there; where two blocks fall
 * on one place the older is forgotten. No lock: any number of threads. */
#ifndef CACHEFS_SEEN_H
#define CACHEFS_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen {
	_Atomic uint64_t *last; /* part of the key, and the clock then */
	size_t places;
	uint64_t window_pages;
	_Atomic uint64_t clock_pages; /* asked for so far */
};

int seen_init(struct seen *s, uint64_t window); /* -ENOMEM */
void seen_done(struct seen *s);

/* Notes that len bytes, named by key (a good hash), are asked for. */
bool seen_again(struct seen *s, uint64_t key, uint64_t len);

#endif
