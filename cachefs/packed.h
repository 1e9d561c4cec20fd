/* SPDX-License-Identifier: Apache-2.0 */
/* packed - what is known of a name (struct object with one component as its name) in few bytes, in
 * memory and in the metadata snapshot: 27 bytes, the name, NUL, the packed entity tag, and zeros up
 * to a multiple of PACKED_ALIGN. */
#ifndef CACHEFS_PACKED_H
#define CACHEFS_PACKED_H

#include "cachefs/store.h"

#define PACKED_ALIGN 8
#define PACKED_MAX_BYTES 408 /* of the longest name and tag */

struct packed {
	uint64_t version, size;
	int64_t mtime_ns;
	uint8_t is_dir, name_len, etag_code;
	char text[]; /* name, NUL, tag */
};

size_t packed_bytes(const struct object *obj, const char *name); /* that it takes */
/* to: aligned, packed_bytes() of room. */
void packed_put(struct packed *to, const struct object *obj, const char *name);

size_t packed_size(const struct packed *p);
void packed_object(const struct packed *p, struct object *ret); /* its name is p's */

/* Whether the `room` bytes at `at`, which is aligned, begin with something packed_put() writes; a
 * nameless one only where that may be. */
bool packed_valid(const void *at, size_t room, bool nameless);

#endif
