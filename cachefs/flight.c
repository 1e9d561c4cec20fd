/* SPDX-License-Identifier: Apache-2.0 */
/* Flights and the pieces parked on them: see flight.h. */
#include "cachefs/flight.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

void flights_init(struct flights *fs)
{
	*fs = (struct flights){0};
	pthread_mutex_init(&fs->lock, NULL);
	pthread_cond_init(&fs->poked, NULL);
}

void flights_done(struct flights *fs)
{
	for (size_t i = 0; i < FLIGHT_BUCKETS; i++)
		assert(!fs->bucket[i]);
	pthread_cond_destroy(&fs->poked);
	pthread_mutex_destroy(&fs->lock);
}

static struct flight **bucket_of(struct flights *fs, const struct object *obj, uint32_t number)
{
	uint64_t h = obj->version + number * 0x9e3779b97f4a7c15ull;

	return &fs->bucket[(h ^ h >> 32) % FLIGHT_BUCKETS];
}

static struct flight *find_flight(struct flights *fs, const struct object *obj, uint32_t number)
{
	struct flight *f = *bucket_of(fs, obj, number);

	while (f && (f->number != number || f->obj.version != obj->version ||
			    f->obj.size != obj->size || strcmp(f->obj.name, obj->name)))
		f = f->next;
	return f;
}

/* Locked. */
static struct flight *add_flight(struct flights *fs, const struct flight_block *block)
{
	struct flight **head = bucket_of(fs, block->obj, block->number), *f;
	size_t name_len = strlen(block->obj->name) + 1;

	f = malloc(sizeof(*f) + name_len);
	if (!f)
		return NULL;
	*f = (struct flight){.obj = *block->obj,
		.off = block->off,
		.number = block->number,
		.len = block->len,
		.next = *head};
	f->obj.name = memcpy(f + 1, block->obj->name, name_len);
	*head = f;
	return f;
}

static bool piece_ready(const struct flight *f, const struct piece *p)
{
	return p->off + p->len <= f->off + f->filled;
}

/* Locked. */
static bool claim(struct flight *f)
{
	if (f->claimed)
		return false;
	f->claimed = true;
	f->uses++;
	return true;
}

int flight_join(struct flights *fs, const struct flight_block *block, struct piece *piece,
	bool fill, struct flight **ret)
{
	HOLD(&fs->lock);
	if (fs->closing)
		return -ESHUTDOWN;
	struct flight *f = find_flight(fs, block->obj, block->number);
	bool made = !f;

	if (made && !(f = add_flight(fs, block)))
		return -ENOMEM;
	assert(piece->off >= f->off && piece->off + piece->len <= f->off + f->len);
	piece->flight = f;
	piece->late = f->data && piece_ready(f, piece);
	piece->next = f->waiting;
	f->waiting = piece;
	if (made && !fill)
		f->uses++;
	*ret = (fill ? claim(f) : made) ? f : NULL;
	return 0;
}

int flight_start(struct flights *fs, const struct flight_block *block, struct flight **ret)
{
	HOLD(&fs->lock);
	if (fs->closing)
		return -ESHUTDOWN;
	if (find_flight(fs, block->obj, block->number))
		return -EEXIST;
	struct flight *f = add_flight(fs, block);

	if (!f)
		return -ENOMEM;
	f->uses++;
	*ret = f;
	return 0;
}

bool flight_claim(struct flights *fs, struct flight *f)
{
	HOLD(&fs->lock);
	return claim(f);
}

/* Ends a use. */
static void flight_put(struct flights *fs, struct flight *f)
{
	pthread_mutex_lock(&fs->lock);
	bool last = !--f->uses;

	pthread_mutex_unlock(&fs->lock);
	if (last)
		free(f);
}

void flight_unqueue(struct flights *fs, struct flight *f)
{
	flight_put(fs, f);
}

bool flight_leave(struct flights *fs, struct piece *piece)
{
	HOLD(&fs->lock);
	if (!piece->flight)
		return false;
	struct piece **link = &piece->flight->waiting;

	while (*link != piece)
		link = &(*link)->next;
	*link = piece->next;
	piece->flight = NULL;
	return true;
}

void flight_begin(struct flights *fs, struct flight *f, const void *data)
{
	HOLD(&fs->lock);
	f->data = data;
}

/* Takes the pieces whose bytes are there off the flight (all of them if `all`). Locked. */
static struct piece *take_ready(struct flight *f, bool all)
{
	struct piece *ready = NULL, **link = &f->waiting, *p;

	while ((p = *link)) {
		if (!all && !piece_ready(f, p)) {
			link = &p->next;
			continue;
		}
		*link = p->next;
		p->flight = NULL;
		p->next = ready;
		ready = p;
	}
	return ready;
}

static void answer(const struct flight *f, struct piece *ready, int status)
{
	while (ready) {
		struct piece *p = ready;

		ready = p->next; /* the owner may free p at once */
		p->arrived(p, status, status ? NULL : f->data + (p->off - f->off));
	}
}

int flight_advance(struct flights *fs, struct flight *f, uint32_t filled)
{
	pthread_mutex_lock(&fs->lock);
	bool closing = fs->closing;
	struct piece *ready;

	f->filled = filled;
	ready = take_ready(f, false);
	pthread_mutex_unlock(&fs->lock);
	answer(f, ready, 0);
	return closing ? -ESHUTDOWN : 0;
}

void flight_end(struct flights *fs, struct flight *f, int status)
{
	pthread_mutex_lock(&fs->lock);
	struct flight **link = bucket_of(fs, &f->obj, f->number);
	struct piece *ready = take_ready(f, true);

	while (*link != f)
		link = &(*link)->next;
	*link = f->next;
	while (f->poking) /* as long as a reply takes */
		pthread_cond_wait(&fs->poked, &fs->lock);
	pthread_mutex_unlock(&fs->lock);
	answer(f, ready, status);
	flight_put(fs, f);
}

/* A flight with pieces that can be answered, now also used by the caller. Locked. */
static struct flight *find_late(struct flights *fs, struct piece **ret_ready)
{
	for (size_t i = 0; i < FLIGHT_BUCKETS; i++)
		for (struct flight *f = fs->bucket[i]; f; f = f->next)
			if (f->data && (*ret_ready = take_ready(f, false)))
				return f;
	return NULL;
}

void flights_poke(struct flights *fs)
{
	struct piece *ready;
	struct flight *f;

	pthread_mutex_lock(&fs->lock);
	while ((f = find_late(fs, &ready))) {
		f->poking++;
		pthread_mutex_unlock(&fs->lock);
		answer(f, ready, 0);
		pthread_mutex_lock(&fs->lock);
		f->poking--;
		pthread_cond_broadcast(&fs->poked);
	}
	pthread_mutex_unlock(&fs->lock);
}

void flights_shutdown(struct flights *fs)
{
	HOLD(&fs->lock);
	fs->closing = true;
}
