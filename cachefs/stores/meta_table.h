/* SPDX-License-Identifier: Apache-2.0 */
/* meta_table - what is known of names, by folder, in bounded memory: the last listing of a folder
 * that was listed, and answers about names that were asked for one by one. The least recently used
 * folders go first when there are more entries than max.
 *
 * Lock: one, inside; no call waits for anything else. */
#ifndef CACHEFS_STORES_META_TABLE_H
#define CACHEFS_STORES_META_TABLE_H

#include <pthread.h>

#include "cachefs/arena.h"
#include "cachefs/packed.h"

struct listing;
struct folder;
struct refreshing;

struct meta_table {
	pthread_mutex_t lock; /* all below */
	struct arena arena;   /* of single answers */
	struct folder **bucket, *newest, *oldest;
	size_t buckets, folders, entries, max;
	uint64_t changes; /* counts what was learnt or dropped */
	struct refreshing *refreshing;
	struct counter_set *counters;
};

struct meta_answer {
	struct object obj; /* name is not set */
	bool absent;       /* there is no such name */
	bool listed;       /* says the listing of its folder */
	bool stale;        /* kept beyond its time */
	int64_t stamp_ns;  /* age counts from here */
};

int table_init(struct meta_table *t, size_t max, struct counter_set *counters);
void table_done(struct meta_table *t);

bool table_get(struct meta_table *t, const char *name, struct meta_answer *ret);
/* obj NULL: there is no such name. */
void table_put(struct meta_table *t, const char *name, const struct object *obj, int64_t stamp_ns);
void table_drop(struct meta_table *t, const char *name);

/* A use of the listing of dir (see listing.h) and its age; false: there is none. */
bool table_get_listing(
	struct meta_table *t, const char *dir, struct listing **ret, struct meta_answer *ret_age);
/* Takes a use of its own. */
void table_put_listing(struct meta_table *t, const char *dir, struct listing *l, int64_t stamp_ns);

/* The origin does not answer: what is known of name (listing: of the folder name) is stale, and
 * its age counts from stamp_ns. */
void table_extend(struct meta_table *t, const char *name, bool listing, int64_t stamp_ns);

/* True: nobody refreshes name, and now the caller does, until table_refreshed(). */
bool table_refreshing(struct meta_table *t, const char *name);
void table_refreshed(struct meta_table *t, const char *name);

/* ---- for the snapshot ---- */

uint64_t table_changes(struct meta_table *t);

/* Names of all folders, the one used longest ago first, as one malloc'ed piece of strings with the
 * length *ret_bytes; NULL without memory. */
char *table_dirs(struct meta_table *t, size_t *ret_bytes);

/* What is known of a folder: a use of its listing (NULL: none) with its time, and its names that were
 * asked for one by one: each is called under the lock. Absent ones only where a listing would say
 * otherwise. Not counted as a use of the folder. */
typedef void name_fn(void *arg, int64_t stamp_ns, bool absent, const struct packed *packed);
void table_export(struct meta_table *t, const char *dir, struct listing **ret_listing,
	int64_t *ret_stamp_ns, name_fn *each, void *arg);

#endif
