/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks of pieces: see arena.h. A chunk is aligned to its size, so a piece finds its own. */
#include "cachefs/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#endif

#define STEP 8
#define CHUNK_BYTES ((size_t)256 << 10)
#define CHUNK_STEPS (CHUNK_BYTES / STEP)
#define CHUNKS_MAX (UINT32_MAX / CHUNK_STEPS)

struct free_piece {
	struct free_piece *next;
};

/* At the front of its memory; the pieces follow. */
struct chunk {
	struct chunk *prev, *next; /* among those of its size that have room */
	struct free_piece *free;
	uint32_t number, piece, used;
	uint32_t fresh; /* offset of what was never handed out */
};

static struct chunk *chunk_of(const void *piece)
{
	return (struct chunk *)((uintptr_t)piece & ~(uintptr_t)(CHUNK_BYTES - 1));
}

static void unmap_chunk(struct chunk *c)
{
	ASAN_UNPOISON_MEMORY_REGION(c, CHUNK_BYTES);
	munmap(c, CHUNK_BYTES);
}

void arena_init(struct arena *a)
{
	*a = (struct arena){0};
}

void arena_done(struct arena *a)
{
	for (size_t i = 0; i < a->chunks; i++)
		if (a->chunk[i])
			unmap_chunk(a->chunk[i]);
	free(a->chunk);
	*a = (struct arena){0};
}

static struct chunk *map_chunk(void)
{
	char *raw = mmap(
		NULL, 2 * CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (raw == MAP_FAILED)
		return NULL;
	char *at = raw + (CHUNK_BYTES - (uintptr_t)raw % CHUNK_BYTES) % CHUNK_BYTES;

	if (at > raw)
		munmap(raw, (size_t)(at - raw));
	munmap(at + CHUNK_BYTES, CHUNK_BYTES - (size_t)(at - raw));
	return (struct chunk *)at;
}

/* A number that no chunk has; -1: there is none. */
static int64_t free_number(struct arena *a)
{
	for (size_t i = 0; i < a->chunks; i++)
		if (!a->chunk[i])
			return (int64_t)i;
	if (a->chunks == a->chunks_room) {
		size_t room = a->chunks_room * 2 + 16;
		struct chunk **more = room > CHUNKS_MAX
					      ? NULL
					      : realloc(a->chunk, room * sizeof(struct chunk *));

		if (!more)
			return -1;
		a->chunk = more;
		a->chunks_room = room;
	}
	return (int64_t)a->chunks++;
}

static void link_room(struct arena *a, struct chunk *c)
{
	struct chunk **head = &a->room[c->piece / STEP];

	c->prev = NULL;
	c->next = *head;
	if (c->next)
		c->next->prev = c;
	*head = c;
}

static void unlink_room(struct arena *a, struct chunk *c)
{
	*(c->prev ? &c->prev->next : &a->room[c->piece / STEP]) = c->next;
	if (c->next)
		c->next->prev = c->prev;
}

static struct chunk *chunk_new(struct arena *a, uint32_t piece)
{
	struct chunk *c = map_chunk();
	int64_t number = c ? free_number(a) : -1;

	if (number < 0) {
		if (c)
			munmap(c, CHUNK_BYTES);
		return NULL;
	}
	*c = (struct chunk){.number = (uint32_t)number, .piece = piece, .fresh = sizeof(*c)};
	a->chunk[number] = c;
	link_room(a, c);
	return c;
}

static bool has_room(const struct chunk *c)
{
	return c->free || c->fresh + c->piece <= CHUNK_BYTES;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	uint32_t piece = (uint32_t)((bytes + STEP - 1) / STEP * STEP);

	assert(bytes && piece <= ARENA_PIECE_MAX);
	struct chunk *c = a->room[piece / STEP];
	struct free_piece *p;

	if (!c)
		c = chunk_new(a, piece);
	if (!c)
		return NULL;
	p = c->free;
	if (p) {
		ASAN_UNPOISON_MEMORY_REGION(p, piece);
		c->free = p->next;
	} else {
		p = (struct free_piece *)((char *)c + c->fresh);
		c->fresh += piece;
	}
	c->used++;
	if (!has_room(c))
		unlink_room(a, c);
	return p;
}

void arena_free(struct arena *a, void *piece)
{
	struct chunk *c = chunk_of(piece);
	struct free_piece *p = piece;

	if (!has_room(c))
		link_room(a, c);
	p->next = c->free;
	c->free = p;
	if (--c->used) {
		if (c->piece > ARENA_KEPT)
			ASAN_POISON_MEMORY_REGION(
				(char *)piece + ARENA_KEPT, c->piece - ARENA_KEPT);
		return;
	}
	unlink_room(a, c);
	a->chunk[c->number] = NULL;
	unmap_chunk(c);
}

uint32_t arena_ref(const void *piece)
{
	const struct chunk *c = chunk_of(piece);

	return (uint32_t)(c->number * CHUNK_STEPS +
			  (size_t)((const char *)piece - (const char *)c) / STEP);
}

void *arena_at(const struct arena *a, uint32_t ref)
{
	return (char *)a->chunk[ref / CHUNK_STEPS] + ref % CHUNK_STEPS * STEP;
}

void *arena_find(const struct arena *a, uint32_t ref)
{
	size_t number = ref / CHUNK_STEPS, at = ref % CHUNK_STEPS * STEP;
	struct chunk *c = number < a->chunks ? a->chunk[number] : NULL;

	if (!c || at < sizeof(*c) || at >= c->fresh || (at - sizeof(*c)) % c->piece)
		return NULL;
	return (char *)c + at;
}

void arena_each(const struct arena *a, piece_fn *each, void *arg)
{
	for (size_t i = 0; i < a->chunks; i++) {
		struct chunk *c = a->chunk[i];

		for (size_t at = sizeof(*c); c && at < c->fresh; at += c->piece)
			each(arg, (char *)c + at);
	}
}
