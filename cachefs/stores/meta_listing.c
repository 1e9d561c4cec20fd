/* SPDX-License-Identifier: Apache-2.0 */
/* Compact listings: see meta_listing.h. */
#include "cachefs/stores/meta_listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_ALIGN 8

/* Lies in the arena, 8-byte aligned; text is the name, NUL, the etag, NUL. */
struct record {
	uint64_t version, size;
	int64_t mtime_ns;
	uint8_t is_dir, name_len;
	char text[];
};

struct listing {
	_Atomic int uses;
	char *arena;
	size_t used, room;
	uint32_t *offset; /* of records in the arena, in units of RECORD_ALIGN */
	size_t n, n_room;
	uint32_t *index; /* open addressing; number of the record + 1 */
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
	free(l->arena);
	free(l->offset);
	free(l->index);
	free(l);
}

/* Room for `bytes` more in the arena and one more record. */
static int grow(struct listing *l, size_t bytes)
{
	if (l->used + bytes > l->room) {
		size_t room = l->room * 2 + bytes + 1024;
		char *arena = realloc(l->arena, room);

		if (!arena)
			return -ENOMEM;
		l->arena = arena;
		l->room = room;
	}
	if (l->n == l->n_room) {
		size_t room = l->n_room * 2 + 16;
		uint32_t *offset = realloc(l->offset, room * sizeof(*offset));

		if (!offset)
			return -ENOMEM;
		l->offset = offset;
		l->n_room = room;
	}
	return 0;
}

int listing_add(struct listing *l, const struct object *entry)
{
	size_t name_len = strlen(entry->name), etag_len = strlen(entry->etag);
	size_t bytes = sizeof(struct record) + name_len + etag_len + 2;

	bytes = (bytes + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
	if (!store_component_valid(entry->name))
		return 0; /* origins leave such names out; here it would be found by no lookup */
	if (l->used / RECORD_ALIGN >= UINT32_MAX || grow(l, bytes) < 0)
		return -ENOMEM;
	struct record *r = (struct record *)(l->arena + l->used);

	*r = (struct record){.version = entry->version,
		.size = entry->size,
		.mtime_ns = entry->mtime_ns,
		.is_dir = entry->is_dir,
		.name_len = (uint8_t)name_len};
	memcpy(r->text, entry->name, name_len + 1);
	memcpy(r->text + name_len + 1, entry->etag, etag_len + 1);
	l->offset[l->n++] = (uint32_t)(l->used / RECORD_ALIGN);
	l->used += bytes;
	return 0;
}

static const struct record *record_at(const struct listing *l, size_t i)
{
	return (const struct record *)(l->arena + (size_t)l->offset[i] * RECORD_ALIGN);
}

static size_t hash_name(const char *name)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3ull;
	return (size_t)(h ^ h >> 32);
}

/* Where name is in the index, or the empty place where it would be. */
static size_t probe(const struct listing *l, const char *name)
{
	size_t at = hash_name(name) & (l->index_size - 1);

	while (l->index[at] && strcmp(record_at(l, l->index[at] - 1)->text, name))
		at = (at + 1) & (l->index_size - 1);
	return at;
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
	for (size_t i = 0; i < l->n; i++)
		l->index[probe(l, record_at(l, i)->text)] = (uint32_t)i + 1;
	char *arena = realloc(l->arena, l->used ? l->used : 1);

	if (arena)
		l->arena = arena;
	return 0;
}

size_t listing_entries(const struct listing *l)
{
	return l->n;
}

void listing_entry(const struct listing *l, size_t i, struct object *ret)
{
	const struct record *r = record_at(l, i);

	*ret = (struct object){.name = r->text,
		.version = r->version,
		.size = r->size,
		.mtime_ns = r->mtime_ns,
		.is_dir = r->is_dir};
	strcpy(ret->etag, r->text + r->name_len + 1);
}

bool listing_find(const struct listing *l, const char *name, struct object *ret)
{
	size_t at = probe(l, name);

	if (!l->index[at])
		return false;
	listing_entry(l, l->index[at] - 1, ret);
	return true;
}
