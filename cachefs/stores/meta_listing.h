/* SPDX-License-Identifier: Apache-2.0 */
/* meta_listing - what one LIST said: compact records in the origin's order, found by name through
 * a hash table. Filled by one thread, then finished and never changed, so that any thread reads
 * it without a lock while it holds a use. */
#ifndef CACHEFS_STORES_META_LISTING_H
#define CACHEFS_STORES_META_LISTING_H

#include "cachefs/store.h"

struct listing;

struct listing *listing_new(void); /* with one use */
int listing_add(struct listing *l, const struct object *entry);
int listing_finish(struct listing *l); /* after the last entry */

struct listing *listing_use(struct listing *l);
void listing_put(struct listing *l); /* ends a use; NULL is accepted */

/* ret->name points into the listing. */
size_t listing_entries(const struct listing *l);
void listing_entry(const struct listing *l, size_t i, struct object *ret);
bool listing_find(const struct listing *l, const char *name, struct object *ret);

#endif
