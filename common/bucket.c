/* SPDX-License-Identifier: Apache-2.0 */
/* Token bucket in one atomic: see bucket.h. */
#include "common/bucket.h"

#include "common/clock.h"

void bucket_init(struct bucket *b, double rate_per_s, int64_t burst_ns)
{
	b->rate = rate_per_s;
	b->burst_ns = burst_ns;
	bucket_reset(b);
}

void bucket_reset(struct bucket *b)
{
	atomic_store(&b->paid_until_ns, clock_now_ns());
}

int64_t bucket_charge(struct bucket *b, uint64_t n, int64_t now_ns)
{
	if (b->rate <= 0)
		return now_ns;
	int64_t cost = (int64_t)((double)n / b->rate * 1e9);
	int64_t until = atomic_load_explicit(&b->paid_until_ns, memory_order_relaxed), next;

	do {
		int64_t earliest = now_ns - b->burst_ns;

		next = (until > earliest ? until : earliest) + cost;
	} while (!atomic_compare_exchange_weak(&b->paid_until_ns, &until, next));
	return next;
}

int64_t bucket_wait(struct bucket *b, uint64_t n)
{
	int64_t now = clock_now_ns(), until = bucket_charge(b, n, now);

	if (until <= now)
		return 0;
	return until - now + clock_sleep_until(until);
}
