/* SPDX-License-Identifier: Apache-2.0 */
/* One run from its source to its figures: see run.h.
 *
 * What counts where: `steady` is from start(1) to the last deadline of the epochs after the first
 * (of the only one, if there is just one), and the credit of what was read before (pacer.h); `cold`,
 * if the run was made cold, is the first epoch and `job` all of them, both with the wait for their
 * first batches. AU is busy time over that time. */
#include "harness/run.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/dataset.h"
#include "harness/deadline.h"
#include "harness/epoch.h"
#include "harness/page_cache.h"

#define NOT_MEASURED (-1.0)
#define LOOK_AT_FILES 4096         /* at most, to count their pages after an epoch */
#define LOOK_AT_LEAST 16           /* however long it takes, within external.timeout */
#define LOOK_NS (1 * NSEC_PER_SEC) /* and no longer for more */
#define LOOK_STRIDE 2654435761u    /* prime: files in an order that is not that of their names */

struct run {
	const struct run_spec *spec;
	struct source *src;
	struct pipeline *pipe;
	struct epoch *epochs; /* [spec->epochs], n_epochs of them run */
	double *origin;       /* [spec->epochs + 1] origin bytes so far, NAN: unknown */
	double *cached;       /* [spec->epochs] bytes in the page cache after each, NAN: unknown */
	int n_epochs;
	int64_t until_ns;
};

static void empty_part(struct run_part *part)
{
	const double no = NOT_MEASURED;

	*part = (struct run_part){no, no, no, no, no, no, no, no, no, no, no, no, NULL};
}

static void empty_result(struct run_result *ret)
{
	memset(ret, 0, sizeof(*ret));
	empty_part(&ret->cold);
	empty_part(&ret->steady);
	empty_part(&ret->job);
	ret->cpu_harness_s = ret->cpu_cachefs_s = ret->cpu_remote_s = NOT_MEASURED;
	ret->startup_s = NOT_MEASURED;
	ret->page_cache_max_seen = -1;
}

static double quantile_ms(const struct hist *h, double q)
{
	int64_t ns = hist_quantile_ns(h, q);

	return ns < 0 ? NOT_MEASURED : (double)ns / NSEC_PER_MSEC;
}

/* Sums over epochs [from, to). */
struct sums {
	double span_s, startup_s, credit_s, busy, lane_span, images, bytes, origin, cached;
	struct hist *waits, *reads;
};

static void add_epoch(const struct run *run, int i, struct sums *s)
{
	const struct epoch *e = &run->epochs[i];
	const struct pace *pace = &e->pace;

	s->span_s += (double)(pace->last_deadline_ns - pace->first_start_ns) / NSEC_PER_SEC;
	s->startup_s += (double)(pace->first_start_ns - e->begin_ns) / NSEC_PER_SEC;
	s->credit_s += (double)pace->credit_ns / run->spec->gpus / NSEC_PER_SEC;
	s->busy += (double)pace->busy_ns / NSEC_PER_SEC;
	s->lane_span += (double)pace->span_ns / NSEC_PER_SEC;
	s->images += (double)pace->steps * run->spec->batch;
	s->bytes += (double)e->bytes;
	s->origin += run->origin[i + 1] - run->origin[i]; /* NAN stays NAN */
	s->cached = run->cached[i];
	hist_merge(s->waits, &pace->waits);
	hist_merge(s->reads, &e->reads);
}

static double or_not_measured(double v)
{
	return isnan(v) ? NOT_MEASURED : v;
}

/* AU that each GPU would have had if only its own data had been late. */
static double *gpu_utilisation(const struct run *run, int from, int to, double before_s)
{
	const struct run_spec *spec = run->spec;
	double *au = calloc((size_t)spec->gpus, sizeof(*au));

	for (int g = 0; au && g < spec->gpus; g++) {
		double busy = 0, wait = before_s;

		for (int i = from; i < to; i++) {
			const struct pace *pace = &run->epochs[i].pace;

			busy += (double)pace->gpu_steps[g] *
				(double)(spec->step_ns + spec->allreduce_ns) / NSEC_PER_SEC;
			wait += (double)pace->wait_ns[g] / NSEC_PER_SEC;
		}
		au[g] = busy > 0 ? busy / (busy + wait) : NOT_MEASURED;
	}
	return au;
}

static int fill_part(
	const struct run *run, int from, int to, bool with_startup, struct run_part *ret)
{
	struct sums s = {
		.waits = calloc(1, sizeof(struct hist)), .reads = calloc(1, sizeof(struct hist))};
	AUTO(free) struct hist *waits = s.waits;
	AUTO(free) struct hist *reads = s.reads;
	double before; /* what reading took that the span does not show */

	if (!waits || !reads)
		return -ENOMEM;
	for (int i = from; i < to; i++)
		add_epoch(run, i, &s);
	if (s.images <= 0)
		return 0;
	before = with_startup ? s.startup_s : s.credit_s;
	ret->images = s.images;
	ret->seconds = s.span_s + before;
	ret->images_per_s = s.images / ret->seconds;
	ret->au = s.busy / (s.lane_span + before * run->spec->gpus);
	ret->bytes_consumed = s.bytes;
	ret->origin_bytes = or_not_measured(s.origin);
	ret->hit_ratio = isnan(s.origin) || s.bytes <= 0 ? NOT_MEASURED
							 : fmax(0, 1 - s.origin / s.bytes);
	ret->page_cache_bytes = or_not_measured(s.cached);
	ret->step_wait_p50_ms = quantile_ms(waits, 0.5);
	ret->step_wait_p99_ms = quantile_ms(waits, 0.99);
	ret->read_p50_ms = quantile_ms(reads, 0.5);
	ret->read_p99_ms = quantile_ms(reads, 0.99);
	ret->au_per_gpu = gpu_utilisation(run, from, to, before);
	return ret->au_per_gpu ? 0 : -ENOMEM;
}

static int fill_parts(const struct run *run, struct run_result *ret)
{
	int n = run->n_epochs, r;

	r = fill_part(run, 0, n, true, &ret->job);
	if (!r && ret->chilled)
		r = fill_part(run, 0, 1, true, &ret->cold);
	if (!r && (n > 1 || run->spec->epochs == 1))
		r = fill_part(run, n > 1, n, false, &ret->steady);
	return r;
}

static void fill_counts(const struct run *run, struct run_result *ret)
{
	const struct epoch *last = &run->epochs[run->n_epochs - 1];

	ret->startup_s = 0;
	for (int i = 0; i < run->n_epochs; i++) {
		const struct epoch *e = &run->epochs[i];

		ret->startup_s += (double)(e->pace.first_start_ns - e->begin_ns) / NSEC_PER_SEC;
		ret->late_steps += e->pace.late_steps;
		ret->samples_read += e->samples;
		ret->samples_checked += e->checked;
		ret->samples_twice += e->twice;
		ret->samples_missing += e->missing;
		ret->ended_early |= e->ended_early;
	}
	ret->crc_errors = run->pipe->crc_errors;
	ret->queue_start = (int)last->pace.queue_start;
	ret->queue_end = (int)last->pace.queue_end;
}

/* Counts the pages of some of the data's files, under a deadline. */
struct page_count {
	struct deadline_call call; /* first */
	struct source *src;
	const struct source_ops *ops;
	const struct dataset *data;
	uint32_t *files; /* that readers have opened */
	uint32_t n;
	double bytes;
};

static int count_file(struct page_count *c, uint32_t file)
{
	struct source_file f;
	int64_t in;
	int r = c->ops->file_open(c->src, c->data->files[file].path, &f);

	if (deadline_passed(&c->call))
		return -ETIMEDOUT;
	if (r < 0)
		return r;
	in = f.fd >= 0 ? page_cache_resident(f.fd) : -ENOTSUP;
	c->ops->file_close(c->src, &f);
	c->bytes += in < 0 ? 0 : (double)in;
	return in < 0 ? (int)in : 0;
}

/* Of a sample of the files, as large as there is time for. */
static int count_pages(struct deadline_call *call)
{
	struct page_count *c = (struct page_count *)call;
	int64_t until = clock_now_ns() + LOOK_NS;
	uint32_t i = 0;
	int r = 0;

	while (!r && i < c->n && i < LOOK_AT_FILES && (i < LOOK_AT_LEAST || clock_now_ns() < until))
		r = count_file(c, c->files[(uint64_t)i++ * LOOK_STRIDE % c->n]);
	c->bytes *= i ? (double)c->n / i : 0;
	return r;
}

static int list_opened(struct page_count *c, const struct pipeline *p)
{
	c->files = calloc(c->data->n_files + 1, sizeof(*c->files));
	for (uint32_t i = 0; c->files && i < c->data->n_files; i++)
		if (atomic_load_explicit(&p->opened[i], memory_order_relaxed))
			c->files[c->n++] = i;
	return c->files ? 0 : -ENOMEM;
}

static void page_count_free(struct deadline_call *call)
{
	struct page_count *c = (struct page_count *)call;

	if (!c)
		return;
	deadline_destroy(call);
	free(c->files);
	free(c);
}

AUTO_FREE(page_count, struct deadline_call, page_count_free);

/* Bytes in the page cache of the files that were read; NAN: they cannot be seen. */
static double look_at_page_cache(const struct run *run)
{
	const struct run_spec *spec = run->spec;
	struct page_count *c;

	if (spec->source->flags & SOURCE_NO_FILES)
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NAN;
	AUTO(page_count) struct deadline_call *call = &c->call;

	deadline_init(call, count_pages, page_count_free);
	c->src = run->src;
	c->ops = spec->source;
	c->data = spec->data;
	if (list_opened(c, run->pipe) < 0)
		return NAN;
	return deadline_run(&call, spec->cfg->external.timeout, spec->stop) < 0 ? NAN : c->bytes;
}

/* What the page cache holds of the data, and of the files a cache keeps them in. */
static double cached_now(const struct run *run, json_t *counters)
{
	const json_t *own = json_object_get(counters, "page_cache_bytes");
	const json_t *tier = json_object_get(counters, "tier_page_cache_bytes");
	double data = json_is_number(own) ? json_number_value(own) : look_at_page_cache(run);

	if (!tier)
		return data;
	return json_is_number(tier) ? data + json_number_value(tier) : NAN;
}

static void judge_page_cache(const struct run *run, struct run_result *ret)
{
	int64_t asked = run->spec->cfg->bench.page_cache;
	double most = 0;

	for (int i = 0; i < run->n_epochs; i++)
		most = isnan(run->cached[i]) || isnan(most) ? NAN : fmax(most, run->cached[i]);
	if (isnan(most))
		return;
	ret->page_cache_max_seen = (int64_t)most;
	/* Whole pages, readahead, and the error of counting some files for all: a tenth and 1 MiB. */
	ret->page_cache_verified = asked < 0 || most <= (double)asked * 1.1 + (1 << 20);
}

/* Takes the source's counters after an epoch (n = -1: before the first). */
static int take_counters(struct run *run, int n, json_t *all)
{
	json_t *now = run->spec->source->counters(run->src);
	const json_t *origin = json_object_get(now, "origin_bytes");

	if (!now)
		return -ENOMEM;
	run->origin[n + 1] = json_is_number(origin) ? json_number_value(origin) : NAN;
	if (n >= 0)
		run->cached[n] = cached_now(run, now);
	return json_array_append_new(all, now) < 0 ? -ENOMEM : 0;
}

/* cpu_s of the source between the first snapshot and the last, by part. */
static double cpu_between(json_t *all, const char *who)
{
	size_t last = json_array_size(all) - 1;
	const json_t *a = json_object_get(json_object_get(json_array_get(all, 0), "cpu_s"), who);
	const json_t *b = json_object_get(json_object_get(json_array_get(all, last), "cpu_s"), who);

	if (!json_is_number(a) || !json_is_number(b))
		return NOT_MEASURED;
	return json_number_value(b) - json_number_value(a);
}

static int run_epochs(struct run *run, struct run_result *ret, struct err *err)
{
	const struct run_spec *spec = run->spec;
	int64_t cpu = 0;
	int r = take_counters(run, -1, ret->counters);

	while (!r && run->n_epochs < spec->epochs && !ret->ended_early) {
		int i = run->n_epochs;

		cpu -= clock_cpu_ns();
		run->epochs[i].number = i;
		run->epochs[i].until_ns = run->until_ns;
		r = epoch_run(run->pipe, spec, &run->epochs[i], err);
		cpu += clock_cpu_ns();
		if (r < 0)
			return r;
		run->n_epochs++;
		ret->ended_early = run->epochs[i].ended_early;
		r = take_counters(run, i, ret->counters);
	}
	ret->cpu_harness_s = (double)cpu / NSEC_PER_SEC;
	ret->cpu_cachefs_s = cpu_between(ret->counters, "cachefs");
	ret->cpu_remote_s = cpu_between(ret->counters, "remote");
	return r;
}

static int chill(struct run *run, struct run_result *ret, struct err *err)
{
	const struct source_ops *ops = run->spec->source;
	struct err why = {{0}};
	int r;

	if (!run->spec->want_cold || (ops->flags & SOURCE_NO_FILES))
		return 0;
	r = ops->chill ? ops->chill(run->src, &why) : -ENOTSUP;
	if (r < 0 && r != -ENOTSUP) {
		*err = why;
		return r;
	}
	ret->chilled = r == 0;
	return 0;
}

static int check_spec(const struct run_spec *spec, struct err *err)
{
	const struct dataset *d = spec->data;

	if (spec->gpus < 1 || spec->batch < 1 || spec->steps < 1 || spec->epochs < 1 ||
		spec->readers < 1 || spec->prefetch < 1 || spec->step_ns < 1)
		return err_set(err, EINVAL,
			"GPUs, batch, steps, epochs, readers, prefetch and the "
			"accelerator's rate must be at least 1");
	if (spec->source->flags & SOURCE_NO_FILES)
		return 0;
	if (!d || !d->n_files || (d->format == FORMAT_IMAGEFOLDER && !d->n_samples))
		return err_set(err, ENODATA, "the data set is empty; generate one with synth-data");
	return 0;
}

static int measure(struct run *run, struct run_result *ret, struct err *err)
{
	const struct run_spec *spec = run->spec;
	int r = chill(run, ret, err);

	if (r < 0)
		return r;
	run->pipe = pipeline_new(spec, run->src, err);
	if (!run->pipe)
		return -ENOMEM;
	run->until_ns = spec->max_time_ns ? clock_now_ns() + spec->max_time_ns : INT64_MAX;
	r = run_epochs(run, ret, err);
	if (r < 0)
		return r;
	fill_counts(run, ret);
	judge_page_cache(run, ret);
	r = fill_parts(run, ret);
	if (r == 0 && ret->job.images <= 0)
		return err_set(err, ETIME,
			"not one step ended before the run's limit; raise "
			"bench.max_time or bench.max_bytes, or lower bench.batch");
	return r;
}

static int open_run(
	struct run *run, struct run_result *ret, struct source_spec *ss, struct err *err)
{
	size_t n = (size_t)run->spec->epochs;

	run->epochs = calloc(n, sizeof(*run->epochs));
	run->origin = calloc(n + 1, sizeof(double));
	run->cached = calloc(n, sizeof(double));
	ret->counters = json_array();
	if (!run->epochs || !run->origin || !run->cached || !ret->counters)
		return err_set(err, ENOMEM, "no memory for %zu epochs", n);
	run->src = run->spec->source->open(ss, err);
	return run->src ? 0 : -EIO;
}

static void close_run(struct run *run)
{
	bool stuck = false;

	for (int i = 0; run->epochs && i < run->spec->epochs; i++)
		stuck |= run->epochs[i].stuck;
	/* Threads stuck in a dead filesystem keep what they may still touch. */
	if (stuck)
		pipeline_leave(run->pipe);
	else
		pipeline_free(run->pipe);
	if (run->src)
		run->spec->source->close(run->src);
	for (int i = 0; run->epochs && i < run->spec->epochs; i++)
		epoch_done(&run->epochs[i]);
	free(run->epochs);
	free(run->origin);
	free(run->cached);
}

int run_execute(const struct run_spec *spec, struct run_result *ret, struct err *err)
{
	struct run run = {.spec = spec};
	struct source_spec ss = {.cfg = spec->cfg,
		.data = spec->data,
		.data_dir = spec->data_dir,
		.work_dir = spec->work_dir,
		.capacity_bytes = spec->capacity_bytes,
		.readers = spec->gpus * spec->readers,
		.stop = spec->stop};
	struct run_result result;
	int r;

	r = check_spec(spec, err);
	if (r < 0)
		return r;
	empty_result(&result);
	r = open_run(&run, &result, &ss, err);
	if (!r)
		r = measure(&run, &result, err);
	close_run(&run);
	if (r < 0)
		run_result_done(&result);
	else
		*ret = result;
	return r;
}

void run_result_done(struct run_result *r)
{
	free(r->cold.au_per_gpu);
	free(r->steady.au_per_gpu);
	free(r->job.au_per_gpu);
	json_decref(r->counters);
	r->cold.au_per_gpu = r->steady.au_per_gpu = r->job.au_per_gpu = NULL;
	r->counters = NULL;
}
