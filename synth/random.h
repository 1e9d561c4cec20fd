/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that depend on (seed, sample) alone: any thread makes any sample, in any order.
 *
 * A sample's words are a counter run through the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast
 * splittable pseudorandom number generators", OOPSLA 2014). Long masks come from eight lanes of
 * xorshift128+ (Vigna, arXiv 1404.0390), seeded with such words: only shifts, XOR and addition, so
 * that compilers turn it into vector code on every machine. */
#ifndef SYNTH_RANDOM_H
#define SYNTH_RANDOM_H

#include <stdint.h>

#define RANDOM_STEP 0x9e3779b97f4a7c15u /* 2^64 / golden ratio */
#define NOISE_LANES 8

static inline uint64_t random_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* The stream of a sample; different for each index of a seed. */
static inline uint64_t random_key(uint64_t seed, uint64_t index)
{
	return random_mix(random_mix(seed + RANDOM_STEP) + (index + 1) * RANDOM_STEP);
}

/* Word n of a stream. */
static inline uint64_t random_word(uint64_t key, uint64_t n)
{
	return random_mix(key + (n + 1) * RANDOM_STEP);
}

struct noise {
	uint64_t a[NOISE_LANES], b[NOISE_LANES];
};

static inline void noise_init(struct noise *s, uint64_t key, uint64_t first_word)
{
	for (uint64_t i = 0; i < NOISE_LANES; i++) {
		s->a[i] = random_word(key, first_word + 2 * i);
		s->b[i] = random_word(key, first_word + 2 * i + 1);
	}
}

static inline void noise_next(struct noise *s, uint64_t ret[NOISE_LANES])
{
	for (int i = 0; i < NOISE_LANES; i++) {
		uint64_t x = s->a[i], y = s->b[i];

		x ^= x << 23;
		x ^= x >> 18;
		x ^= y ^ (y >> 5);
		s->a[i] = y;
		s->b[i] = x;
		ret[i] = x + y;
	}
}

#endif
