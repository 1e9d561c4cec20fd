/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE threads as libfuse starts and ends them: see worker.h. */
#include "cachefs/worker.h"

#include <errno.h>
#include <stdlib.h>

#define SCRATCH_ALIGN 4096

static void worker_end(void *arg)
{
	struct worker *w = arg;

	counter_add(w->set->counters, FUSE_threads, -1);
	free(w->scratch);
	free(w);
}

int workers_init(struct workers *set, const struct config *cfg, struct counter_set *count)
{
	*set = (struct workers){.counters = count};
	if (topology_read("", &set->topology, NULL) < 0)
		set->topology = (struct topology){.allowed = 1, .why = "not known"};
	set->cpus = topology_count(&set->topology, cfg->cpu.count);
	if (cfg->cpu.bind != BIND_NONE)
		set->n_ordered = topology_order(cfg->cpu.bind == BIND_SPREAD, &set->order);
	if (set->n_ordered < 0)
		set->n_ordered = 0;
	if (set->n_ordered > set->cpus)
		set->n_ordered = set->cpus;
	return -pthread_key_create(&set->key, worker_end);
}

void workers_done(struct workers *set)
{
	pthread_key_delete(set->key);
	free(set->order);
}

static struct worker *worker_start(struct workers *set)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w || pthread_setspecific(set->key, w)) {
		free(w);
		return NULL;
	}
	w->set = set;
	counter_add(set->counters, FUSE_threads, 1);
	counter_add(set->counters, FUSE_threads_created, 1);
	if (set->n_ordered > 0)
		topology_bind_thread(
			set->order[atomic_fetch_add(&set->next_cpu, 1) % (unsigned)set->n_ordered]);
	return w;
}

struct worker *worker_enter(struct workers *set)
{
	struct worker *w = pthread_getspecific(set->key);

	if (!w)
		w = worker_start(set);
	if (w)
		counter_add(set->counters, FUSE_threads_busy, 1);
	return w;
}

void worker_leave(struct worker *w)
{
	if (w)
		counter_add(w->set->counters, FUSE_threads_busy, -1);
}

void *worker_scratch(struct worker *w, size_t len)
{
	len = (len + SCRATCH_ALIGN - 1) & ~(size_t)(SCRATCH_ALIGN - 1);
	if (len > w->scratch_len) {
		free(w->scratch);
		w->scratch = aligned_alloc(SCRATCH_ALIGN, len);
		w->scratch_len = w->scratch ? len : 0;
	}
	return w->scratch;
}
