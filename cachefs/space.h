/* SPDX-License-Identifier: Apache-2.0 */
/* space - which ranges of [0, size) are free. Offsets and lengths are multiples of SPACE_ALIGN.
 *
 * Free ranges lie in an array sorted by offset, neighbours joined. Allocation goes on where the
 * last one ended (next fit): with a policy that gives up the oldest first, the space behind is
 * free by then, so the array stays short. Callers lock. */
#ifndef CACHEFS_SPACE_H
#define CACHEFS_SPACE_H

#include <stddef.h>
#include <stdint.h>

#define SPACE_ALIGN 4096

struct space_range {
	uint64_t off, len;
};

struct space {
	struct space_range *range;
	size_t n, room, next;
	uint64_t size, unused;
};

int space_init(struct space *s, uint64_t size); /* all free; -ENOMEM */
void space_done(struct space *s);

int space_alloc(struct space *s, uint64_t len, uint64_t *ret_off); /* -ENOSPC */
int space_take(struct space *s, uint64_t off, uint64_t len);       /* -EBUSY: not all free */
void space_free(struct space *s, uint64_t off, uint64_t len);

static inline uint64_t space_round(uint64_t len)
{
	return (len + SPACE_ALIGN - 1) & ~(uint64_t)(SPACE_ALIGN - 1);
}

#endif
