/* SPDX-License-Identifier: Apache-2.0 */
/* delay - adds latency to every call: delay.latency, give or take delay.jitter (a normal
 * distribution, never below 0).
 *
 * A call that may not wait (a lend, or STORE_NOWAIT) is -EAGAIN, so that a thread that may wait
 * comes in its place. */
#include "cachefs/store.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"

extern const struct store_ops delay_ops;

struct delay {
	struct store base;
	int64_t latency_ns, jitter_ns;
	_Atomic uint64_t calls;
};

static struct store *delay_open(
	const struct config *cfg, const char *origin, struct store *lower, struct err *err)
{
	struct delay *d = calloc(1, sizeof(*d));

	if (!d || store_init(&d->base, &delay_ops, lower) < 0) {
		free(d);
		err_set(err, ENOMEM, "not enough memory for layer delay");
		return NULL;
	}
	d->latency_ns = cfg->delay.latency;
	d->jitter_ns = cfg->delay.jitter;
	return &d->base;
}

static void delay_close(struct store *st)
{
	store_done(st);
	free(container_of(st, struct delay, base));
}

/* splitmix64: a well-mixed number for each n. */
static uint64_t mix(uint64_t n)
{
	n = (n + 1) * 0x9e3779b97f4a7c15ull;
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ull;
	n = (n ^ n >> 27) * 0x94d049bb133111ebull;
	return n ^ n >> 31;
}

/* Standard normal of the n-th call, by Box and Muller. */
static double normal(uint64_t n)
{
	double u = ((double)(mix(2 * n) >> 11) + 1) / 9007199254740993.0;
	double v = (double)(mix(2 * n + 1) >> 11) / 9007199254740992.0;

	return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static void add_delay(struct delay *d)
{
	int64_t start_ns = clock_now_ns(), wait_ns = d->latency_ns;

	if (d->jitter_ns)
		wait_ns += (int64_t)((double)d->jitter_ns * normal(atomic_fetch_add(&d->calls, 1)));
	if (wait_ns <= 0)
		return;
	clock_sleep_until(start_ns + wait_ns);
	counter_add(d->base.counters, LAYER_waited_ns, clock_now_ns() - start_ns);
}

static bool would_wait(const struct delay *d)
{
	return d->latency_ns || d->jitter_ns;
}

static int delay_stat(struct store *st, const char *name, enum store_wait wait, struct object *ret)
{
	struct delay *d = container_of(st, struct delay, base);

	if (wait == STORE_NOWAIT && would_wait(d))
		return -EAGAIN;
	add_delay(d);
	return store_stat(st->lower, name, wait, ret);
}

static int delay_list(
	struct store *st, const char *dir, enum store_wait wait, list_fn *each, void *arg)
{
	struct delay *d = container_of(st, struct delay, base);

	if (wait == STORE_NOWAIT && would_wait(d))
		return -EAGAIN;
	add_delay(d);
	return store_list(st->lower, dir, wait, each, arg);
}

static int delay_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg)
{
	add_delay(container_of(st, struct delay, base));
	return store_fetch(st->lower, obj, off, len, each, arg);
}

static int delay_lend(
	struct store *st, const struct object *obj, uint64_t off, size_t len, struct extent *ret)
{
	if (would_wait(container_of(st, struct delay, base)))
		return -EAGAIN;
	return store_lend(st->lower, obj, off, len, ret);
}

/* What the kernel reads by itself would not be delayed. */
static int delay_backing(struct store *st, const struct object *obj, int *ret_fd)
{
	return -ENOTSUP;
}

const struct store_ops delay_ops = {
	.name = "delay",
	.summary = "Adds latency to every call.",
	.open = delay_open,
	.close = delay_close,
	.stat = delay_stat,
	.list = delay_list,
	.fetch = delay_fetch,
	.lend = delay_lend,
	.backing = delay_backing,
};
