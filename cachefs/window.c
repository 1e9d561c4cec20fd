/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of pieces, and a hash table of chains through it: see window.h. A chain leads from newer to older
 * pieces and ends where the ring has forgotten: no piece is ever taken out of it. */
#include "cachefs/window.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/hash.h"

#define SIZE_FIRST 4096
#define PAGE WINDOW_PAGE
#define PAGES_MAX UINT16_MAX

int window_init(struct window *w, uint64_t limit_bytes)
{
	uint64_t limit = limit_bytes / PAGE;

	*w = (struct window){.size = SIZE_FIRST};
	w->limit = limit < INT32_MAX ? (uint32_t)limit : INT32_MAX;
	w->piece = calloc(w->size, sizeof(*w->piece));
	w->bucket = calloc(w->size, sizeof(*w->bucket));
	if (w->piece && w->bucket)
		return 0;
	window_done(w);
	return -ENOMEM;
}

void window_done(struct window *w)
{
	free(w->piece);
	free(w->bucket);
	*w = (struct window){0};
}

uint64_t window_key(const char *name, uint64_t block)
{
	uint64_t h = hash_text(HASH_START ^ block * 0x9e3779b97f4a7c15u, name);

	return h ^ h >> 32;
}

static struct window_piece *piece_at(const struct window *w, uint64_t n)
{
	return &w->piece[n & (w->size - 1)];
}

const struct window_piece *window_piece(const struct window *w, uint64_t n)
{
	return n < w->head && w->head - n <= w->size ? piece_at(w, n) : NULL;
}

/* The number whose low bits these are, if the ring still has it: head - size <= n < head. */
static bool is_kept(const struct window *w, uint32_t low, uint64_t *ret)
{
	uint32_t back = (uint32_t)w->head - low;

	if (!back || back > w->size || back > w->head)
		return false;
	*ret = w->head - back;
	return true;
}

/* ---- adding ---- */

static void link_piece(struct window *w, uint64_t n)
{
	struct window_piece *p = piece_at(w, n);
	uint32_t *bucket = &w->bucket[p->key & (w->size - 1)];

	p->older = *bucket;
	*bucket = (uint32_t)n;
}

/* Doubles the ring; what is in it keeps its number. */
static int grow(struct window *w)
{
	struct window old = *w;
	size_t size = 2 * old.size;
	struct window_piece *piece = calloc(size, sizeof(*piece));
	uint32_t *bucket = calloc(size, sizeof(*bucket));

	if (!piece || !bucket) {
		free(piece);
		free(bucket);
		return -ENOMEM;
	}
	w->piece = piece;
	w->bucket = bucket;
	w->size = size;
	/* Empty buckets are 0: outside the ring, or a piece whose key will not agree. */
	w->head = old.head > old.size ? old.head - old.size : 0;
	while (w->head < old.head) {
		*piece_at(w, w->head) = *piece_at(&old, w->head);
		link_piece(w, w->head++);
	}
	free(old.piece);
	free(old.bucket);
	return 0;
}

static uint32_t pages_of(uint64_t bytes)
{
	uint64_t pages = (bytes + PAGE - 1) / PAGE;

	return pages < PAGES_MAX ? (uint32_t)pages : PAGES_MAX;
}

static uint32_t at_of(const struct window *w, uint64_t n)
{
	return n < w->head ? piece_at(w, n)->at : w->head_at;
}

/* Whether so many bytes at `at` lie within the limit. */
static bool is_near(const struct window *w, uint32_t at, uint64_t bytes)
{
	return at - at_of(w, w->tail) + pages_of(bytes) <= w->limit;
}

bool window_room(const struct window *w, uint64_t bytes, bool beyond)
{
	if (w->head == w->tail)
		return true;
	if (w->head - w->tail == WINDOW_PIECES_MAX)
		return false;
	return beyond || is_near(w, w->head_at, bytes);
}

uint64_t window_add(
	struct window *w, const char *name, uint64_t block, uint64_t bytes, uint64_t where)
{
	/* A full ring without memory to grow forgets its oldest piece. */
	if (w->head - w->tail == w->size && (w->size == WINDOW_PIECES_MAX || grow(w) < 0))
		w->tail++;
	uint64_t n = w->head;
	struct window_piece *p = piece_at(w, n);

	if (w->given_tail + w->size == n) { /* the place of one that is not counted any more */
		w->given_pages -= p->given ? p->pages : 0;
		w->given_tail++;
	}
	*p = (struct window_piece){.key = window_key(name, block),
		.far = !is_near(w, w->head_at, bytes),
		.where = where & ((1ull << 40) - 1),
		.block = block & ((1u << 24) - 1),
		.at = w->head_at,
		.pages = (uint16_t)pages_of(bytes)};
	link_piece(w, n);
	w->head_at += p->pages;
	w->head++;
	return n;
}

bool window_renew(struct window *w, uint64_t *ret_n)
{
	if (w->renewed < w->tail)
		w->renewed = w->tail;
	while (w->renewed < w->head) {
		struct window_piece *p = piece_at(w, w->renewed);

		if (!is_near(w, p->at + p->pages, 0))
			return false;
		*ret_n = w->renewed++;
		if (!p->far || p->read || p->state != PIECE_HERE)
			continue;
		p->far = false;
		return true;
	}
	return false;
}

/* ---- reading ---- */

static void note_front(struct window *w, uint64_t n)
{
	uint64_t mark = n + 1;

	for (int i = 0; i < WINDOW_FRONTS; i++)
		if (mark > w->front[i]) {
			uint64_t less = w->front[i];

			w->front[i] = mark;
			mark = less;
		}
}

/* Where the readers are, in pages of the plan; false: not known yet. */
static bool front_at(const struct window *w, uint32_t *ret)
{
	uint64_t mark = w->front[WINDOW_FRONTS - 1];
	const struct window_piece *p = mark ? window_piece(w, mark - 1) : NULL;

	if (p)
		*ret = p->at;
	return p;
}

static void move_tail(struct window *w)
{
	uint32_t front = 0;
	bool known = front_at(w, &front);

	while (w->tail < w->head) {
		const struct window_piece *p = piece_at(w, w->tail);
		int32_t behind = (int32_t)(front - p->at);
		bool passed = known && behind > (int32_t)(w->limit / 4);

		if (!p->read && !passed && p->state != PIECE_FAILED)
			break;
		w->tail++;
	}
}

void window_landed(struct window *w, uint64_t n, bool here, uint64_t bytes)
{
	if (!window_piece(w, n))
		return;
	if (bytes && !piece_at(w, n)->given)
		piece_at(w, n)->pages = (uint16_t)pages_of(bytes);
	piece_at(w, n)->state = here ? PIECE_HERE : PIECE_FAILED;
	if (!here)
		move_tail(w);
}

static void take_back(struct window *w, struct window_piece *p)
{
	if (p->given)
		w->given_pages -= p->pages;
	p->given = false;
}

enum window_seen window_read(struct window *w, uint64_t key)
{
	uint32_t low = w->bucket[key & (w->size - 1)];
	struct window_piece *found = NULL;
	enum window_seen seen = SEEN_NOT;
	uint64_t n, last = w->head, number = 0;

	while (is_kept(w, low, &n) && n < last) {
		struct window_piece *p = piece_at(w, n);

		if (p->key == key && !p->read && (n >= w->tail || !found)) {
			found = p;
			number = n;
		}
		if (p->key == key)
			seen = SEEN_AGAIN;
		last = n;
		low = p->older;
	}
	if (!found)
		return seen;
	found->read = true;
	take_back(w, found);
	if (number >= w->tail) {
		note_front(w, number);
		move_tail(w);
	}
	return found->state == PIECE_HERE ? SEEN_HERE : SEEN_LATE;
}

/* ---- giving on ---- */

void window_give(struct window *w, uint64_t n)
{
	struct window_piece *p = piece_at(w, n);

	w->given_pages += p->given ? 0 : p->pages;
	p->given = true;
}

void window_take_back(struct window *w, uint64_t n)
{
	if (window_piece(w, n))
		take_back(w, piece_at(w, n));
}

uint64_t window_given(struct window *w, uint64_t slack)
{
	uint32_t front = 0;
	bool known = front_at(w, &front);

	while (w->given_tail < w->head) {
		struct window_piece *p = piece_at(w, w->given_tail);
		int64_t behind = (int32_t)(front - p->at);

		if (w->given_tail >= w->tail && !(known && behind > (int64_t)(slack / PAGE)))
			break;
		take_back(w, p);
		w->given_tail++;
	}
	return w->given_pages * PAGE;
}

uint64_t window_bytes(const struct window *w)
{
	return (uint64_t)(w->head_at - at_of(w, w->tail)) * PAGE;
}
