/* SPDX-License-Identifier: Apache-2.0 */
/* credit - an account of bytes that bounds work nobody asked for: doing it spends, its being asked for, or
 * other work, earns. Full at first, never below nothing. Any thread, no lock. */
#ifndef CACHEFS_CREDIT_H
#define CACHEFS_CREDIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct credit {
	int64_t max; /* constant */
	_Atomic int64_t left;
};

static inline void credit_init(struct credit *c, int64_t max)
{
	c->max = max;
	atomic_init(&c->left, max);
}

/* False: there are not so many. */
static inline bool credit_spend(struct credit *c, int64_t bytes)
{
	int64_t had = atomic_load(&c->left);

	do {
		if (had < bytes)
			return false;
	} while (!atomic_compare_exchange_weak(&c->left, &had, had - bytes));
	return true;
}

/* Any number of bytes >= 0; what is above max is lost. */
static inline void credit_earn(struct credit *c, double bytes)
{
	int64_t had = atomic_load(&c->left), now;

	do {
		now = bytes < (double)(c->max - had) ? had + (int64_t)bytes : c->max;
	} while (now > had && !atomic_compare_exchange_weak(&c->left, &had, now));
}

#endif
