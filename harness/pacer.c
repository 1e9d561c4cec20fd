/* SPDX-License-Identifier: Apache-2.0 */
/* The timeline of emulated GPUs: see pacer.h. */
#include "harness/pacer.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/pipeline.h"

void timeline_init(struct timeline *t, int64_t period_ns)
{
	*t = (struct timeline){.period_ns = period_ns};
}

int64_t timeline_step(struct timeline *t, const int64_t *stamps_ns, int n, int64_t *ret_wait_ns)
{
	int64_t before = t->steps ? t->deadline_ns : INT64_MIN, start = before, longest = 0;

	for (int i = 0; i < n; i++) {
		ret_wait_ns[i] = t->steps && stamps_ns[i] > before ? stamps_ns[i] - before : 0;
		longest = ret_wait_ns[i] > longest ? ret_wait_ns[i] : longest;
		start = stamps_ns[i] > start ? stamps_ns[i] : start;
	}
	if (!t->steps)
		t->first_start_ns = start;
	for (int i = 0; i < n; i++)
		t->last_stamp_ns = stamps_ns[i] > t->last_stamp_ns ? stamps_ns[i]
								   : t->last_stamp_ns;
	t->deadline_ns = start + t->period_ns;
	t->steps++;
	return longest;
}

int64_t timeline_span_ns(const struct timeline *t)
{
	return t->steps ? t->deadline_ns - t->first_start_ns : 0;
}

int64_t timeline_busy_ns(const struct timeline *t)
{
	return t->steps * t->period_ns;
}

double timeline_au(const struct timeline *t)
{
	return t->steps ? (double)timeline_busy_ns(t) / (double)timeline_span_ns(t) : NAN;
}

void timeline_stop(struct timeline *t, int64_t now_ns)
{
	if (t->steps && now_ns > t->deadline_ns)
		t->deadline_ns = now_ns;
}

int64_t timeline_credit_ns(const struct timeline *t, double ahead)
{
	double span = (double)timeline_span_ns(t), wait = span - (double)timeline_busy_ns(t);
	double read = (double)(t->last_stamp_ns - t->first_start_ns);
	double all = read * t->steps / fmax(t->steps - ahead, 1); /* of all batches at that rate */

	return t->steps ? (int64_t)fmax(0, fmin(all - span, ahead * wait)) : 0;
}

/* GPUs [first, first + n) that start their steps together. */
struct group {
	struct timeline line;
	int first, n;
	bool running; /* between start and deadline; else waiting for batches */
	uint32_t ended;
	double ahead; /* batches of a GPU in memory at the first start */
};

/* All batches of the group's next step are full. */
static bool collect_stamps(struct pacer *p, const struct group *g, int64_t *stamps)
{
	for (int i = 0; i < g->n; i++) {
		stamps[i] = pipeline_stamp(p->pipeline, g->first + i, g->ended);
		if (!stamps[i])
			return false;
	}
	return true;
}

static void start_step(struct pacer *p, struct group *g, const int64_t *stamps, int64_t *waits)
{
	struct pace *pace = p->pace;
	int64_t wait = timeline_step(&g->line, stamps, g->n, waits);

	for (int i = 0; i < g->n; i++)
		pace->wait_ns[g->first + i] += waits[i];
	if (g->line.steps > 1)
		hist_add(&pace->waits, wait);
	else
		g->ahead = pipeline_delivered(p->pipeline, g->first, g->n) / g->n;
	if (!pace->first_start_ns || g->line.first_start_ns < pace->first_start_ns) {
		pace->first_start_ns = g->line.first_start_ns;
		pace->queue_start = pipeline_full_batches(p->pipeline);
	}
	g->running = true;
}

static void end_step(struct pacer *p, struct group *g, int64_t now)
{
	int64_t late = now - g->line.deadline_ns;

	for (int i = 0; i < g->n; i++) {
		pipeline_release(p->pipeline, g->first + i);
		p->pace->gpu_steps[g->first + i]++;
	}
	if (late > g->line.period_ns / 100)
		p->pace->late_steps++;
	g->running = false;
	g->ended++;
	if (!g->first) {
		atomic_store(&p->live_span_ns, timeline_span_ns(&g->line));
		atomic_store(&p->steps_ended, g->ended);
	}
}

/* Moves a group as far as the present allows. Returns the time at which it wants to be looked at
 * again: its deadline, INT64_MAX when it waits for batches, 0 when its epoch is over. */
static int64_t advance(struct pacer *p, struct group *g, int64_t *stamps, int64_t *waits)
{
	while (g->ended < p->steps) {
		int64_t now;

		if (!g->running && !collect_stamps(p, g, stamps))
			return INT64_MAX;
		if (!g->running)
			start_step(p, g, stamps, waits);
		now = clock_now_ns();
		if (now < g->line.deadline_ns)
			return g->line.deadline_ns;
		end_step(p, g, now);
	}
	return 0;
}

/* What a pass over all groups has found. */
struct look {
	bool any;     /* some epoch is not over */
	bool waiting; /* some group waits for a batch */
	int64_t next; /* the nearest deadline */
};

static struct look look_once(struct pacer *p, struct group *groups, int n, int64_t *scratch)
{
	struct look look = {.next = INT64_MAX};

	for (int i = 0; i < n; i++) {
		int64_t t = advance(p, &groups[i], scratch, scratch + p->gpus);

		look.any |= t != 0;
		look.waiting |= t == INT64_MAX;
		look.next = t && t < look.next ? t : look.next;
	}
	return look;
}

/* The wait in which the epoch was stopped. */
static void end_wait(struct pacer *p, struct group *g, int64_t now)
{
	for (int i = 0; g->line.steps && i < g->n; i++)
		if (!pipeline_stamp(p->pipeline, g->first + i, g->ended))
			p->pace->wait_ns[g->first + i] += now - g->line.deadline_ns;
	timeline_stop(&g->line, now);
}

static void add_group(struct pace *pace, const struct group *g)
{
	struct timeline t = g->line;
	int64_t credit = timeline_credit_ns(&t, g->ahead);

	if (g->running) { /* stopped inside a step: it does not count */
		t.steps--;
		t.deadline_ns -= t.period_ns;
	}
	if (!t.steps)
		return;
	pace->span_ns += timeline_span_ns(&t) * g->n;
	pace->busy_ns += timeline_busy_ns(&t) * g->n;
	pace->credit_ns += credit * g->n;
	pace->steps += (uint64_t)t.steps * (uint64_t)g->n;
	if (t.deadline_ns > pace->last_deadline_ns)
		pace->last_deadline_ns = t.deadline_ns;
}

static void sum_up(struct pacer *p, struct group *groups, int n)
{
	int64_t now = clock_now_ns();

	for (int i = 0; i < n; i++) {
		struct group *g = &groups[i];

		if (!g->running && g->ended < p->steps)
			end_wait(p, g, now);
		if (g->line.steps)
			add_group(p->pace, g);
		else if (p->pace->first_start_ns) /* others have begun, these never */
			p->pace->span_ns += (now - p->pace->first_start_ns) * g->n;
	}
	p->pace->queue_end = pipeline_full_batches(p->pipeline);
}

int pacer_run(struct pacer *p)
{
	int n = p->sync ? 1 : p->gpus;
	AUTO(free) struct group *groups = calloc((size_t)n, sizeof(*groups));
	AUTO(free) int64_t *scratch = calloc((size_t)p->gpus * 2, sizeof(*scratch));
	struct pipeline *pipe = p->pipeline;

	for (int i = 0; groups && i < n; i++) {
		groups[i].first = i;
		groups[i].n = p->sync ? p->gpus : 1;
		timeline_init(&groups[i].line, p->period_ns);
	}
	clock_precise_thread();
	while (groups && scratch && !pipeline_stopped(pipe)) {
		uint32_t seen = gate_look(&pipe->batch_full);
		uint32_t go = gate_look(&pipe->stopping);
		struct look look = look_once(p, groups, n, scratch);

		if (!look.any)
			break;
		/* While no group waits for a batch there is no need to wake for one. */
		if (look.waiting)
			gate_sleep(&pipe->batch_full, seen, look.next);
		else
			gate_sleep(&pipe->stopping, go, look.next);
	}
	if (groups && scratch)
		sum_up(p, groups, n);
	atomic_store(&p->done, true);
	gate_ring(&pipe->watch);
	return groups && scratch ? 0 : -ENOMEM;
}
