/* SPDX-License-Identifier: Apache-2.0 */
/* The course of an epoch: see epoch.h. */
#include "harness/epoch.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define LOOK_NS (50 * NSEC_PER_MSEC)
#define PROGRESS_NS (250 * NSEC_PER_MSEC)
#define GRACE_NS (2 * NSEC_PER_SEC) /* for threads to leave a run that has failed */

struct course {
	struct pipeline *p;
	const struct run_spec *spec;
	struct epoch *e;
	struct pacer pacer;
	pthread_t pacer_thread;
	bool pacer_started;
	bool interrupted;
};

static void *pacer_main(void *arg)
{
	struct course *c = arg;

	if (c->p->pin)
		pthread_setaffinity_np(pthread_self(), sizeof(c->p->cpus), &c->p->cpus);
	if (pacer_run(&c->pacer) < 0)
		pipeline_fail(c->p, ENOMEM, "no memory for the pacer");
	return NULL;
}

static int start_threads(struct course *c)
{
	struct pipeline *p = c->p;
	int n = p->gpus * p->readers, r;

	c->e->begin_ns = clock_now_ns();
	r = pthread_create(&c->pacer_thread, NULL, pacer_main, c);
	c->pacer_started = r == 0;
	for (int i = 0; !r && i < n; i++) {
		atomic_fetch_add(&p->alive, 1);
		r = pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]);
		p->workers[i].started = r == 0;
		if (r)
			atomic_fetch_sub(&p->alive, 1);
	}
	if (r)
		return pipeline_fail(p, r,
			"cannot start %d reader threads: %s; lower bench.readers "
			"or raise the limit on processes",
			n, strerror(r));
	return 0;
}

static uint64_t sum_bytes(const struct pipeline *p)
{
	uint64_t sum = 0;

	for (int i = 0; i < p->gpus * p->readers; i++)
		sum += atomic_load_explicit(&p->workers[i].bytes, memory_order_relaxed);
	return sum;
}

static void show_progress(struct course *c)
{
	const struct run_spec *spec = c->spec;
	uint32_t steps = atomic_load(&c->pacer.steps_ended);
	double span = (double)atomic_load(&c->pacer.live_span_ns) / NSEC_PER_SEC;
	double busy = steps * (double)c->pacer.period_ns / NSEC_PER_SEC;
	struct run_progress now = {.epoch = c->e->number + 1,
		.epochs = spec->epochs,
		.step = (int)steps,
		.steps = spec->steps,
		.bytes = sum_bytes(c->p)};

	if (span > 0) {
		now.au = busy / span;
		now.images_per_s = steps * (double)spec->batch * spec->gpus / span;
	}
	spec->progress(&now, spec->progress_arg);
}

/* Looks whether the epoch has to end. */
static void look_after(struct course *c, int64_t now)
{
	if (c->spec->stop && *c->spec->stop) {
		c->interrupted = true;
		pipeline_stop(c->p);
	} else if (now >= c->e->until_ns || atomic_load(&c->p->full_up)) {
		c->e->ended_early = true;
		pipeline_stop(c->p);
	}
	worker_watchdog(c->p, now);
}

static void watch(struct course *c)
{
	struct pipeline *p = c->p;
	int64_t next_progress = clock_now_ns() + PROGRESS_NS;

	while (!atomic_load(&c->pacer.done) && !pipeline_stopped(p)) {
		uint32_t seen = gate_look(&p->watch);
		int64_t now = clock_now_ns();

		if (atomic_load(&c->pacer.done))
			break;
		look_after(c, now);
		if (now >= next_progress && c->spec->progress) {
			show_progress(c);
			next_progress = now + PROGRESS_NS;
		}
		if (!pipeline_stopped(p))
			gate_sleep(&p->watch, seen, now + LOOK_NS);
	}
}

/* Waits until the workers have left. After a failure they get a moment; else as long as a call may
 * take. Returns false when some are stuck. */
static bool wait_for_workers(struct course *c)
{
	struct pipeline *p = c->p;
	int64_t begin = clock_now_ns();

	for (;;) {
		uint32_t seen = gate_look(&p->watch);
		int64_t now = clock_now_ns();
		bool hurry = p->status || c->interrupted;

		if (!atomic_load(&p->alive))
			return true;
		if (now - begin > (hurry ? GRACE_NS : p->timeout_ns + GRACE_NS))
			return false;
		worker_watchdog(p, now);
		gate_sleep(&p->watch, seen, now + LOOK_NS);
	}
}

static void end_threads(struct course *c)
{
	struct pipeline *p = c->p;
	bool left = wait_for_workers(c);

	for (int i = 0; i < p->gpus * p->readers; i++) {
		if (p->workers[i].started && left)
			pthread_join(p->workers[i].thread, NULL);
		else if (p->workers[i].started)
			pthread_detach(p->workers[i].thread);
		p->workers[i].started = false;
	}
	if (c->pacer_started)
		pthread_join(c->pacer_thread, NULL);
	c->e->stuck = !left;
}

static void collect(struct course *c)
{
	struct pipeline *p = c->p;
	struct epoch *e = c->e;

	for (int i = 0; i < p->gpus * p->readers; i++) {
		struct worker *w = &p->workers[i];

		hist_merge(&e->reads, &w->reads);
		e->samples += atomic_load(&w->samples);
		e->checked += atomic_load(&w->checked);
	}
	e->bytes = sum_bytes(p);
	if (!e->ended_early)
		order_check(&p->order, p->data, &e->twice, &e->missing);
}

static int prepare(struct course *c)
{
	struct pipeline *p = c->p;
	size_t n = (size_t)p->gpus;

	c->e->pace.wait_ns = calloc(n, sizeof(int64_t));
	c->e->pace.gpu_steps = calloc(n, sizeof(uint64_t));
	if (!c->e->pace.wait_ns || !c->e->pace.gpu_steps)
		return -ENOMEM;
	c->pacer = (struct pacer){.pipeline = p,
		.gpus = p->gpus,
		.steps = p->steps,
		.period_ns = c->spec->step_ns + c->spec->allreduce_ns,
		.sync = c->spec->cfg->bench.sync == SYNC_STEP,
		.pace = &c->e->pace};
	return pipeline_reset(p, (uint64_t)c->e->number);
}

int epoch_run(struct pipeline *p, const struct run_spec *spec, struct epoch *e, struct err *err)
{
	struct course c = {.p = p, .spec = spec, .e = e};

	if (prepare(&c) < 0)
		return err_set(err, ENOMEM, "no memory for the order of an epoch");
	if (start_threads(&c) == 0)
		watch(&c);
	end_threads(&c);
	if (p->status) {
		pthread_mutex_lock(&p->lock);
		*err = p->err;
		pthread_mutex_unlock(&p->lock);
		return p->status;
	}
	if (e->stuck)
		return worker_explain_stuck(p, clock_now_ns(), err);
	if (c.interrupted)
		return err_set(err, EINTR, "interrupted");
	collect(&c);
	return 0;
}

void epoch_done(struct epoch *e)
{
	free(e->pace.wait_ns);
	free(e->pace.gpu_steps);
	e->pace.wait_ns = NULL;
	e->pace.gpu_steps = NULL;
}
