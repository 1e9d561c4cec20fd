/* SPDX-License-Identifier: Apache-2.0 */
/* A run without a pace: see probe.h. One lane has the readers of all GPUs, and small batches. What
 * counts are the bytes that come once all are at work. */
#include "harness/probe.h"

#include <errno.h>

#include "common/clock.h"
#include "harness/dataset.h"
#include "harness/estimate.h"

#define PROBE_NS (2 * NSEC_PER_SEC)
#define READERS_MOST 256
#define OTHER_ORDER 0x70726f6265u
#define ENDLESS 100000000
#define BATCH 16
#define TRIES 2
#define RAMP_NS (NSEC_PER_SEC / 2)

/* Bytes that readers had delivered, and when. */
struct mark {
	int64_t ns; /* since the start */
	uint64_t bytes;
};

struct so_far {
	int64_t started_ns;
	struct mark begin, end; /* begin: after the first moments, in which queues are filled */
};

static void note(const struct run_progress *now, void *arg)
{
	struct so_far *s = arg;
	int64_t ns = clock_now_ns() - s->started_ns;

	s->end = (struct mark){ns, now->bytes};
	if (ns < RAMP_NS)
		s->begin = s->end;
}

/* Bytes a second; 0: none came. */
static double byte_rate(const struct so_far *s)
{
	if (s->end.bytes > s->begin.bytes)
		return (double)(s->end.bytes - s->begin.bytes) /
		       ((double)(s->end.ns - s->begin.ns) / NSEC_PER_SEC);
	return s->end.ns ? (double)s->end.bytes / ((double)s->end.ns / NSEC_PER_SEC) : 0;
}

static struct run_spec describe(
	const struct cell *c, const struct dataset *data, const char *dir, struct so_far *s)
{
	struct run_spec spec;

	estimate_spec(c, &spec);
	spec.data = data;
	spec.data_dir = dir;
	spec.work_dir = "";
	spec.readers *= spec.gpus;
	if (spec.readers > READERS_MOST)
		spec.readers = READERS_MOST;
	spec.gpus = 1;
	spec.batch = BATCH;
	spec.prefetch = 2 * spec.readers / BATCH + 1;
	spec.steps = ENDLESS;
	spec.epochs = 1;
	spec.step_ns = 1;
	spec.allreduce_ns = 0;
	spec.seed ^= OTHER_ORDER;
	spec.want_cold = false;
	spec.max_time_ns = PROBE_NS;
	spec.progress = note;
	spec.progress_arg = s;
	return spec;
}

static int probe_once(const struct cell *c, const struct dataset *data, const char *dir,
	int64_t max_bytes, struct probe *ret, struct err *err)
{
	struct so_far s = {.started_ns = clock_now_ns()};
	struct run_spec spec = describe(c, data, dir, &s);
	struct run_result res;
	int r;

	spec.max_bytes = max_bytes;
	r = run_execute(&spec, &res, err);
	*ret = (struct probe){.bytes = (int64_t)s.end.bytes};
	if (r && r != -ETIME)
		return r;
	if (!r) {
		ret->bytes = (int64_t)res.job.bytes_consumed;
		ret->images_per_s = ret->bytes ? res.job.images_per_s : 0;
		if (res.samples_read)
			ret->image_bytes = (uint32_t)(ret->bytes / (int64_t)res.samples_read);
		run_result_done(&res);
	}
	err->msg[0] = '\0';
	/* Batches end in order and so hide what came for later ones. */
	if (byte_rate(&s) > 0)
		ret->images_per_s = byte_rate(&s) / (ret->image_bytes ? ret->image_bytes
								      : dataset_mean_bytes(data));
	return 0;
}

int probe_run(const struct cell *c, const struct dataset *data, const char *dir, int64_t max_bytes,
	struct probe *ret, struct err *err)
{
	int r = 0;

	*ret = (struct probe){0};
	/* A storage that was busy for a moment gets another chance. */
	for (int i = 0; !r && ret->images_per_s <= 0 && i < TRIES; i++)
		r = probe_once(c, data, dir, max_bytes, ret, err);
	return r;
}
