/* SPDX-License-Identifier: Apache-2.0 */
/* order - who reads what in an epoch: every sample once, spread over GPUs, shuffled by the seed.
 *
 * tfrecord: the shards in random order, laid end to end, cut into one equal part a GPU; a part is a
 * list of segments (a shard, or a piece of one at a cut), which the lane's streams take in turn.
 * imagefolder: one permutation of all samples; GPU g of G takes every G-th, as PyTorch's
 * DistributedSampler does. If an epoch needs more samples than there are, it begins again in
 * another order. Shards whose samples are not known are dealt out whole, over and over. */
#ifndef HARNESS_ORDER_H
#define HARNESS_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct dataset;

struct segment {
	uint32_t file;
	uint32_t first; /* sample of the set */
	uint32_t n;     /* UINT32_MAX: to the end of the file */
};

struct order {
	uint64_t samples; /* of the epoch, all GPUs */
	uint32_t *perm;   /* [n_samples], or NULL */
	uint32_t n_perm;
	struct segment *segments; /* of all lanes, one lane after another */
	uint32_t *lane_first;     /* [gpus + 1] index into segments */
	uint32_t n_segments, cap;
	bool count;            /* whether deliveries are counted: the samples are known */
	_Atomic uint8_t *seen; /* [n_samples] times delivered in this epoch */
};

/* Plans an epoch of gpus x per_gpu samples. by_file: segments, else the permutation. 0, -ENOMEM. */
int order_plan(struct order *o, const struct dataset *data, int gpus, uint64_t per_gpu,
	uint64_t seed, bool by_file);
void order_done(struct order *o);

/* The sample at a slot of a lane (permutation only); without a data set, a running number. */
uint32_t order_sample(const struct order *o, int gpus, int gpu, uint64_t slot);

void order_mark(struct order *o, uint32_t sample);

/* After a complete epoch: samples delivered more often, and less often, than planned. */
void order_check(const struct order *o, const struct dataset *data, uint64_t *ret_twice,
	uint64_t *ret_missing);

/* splitmix64, by Sebastiano Vigna (prng.di.unimi.it): x to a well-mixed number. */
uint64_t order_mix(uint64_t x);

#endif
