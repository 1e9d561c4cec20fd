/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic only: see estimate.h. A run lasts as long as its slowest part: the GPUs' steps, or the
 * remote's bandwidth where bytes come from it. */
#include "harness/estimate.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/topology.h"
#include "common/units.h"

#define OVERHEAD_S 0.5      /* of a run: start of children, mount, unmount */
#define GENERATE_RATE 300e6 /* bytes/s of synth-data, a cautious guess */
#define READ_BYTES 262144.0 /* of tf.data's preads; Pillow's are smaller */
#define IMAGE_READS 4.0     /* Pillow: 4,096, 61,440, 65,536, 0 */

void estimate_spec(const struct cell *c, struct run_spec *ret)
{
	const struct variant *v = c->variant;
	const struct config *cfg = v->cfg;

	*ret = (struct run_spec){.cfg = cfg,
		.source = c->source,
		.gpus = c->gpus,
		.batch = v->batch,
		.prefetch = (int)cfg->bench.prefetch,
		.readers = variant_readers(v),
		.steps = v->steps,
		.epochs = cell_epochs(c),
		.images_per_s = v->images_per_s,
		.step_ns = (int64_t)((double)v->batch / v->images_per_s * NSEC_PER_SEC),
		.allreduce_ns = cfg->bench.allreduce,
		.seed = (uint64_t)cfg->bench.seed + (uint64_t)c->repeat,
		.want_cold = !(c->source->flags & SOURCE_NO_FILES),
		.max_time_ns = cfg->bench.max_time};
	if (!strcmp(c->source->name, "external") || cfg->remote.origin[0])
		ret->max_bytes = cfg->bench.max_bytes;
}

/* Epochs in which every byte comes from the remote. */
static int remote_epochs(const struct cell *c)
{
	const char *name = c->source->name;
	const struct config *cfg = c->variant->cfg;

	if (!cfg->remote.bandwidth || cfg->remote.origin[0] || !strcmp(name, "synthetic") ||
		!strcmp(name, "external"))
		return 0;
	if (!(c->source->flags & SOURCE_KEEPS))
		return cell_epochs(c);
	return cfg->bench.cache_ratio < 1 && cfg->disk.capacity == KNOB_VALUE_AUTO ? cell_epochs(c)
										   : 1;
}

struct cost estimate_cell(const struct cell *c, double image_bytes)
{
	const struct variant *v = c->variant;
	double steps_s = v->steps * ((double)v->batch / v->images_per_s +
					    (double)v->cfg->bench.allreduce / NSEC_PER_SEC);
	double bytes = (double)cell_samples(c) * image_bytes;
	double remote_s = v->cfg->remote.bandwidth ? bytes / (double)v->cfg->remote.bandwidth : 0;
	int epochs = cell_epochs(c), slow = remote_epochs(c);
	double slow_s = remote_s > steps_s ? remote_s : steps_s;
	double limit_s = (double)v->cfg->bench.max_time / NSEC_PER_SEC;
	struct cost cost = {.seconds = slow * slow_s + (epochs - slow) * steps_s,
		.bytes = c->source->flags & SOURCE_NO_FILES ? 0 : bytes * epochs};

	if (limit_s > 0 && cost.seconds > limit_s)
		cost.seconds = limit_s;
	cost.seconds += OVERHEAD_S;
	if (v->cfg->bench.format == FORMAT_TFRECORD)
		cost.requests = cost.bytes / READ_BYTES;
	else
		cost.requests = cost.bytes / image_bytes * IMAGE_READS;
	return cost;
}

struct cost estimate_matrix(
	const struct matrix *m, const struct prepared *p, const bool *skip, double image_bytes)
{
	struct cost all = {0};

	if (p->samples && !p->have_data)
		all.seconds = (double)p->data_bytes / GENERATE_RATE;
	for (size_t i = 0; i < m->n_cells; i++) {
		struct cost one = estimate_cell(&m->cells[i], image_bytes);

		if (skip && skip[i])
			continue;
		all.seconds += one.seconds;
		all.bytes += one.bytes;
		all.requests += one.requests;
	}
	return all;
}

int estimate_memory(const struct matrix *m, int64_t *ret_bytes, struct err *err)
{
	char need[UNITS_MAX], half[UNITS_MAX];
	struct topology t;
	int64_t most = 0;
	int r = topology_read("", &t, err);

	if (r)
		return r;
	for (size_t i = 0; i < m->n_cells; i++) {
		struct run_spec spec;
		int64_t bytes;

		estimate_spec(&m->cells[i], &spec);
		bytes = run_memory_bytes(&spec);
		most = bytes > most ? bytes : most;
	}
	*ret_bytes = most;
	if (most <= t.memory_limit / 2)
		return 0;
	return err_set(err, ENOMEM,
		"batches in memory need %s, more than half of RAM (%s); lower --batch, "
		"--bench.prefetch or --gpus",
		units_human_bytes((double)most, need),
		units_human_bytes((double)t.memory_limit / 2, half));
}
