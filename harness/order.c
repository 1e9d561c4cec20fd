/* SPDX-License-Identifier: Apache-2.0 */
/* Shuffles, segments and the count of who was read: see order.h. */
#include "harness/order.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "common/cleanup.h"
#include "harness/dataset.h"

uint64_t order_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* Fisher-Yates. The bias of scaling 32 random bits down to n is below n / 2^32. */
static void shuffle(uint32_t *v, uint32_t n, uint64_t seed)
{
	for (uint32_t i = n; i > 1; i--) {
		uint64_t r = order_mix(seed + i) >> 32;
		uint32_t j = (uint32_t)(r * i >> 32), t = v[i - 1];

		v[i - 1] = v[j];
		v[j] = t;
	}
}

static uint32_t *permutation(uint32_t n, uint64_t seed)
{
	uint32_t *v = malloc((size_t)n * sizeof(*v) + 1);

	for (uint32_t i = 0; v && i < n; i++)
		v[i] = i;
	if (v)
		shuffle(v, n, order_mix(seed));
	return v;
}

static int add_segment(struct order *o, struct segment s)
{
	if (o->n_segments == o->cap) {
		uint32_t cap = o->cap * 2 + 64;
		void *more = reallocarray(o->segments, cap, sizeof(s));

		if (!more)
			return -ENOMEM;
		o->segments = more;
		o->cap = cap;
	}
	o->segments[o->n_segments++] = s;
	return 0;
}

/* Where the next sample goes while shards are laid end to end. */
struct cut {
	struct order *o;
	int lane, gpus;
	uint64_t room, per_gpu; /* samples the lane still takes; takes in all */
};

static int cut_file(struct cut *c, uint32_t file, const struct data_file *f)
{
	for (uint32_t used = 0; used < f->n && c->lane < c->gpus;) {
		uint32_t n = f->n - used < c->room ? f->n - used : (uint32_t)c->room;

		if (add_segment(c->o, (struct segment){file, f->first + used, n}) < 0)
			return -ENOMEM;
		used += n;
		c->room -= n;
		if (c->room)
			continue;
		c->o->lane_first[++c->lane] = c->o->n_segments;
		c->room = c->per_gpu;
	}
	return 0;
}

static int cut_known(
	struct order *o, const struct dataset *d, int gpus, uint64_t per_gpu, uint64_t seed)
{
	struct cut c = {o, 0, gpus, per_gpu, per_gpu};

	while (c.lane < gpus) {
		AUTO(free) uint32_t *files = permutation(d->n_files, seed++);

		if (!files)
			return -ENOMEM;
		for (uint32_t i = 0; i < d->n_files && c.lane < gpus; i++)
			if (cut_file(&c, files[i], &d->files[files[i]]) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int deal_unknown(struct order *o, const struct dataset *d, int gpus, uint64_t seed)
{
	AUTO(free) uint32_t *files = permutation(d->n_files, seed);
	uint32_t step = (uint32_t)gpus;

	if (!files)
		return -ENOMEM;
	for (int lane = 0; lane < gpus; lane++) {
		/* With fewer shards than GPUs, GPUs share them. */
		for (uint32_t i = (uint32_t)lane % d->n_files; i < d->n_files; i += step)
			if (add_segment(o, (struct segment){files[i], 0, UINT32_MAX}) < 0)
				return -ENOMEM;
		o->lane_first[lane + 1] = o->n_segments;
	}
	return 0;
}

static int plan_segments(
	struct order *o, const struct dataset *d, int gpus, uint64_t per_gpu, uint64_t seed)
{
	if (!o->lane_first)
		o->lane_first = calloc((size_t)gpus + 1, sizeof(*o->lane_first));
	if (!o->lane_first)
		return -ENOMEM;
	o->n_segments = 0;
	if (!d->n_samples)
		return deal_unknown(o, d, gpus, seed);
	return cut_known(o, d, gpus, per_gpu, seed);
}

int order_plan(struct order *o, const struct dataset *data, int gpus, uint64_t per_gpu,
	uint64_t seed, bool by_file)
{
	uint32_t n = data ? data->n_samples : 0;

	o->samples = per_gpu * (uint64_t)gpus;
	o->count = n && o->samples / n < UINT8_MAX;
	if (o->count && !o->seen)
		o->seen = calloc(n, sizeof(*o->seen));
	if (o->count && !o->seen)
		return -ENOMEM;
	for (uint32_t i = 0; o->count && i < n; i++)
		atomic_store_explicit(&o->seen[i], 0, memory_order_relaxed);
	assert(!by_file || data);
	if (by_file)
		return plan_segments(o, data, gpus, per_gpu, seed);
	free(o->perm);
	o->perm = n ? permutation(n, seed) : NULL;
	o->n_perm = n;
	return n && !o->perm ? -ENOMEM : 0;
}

void order_done(struct order *o)
{
	free(o->perm);
	free(o->segments);
	free(o->lane_first);
	free((void *)o->seen);
	*o = (struct order){.samples = 0};
}

uint32_t order_sample(const struct order *o, int gpus, int gpu, uint64_t slot)
{
	uint64_t at = slot * (uint64_t)gpus + (uint64_t)gpu;

	return o->n_perm ? o->perm[at % o->n_perm] : (uint32_t)at;
}

void order_mark(struct order *o, uint32_t sample)
{
	if (o->count)
		atomic_fetch_add_explicit(&o->seen[sample], 1, memory_order_relaxed);
}

void order_check(const struct order *o, const struct dataset *data, uint64_t *ret_twice,
	uint64_t *ret_missing)
{
	uint64_t n = data ? data->n_samples : 0, most, distinct = 0, twice = 0;

	*ret_twice = *ret_missing = 0;
	if (!n || !o->count)
		return;
	most = (o->samples + n - 1) / n; /* 1, unless the epoch goes round */
	for (uint64_t i = 0; i < n; i++) {
		uint8_t times = atomic_load_explicit(&o->seen[i], memory_order_relaxed);

		distinct += times > 0;
		twice += times > most ? times - most : 0;
	}
	*ret_twice = twice;
	*ret_missing = (o->samples < n ? o->samples : n) - distinct;
}
