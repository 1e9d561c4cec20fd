/* SPDX-License-Identifier: Apache-2.0 */
/* Compact listings: see listing.h. */
#include "cachefs/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/hash.h"

#define MARK_EVERY 16 /* entries; listing_seek() goes past fewer than that */
#define BYTES_MAX ((size_t)UINT32_MAX * PACKED_ALIGN)

struct listing {
	_Atomic int uses;
	char *packed;
	size_t used, room, n;
	uint32_t *mark; /* places of each MARK_EVERYth, in units of PACKED_ALIGN */
	size_t mark_room;
	uint32_t *index; /* open addressing: place + 1; 0: empty */
	size_t index_size;
};

struct listing *listing_new(void)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (l)
		l->uses = 1;
	return l;
}

struct listing *listing_use(struct listing *l)
{
	l->uses++;
	return l;
}

void listing_put(struct listing *l)
{
	if (!l || --l->uses)
		return;
	free(l->packed);
	free(l->mark);
	free(l->index);
	free(l);
}

/* ---- filling ---- */

static int reserve(struct listing *l, size_t bytes)
{
	if (l->used + bytes <= l->room)
		return 0;
	size_t room = l->room + l->room / 2 + bytes + 1024;
	char *packed = realloc(l->packed, room);

	if (!packed)
		return -ENOMEM;
	l->packed = packed;
	l->room = room;
	return 0;
}

/* Notes that an entry begins at `at`. */
static int note(struct listing *l, size_t at)
{
	size_t i = l->n / MARK_EVERY;

	if (l->n++ % MARK_EVERY)
		return 0;
	if (i == l->mark_room) {
		size_t room = l->mark_room * 2 + 4;
		uint32_t *mark = realloc(l->mark, room * sizeof(*mark));

		if (!mark)
			return -ENOMEM;
		l->mark = mark;
		l->mark_room = room;
	}
	l->mark[i] = (uint32_t)(at / PACKED_ALIGN);
	return 0;
}

int listing_add(struct listing *l, const struct object *entry)
{
	if (!store_component_valid(entry->name))
		return 0; /* origins leave such names out; here it would be found by no lookup */
	size_t bytes = packed_bytes(entry, entry->name);

	if (l->used + bytes > BYTES_MAX || reserve(l, bytes) < 0 || note(l, l->used) < 0)
		return -ENOMEM;
	packed_put((struct packed *)(l->packed + l->used), entry, entry->name);
	l->used += bytes;
	return 0;
}

static const struct packed *packed_at(const struct listing *l, size_t at)
{
	return (const struct packed *)(l->packed + at);
}

static size_t hash_name(const char *name)
{
	uint64_t h = hash_text(HASH_START, name);

	return (size_t)(h ^ h >> 32);
}

/* Where name is in the index, or the empty place where it would be. */
static size_t probe(const struct listing *l, const char *name)
{
	size_t i = hash_name(name) & (l->index_size - 1);

	while (l->index[i] &&
		strcmp(packed_at(l, (size_t)(l->index[i] - 1) * PACKED_ALIGN)->text, name) != 0)
		i = (i + 1) & (l->index_size - 1);
	return i;
}

static void *trimmed(void *p, size_t bytes)
{
	void *less = realloc(p, bytes ? bytes : 1);

	return less ? less : p;
}

int listing_finish(struct listing *l)
{
	size_t size = 8;

	while (size < l->n + l->n / 2)
		size *= 2;
	l->index = calloc(size, sizeof(*l->index));
	if (!l->index)
		return -ENOMEM;
	l->index_size = size;
	for (size_t at = 0; at < l->used; at += packed_size(packed_at(l, at)))
		l->index[probe(l, packed_at(l, at)->text)] = (uint32_t)(at / PACKED_ALIGN) + 1;
	l->packed = trimmed(l->packed, l->used);
	l->room = l->used;
	l->mark_room = (l->n + MARK_EVERY - 1) / MARK_EVERY;
	l->mark = trimmed(l->mark, l->mark_room * sizeof(*l->mark));
	return 0;
}

struct listing *listing_from(void *packed, size_t bytes)
{
	struct listing *l = listing_new();
	size_t at = 0;

	if (!l) {
		free(packed);
		return NULL;
	}
	l->packed = packed;
	l->used = l->room = bytes;
	while (bytes <= BYTES_MAX && at < bytes &&
		packed_valid(packed_at(l, at), bytes - at, false) && !note(l, at))
		at += packed_size(packed_at(l, at));
	if (at == bytes && !listing_finish(l))
		return l;
	listing_put(l);
	return NULL;
}

const void *listing_packed(const struct listing *l, size_t *ret_bytes)
{
	*ret_bytes = l->used;
	return l->packed;
}

/* ---- reading ---- */

size_t listing_entries(const struct listing *l)
{
	return l->n;
}

size_t listing_memory(const struct listing *l)
{
	return sizeof(*l) + l->room + l->index_size * sizeof(*l->index) +
	       l->mark_room * sizeof(*l->mark);
}

bool listing_find(const struct listing *l, const char *name, struct object *ret)
{
	uint32_t place = l->index[probe(l, name)];

	if (place)
		packed_object(packed_at(l, (size_t)(place - 1) * PACKED_ALIGN), ret);
	return place;
}

size_t listing_seek(const struct listing *l, size_t i)
{
	size_t at = l->used;

	if (i < l->n)
		at = (size_t)l->mark[i / MARK_EVERY] * PACKED_ALIGN;
	for (i %= MARK_EVERY; i && at < l->used; i--)
		at += packed_size(packed_at(l, at));
	return at;
}

bool listing_next(const struct listing *l, size_t *at, struct object *ret)
{
	if (*at >= l->used)
		return false;
	packed_object(packed_at(l, *at), ret);
	*at += packed_size(packed_at(l, *at));
	return true;
}
