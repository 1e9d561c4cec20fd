/* SPDX-License-Identifier: Apache-2.0 */
/* A run without a pace: see probe.h. One lane has the readers of all GPUs, and batches of one, so that
 * a slow storage too ends a few steps in the time there is. */
#include "harness/probe.h"

#include <errno.h>

#include "common/clock.h"
#include "harness/estimate.h"

#define PROBE_NS (2 * NSEC_PER_SEC)
#define READERS_MOST 256
#define OTHER_ORDER 0x70726f6265u
#define ENDLESS 1000000000

static struct run_spec describe(
	const struct cell *c, const struct dataset *data, const char *dir, int64_t max_bytes)
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
	spec.batch = 1;
	spec.prefetch = 2 * spec.readers;
	spec.steps = ENDLESS;
	spec.epochs = 1;
	spec.step_ns = 1;
	spec.allreduce_ns = 0;
	spec.seed ^= OTHER_ORDER;
	spec.want_cold = false;
	spec.max_time_ns = PROBE_NS;
	spec.max_bytes = max_bytes;
	return spec;
}

int probe_run(const struct cell *c, const struct dataset *data, const char *dir, int64_t max_bytes,
	struct probe *ret, struct err *err)
{
	struct run_spec spec = describe(c, data, dir, max_bytes);
	struct run_result res;
	int r = run_execute(&spec, &res, err);

	*ret = (struct probe){0};
	if (r == -ETIME) { /* nothing in time, which says something as well */
		err->msg[0] = '\0';
		return 0;
	}
	if (r)
		return r;
	ret->images_per_s = res.job.images_per_s;
	ret->bytes = (int64_t)res.job.bytes_consumed;
	if (res.samples_read)
		ret->image_bytes = (uint32_t)(res.job.bytes_consumed / (double)res.samples_read);
	run_result_done(&res);
	return 0;
}
