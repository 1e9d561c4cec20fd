/* SPDX-License-Identifier: Apache-2.0 */
/* http_heads - the first bytes of files, from the moment a lookup got them along with the attributes until
 * the first read wants them: so an unknown small file costs one request, not two.
 *
 * A bounded number of them; the oldest goes first. What is kept belongs to one version, so it cannot grow
 * stale. Any thread may call. */
#ifndef CACHEFS_STORES_HTTP_HEADS_H
#define CACHEFS_STORES_HTTP_HEADS_H

#include <pthread.h>

#include "cachefs/store.h"

#define HEADS_MAX 64

struct head {
	char *name; /* NULL: no head */
	uint64_t version;
	char *data;
	size_t len;
};

struct heads {
	pthread_mutex_t lock; /* below */
	struct head head[HEADS_MAX];
	unsigned next; /* the oldest */
};

void heads_init(struct heads *hs);
void heads_done(struct heads *hs);

/* Keeps data, which is malloc'ed and taken over, as the first len bytes of obj. */
void heads_put(struct heads *hs, const struct object *obj, char *data, size_t len);

/* The first bytes of obj, for the caller to free, and no longer kept; NULL: there are none. */
char *heads_take(struct heads *hs, const struct object *obj, size_t *ret_len);

#endif
