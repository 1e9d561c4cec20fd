/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting as a remote store makes one wait: see synth_remote_shape.h. */
#include "synth/synth_remote_shape.h"

#include <math.h>
#include <poll.h>
#include <stdatomic.h>

#include "common/clock.h"

#define BUCKET_BURST_NS (10 * NSEC_PER_MSEC)
#define WHOLE_BODY_NS (5 * NSEC_PER_MSEC)

void shape_init(struct shape *s, const struct config *cfg, int stop_fd)
{
	bucket_init(&s->bytes, (double)cfg->remote.bandwidth, BUCKET_BURST_NS);
	bucket_init(&s->requests, (double)cfg->remote.iops, BUCKET_BURST_NS);
	s->latency_ns = cfg->remote.latency;
	s->jitter = cfg->remote.jitter;
	s->stop_fd = stop_fd;
}

/* Sleeps until deadline_ns or until the server stops. ppoll, since a sleeping thread must not hold
 * up the end of the program for the minutes that a slow link may owe. */
static void wait_until(const struct shape *s, int64_t deadline_ns)
{
	int64_t left = deadline_ns - clock_now_ns();

	if (left <= 0)
		return;
	struct timespec ts = {left / NSEC_PER_SEC, left % NSEC_PER_SEC};
	struct pollfd stop = {.fd = s->stop_fd, .events = POLLIN};

	clock_precise_thread();
	ppoll(&stop, 1, &ts, NULL);
}

/* xorshift64*, one state a thread (Vigna, "An experimental exploration of Marsaglia's xorshift
 * generators, scrambled"): latencies need no better source and no lock. */
static double uniform(void)
{
	static atomic_uint_fast64_t seeds = 1;
	static _Thread_local uint64_t x;

	if (!x)
		x = atomic_fetch_add(&seeds, 1) * 0x9e3779b97f4a7c15ull;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return (double)((x * 0x2545f4914f6cdd1dull) >> 11) * 0x1p-53;
}

static double normal(void)
{
	double u = 1 - uniform(), v = uniform();

	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

int64_t shape_draw_latency(const struct shape *s)
{
	if (!s->latency_ns || s->jitter <= 0)
		return s->latency_ns;
	return (int64_t)((double)s->latency_ns * exp(s->jitter * normal()));
}

void shape_request(struct shape *s)
{
	int64_t now = clock_now_ns(), due = bucket_charge(&s->requests, 1, now);

	wait_until(s, (due > now ? due : now) + shape_draw_latency(s));
}

void shape_bytes(struct shape *s, uint64_t n)
{
	wait_until(s, bucket_charge(&s->bytes, n, clock_now_ns()));
}

uint64_t shape_burst_bytes(const struct shape *s)
{
	if (s->bytes.rate <= 0)
		return UINT64_MAX;
	return (uint64_t)(s->bytes.rate * ((double)WHOLE_BODY_NS / NSEC_PER_SEC));
}
