/* SPDX-License-Identifier: Apache-2.0 */
/* direct - a large file written past the page cache, whole or not at all.
 *
 * Bytes gather in an aligned buffer that goes out by O_DIRECT (where the filesystem refuses that,
 * by ordinary writes); the file has a temporary name until direct_commit(). */
#ifndef SYNTH_DIRECT_H
#define SYNTH_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIRECT_BUFFER ((size_t)4 << 20)

struct direct {
	int dirfd, fd;
	uint8_t *buffer; /* DIRECT_BUFFER bytes of direct_buffer() */
	size_t used;
	uint64_t written; /* bytes before the buffer */
	char name[64], tmp[72];
};

uint8_t *direct_buffer(void); /* free() it; NULL without memory */

/* Creates the temporary file and reserves `expect` bytes for it, where the filesystem can. */
int direct_open(struct direct *d, int dirfd, const char *name, uint64_t expect, uint8_t *buffer);

int direct_put(struct direct *d, const void *data, size_t len);

/* What was put so far. */
static inline uint64_t direct_size(const struct direct *d)
{
	return d->written + d->used;
}

/* Writes the rest, makes the file durable and gives it its name; after a failure there is none. */
int direct_commit(struct direct *d);

/* Closes and removes the temporary file. */
void direct_abort(struct direct *d);

#endif
