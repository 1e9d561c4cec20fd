/* SPDX-License-Identifier: Apache-2.0 */
/* http_gate - where entries of a foreign listing come through: each name once, and only names that
 * can stand in a folder. Parsers push into it, one thread at a time. */
#ifndef CACHEFS_STORES_HTTP_GATE_H
#define CACHEFS_STORES_HTTP_GATE_H

#include "cachefs/store.h"

#define GATE_ENTRIES_MAX (16 << 20) /* of one folder */

struct http_gate {
	list_fn *each;
	void *arg;
	size_t passed, refused; /* names handed on; names that are none */
	char example[64];       /* the first that was refused, for people */
	uint64_t *seen;         /* hashes of names, open addressing; 0: free */
	size_t room;
};

void gate_init(struct http_gate *g, list_fn *each, void *arg);
void gate_done(struct http_gate *g);

/* Hands entry on under name, which is len bytes long and ends in NUL. A name that was there already
 * is dropped: in a store "a" and "a/" may both exist, and the one listed first, the file, stays. 0,
 * what each() returned, -E2BIG (too many), -ENOMEM. */
int gate_pass(struct http_gate *g, const char *name, size_t len, struct object *entry);

#endif
