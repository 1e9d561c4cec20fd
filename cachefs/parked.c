/* SPDX-License-Identifier: Apache-2.0 */
/* Parked reads.
 *
 * A wait stands for a parked read: a piece a block, each on its block's flight. It is answered
 * once, by whoever comes first: the last piece, an error, the deadline, a cancel, or the closing of
 * the stack. Pieces that are just being delivered hold on to it until they are through.
 *
 * A wait in the list is not answered; the piece that completes it goes through answer(), which
 * takes the lock. So whoever holds the lock may use any wait in the list. */
#include "cachefs/parked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/stores/mem.h"
#include "common/cleanup.h"
#include "common/clock.h"

struct wait_piece {
	struct piece piece;
	struct wait *wait;
	bool there; /* its bytes are in buf already */
};

struct wait {
	struct waits *waits;
	struct wait *next, **link; /* waits->lock */
	struct parked *parked;     /* NULL once answered; waits->lock */
	_Atomic int missing;       /* pieces whose bytes are not in buf yet */
	_Atomic int users;         /* pieces outstanding, and the maker */
	char *buf;                 /* several pieces: where they come together */
	struct object *direct;     /* what to read from `from` on a pool thread; else NULL */
	struct store *from;
	int pieces;
	struct wait_piece part[];
};

static void wait_put(struct wait *w, int n)
{
	if (atomic_fetch_sub(&w->users, n) > n)
		return;
	free(w->direct);
	free(w->buf);
	free(w);
}

/* Takes the right to answer w; NULL: it was answered. Locked. */
static struct parked *claim(struct wait *w)
{
	struct parked *p = w->parked;

	if (!p)
		return NULL;
	w->parked = NULL;
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	return p;
}

static void answer(struct wait *w, int status, const void *data)
{
	struct parked *p;
	struct reply reply;

	pthread_mutex_lock(&w->waits->lock);
	p = claim(w);
	pthread_mutex_unlock(&w->waits->lock);
	if (!p)
		return;
	if (status < 0) {
		p->done(p, status, NULL);
		return;
	}
	reply.n = 1;
	reply.n_ext = 0;
	reply.iov[0] = (struct iovec){(void *)(uintptr_t)data, p->len};
	p->done(p, 0, &reply);
}

static void piece_arrived(struct piece *piece, int status, const void *data)
{
	struct wait_piece *part = container_of(piece, struct wait_piece, piece);
	struct wait *w = part->wait;

	if (!status)
		counter_add(w->waits->mem->counters, LAYER_read_bytes, (int64_t)piece->len);
	if (status < 0) {
		answer(w, status, NULL);
	} else if (w->pieces == 1) {
		answer(w, 0, data);
	} else {
		memcpy(w->buf + (piece->off - w->part[0].piece.off), data, piece->len);
		if (atomic_fetch_sub(&w->missing, 1) == 1)
			answer(w, 0, w->buf);
	}
	wait_put(w, 1);
}

/* Layers above mem (throttle, say) see the read too: a pool thread goes through them all. So does one below mem
 * when no more is to be fetched than is asked for. */
static void read_direct(void *arg)
{
	struct wait *w = arg;
	struct piece *piece = &w->part[0].piece;
	AUTO(free) char *buf = malloc(piece->len);
	int r = buf ? store_read(w->from, w->direct, piece->off, buf, piece->len) : -ENOMEM;

	answer(w, r, buf);
	wait_put(w, 1);
}

static struct object *object_copy(const struct object *obj)
{
	size_t name_len = strlen(obj->name) + 1;
	struct object *copy = malloc(sizeof(*copy) + name_len);

	if (!copy)
		return NULL;
	*copy = *obj;
	copy->name = memcpy(copy + 1, obj->name, name_len);
	return copy;
}

static int count_pieces(struct waits *ws, const struct object *obj, const struct parked *p)
{
	uint64_t off = p->off;
	size_t len = p->len;
	int n = 1;

	for (size_t left; len > (left = mem_block_left(ws->mem, obj, off)); n++) {
		off += left;
		len -= left;
	}
	return n;
}

/* from: what is read directly; NULL: a piece a block. */
static struct wait *wait_new(
	struct waits *ws, const struct object *obj, struct parked *p, struct store *from)
{
	int n = from ? 1 : count_pieces(ws, obj, p);
	struct wait *w = calloc(1, sizeof(*w) + (size_t)n * sizeof(w->part[0]));
	uint64_t off = p->off, end = p->off + p->len;

	if (!w)
		return NULL;
	w->waits = ws;
	w->parked = p;
	w->pieces = n;
	w->missing = n;
	w->users = n + 1;
	w->buf = n > 1 ? malloc(p->len) : NULL;
	w->from = from;
	w->direct = from ? object_copy(obj) : NULL;
	if ((n > 1 && !w->buf) || (from && !w->direct)) {
		wait_put(w, n + 1);
		return NULL;
	}
	for (int i = 0; i < n; i++) {
		size_t left = from ? p->len : mem_block_left(ws->mem, obj, off);
		size_t len = end - off < left ? (size_t)(end - off) : left;

		w->part[i] = (struct wait_piece){
			.piece = {.arrived = piece_arrived, .off = off, .len = len}, .wait = w};
		off += len;
	}
	return w;
}

/* Into the list of waits, and the timekeeper told when this one is due first. */
static int enlist(struct waits *ws, struct wait *w)
{
	HOLD(&ws->lock);
	if (ws->closing)
		return -ESHUTDOWN;
	w->next = ws->first;
	w->link = &ws->first;
	if (w->next)
		w->next->link = &w->next;
	ws->first = w;
	if (w->parked->deadline_ns < ws->wake_ns)
		pthread_cond_signal(&ws->due);
	return 0;
}

struct fill {
	struct waits *waits;
	struct flight *flight;
	bool ahead; /* nobody asked for it */
};

static void count_fill(struct waits *ws, bool ahead, int n)
{
	atomic_fetch_add(&ws->fills, n);
	if (ahead)
		atomic_fetch_add(&ws->ahead, n);
}

static void run_fill(void *arg)
{
	struct fill *fill = arg;
	struct waits *ws = fill->waits;
	struct flights *fs = mem_flights(ws->mem);

	if (flight_claim(fs, fill->flight))
		mem_fill(ws->mem, fill->flight);
	flight_unqueue(fs, fill->flight);
	count_fill(ws, fill->ahead, -1);
	free(fill);
}

/* Has the pool fill a new flight. */
static int start_fill(struct waits *ws, struct flight *f, bool ahead)
{
	struct fill *fill = malloc(sizeof(*fill));

	if (!fill)
		return -ENOMEM;
	*fill = (struct fill){ws, f, ahead};
	count_fill(ws, ahead, 1);
	int r = pool_submit(ws->pool, run_fill, fill);

	if (r < 0) {
		count_fill(ws, ahead, -1);
		free(fill);
	}
	return r;
}

/* A flight that could not be queued; it may be claimed by now. */
static void end_unqueued(struct waits *ws, struct flight *f, int status)
{
	struct flights *fs = mem_flights(ws->mem);

	if (flight_claim(fs, f))
		flight_end(fs, f, status);
	flight_unqueue(fs, f);
}

/* ---- fetching ahead ---- */

/* A mem_queue_fn. Who waits goes first: a quarter of the threads is kept for them, and nothing is fetched
 * ahead that would have to wait for a thread. */
static int queue_ahead(void *arg, struct flight *f)
{
	struct waits *ws = arg;
	bool busy = ws->ahead >= ws->threads - ws->threads / 4 || ws->fills >= ws->threads;
	int r = busy ? -EAGAIN : start_fill(ws, f, true);

	if (r < 0)
		end_unqueued(ws, f, r);
	return r;
}

/* The maker's way out: status if the read is its to refuse, 0 if it was answered meanwhile. */
static int refuse(struct wait *w, int status)
{
	HOLD(&w->waits->lock);
	return claim(w) ? status : 0;
}

/* done() must not run on the thread that parks, so the timekeeper answers what is there already. */
static void wake_for_late(struct waits *ws)
{
	HOLD(&ws->lock);
	ws->late = true;
	pthread_cond_signal(&ws->due);
}

/* Copies what is in memory of a read that has several pieces. One is always left to a flight, as it is a
 * flight that answers. */
static void copy_held(struct waits *ws, const struct object *obj, struct wait *w)
{
	for (int i = 0; i < w->pieces && w->missing > 1; i++) {
		struct piece *piece = &w->part[i].piece;
		char *to = w->buf + (piece->off - w->part[0].piece.off);

		if (mem_copy(ws->mem, obj, piece->off, piece->len, to) < 0)
			continue;
		w->part[i].there = true;
		w->missing--;
		wait_put(w, 1);
	}
}

static int pieces_left(const struct wait *w, int from)
{
	int n = 0;

	for (int i = from; i < w->pieces; i++)
		n += !w->part[i].there;
	return n;
}

static int join_flights(struct waits *ws, const struct object *obj, struct wait *w)
{
	copy_held(ws, obj, w);
	for (int i = 0; i < w->pieces; i++) {
		if (w->part[i].there)
			continue;
		struct flight *made = NULL;
		int r = mem_join(ws->mem, obj, &w->part[i].piece, false, &made);
		bool joined = !r;

		if (made)
			r = start_fill(ws, made, false);
		if (!r) {
			counter_add(ws->mem->counters, LAYER_reads, 1);
			if (w->part[i].piece.late)
				wake_for_late(ws);
			continue;
		}
		int refused = refuse(w, r);

		if (made)
			end_unqueued(ws, made, r);
		wait_put(w, pieces_left(w, i) - joined);
		return refused;
	}
	return 0;
}

static int read_through(struct waits *ws, struct wait *w)
{
	int r = pool_submit(ws->pool, read_direct, w);

	counter_add(ws->mem->counters, LAYER_bypasses, !r && !ws->direct);
	if (!r)
		return 0;
	r = refuse(w, r);
	wait_put(w, 1);
	return r;
}

int waits_park(struct waits *ws, const struct object *obj, struct parked *p, bool whole)
{
	struct store *from = ws->direct ? ws->top : whole ? NULL : ws->mem->lower;
	struct wait *w;
	int r;

	w = wait_new(ws, obj, p, from);
	if (!w)
		return -ENOMEM;
	r = enlist(ws, w);
	if (r < 0)
		wait_put(w, w->pieces);
	else
		r = from ? read_through(ws, w) : join_flights(ws, obj, w);
	wait_put(w, 1);
	return r;
}

/* Answers the first wait that `which` picks with status; false: there is none. */
static bool answer_early(
	struct waits *ws, bool (*which)(struct wait *w, void *arg), void *arg, int status)
{
	struct parked *p = NULL;

	pthread_mutex_lock(&ws->lock);
	for (struct wait *w = ws->first; w && !p; w = w->next) {
		int left = 0;

		if (!which(w, arg))
			continue;
		p = claim(w);
		for (int i = 0; i < w->pieces && !w->direct; i++)
			left += flight_leave(mem_flights(ws->mem), &w->part[i].piece);
		if (left)
			wait_put(w, left);
		break;
	}
	pthread_mutex_unlock(&ws->lock);
	if (p)
		p->done(p, status, NULL);
	return p;
}

static bool is_parked(struct wait *w, void *arg)
{
	return w->parked == arg;
}

static bool is_due(struct wait *w, void *arg)
{
	return w->parked->deadline_ns <= *(int64_t *)arg;
}

static bool is_any(struct wait *w, void *arg)
{
	return true;
}

void waits_cancel(struct waits *ws, struct parked *p)
{
	answer_early(ws, is_parked, p, -EINTR);
}

/* When the next deadline is. Locked. */
static int64_t first_deadline(const struct waits *ws)
{
	int64_t first_ns = INT64_MAX;

	for (struct wait *w = ws->first; w; w = w->next)
		if (w->parked->deadline_ns < first_ns)
			first_ns = w->parked->deadline_ns;
	return first_ns;
}

static void sleep_until_due(struct waits *ws)
{
	struct timespec t = {ws->wake_ns / NSEC_PER_SEC, ws->wake_ns % NSEC_PER_SEC};

	if (ws->wake_ns == INT64_MAX)
		pthread_cond_wait(&ws->due, &ws->lock);
	else
		pthread_cond_clockwait(&ws->due, &ws->lock, CLOCK_MONOTONIC, &t);
}

/* The timekeeper: one thread that answers what is past its deadline, and what came late. */
static void *keep_time(void *arg)
{
	struct waits *ws = arg;

	pthread_mutex_lock(&ws->lock);
	while (!ws->closing) {
		int64_t now = clock_now_ns();
		bool late = ws->late;

		ws->late = false;
		ws->wake_ns = first_deadline(ws);
		if (!late && ws->wake_ns > now) {
			sleep_until_due(ws);
			continue;
		}
		pthread_mutex_unlock(&ws->lock);
		if (late)
			flights_poke(mem_flights(ws->mem));
		while (answer_early(ws, is_due, &now, -ETIMEDOUT))
			;
		pthread_mutex_lock(&ws->lock);
	}
	pthread_mutex_unlock(&ws->lock);
	return NULL;
}

int waits_init(struct waits *ws, struct store *mem, struct store *top, bool direct,
	struct pool *pool, int threads)
{
	*ws = (struct waits){.mem = mem, .top = top, .direct = direct, .pool = pool};
	ws->threads = threads;
	mem_set_queue(mem, queue_ahead, ws);
	pthread_mutex_init(&ws->lock, NULL);
	pthread_cond_init(&ws->due, NULL);
	ws->wake_ns = INT64_MAX;
	return -pthread_create(&ws->timekeeper, NULL, keep_time, ws);
}

void waits_shutdown(struct waits *ws)
{
	pthread_mutex_lock(&ws->lock);
	ws->closing = true;
	pthread_cond_signal(&ws->due);
	pthread_mutex_unlock(&ws->lock);
	pthread_join(ws->timekeeper, NULL);
	while (answer_early(ws, is_any, NULL, -ESHUTDOWN))
		;
	flights_shutdown(mem_flights(ws->mem));
}

void waits_done(struct waits *ws)
{
	pthread_cond_destroy(&ws->due);
	pthread_mutex_destroy(&ws->lock);
}
