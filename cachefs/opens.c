/* SPDX-License-Identifier: Apache-2.0 */
/* Open files in a chained hash table by node id: see opens.h. Only files that are open are in it. */
#include "cachefs/opens.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/cleanup.h"

#define BUCKETS 1024

struct open_file {
	struct open_file *next;
	uint64_t node;
	uint32_t handles;
	int32_t id; /* > 0: PASSTHROUGH */
};

/* What was opened since the last look. */
struct window {
	uint32_t files, small;
	uint64_t bytes;
};

struct opens {
	pthread_mutex_t lock;        /* all below */
	bool latch, wanted, no_open; /* wanted: when the last PASSTHROUGH file is closed */
	struct window window;
	size_t files, passthrough;
	struct open_file *bucket[BUCKETS];
};

struct opens *opens_new(bool latch)
{
	struct opens *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	pthread_mutex_init(&o->lock, NULL);
	o->latch = latch;
	return o;
}

/* Locked. */
static void forget_all(struct opens *o)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct open_file *f = o->bucket[i], *next;

		for (; f; f = next) {
			next = f->next;
			free(f);
		}
		o->bucket[i] = NULL;
	}
	o->files = o->passthrough = 0;
}

void opens_free(struct opens *o)
{
	if (!o)
		return;
	forget_all(o);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

static struct open_file **find(struct opens *o, uint64_t node)
{
	struct open_file **link = &o->bucket[node % BUCKETS];

	while (*link && (*link)->node != node)
		link = &(*link)->next;
	return link;
}

static struct open_answer answer(const struct open_file *f)
{
	return (struct open_answer){f->id > 0 ? PASSTHROUGH : CACHED, f->id};
}

/* ---- when to be asked no more; locked ---- */

static void look_at(struct opens *o, uint64_t size)
{
	struct window *w = &o->window;

	w->files++;
	w->small += size < OPENS_SMALL_BYTES;
	w->bytes += size;
	if (w->files < OPENS_WINDOW)
		return;
	o->wanted = w->small >= OPENS_SMALL_MIN && w->bytes < OPENS_WINDOW_BYTES;
	*w = (struct window){0};
}

/* How many handles there are is not known from here on: nobody tells of their end. */
static bool ask_no_more(struct opens *o)
{
	if (!o->no_open && o->wanted && !o->passthrough) {
		o->no_open = true;
		forget_all(o);
	}
	return o->no_open;
}

/* ---- OPEN and RELEASE ---- */

bool opens_join(struct opens *o, uint64_t node, uint64_t size, struct open_answer *ret)
{
	HOLD(&o->lock);
	if (o->latch && !o->no_open)
		look_at(o, size);
	if (ask_no_more(o)) {
		*ret = (struct open_answer){NO_OPEN, 0};
		return true;
	}
	struct open_file *f = *find(o, node);

	if (!f)
		return false;
	f->handles++;
	*ret = answer(f);
	return true;
}

int opens_enter(struct opens *o, uint64_t node, int32_t id, struct open_answer *ret)
{
	HOLD(&o->lock);
	if (o->no_open) { /* since it did not join */
		*ret = (struct open_answer){NO_OPEN, 0};
		return 0;
	}
	struct open_file **link = find(o, node);

	if (!*link) {
		*link = calloc(1, sizeof(**link));
		if (!*link)
			return -ENOMEM;
		(*link)->node = node;
		(*link)->id = id;
		o->files++;
		o->passthrough += id > 0;
	}
	(*link)->handles++;
	*ret = answer(*link);
	return 0;
}

bool opens_leave(struct opens *o, uint64_t node, struct open_answer *ret)
{
	HOLD(&o->lock);
	struct open_file **link = find(o, node), *f = *link;

	if (!f || --f->handles)
		return false; /* not there: answered before NO_OPEN */
	*ret = answer(f);
	*link = f->next;
	o->files--;
	o->passthrough -= f->id > 0;
	free(f);
	return true;
}

size_t opens_count(struct opens *o)
{
	HOLD(&o->lock);
	return o->files;
}

size_t opens_passthrough(struct opens *o)
{
	HOLD(&o->lock);
	return o->passthrough;
}
