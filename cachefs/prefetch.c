/* SPDX-License-Identifier: Apache-2.0 */
/* Follows a plan: see prefetch.h. One thread, the caller's, reads the plan; pool threads fetch. */
#include "cachefs/prefetch_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define FLYING_MAX                                                                                 \
	(32 << 20) /* bytes fetched at once: what does not land in the tier takes memory of its own */
#define GUESS_FIRST (128 << 10) /* bytes of a file before any is known */
#define REFUSED_MAX 32          /* pieces in a row that the tier did not keep: it is full */

AUTO_FREE(plan, struct plan, plan_close);

/* A piece that a pool thread fetches. */
struct fetch {
	struct prefetch *pf;
	const _Atomic bool *stop;
	uint64_t n, block, where, bytes; /* bytes: as it was counted */
	struct object obj;               /* version 0: not known */
	bool last;                       /* of its line */
	char name[];
};

static void note_error(struct prefetch *pf, const char *name, int code)
{
	struct prefetch_progress *p = &pf->progress;

	if (!p->errors++)
		snprintf(p->error, sizeof(p->error), "%s: %s", name, strerror(-code));
}

/* ---- on the pool ---- */

/* Locked. Keeps the rest of a large file for the thread that reads the plan. */
static int keep_rest(struct prefetch *pf, const struct fetch *f, const struct object *obj)
{
	size_t len = strlen(f->name) + 1;
	struct rest *rest = malloc(sizeof(*rest) + len);

	if (!rest)
		return -ENOMEM;
	*rest = (struct rest){.next = pf->rest, .obj = *obj, .where = f->where};
	rest->obj.name = memcpy(rest->name, f->name, len);
	pf->rest = rest;
	return 0;
}

/* The block of obj, which may end before it. */
static int warm_piece(
	const struct fetch *f, const struct object *obj, uint64_t *ret_len, uint64_t *ret_added)
{
	struct prefetch *pf = f->pf;
	uint64_t off = f->block * pf->block_size;

	if (off >= obj->size)
		return 0;
	*ret_len = obj->size - off < pf->block_size ? obj->size - off : pf->block_size;
	return stack_warm_range(pf->stack, obj, off, *ret_len, ret_added);
}

static int fetch_block(struct fetch *f, struct object *obj, uint64_t *ret_len, uint64_t *ret_added)
{
	struct store *top = stack_top(f->pf->stack);
	int r = obj->version ? 0 : store_stat(top, f->name, STORE_WAIT, obj);

	if (r < 0)
		return r;
	r = obj->is_dir ? -EISDIR : warm_piece(f, obj, ret_len, ret_added);
	if (r != -ESTALE)
		return r;
	/* Changed since it was listed: who opens it now gets the new version. */
	r = store_stat(top, f->name, STORE_FRESH, obj);
	return r < 0 || obj->is_dir ? r : warm_piece(f, obj, ret_len, ret_added);
}

static void count_fetched(struct prefetch *pf, int r, uint64_t added)
{
	if (r < 0) {
		counter_add(pf->counters, PLAN_failed, r != -ECANCELED);
	} else if (added) {
		counter_add(pf->counters, PLAN_fetched, 1);
		counter_add(pf->counters, PLAN_fetched_bytes, (int64_t)added);
	} else {
		counter_add(pf->counters, PLAN_present, 1);
	}
}

/* Locked. */
static void take_result(
	struct prefetch *pf, const struct fetch *f, int r, uint64_t len, uint64_t added)
{
	struct prefetch_progress *p = &pf->progress;

	window_landed(&pf->window, f->n, r >= 0, len);
	pf->refused = r == -ENOSPC ? pf->refused + 1 : 0;
	if (pf->refused >= REFUSED_MAX)
		p->full = true;
	if (r < 0 && r != -ECANCELED)
		note_error(pf, f->name, r);
	else if (len && len < pf->block_size)
		pf->guess = pf->guess - pf->guess / 8 + len / 8;
	p->lines_done += f->last;
	p->bytes_done += (int64_t)len;
	p->bytes_added += (int64_t)added;
	count_fetched(pf, r, added);
}

/* Locked, both. */
static void begin_flight(struct prefetch *pf, struct fetch *f, uint64_t bytes)
{
	f->bytes = bytes;
	pf->in_flight++;
	pf->in_flight_bytes += bytes;
}

static void end_flight(struct prefetch *pf, const struct fetch *f)
{
	pf->in_flight--;
	pf->in_flight_bytes -= f->bytes;
}

static void run_fetch(void *arg)
{
	struct fetch *f = arg;
	struct prefetch *pf = f->pf;
	struct object obj = f->obj;
	uint64_t len = 0, added = 0;
	bool unknown = !obj.version;
	int r = *f->stop ? -ECANCELED : fetch_block(f, &obj, &len, &added);

	pthread_mutex_lock(&pf->lock);
	if (r >= 0 && unknown && !f->block && obj.size > pf->block_size && f->last) {
		r = keep_rest(pf, f, &obj);
		f->last = r < 0;
	}
	take_result(pf, f, r, r < 0 ? 0 : len, added);
	end_flight(pf, f);
	pthread_cond_broadcast(&pf->changed);
	pthread_mutex_unlock(&pf->lock);
	free(f);
}

/* ---- reading the plan ---- */

static struct fetch *fetch_new(
	struct prefetch *pf, const _Atomic bool *stop, const char *name, const struct object *obj)
{
	size_t len = strlen(name) + 1;
	struct fetch *f = malloc(sizeof(*f) + len);

	if (!f)
		return NULL;
	*f = (struct fetch){.pf = pf, .stop = stop};
	memcpy(f->name, name, len);
	if (obj)
		f->obj = *obj;
	f->obj.name = f->name;
	return f;
}

/* Whether a piece of so many bytes may come: the window takes it, or the tier has so much room that
 * nothing has to go for it. Locked. */
static bool has_room(struct prefetch *pf, uint64_t bytes)
{
	uint64_t coming = ((uint64_t)pf->in_flight + 1) * pf->block_size + pf->kept_free;

	return window_room(&pf->window, bytes, stack_free_bytes(pf->stack) > coming);
}

static int submit(struct prefetch *pf, struct fetch *f)
{
	int r;

	while ((r = stack_submit(pf->stack, run_fetch, f)) == -EAGAIN && !*f->stop)
		clock_sleep_until(clock_now_ns() + 10 * NSEC_PER_MSEC); /* readers have it */
	return r;
}

/* Takes f, which is in the window and counted as in flight, over. */
static void send(struct prefetch *pf, struct fetch *f)
{
	int r = submit(pf, f);

	if (r >= 0)
		return;
	pthread_mutex_lock(&pf->lock);
	take_result(pf, f, r, 0, 0);
	end_flight(pf, f);
	pthread_mutex_unlock(&pf->lock);
	free(f);
}

/* The tier has held piece n for long, and others have come since: it must not be what goes next. */
static void renew_piece(
	struct prefetch *pf, const _Atomic bool *stop, uint64_t n, const struct window_piece *p)
{
	struct plan_line line;
	struct object obj;

	plan_seek(pf->again, p->where);
	if (plan_next(pf->again, &line, NULL) <= 0 ||
		store_stat(stack_top(pf->stack), line.name, STORE_NOWAIT, &obj) < 0 ||
		stack_holds(pf->stack, &obj, p->block * pf->block_size))
		return;
	struct fetch *f = fetch_new(pf, stop, line.name, &obj);

	if (!f)
		return;
	f->n = n;
	f->block = p->block;
	pthread_mutex_lock(&pf->lock);
	begin_flight(pf, f, p->pages * WINDOW_PAGE);
	pthread_mutex_unlock(&pf->lock);
	send(pf, f);
}

static bool too_many(const struct prefetch *pf, uint64_t bytes)
{
	return pf->in_flight >= pf->most ||
	       (pf->in_flight && pf->in_flight_bytes + bytes > pf->flying_max);
}

/* Locked; not meanwhile. */
static void renew(struct prefetch *pf, const _Atomic bool *stop)
{
	uint64_t n;

	while (!too_many(pf, 0) && window_renew(&pf->window, &n)) {
		struct window_piece p = *window_piece(&pf->window, n);

		pthread_mutex_unlock(&pf->lock);
		renew_piece(pf, stop, n, &p);
		pthread_mutex_lock(&pf->lock);
	}
}

/* Waits for room in the window and among the fetches; false: stop. Locked. */
static bool wait_for_room(struct prefetch *pf, const _Atomic bool *stop, uint64_t bytes)
{
	bool room;

	renew(pf, stop);
	while (!*stop && !pf->progress.full &&
		(!(room = has_room(pf, bytes)) || too_many(pf, bytes))) {
		pf->progress.pacing = !room && !pf->in_flight;
		pf->waiting = true;
		pthread_cond_wait(&pf->changed, &pf->lock);
		renew(pf, stop);
	}
	pf->waiting = false;
	pf->progress.pacing = false;
	return !*stop && !pf->progress.full;
}

/* Whether the thread is to go on, once there is room. */
static bool await_room(struct prefetch *pf, const _Atomic bool *stop, uint64_t bytes)
{
	HOLD(&pf->lock);
	return wait_for_room(pf, stop, bytes);
}

/* Takes f over. */
static void start_fetch(struct prefetch *pf, struct fetch *f, uint64_t bytes)
{
	if (!await_room(pf, f->stop, bytes)) {
		free(f);
		return;
	}
	/* Not before: what was held may have gone while there was no room. */
	bool held = f->obj.version && stack_holds(pf->stack, &f->obj, f->block * pf->block_size);

	pthread_mutex_lock(&pf->lock);
	f->n = window_add(&pf->window, f->name, f->block, bytes, f->where);
	if (held)
		take_result(pf, f, 0, bytes, 0);
	else
		begin_flight(pf, f, bytes);
	if (held && pf->cursors)
		pthread_cond_broadcast(&pf->changed);
	pthread_mutex_unlock(&pf->lock);
	if (held)
		free(f);
	else
		send(pf, f);
}

static void count_line(struct prefetch *pf)
{
	HOLD(&pf->lock);
	pf->progress.lines_done++;
}

static void fail_line(struct prefetch *pf, const char *name, int r)
{
	counter_add(pf->counters, PLAN_failed, 1);
	HOLD(&pf->lock);
	note_error(pf, name, r);
	pf->progress.lines_done++;
}

/* The blocks from `block` on that [0, end) of obj has. */
static void fetch_blocks(struct prefetch *pf, const _Atomic bool *stop, const struct object *obj,
	uint64_t block, uint64_t end, uint64_t where)
{
	for (uint64_t off = block * pf->block_size; off < end && !*stop; off += pf->block_size) {
		struct fetch *f = fetch_new(pf, stop, obj->name, obj);
		uint64_t left = obj->size - off;

		if (!f) {
			fail_line(pf, obj->name, -ENOMEM);
			return;
		}
		f->block = off / pf->block_size;
		f->where = where;
		f->last = end - off <= pf->block_size;
		start_fetch(pf, f, left < pf->block_size ? left : pf->block_size);
	}
}

static void take_rest(struct prefetch *pf, const _Atomic bool *stop)
{
	for (;;) {
		pthread_mutex_lock(&pf->lock);
		AUTO(free) struct rest *rest = pf->rest;

		if (rest)
			pf->rest = rest->next;
		pthread_mutex_unlock(&pf->lock);
		if (!rest)
			return;
		fetch_blocks(pf, stop, &rest->obj, 1, rest->obj.size, rest->where);
	}
}

static void follow_line(struct prefetch *pf, const _Atomic bool *stop, const struct plan_line *line)
{
	struct store *top = stack_top(pf->stack);
	struct object obj;
	int r = store_stat(top, line->name, STORE_NOWAIT, &obj);

	/* Parts are read of large files, which are few. */
	if (r == -EAGAIN && line->len)
		r = store_stat(top, line->name, STORE_WAIT, &obj);
	if (r == -EAGAIN) {
		struct fetch *f = fetch_new(pf, stop, line->name, NULL);

		if (f) {
			f->where = line->where;
			f->last = true;
			start_fetch(pf, f, pf->guess);
			return;
		}
		r = -ENOMEM;
	}
	if (r >= 0 && obj.is_dir)
		r = -EISDIR;
	if (r >= 0 && line->len && line->off >= obj.size)
		r = -ERANGE;
	if (r < 0) {
		fail_line(pf, line->name, r);
		return;
	}
	if (!obj.size)
		count_line(pf);
	uint64_t left = obj.size - line->off;
	uint64_t end = line->len && line->len < left ? line->off + line->len : obj.size;

	fetch_blocks(pf, stop, &obj, line->off / pf->block_size, end, line->where);
}

static int begin(struct prefetch *pf, const char *path, uint64_t lines, struct err *err)
{
	HOLD(&pf->lock);
	free(pf->path);
	pf->path = strdup(path);
	pf->generation++;
	pf->watching = false;
	window_done(&pf->window);
	pf->progress = (struct prefetch_progress){.lines = (int64_t)lines};
	pf->refused = 0;
	/* With lru, what was read last goes last: half of the tier unread would be pushed out by the other. */
	if (!pf->path || window_init(&pf->window, stack_capacity(pf->stack) / 3) < 0)
		return err_set(err, ENOMEM, "not enough memory for the plan");
	pf->watching = true;
	return 0;
}

static void wait_for_fetches(struct prefetch *pf)
{
	HOLD(&pf->lock);
	while (pf->in_flight)
		pthread_cond_wait(&pf->changed, &pf->lock);
}

static void forget_rest(struct prefetch *pf)
{
	while (pf->rest) {
		struct rest *rest = pf->rest;

		pf->rest = rest->next;
		free(rest);
	}
}

static bool goes_on(struct prefetch *pf, const _Atomic bool *stop)
{
	HOLD(&pf->lock);
	return !*stop && !pf->progress.full;
}

static void note_epoch(struct prefetch *pf, uint64_t epoch)
{
	HOLD(&pf->lock);
	pf->progress.epoch = (int64_t)epoch;
}

/* That of another plan: this one is read through before it begins. */
static void forget_progress(struct prefetch *pf)
{
	HOLD(&pf->lock);
	pf->progress = (struct prefetch_progress){0};
}

int prefetch_follow(
	struct prefetch *pf, const char *path, const _Atomic bool *stop, struct err *err)
{
	AUTO(plan) struct plan *plan = plan_open(path, err);
	struct plan_line line;
	uint64_t lines;

	forget_progress(pf);
	int r = plan ? plan_check(path, stop, &lines, err) : -EINVAL;

	if (r >= 0)
		r = (pf->again = plan_open(path, err)) ? begin(pf, path, lines, err) : -EINVAL;
	if (r < 0) {
		plan_close(TAKE(pf->again));
		return r;
	}
	while (goes_on(pf, stop) && (r = plan_next(plan, &line, err)) > 0) {
		note_epoch(pf, line.epoch);
		follow_line(pf, stop, &line);
		take_rest(pf, stop);
	}
	wait_for_fetches(pf);
	take_rest(pf, stop);
	wait_for_fetches(pf);
	forget_rest(pf);
	plan_close(TAKE(pf->again));
	return r < 0 ? r : 0;
}

void prefetch_wake(struct prefetch *pf)
{
	HOLD(&pf->lock);
	pthread_cond_broadcast(&pf->changed);
}

/* ---- readers ---- */

bool prefetch_watches(struct prefetch *pf, uint64_t off)
{
	return pf->watching && !(off % pf->block_size);
}

void prefetch_note(struct prefetch *pf, const char *name, uint64_t off)
{
	enum window_seen seen = SEEN_NOT;

	if (!prefetch_watches(pf, off))
		return;
	uint64_t key = window_key(name, off / pf->block_size);

	pthread_mutex_lock(&pf->lock);
	if (pf->watching)
		seen = window_read(&pf->window, key);
	if (pf->waiting || pf->cursors)
		pthread_cond_broadcast(&pf->changed);
	pthread_mutex_unlock(&pf->lock);
	if (seen == SEEN_HERE)
		counter_add(pf->counters, PLAN_hits, 1);
	else if (seen == SEEN_LATE)
		counter_add(pf->counters, PLAN_late, 1);
}

/* ---- life ---- */

struct prefetch *prefetch_new(
	struct stack *stack, const struct config *cfg, int most, struct counter_set *count)
{
	struct prefetch *pf = calloc(1, sizeof(*pf));

	if (!pf)
		return NULL;
	pf->stack = stack;
	pf->counters = count;
	pf->block_size = (uint64_t)cfg->cache.block_size;
	if (cfg->cache.watermark_high > 0)
		pf->kept_free = (uint64_t)((1 - cfg->cache.watermark_high) *
					   (double)stack_capacity(stack));
	/* What waits for the disk tier lies in memory, and is fetched again when it does not fit. */
	pf->flying_max = FLYING_MAX;
	if (cfg->mem.capacity > 0 && (uint64_t)cfg->mem.capacity / 4 < FLYING_MAX)
		pf->flying_max = (uint64_t)cfg->mem.capacity / 4;
	pf->most = most > 1 ? most : 1;
	pf->guess = GUESS_FIRST;
	pthread_mutex_init(&pf->lock, NULL);
	pthread_cond_init(&pf->changed, NULL);
	return pf;
}

void prefetch_free(struct prefetch *pf)
{
	if (!pf)
		return;
	window_done(&pf->window);
	free(pf->path);
	pthread_cond_destroy(&pf->changed);
	pthread_mutex_destroy(&pf->lock);
	free(pf);
}

void prefetch_progress(struct prefetch *pf, struct prefetch_progress *ret)
{
	HOLD(&pf->lock);
	*ret = pf->progress;
}

json_t *prefetch_stats(struct prefetch *pf)
{
	json_t *into = counters_to_json(pf->counters, GROUP_PLAN);

	HOLD(&pf->lock);
	json_object_set_new(into, "ahead_bytes",
		json_integer(pf->watching ? (json_int_t)window_bytes(&pf->window) : 0));
	json_object_set_new(
		into, "window_bytes", json_integer((json_int_t)pf->window.limit * WINDOW_PAGE));
	return into;
}
