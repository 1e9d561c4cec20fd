/* SPDX-License-Identifier: Apache-2.0 */
/* throttle - a bandwidth and request limit on what passes: throttle.bandwidth, throttle.iops.
 *
 * Each fetch charges two token buckets and waits until they are paid. A lend may not wait: while a
 * bucket is in debt it answers -EAGAIN, so the reader parks and a pool thread's fetch waits in its
 * place; else it lends first and leaves the debt to the next. So the mean rate is kept, and a tier
 * below is not gone round. */
#include "cachefs/store.h"

#include <errno.h>
#include <stdlib.h>

#include "common/bucket.h"
#include "common/cleanup.h"
#include "common/clock.h"

extern const struct store_ops throttle_ops;

#define BURST_NS (10 * NSEC_PER_MSEC)
#define SLICE (128 << 10) /* bytes handed up between waits, so that they come at the rate */

struct throttle {
	struct store base;
	struct bucket bytes, requests;
};

static struct store *throttle_open(
	const struct config *cfg, const char *origin, struct store *lower, struct err *err)
{
	struct throttle *t = calloc(1, sizeof(*t));

	if (!t || store_init(&t->base, &throttle_ops, lower) < 0) {
		free(t);
		err_set(err, ENOMEM, "not enough memory for layer throttle");
		return NULL;
	}
	bucket_init(&t->bytes, (double)cfg->throttle.bandwidth, BURST_NS);
	bucket_init(&t->requests, (double)cfg->throttle.iops, BURST_NS);
	return &t->base;
}

static void throttle_close(struct store *st)
{
	store_done(st);
	free(container_of(st, struct throttle, base));
}

struct throttled_sink {
	struct throttle *t;
	sink_fn *each;
	void *arg;
};

static int throttle_bytes(void *arg, const void *data, size_t len)
{
	struct throttled_sink *s = arg;
	const char *from = data;

	while (len) {
		size_t n = len < SLICE ? len : SLICE;

		counter_add(s->t->base.counters, LAYER_waited_ns, bucket_wait(&s->t->bytes, n));
		int r = s->each(s->arg, from, n);

		if (r)
			return r;
		from += n;
		len -= n;
	}
	return 0;
}

static int throttle_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg)
{
	struct throttle *t = container_of(st, struct throttle, base);
	struct throttled_sink sink = {t, each, arg};

	counter_add(st->counters, LAYER_waited_ns, bucket_wait(&t->requests, 1));
	return store_fetch(st->lower, obj, off, len, throttle_bytes, &sink);
}

static bool in_debt(struct bucket *b, int64_t now_ns)
{
	return b->rate > 0 && atomic_load(&b->paid_until_ns) > now_ns;
}

static int throttle_lend(
	struct store *st, const struct object *obj, uint64_t off, size_t len, struct extent *ret)
{
	struct throttle *t = container_of(st, struct throttle, base);
	int64_t now_ns = clock_now_ns();

	if (in_debt(&t->bytes, now_ns) || in_debt(&t->requests, now_ns))
		return -EAGAIN;
	int r = store_lend(st->lower, obj, off, len, ret);

	if (!r) {
		bucket_charge(&t->requests, 1, now_ns);
		bucket_charge(&t->bytes, ret->len, now_ns);
	}
	return r;
}

/* What the kernel reads by itself would not be counted. */
static int throttle_backing(struct store *st, const struct object *obj, int *ret_fd)
{
	return -ENOTSUP;
}

const struct store_ops throttle_ops = {
	.name = "throttle",
	.summary = "Limits bandwidth and requests a second.",
	.open = throttle_open,
	.close = throttle_close,
	.fetch = throttle_fetch,
	.lend = throttle_lend,
	.backing = throttle_backing,
};
