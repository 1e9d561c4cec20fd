/* SPDX-License-Identifier: Apache-2.0 */
/* An event count over futex(2): see gate.h. */
#include "harness/gate.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

uint32_t gate_look(struct gate *g)
{
	return atomic_load(&g->rung);
}

void gate_ring(struct gate *g)
{
	atomic_fetch_add(&g->rung, 1);
	/* Sequentially consistent with the sleeper's add: either it is seen here, or the kernel
	 * sees the new value there. */
	if (atomic_load(&g->sleepers))
		syscall(SYS_futex, &g->rung, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void gate_sleep(struct gate *g, uint32_t seen, int64_t until_ns)
{
	struct timespec ts = {until_ns / NSEC_PER_SEC, until_ns % NSEC_PER_SEC};

	atomic_fetch_add(&g->sleepers, 1);
	/* The bitset form takes an absolute CLOCK_MONOTONIC time. */
	syscall(SYS_futex, &g->rung, FUTEX_WAIT_BITSET_PRIVATE, seen,
		until_ns == INT64_MAX ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
	atomic_fetch_sub(&g->sleepers, 1);
}
