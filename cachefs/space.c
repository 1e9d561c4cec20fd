/* SPDX-License-Identifier: Apache-2.0 */
/* Free ranges of a region: see space.h. */
#include "cachefs/space.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int reserve_range(struct space *s)
{
	if (s->n + 1 < s->room)
		return 0;
	size_t room = s->room ? s->room * 2 : 16;
	struct space_range *range = realloc(s->range, room * sizeof(*range));

	if (!range)
		return -ENOMEM;
	s->range = range;
	s->room = room;
	return 0;
}

int space_init(struct space *s, uint64_t size)
{
	*s = (struct space){.size = size, .unused = size};
	if (reserve_range(s) < 0)
		return -ENOMEM;
	if (size)
		s->range[s->n++] = (struct space_range){0, size};
	return 0;
}

void space_done(struct space *s)
{
	free(s->range);
	*s = (struct space){0};
}

static void remove_range(struct space *s, size_t i)
{
	s->n--;
	memmove(&s->range[i], &s->range[i + 1], (s->n - i) * sizeof(*s->range));
}

static int insert_range(struct space *s, size_t i, uint64_t off, uint64_t len)
{
	if (reserve_range(s) < 0)
		return -ENOMEM;
	assert(s->range);
	memmove(&s->range[i + 1], &s->range[i], (s->n - i) * sizeof(*s->range));
	s->range[i] = (struct space_range){off, len};
	s->n++;
	return 0;
}

int space_alloc(struct space *s, uint64_t len, uint64_t *ret_off)
{
	for (size_t k = 0; k < s->n && len <= s->unused; k++) {
		size_t i = (s->next + k) % s->n;
		struct space_range *r = &s->range[i];

		if (r->len < len)
			continue;
		*ret_off = r->off;
		r->off += len;
		r->len -= len;
		s->next = i;
		s->unused -= len;
		if (!r->len)
			remove_range(s, i);
		return 0;
	}
	return -ENOSPC;
}

/* Index of the first range that ends after off. */
static size_t find_range(const struct space *s, uint64_t off)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->range[mid].off + s->range[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int space_take(struct space *s, uint64_t off, uint64_t len)
{
	size_t i = find_range(s, off);
	struct space_range r = i < s->n ? s->range[i] : (struct space_range){0};

	if (!len || off < r.off || off > r.off + r.len || len > r.off + r.len - off)
		return -EBUSY;
	uint64_t before = off - r.off, after = r.off + r.len - (off + len);

	if (before && after) {
		if (insert_range(s, i + 1, off + len, after) < 0)
			return -ENOMEM;
		s->range[i].len = before;
	} else if (before) {
		s->range[i].len = before;
	} else if (after) {
		s->range[i] = (struct space_range){off + len, after};
	} else {
		remove_range(s, i);
	}
	s->unused -= len;
	return 0;
}

void space_free(struct space *s, uint64_t off, uint64_t len)
{
	size_t i = find_range(s, off);
	struct space_range *right = i < s->n ? &s->range[i] : NULL;
	struct space_range *left = i ? &s->range[i - 1] : NULL;

	assert(off + len <= s->size && (!right || off + len <= right->off));
	s->unused += len;
	if (left && left->off + left->len == off) {
		left->len += len;
		if (right && off + len == right->off) {
			left->len += right->len;
			remove_range(s, i);
		}
	} else if (right && off + len == right->off) {
		right->off = off;
		right->len += len;
	} else if (insert_range(s, i, off, len) < 0) {
		s->unused -= len; /* lost until the space is made anew: safe, never handed out */
	}
}
