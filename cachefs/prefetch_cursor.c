/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors between the readers of a plan and what is fetched: see prefetch.h. */
#include <stdlib.h>
#include <string.h>

#include "cachefs/prefetch_state.h"
#include "common/cleanup.h"

void prefetch_cursor_done(struct prefetch_cursor *c)
{
	plan_close(c->plan);
	c->plan = NULL;
}

/* Follows another plan than before. Locked; not meanwhile. False: it cannot be read. */
static bool change_plan(struct prefetch *pf, struct prefetch_cursor *c)
{
	AUTO(free) char *path = strdup(pf->path ? pf->path : "");

	c->generation = pf->generation;
	c->next = c->since = 0;
	pthread_mutex_unlock(&pf->lock);
	prefetch_cursor_done(c);
	c->plan = path && *path ? plan_open(path, NULL) : NULL;
	pthread_mutex_lock(&pf->lock);
	return c->plan && c->generation == pf->generation;
}

/* Whether the cursor may go so far ahead. Once it has come too far, it goes on in one go when a quarter
 * of its budget is free. Locked. */
static bool within_budget(
	struct prefetch *pf, struct prefetch_cursor *c, const struct window_piece *p)
{
	uint64_t given = window_given(&pf->window, c->budget / 4) +
			 WINDOW_PAGE * (uint64_t)p->pages;

	c->ahead = given > (c->ahead ? c->budget / 4 * 3 : c->budget);
	return !c->ahead;
}

/* One in so many bytes is left out, but no more than one in eight pieces. Locked. */
static bool leave_out(struct prefetch_cursor *c, const struct window_piece *p)
{
	c->since += WINDOW_PAGE * (uint64_t)p->pages;
	c->pieces++;
	if (!c->unheard || c->since < c->unheard || c->pieces < 8)
		return false;
	c->since = c->pieces = 0;
	return true;
}

/* Readers who have overtaken the cursor: it goes on an eighth of its budget ahead of them, as both would
 * only do the same work if it stayed beside them. Locked. */
static void leap(struct prefetch *pf, struct prefetch_cursor *c)
{
	const struct window *w = &pf->window;
	/* Where reads of what it gave are not seen, the tail lags; reads beyond it are. */
	uint64_t front = c->unheard ? w->front[WINDOW_FRONTS - 1] : 0;
	uint64_t from = front > w->tail ? front : w->tail;
	const struct window_piece *first = window_piece(w, from), *p = first;
	uint32_t lead = (uint32_t)(c->budget / 8 / WINDOW_PAGE);

	if (c->next >= from)
		return;
	c->next = from;
	while (p && p->at - first->at < lead)
		p = window_piece(w, ++c->next);
}

/* The next piece; NULL: not yet. Locked. */
static const struct window_piece *next_piece(struct prefetch *pf, struct prefetch_cursor *c)
{
	struct window *w = &pf->window;

	leap(pf, c);
	for (; c->next < w->head; c->next++) {
		const struct window_piece *p = window_piece(w, c->next);

		if (p->read || p->block || p->state == PIECE_FAILED)
			continue;
		if (p->state == PIECE_FLYING || !within_budget(pf, c, p))
			return NULL;
		if (!leave_out(c, p)) {
			window_give(w, c->next++);
			return p;
		}
	}
	return NULL;
}

/* Where the next piece stands in the plan. */
static bool find_next(struct prefetch *pf, struct prefetch_cursor *c, bool wait,
	const _Atomic bool *stop, uint64_t *ret_where)
{
	const struct window_piece *p = NULL;

	HOLD(&pf->lock);
	while (!*stop) {
		bool ready = pf->watching && (c->generation == pf->generation ? c->plan != NULL
									      : change_plan(pf, c));

		p = ready ? next_piece(pf, c) : NULL;
		if (p || !wait)
			break;
		pf->cursors++;
		pthread_cond_wait(&pf->changed, &pf->lock);
		pf->cursors--;
	}
	if (p)
		*ret_where = p->where;
	return p;
}

bool prefetch_unread(struct prefetch *pf, const struct prefetch_cursor *c, uint64_t n)
{
	HOLD(&pf->lock);
	const struct window_piece *p = c->generation == pf->generation && pf->watching
					       ? window_piece(&pf->window, n)
					       : NULL;

	return p && !p->read && n >= pf->window.tail;
}

void prefetch_return(struct prefetch *pf, const struct prefetch_cursor *c, uint64_t n)
{
	HOLD(&pf->lock);
	if (pf->watching && c->generation == pf->generation)
		window_take_back(&pf->window, n);
}

bool prefetch_next(struct prefetch *pf, struct prefetch_cursor *c, bool wait,
	const _Atomic bool *stop, char *name)
{
	struct plan_line line;
	uint64_t where;

	if (!find_next(pf, c, wait, stop, &where))
		return false;
	plan_seek(c->plan, where);
	if (plan_next(c->plan, &line, NULL) <= 0)
		return false;
	strcpy(name, line.name); /* a valid name is <= 4095 bytes */
	return true;
}
