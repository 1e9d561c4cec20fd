/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes, batches and how a run ends: see pipeline.h. Workers are in worker.c, the course of an
 * epoch in epoch.c. */
#include "harness/pipeline.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/topology.h"
#include "harness/dataset.h"
#include "harness/decode.h"
#include "harness/page_cache.h"

/* Memory is estimated before there are data: then the format is the one asked for. */
static const struct reader_ops *reader_for(const struct run_spec *spec)
{
	if (spec->source->flags & SOURCE_NO_FILES)
		return &reader_memory;
	int format = spec->data ? (int)spec->data->format : spec->cfg->bench.format;

	return format == FORMAT_TFRECORD ? &reader_tfrecord : &reader_imagefolder;
}

int pipeline_depth(const struct run_spec *spec)
{
	int ahead = spec->prefetch;

	if (reader_for(spec) == &reader_imagefolder && spec->readers > ahead)
		ahead = spec->readers;
	return ahead + 1;
}

/* Batches in memory, and for each reader the slab it writes and the one it has just left. */
static size_t lane_bytes(const struct run_spec *spec)
{
	size_t samples = (size_t)pipeline_depth(spec) * (size_t)spec->batch;

	return samples * dataset_mean_bytes(spec->data) + (size_t)spec->readers * 2 * SLAB_SIZE;
}

int64_t run_memory_bytes(const struct run_spec *spec)
{
	return (int64_t)lane_bytes(spec) * spec->gpus;
}

static int check_memory(const struct run_spec *spec, struct err *err)
{
	int64_t need = run_memory_bytes(spec);
	struct topology t;

	if (topology_read("", &t, NULL) < 0 || need <= t.memory_limit / 2)
		return 0;
	return err_set(err, ENOMEM,
		"%d GPUs with %d batches of %d samples need %lld MiB, over half of this machine's "
		"%lld MiB; lower bench.batch, bench.prefetch or bench.gpus",
		spec->gpus, pipeline_depth(spec), spec->batch, (long long)need >> 20,
		(long long)t.memory_limit >> 20);
}

/* "0-3,8" as taskset -c takes it. */
static int parse_cpus(const char *text, cpu_set_t *ret, struct err *err)
{
	CPU_ZERO(ret);
	while (*text) {
		char *end;
		long from = strtol(text, &end, 10), to = from;

		if (end != text && *end == '-')
			to = strtol(text = end + 1, &end, 10);
		if (end == text || from < 0 || to < from || to >= CPU_SETSIZE ||
			(*end && *end != ','))
			return err_set(
				err, EINVAL, "bench.cpus: give a list of CPUs such as 0-3,8");
		for (; from <= to; from++)
			CPU_SET((size_t)from, ret);
		text = *end ? end + 1 : end;
	}
	return 0;
}

int pipeline_check_cpus(const struct config *cfg, struct err *err)
{
	cpu_set_t asked, own;
	int r = parse_cpus(cfg->bench.cpus, &asked, err);

	if (r || sched_getaffinity(0, sizeof(own), &own) < 0)
		return r;
	for (size_t i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &asked) && !CPU_ISSET(i, &own))
			return err_set(err, EINVAL,
				"bench.cpus=%s: CPU %zu is not here, or not for this process, which "
				"has %d; see taskset -cp $$",
				cfg->bench.cpus, i, CPU_COUNT(&own));
	return 0;
}

static int make_lane(struct pipeline *p, struct lane *lane, size_t bytes)
{
	slab_pool_init(&lane->pool);
	lane->batches = calloc((size_t)p->depth, sizeof(*lane->batches));
	for (int i = 0; lane->batches && i < p->depth; i++) {
		lane->batches[i].samples = calloc(p->batch, sizeof(struct sample));
		if (!lane->batches[i].samples)
			return -ENOMEM;
	}
	return lane->batches ? slab_pool_fill(&lane->pool, bytes) : -ENOMEM;
}

static int make_worker(struct pipeline *p, int i)
{
	struct worker *w = &p->workers[i];

	w->p = p;
	w->gpu = i / p->readers;
	w->number = i % p->readers;
	w->lane = &p->lanes[w->gpu];
	if (p->decode == BENCH_DECODE_JPEG)
		w->decoder = decoder_new();
	return p->decode == BENCH_DECODE_JPEG && !w->decoder ? -ENOMEM : 0;
}

static int make_parts(struct pipeline *p, size_t bytes_per_lane)
{
	int r = 0, n = p->gpus * p->readers;

	p->lanes = aligned_alloc(64, (size_t)p->gpus * sizeof(*p->lanes));
	p->workers = calloc((size_t)n, sizeof(*p->workers));
	if (!p->lanes || !p->workers)
		return -ENOMEM;
	memset(p->lanes, 0, (size_t)p->gpus * sizeof(*p->lanes));
	for (int i = 0; !r && i < p->gpus; i++)
		r = make_lane(p, &p->lanes[i], bytes_per_lane);
	for (int i = 0; !r && i < n; i++)
		r = make_worker(p, i);
	return r;
}

struct pipeline *pipeline_new(const struct run_spec *spec, struct source *src, struct err *err)
{
	const struct config *cfg = spec->cfg;
	struct pipeline *p;

	if (check_memory(spec, err) < 0)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		goto no_memory;
	pthread_mutex_init(&p->lock, NULL);
	p->src = src;
	p->ops = spec->source;
	p->data = spec->data;
	p->reader = reader_for(spec);
	p->gpus = spec->gpus;
	p->readers = spec->readers;
	p->depth = pipeline_depth(spec);
	p->batch = (uint32_t)spec->batch;
	p->steps = (uint32_t)spec->steps;
	p->seed = spec->seed;
	p->verify = cfg->bench.verify != 0;
	p->decode = cfg->bench.decode;
	p->timeout_ns = cfg->external.timeout;
	p->max_bytes = spec->max_bytes;
	p->pin = cfg->bench.cpus[0] != 0;
	if (parse_cpus(cfg->bench.cpus, &p->cpus, err) < 0)
		goto failed;
	p->page_cache = page_cache_new(cfg->bench.page_cache);
	p->opened = calloc(p->data ? p->data->n_files + 1 : 1, sizeof(*p->opened));
	if (p->page_cache && p->opened && make_parts(p, lane_bytes(spec)) == 0)
		return p;
no_memory:
	err_set(err, ENOMEM, "no memory for %d GPUs with batches of %d samples", spec->gpus,
		spec->batch);
failed:
	pipeline_free(p);
	return NULL;
}

static void empty_batch(struct pipeline *p, struct batch *b)
{
	for (uint32_t i = 0; i < p->batch; i++) {
		slab_put(b->samples[i].slab);
		b->samples[i].slab = NULL;
	}
	atomic_store_explicit(&b->filled, 0, memory_order_relaxed);
	atomic_store_explicit(&b->full_ns, 0, memory_order_release);
}

static void empty_lane(struct pipeline *p, struct lane *lane)
{
	for (int i = 0; lane->batches && i < p->depth; i++)
		if (lane->batches[i].samples)
			empty_batch(p, &lane->batches[i]);
}

static void free_lane(struct pipeline *p, struct lane *lane)
{
	empty_lane(p, lane);
	for (int i = 0; lane->batches && i < p->depth; i++)
		free(lane->batches[i].samples);
	free(lane->batches);
	slab_pool_done(&lane->pool);
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	for (int i = 0; p->workers && i < p->gpus * p->readers; i++) {
		slab_put(p->workers[i].arena);
		decoder_free(p->workers[i].decoder);
	}
	for (int i = 0; p->lanes && i < p->gpus; i++)
		free_lane(p, &p->lanes[i]);
	free(p->lanes);
	free(p->workers);
	order_done(&p->order);
	page_cache_free(p->page_cache);
	free((void *)p->opened);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static _Atomic(struct pipeline *) left_behind;

void pipeline_leave(struct pipeline *p)
{
	p->left_before = atomic_exchange(&left_behind, p);
}

int pipeline_reset(struct pipeline *p, uint64_t epoch)
{
	for (int i = 0; i < p->gpus; i++) {
		struct lane *lane = &p->lanes[i];

		empty_lane(p, lane);
		atomic_store(&lane->claimed, 0);
		atomic_store(&lane->freed, 0);
		atomic_store(&lane->full, 0);
		atomic_store(&lane->next_segment, 0);
	}
	for (int i = 0; i < p->gpus * p->readers; i++) {
		struct worker *w = &p->workers[i];

		hist_reset(&w->reads);
		atomic_store(&w->bytes, 0);
		atomic_store(&w->samples, 0);
		atomic_store(&w->checked, 0);
	}
	return order_plan(&p->order, p->data, p->gpus, (uint64_t)p->steps * p->batch,
		order_mix(p->seed ^ order_mix(epoch)), p->reader == &reader_tfrecord);
}

int64_t pipeline_stamp(struct pipeline *p, int gpu, uint32_t batch)
{
	struct lane *lane = &p->lanes[gpu];

	return atomic_load_explicit(
		&lane->batches[batch % (uint32_t)p->depth].full_ns, memory_order_acquire);
}

void pipeline_release(struct pipeline *p, int gpu)
{
	struct lane *lane = &p->lanes[gpu];
	uint32_t oldest = atomic_load_explicit(&lane->freed, memory_order_relaxed);

	empty_batch(p, &lane->batches[oldest % (uint32_t)p->depth]);
	atomic_store(&lane->freed, oldest + 1);
	gate_ring(&lane->space);
}

uint32_t pipeline_full_batches(struct pipeline *p)
{
	uint32_t n = 0;

	for (int i = 0; i < p->gpus; i++)
		n += atomic_load(&p->lanes[i].full) - atomic_load(&p->lanes[i].freed);
	return n;
}

double pipeline_delivered(struct pipeline *p, int first, int n)
{
	uint64_t samples = 0;

	for (int i = first * p->readers; i < (first + n) * p->readers; i++)
		samples += atomic_load_explicit(&p->workers[i].samples, memory_order_relaxed);
	return (double)samples / p->batch;
}

bool pipeline_stopped(const struct pipeline *p)
{
	return atomic_load_explicit(&p->stop, memory_order_acquire);
}

void pipeline_stop(struct pipeline *p)
{
	atomic_store(&p->stop, true);
	for (int i = 0; i < p->gpus; i++)
		gate_ring(&p->lanes[i].space);
	gate_ring(&p->batch_full);
	gate_ring(&p->stopping);
	gate_ring(&p->watch);
}

int pipeline_fail(struct pipeline *p, int code, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&p->lock);
	if (!p->status && !pipeline_stopped(p)) {
		va_start(ap, fmt);
		vsnprintf(p->err.msg, sizeof(p->err.msg), fmt, ap);
		va_end(ap);
		p->status = -code;
	}
	pthread_mutex_unlock(&p->lock);
	pipeline_stop(p);
	return -code;
}
