/* SPDX-License-Identifier: Apache-2.0 */
/* memory - samples of sources without files, in the order and with the sizes that the data set
 * gives (DLIO's mean without one). */
#include "harness/dataset.h"
#include "harness/pipeline.h"

static int memory_work(struct worker *w)
{
	struct pipeline *p = w->p;
	const struct dataset *d = p->data;
	uint32_t mean = dataset_mean_bytes(d);
	uint64_t slot;
	int r = 0;

	while (!r && worker_claim(w, &slot)) {
		uint32_t index = order_sample(&p->order, p->gpus, w->gpu, slot);
		bool known = d && index < d->n_samples;
		struct sample s = {.index = known ? index : SAMPLE_UNKNOWN};
		uint32_t len = known && d->samples[index].len ? d->samples[index].len : mean;
		uint8_t *mem = worker_alloc(w, len, &s);

		if (!mem)
			return -1;
		r = p->ops->sample(p->src, index, mem, len);
		if (r < 0)
			slab_put(s.slab);
		r = r < 0 ? pipeline_fail(p, -r, "a sample could not be made")
			  : worker_deliver(w, slot, &s);
	}
	return r;
}

const struct reader_ops reader_memory = {.name = "memory", .work = memory_work};
