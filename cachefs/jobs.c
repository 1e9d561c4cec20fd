/* SPDX-License-Identifier: Apache-2.0 */
/* The job threads and what they keep of past jobs: see jobs.h. */
#include "cachefs/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

#define JOBS_KEPT 32

enum job_state { JOB_WAITING, JOB_LISTING, JOB_WORKING, JOB_DONE, JOB_STOPPED };

static const char *const state_names[] = {"waiting", "listing", "working", "done", "stopped"};

struct job {
	int64_t id, started_ns, ended_ns; /* id 0: an empty place */
	enum job_state state;
	struct control_message msg;
	_Atomic bool stop; /* of a plan: another takes its place */
	bool pacing;       /* a plan: waits for readers */
	int64_t epoch, files, files_done, bytes, bytes_done, bytes_added, errors;
	bool full;        /* the tier takes no more, so the rest is left out */
	char error[1024]; /* the first one */
};

struct jobs {
	struct stack *stack;
	struct prefetch *prefetch;
	dropped_fn *dropped;
	void *dropped_arg;
	int window;
	pthread_t thread, plan_thread;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	struct job job[JOBS_KEPT]; /* id modulo JOBS_KEPT; a running one keeps its place */
	int64_t last_id;
	struct job *plan; /* followed now; NULL: none */
	int in_flight;
	bool stop;
};

/* ---- walking ---- */

/* One entry of a listing, kept while the listing itself is let go: folders can be large. */
struct entry {
	struct entry *next;
	struct object obj;
	char name[];
};

struct gather {
	struct entry *first;
	const char *folder;
};

static struct entry *entry_new(const char *folder, const struct object *obj)
{
	size_t len = strlen(folder), size = len + strlen(obj->name) + 2;
	struct entry *e = malloc(sizeof(*e) + size);

	if (!e)
		return NULL;
	snprintf(e->name, size, "%s%s%s", folder, len ? "/" : "", obj->name);
	e->obj = *obj;
	e->obj.name = e->name;
	return e;
}

static void entries_free(struct entry *e)
{
	while (e) {
		struct entry *next = e->next;

		free(e);
		e = next;
	}
}

static int gather_entry(void *arg, const struct object *obj)
{
	struct gather *g = arg;
	struct entry *e = entry_new(g->folder, obj);

	if (!e)
		return -ENOMEM;
	e->next = g->first;
	g->first = e;
	return 0;
}

static void note_error(struct jobs *j, struct job *job, const char *name, int code)
{
	HOLD(&j->lock);
	if (!job->errors++)
		snprintf(job->error, sizeof(job->error), "%s: %s", *name ? name : "/",
			strerror(-code));
}

static bool stopping(struct jobs *j, const struct job *job)
{
	HOLD(&j->lock);
	return j->stop || job->full;
}

typedef void visit_fn(struct jobs *j, struct job *job, const struct object *file);

/* Visits every file of what is listed in todo, folders before their content; frees the entries. */
static void walk(struct jobs *j, struct job *job, struct entry *todo, visit_fn *visit)
{
	while (todo && !stopping(j, job)) {
		struct entry *e = todo;
		struct gather g = {.folder = e->name};
		int r = 0;

		todo = e->next;
		if (e->obj.is_dir)
			r = store_list(stack_top(j->stack), e->name, STORE_WAIT, gather_entry, &g);
		else
			visit(j, job, &e->obj);
		if (r < 0)
			note_error(j, job, e->name, r);
		while (g.first) {
			struct entry *child = g.first;

			g.first = child->next;
			child->next = todo;
			todo = child;
		}
		free(e);
	}
	entries_free(todo);
}

static struct entry *start_at(struct jobs *j, struct job *job, const char *path, bool tell)
{
	struct object obj;
	int r = store_stat(stack_top(j->stack), path, STORE_WAIT, &obj);
	struct entry *e = NULL;

	if (r >= 0) {
		obj.name = path;
		e = entry_new("", &obj);
		r = e ? 0 : -ENOMEM;
	}
	if (r < 0 && tell)
		note_error(j, job, path, r);
	if (e)
		e->next = NULL;
	return e;
}

/* ---- warm ---- */

struct fetch {
	struct jobs *jobs;
	struct job *job;
	struct object obj;
	char name[];
};

static void fetch_file(void *arg)
{
	struct fetch *f = arg;
	struct jobs *j = f->jobs;
	uint64_t added = 0;
	bool stopped = stopping(j, f->job);
	int r = stopped ? -ECANCELED : stack_warm(j->stack, &f->obj, &added);

	if (r < 0 && !stopped)
		note_error(j, f->job, f->name, r);
	pthread_mutex_lock(&j->lock);
	f->job->files_done += r >= 0;
	f->job->full |= r == -ENOSPC;
	f->job->bytes_done += r < 0 ? 0 : (int64_t)f->obj.size;
	f->job->bytes_added += (int64_t)added;
	j->in_flight--;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
	free(f);
}

static void count_file(struct jobs *j, struct job *job, const struct object *file)
{
	HOLD(&j->lock);
	job->files++;
	job->bytes += (int64_t)file->size;
}

static void take_place(struct jobs *j, int most)
{
	HOLD(&j->lock);
	while (j->in_flight > most)
		pthread_cond_wait(&j->changed, &j->lock);
	j->in_flight++;
}

static void give_place(struct jobs *j)
{
	HOLD(&j->lock);
	j->in_flight--;
}

static void warm_file(struct jobs *j, struct job *job, const struct object *file)
{
	size_t len = strlen(file->name) + 1;
	struct fetch *f = malloc(sizeof(*f) + len);
	int r = f ? -EAGAIN : -ENOMEM;

	if (f) {
		*f = (struct fetch){.jobs = j, .job = job, .obj = *file};
		memcpy(f->name, file->name, len);
		f->obj.name = f->name;
		take_place(j, j->window - 1);
	}
	while (r == -EAGAIN && !stopping(j, job)) {
		r = stack_submit(j->stack, fetch_file, f);
		if (r == -EAGAIN) /* readers have the pool: let them */
			clock_sleep_until(clock_now_ns() + 10 * NSEC_PER_MSEC);
	}
	if (r < 0) {
		if (f)
			give_place(j);
		free(f);
		note_error(j, job, file->name, r);
	}
}

static void set_state(struct jobs *j, struct job *job, enum job_state state)
{
	HOLD(&j->lock);
	job->state = state;
}

static void run_warm(struct jobs *j, struct job *job)
{
	set_state(j, job, JOB_LISTING);
	for (size_t i = 0; i < job->msg.n; i++)
		walk(j, job, start_at(j, job, job->msg.paths[i], true), count_file);
	set_state(j, job, JOB_WORKING);
	for (size_t i = 0; i < job->msg.n; i++)
		walk(j, job, start_at(j, job, job->msg.paths[i], false), warm_file);
	take_place(j, 0);
	give_place(j);
}

/* ---- drop ---- */

/* A path that is known neither before nor after is none. Told from what is in memory where that says
 * enough, as the origin may be away. */
static void drop_path(struct jobs *j, struct job *job, const char *path)
{
	struct store *top = stack_top(j->stack);
	struct object obj;
	bool names_only = job->msg.op == CONTROL_REFRESH;
	bool known = !store_stat(top, path, STORE_NOWAIT, &obj);
	int r = names_only ? store_forget(top, path) : store_drop(top, path);

	j->dropped(path, names_only, j->dropped_arg);
	if (!known && (!r || r == -ENOENT))
		r = store_stat(top, path, STORE_WAIT, &obj) == -ENOENT ? -ENOENT : 0;
	if (r < 0)
		note_error(j, job, path, r);
}

static int stop_at_first(void *arg, const struct object *entry)
{
	return 1;
}

/* A refresh forgets what only the origin can tell again: so not while that is away. */
static bool origin_answers(struct jobs *j, struct job *job)
{
	struct store *origin = stack_top(j->stack);

	while (origin->lower)
		origin = origin->lower;
	int r = store_list(origin, "", STORE_WAIT, stop_at_first, NULL);

	if (r < 0)
		note_error(j, job, "the origin does not answer, so nothing is forgotten", r);
	return r >= 0;
}

static void run_drop(struct jobs *j, struct job *job)
{
	set_state(j, job, JOB_WORKING);
	if (job->msg.op == CONTROL_REFRESH && !origin_answers(j, job))
		return;
	for (size_t i = 0; i < job->msg.n && !stopping(j, job); i++)
		drop_path(j, job, job->msg.paths[i]);
}

/* ---- plans ---- */

static void take_progress(struct jobs *j, struct job *job)
{
	struct prefetch_progress p;

	prefetch_progress(j->prefetch, &p);
	job->files = p.lines;
	job->files_done = p.lines_done;
	job->bytes = job->bytes_done = p.bytes_done;
	job->bytes_added = p.bytes_added;
	job->epoch = p.epoch;
	job->pacing = p.pacing;
	job->full = p.full;
	job->errors = p.errors;
	memcpy(job->error, p.error, sizeof(p.error));
}

static void run_plan(struct jobs *j, struct job *job)
{
	struct err err = {0};
	int r;

	set_state(j, job, JOB_WORKING);
	r = prefetch_follow(j->prefetch, job->msg.plan, &job->stop, &err);
	HOLD(&j->lock);
	take_progress(j, job);
	if (r < 0) {
		job->errors++;
		snprintf(job->error, sizeof(job->error), "%s", err.msg);
		log_warn("%s", err.msg);
	}
}

/* ---- the threads ---- */

static bool is_active(const struct job *job)
{
	return job->id && job->state < JOB_DONE;
}

/* The oldest that waits, of those with a plan or without. Locked. */
static struct job *waiting_job(struct jobs *j, bool plan)
{
	struct job *oldest = NULL;

	for (size_t i = 0; i < JOBS_KEPT; i++) {
		struct job *job = &j->job[i];

		if (job->id && job->state == JOB_WAITING && !job->msg.plan == !plan &&
			(!oldest || job->id < oldest->id))
			oldest = job;
	}
	return oldest;
}

static struct job *next_job(struct jobs *j, bool plan)
{
	struct job *job = NULL;

	HOLD(&j->lock);
	while (!j->stop && !(job = waiting_job(j, plan)))
		pthread_cond_wait(&j->changed, &j->lock);
	if (j->stop)
		return NULL;
	job->started_ns = clock_now_ns();
	if (plan)
		j->plan = job;
	return job;
}

static void end_job(struct jobs *j, struct job *job)
{
	HOLD(&j->lock);
	job->state = j->stop || job->stop ? JOB_STOPPED : JOB_DONE;
	job->ended_ns = clock_now_ns();
	if (j->plan == job)
		j->plan = NULL;
}

static void *run_jobs(void *arg)
{
	struct jobs *j = arg;
	struct job *job;

	while ((job = next_job(j, false))) {
		if (job->msg.op == CONTROL_WARM)
			run_warm(j, job);
		else
			run_drop(j, job);
		end_job(j, job);
	}
	return NULL;
}

static void *run_plans(void *arg)
{
	struct jobs *j = arg;
	struct job *job;

	while ((job = next_job(j, true))) {
		run_plan(j, job);
		end_job(j, job);
	}
	return NULL;
}

/* Ends the plan that is followed, and those that wait for it. Locked. */
static void stop_plans(struct jobs *j)
{
	for (size_t i = 0; i < JOBS_KEPT; i++)
		if (is_active(&j->job[i]) && j->job[i].msg.plan)
			j->job[i].stop = true;
	prefetch_wake(j->prefetch);
}

static int start_threads(struct jobs *j)
{
	int r = pthread_create(&j->thread, NULL, run_jobs, j);

	if (r)
		return r;
	r = pthread_create(&j->plan_thread, NULL, run_plans, j);
	if (!r)
		return 0;
	pthread_mutex_lock(&j->lock);
	j->stop = true;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
	pthread_join(j->thread, NULL);
	return r;
}

struct jobs *jobs_new(struct stack *stack, struct prefetch *prefetch, int window,
	dropped_fn *dropped, void *arg, struct err *err)
{
	struct jobs *j = calloc(1, sizeof(*j));

	if (!j) {
		err_set(err, ENOMEM, "not enough memory");
		return NULL;
	}
	j->stack = stack;
	j->prefetch = prefetch;
	j->window = window > 1 ? window : 1;
	j->dropped = dropped;
	j->dropped_arg = arg;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->changed, NULL);
	int r = start_threads(j);

	if (r) {
		err_set(err, r, "cannot start a thread: %s", strerror(r));
		free(j);
		return NULL;
	}
	return j;
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	pthread_mutex_lock(&j->lock);
	j->stop = true;
	stop_plans(j);
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
	pthread_join(j->thread, NULL);
	pthread_join(j->plan_thread, NULL);
	for (size_t i = 0; i < JOBS_KEPT; i++)
		control_message_done(&j->job[i].msg);
	pthread_cond_destroy(&j->changed);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

/* The place of the next id: ids whose place a running job has are left out. Locked. */
static struct job *free_place(struct jobs *j)
{
	for (int i = 0; i < JOBS_KEPT; i++) {
		struct job *job = &j->job[++j->last_id % JOBS_KEPT];

		if (!is_active(job))
			return job;
	}
	return NULL;
}

int jobs_add(struct jobs *j, struct control_message *msg, int64_t *ret_id, struct err *err)
{
	HOLD(&j->lock);
	struct job *job = free_place(j);

	if (!job)
		return err_set(err, EBUSY, "%d jobs wait already; try again when some are done",
			JOBS_KEPT);
	if (msg->plan)
		stop_plans(j);
	control_message_done(&job->msg);
	*job = (struct job){.id = j->last_id, .msg = *msg};
	*msg = (struct control_message){0};
	pthread_cond_broadcast(&j->changed);
	*ret_id = job->id;
	return 0;
}

/* Locked. */
static json_t *job_stats(struct jobs *j, struct job *job)
{
	int64_t until = job->ended_ns ? job->ended_ns : clock_now_ns();
	double seconds = job->started_ns ? (double)(until - job->started_ns) / NSEC_PER_SEC : 0;

	if (job == j->plan)
		take_progress(j, job);
	json_t *ret = json_pack("{s:I,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:b,s:I,s:s?,s:f}", "id",
		(json_int_t)job->id, "op", control_op_name(job->msg.op), "state",
		job == j->plan && job->pacing ? "pacing" : state_names[job->state], "files",
		(json_int_t)job->files, "files_done", (json_int_t)job->files_done, "bytes",
		(json_int_t)job->bytes, "bytes_done", (json_int_t)job->bytes_done, "bytes_added",
		(json_int_t)job->bytes_added, "full", job->full, "errors", (json_int_t)job->errors,
		"error", job->errors ? job->error : NULL, "seconds", seconds);

	if (job->msg.plan) {
		json_object_set_new(ret, "plan", json_string(job->msg.plan));
		json_object_set_new(ret, "epoch", json_integer((json_int_t)job->epoch));
	}
	return ret;
}

json_t *jobs_stats(struct jobs *j)
{
	json_t *list = json_array();
	bool running = false;

	HOLD(&j->lock);
	for (int64_t id = j->last_id - JOBS_KEPT + 1; id <= j->last_id; id++) {
		struct job *job = id > 0 ? &j->job[id % JOBS_KEPT] : NULL;

		if (!job || !job->id)
			continue;
		running |= is_active(job);
		json_array_append_new(list, job_stats(j, job));
	}
	return json_pack("{s:b,s:o}", "running", running, "jobs", list);
}
