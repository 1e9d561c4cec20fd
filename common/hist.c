/* SPDX-License-Identifier: Apache-2.0 */
/* Log-linear latency histogram: see hist.h. */
#include "common/hist.h"

#include <string.h>

#define SUB (1u << HIST_SUB_BITS)

/* Values below SUB have a bucket each; above, each power of two has SUB buckets. */
static unsigned bucket_of(uint64_t v)
{
	if (v < SUB)
		return (unsigned)v;
	unsigned msb = 63u - (unsigned)__builtin_clzll(v);
	unsigned b = ((msb - HIST_SUB_BITS + 1) << HIST_SUB_BITS) +
		     (unsigned)((v >> (msb - HIST_SUB_BITS)) & (SUB - 1));

	return b < HIST_BUCKETS ? b : HIST_BUCKETS - 1;
}

static int64_t middle_of(unsigned b)
{
	if (b < SUB)
		return b;
	unsigned shift = (b >> HIST_SUB_BITS) - 1;
	int64_t low = (int64_t)((b & (SUB - 1)) + SUB) << shift;

	return low + ((1LL << shift) >> 1);
}

void hist_reset(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

static void raise_max(struct hist *h, uint64_t v)
{
	uint64_t max = atomic_load_explicit(&h->max_ns, memory_order_relaxed);

	while (v > max && !atomic_compare_exchange_weak(&h->max_ns, &max, v))
		;
}

void hist_add(struct hist *h, int64_t ns)
{
	uint64_t v = ns > 0 ? (uint64_t)ns : 0;

	atomic_fetch_add_explicit(&h->bucket[bucket_of(v)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_ns, v, memory_order_relaxed);
	raise_max(h, v);
}

void hist_merge(struct hist *into, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		uint32_t n = atomic_load_explicit(&from->bucket[i], memory_order_relaxed);

		if (n)
			atomic_fetch_add_explicit(&into->bucket[i], n, memory_order_relaxed);
	}
	atomic_fetch_add(&into->count, atomic_load(&from->count));
	atomic_fetch_add(&into->sum_ns, atomic_load(&from->sum_ns));
	raise_max(into, atomic_load(&from->max_ns));
}

int64_t hist_quantile_ns(const struct hist *h, double q)
{
	uint64_t total = 0, seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		total += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
	if (!total)
		return -1;
	uint64_t want = (uint64_t)(q * (double)total);

	if ((double)want < q * (double)total || !want)
		want++;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
		if (seen >= want)
			return middle_of(i);
	}
	return middle_of(HIST_BUCKETS - 1);
}
