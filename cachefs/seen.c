/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks asked for lately: see seen.h. */
#include "cachefs/seen.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PAGE 4096
#define PLACE_BYTES (16 << 10) /* of the window */
#define PLACES_LEAST 1024
#define CLOCK_BITS 40 /* of pages: 4 PiB until it comes round */
#define CLOCK_MASK ((1ull << CLOCK_BITS) - 1)

int seen_init(struct seen *s, uint64_t window)
{
	*s = (struct seen){.window_pages = window / PAGE};
	s->places = window / PLACE_BYTES > PLACES_LEAST ? window / PLACE_BYTES : PLACES_LEAST;
	s->last = calloc(s->places, sizeof(*s->last));
	return s->last ? 0 : -ENOMEM;
}

void seen_done(struct seen *s)
{
	free(s->last);
	*s = (struct seen){0};
}

bool seen_again(struct seen *s, uint64_t key, uint64_t len)
{
	uint64_t pages = (len + PAGE - 1) / PAGE, mark = key >> CLOCK_BITS << CLOCK_BITS;
	uint64_t now = (atomic_fetch_add(&s->clock_pages, pages) + 1) & CLOCK_MASK;
	uint64_t was = atomic_exchange(&s->last[key % s->places], mark | now);

	return was && (was & ~CLOCK_MASK) == mark && ((now - was) & CLOCK_MASK) <= s->window_pages;
}
