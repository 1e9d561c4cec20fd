/* SPDX-License-Identifier: Apache-2.0 */
/* listing - what one LIST said: packed objects (packed.h) in the origin's order, found by name
 * through a hash table. Filled by one thread, then finished and never changed, so that any thread
 * reads it without a lock while it holds a use. A million of them: hence 8 bytes each for the
 * table, and none for their places, of which every 16th is noted. */
#ifndef CACHEFS_LISTING_H
#define CACHEFS_LISTING_H

#include "cachefs/packed.h"

struct listing;

struct listing *listing_new(void); /* with one use */
int listing_add(struct listing *l, const struct object *entry);
int listing_finish(struct listing *l); /* after the last entry */

/* A finished listing of objects packed by listing_packed(): bytes are malloc'ed and taken over, also
 * on failure. NULL: they are not such, or no memory. */
struct listing *listing_from(void *packed, size_t bytes);
const void *listing_packed(const struct listing *l, size_t *ret_bytes);

struct listing *listing_use(struct listing *l);
void listing_put(struct listing *l); /* ends a use; NULL is accepted */

size_t listing_entries(const struct listing *l);
size_t listing_memory(const struct listing *l); /* bytes it takes */

/* ret->name points into the listing. */
bool listing_find(const struct listing *l, const char *name, struct object *ret);

/* All entries from number i on: for (at = listing_seek(l, i); listing_next(l, &at, &obj);) */
size_t listing_seek(const struct listing *l, size_t i);
bool listing_next(const struct listing *l, size_t *at, struct object *ret);

#endif
