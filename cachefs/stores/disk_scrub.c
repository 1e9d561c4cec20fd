/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that reads back: see disk_scrub.h. */
#include "cachefs/stores/disk_scrub.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

/* The kernel's names, which no header of the C library has. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

void scrub_init(struct scrub *s, struct cache *c, struct disk_files *files, double rate)
{
	*s = (struct scrub){.cache = c, .files = files, .rate = rate};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->stopping, NULL);
}

void scrub_done(struct scrub *s)
{
	pthread_cond_destroy(&s->stopping);
	pthread_mutex_destroy(&s->lock);
}

/* b: pinned, given back. */
static void check(struct scrub *s, struct block *b, void *buf)
{
	struct cache *c = s->cache;
	struct extent ext;

	cache_extent(c, b, (uint64_t)b->number * c->block_size, b->len, &ext);
	ext.off += files_offset(c, b);
	if (files_get(s->files, files_of(s->files, b), &ext.fd) < 0) {
		cache_reject(c, b);
		cache_unpin(c, b);
		return;
	}
	counter_add(c->store->counters, LAYER_scrubbed_bytes, (int64_t)ext.len);
	if (extent_read(&ext, buf) < 0 || extent_check(&ext, buf) < 0) {
		extent_reject(&ext);
	} else {
		cache_verified(c, b);
		extent_put(&ext);
	}
}

/* A round begins at slot 0, and is the last when nothing was found in it. */
struct round {
	uint32_t cursor;
	bool found;
};

/* Until the time has come or all ends; false: it ends. Goes on where somebody asked. */
static bool wait_until(struct scrub *s, int64_t until_ns, struct round *round)
{
	struct timespec until = {until_ns / NSEC_PER_SEC, until_ns % NSEC_PER_SEC};

	HOLD(&s->lock);
	while (!s->stop && clock_now_ns() < until_ns)
		pthread_cond_clockwait(&s->stopping, &s->lock, CLOCK_MONOTONIC, &until);
	if (s->asked)
		*round = (struct round){s->slot, true};
	s->asked = false;
	return !s->stop;
}

static void *scrub(void *arg)
{
	struct scrub *s = arg;
	AUTO(free) void *buf = aligned_alloc(SPACE_ALIGN, space_round(s->cache->block_size));
	int64_t next_ns = clock_now_ns();
	struct round round = {.found = true};

	/* Its reads give way where the scheduler knows how; its CPU does not, since it takes locks. */
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	while (buf && wait_until(s, next_ns, &round)) {
		if (!round.cursor && !round.found)
			break;
		if (!round.cursor)
			round.found = false;
		struct block *b = cache_next_unverified(s->cache, PACKED_MAX, &round.cursor);

		if (!b)
			continue;
		round.found = true;
		next_ns = clock_now_ns() + (int64_t)(b->len / s->rate * NSEC_PER_SEC);
		check(s, b, buf);
	}
	return NULL;
}

void scrub_ask(struct scrub *s, uint32_t slot)
{
	HOLD(&s->lock);
	if (s->rate <= 0 || s->stop)
		return;
	s->slot = slot;
	s->asked = true;
	if (!s->started)
		s->started = !pthread_create(&s->thread, NULL, scrub, s);
}

void scrub_stop(struct scrub *s)
{
	pthread_mutex_lock(&s->lock);
	bool join = s->started && !s->stop;

	s->stop = true;
	pthread_cond_signal(&s->stopping);
	pthread_mutex_unlock(&s->lock);
	if (join)
		pthread_join(s->thread, NULL);
}
