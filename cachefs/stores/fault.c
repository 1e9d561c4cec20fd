/* SPDX-License-Identifier: Apache-2.0 */
/* fault - errors on purpose: fault.error_rate of the reads fail with EIO, and in fault.corrupt_rate
 * of the lent extents one bit is flipped. Which ones, fault.seed decides.
 *
 * Only a copy of lent bytes is spoilt, never what the tier below holds, and only where CRCs go
 * with them: that is rot in a tier, which the reader has to notice. Fetched bytes pass as they
 * are, since nothing above could tell. */
#include "cachefs/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

extern const struct store_ops fault_ops;

struct fault {
	struct store base;
	double error_rate, corrupt_rate;
	uint64_t seed;
	_Atomic uint64_t calls;
};

/* A spoilt copy of what the layer below lent. */
struct copy {
	struct extent below;
	char bytes[];
};

static struct store *fault_open(
	const struct config *cfg, const char *origin, struct store *lower, struct err *err)
{
	struct fault *f = calloc(1, sizeof(*f));

	if (!f || store_init(&f->base, &fault_ops, lower) < 0) {
		free(f);
		err_set(err, ENOMEM, "not enough memory for layer fault");
		return NULL;
	}
	f->error_rate = cfg->fault.error_rate;
	f->corrupt_rate = cfg->fault.corrupt_rate;
	f->seed = (uint64_t)cfg->fault.seed;
	return &f->base;
}

static void fault_close(struct store *st)
{
	store_done(st);
	free(container_of(st, struct fault, base));
}

/* splitmix64 over seed and call number. */
static uint64_t next_random(struct fault *f)
{
	uint64_t n = f->seed * 0xd6e8feb86659fd93ull +
		     (atomic_fetch_add(&f->calls, 1) + 1) * 0x9e3779b97f4a7c15ull;

	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ull;
	n = (n ^ n >> 27) * 0x94d049bb133111ebull;
	return n ^ n >> 31;
}

static bool happens(struct fault *f, double rate)
{
	return rate > 0 && (double)(next_random(f) >> 11) < rate * 9007199254740992.0;
}

static int fault_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg)
{
	struct fault *f = container_of(st, struct fault, base);

	if (happens(f, f->error_rate))
		return -EIO;
	return store_fetch(st->lower, obj, off, len, each, arg);
}

/* Takes ext over and puts a spoilt copy in its place. */
static int spoil(struct fault *f, struct extent *ext)
{
	struct copy *copy = malloc(sizeof(*copy) + ext->whole);
	uint64_t where = next_random(f) % (ext->len * 8);

	if (!copy)
		return -ENOMEM;
	copy->below = *ext;
	if (ext->mem)
		memcpy(copy->bytes, (const char *)ext->mem - ext->lead, ext->whole);
	else if (extent_read(ext, copy->bytes) < 0) {
		free(copy);
		return -EIO;
	}
	copy->bytes[ext->lead + where / 8] ^= (char)(1 << where % 8);
	ext->mem = copy->bytes + ext->lead;
	ext->fd = -1;
	ext->owner = &f->base;
	ext->cookie = (uintptr_t)copy;
	return 0;
}

static int fault_lend(
	struct store *st, const struct object *obj, uint64_t off, size_t len, struct extent *ret)
{
	struct fault *f = container_of(st, struct fault, base);

	if (happens(f, f->error_rate))
		return -EAGAIN; /* the fetch that follows may fail; a lend has another way */
	int r = store_lend(st->lower, obj, off, len, ret);

	if (r < 0 || !ret->crc || !happens(f, f->corrupt_rate))
		return r;
	r = spoil(f, ret);
	if (r < 0)
		extent_put(ret);
	return r < 0 ? -EAGAIN : 0;
}

static void fault_put(struct store *st, struct extent *ext)
{
	struct copy *copy = (struct copy *)(uintptr_t)ext->cookie;

	extent_put(&copy->below);
	free(copy);
}

static void fault_reject(struct store *st, struct extent *ext)
{
	struct copy *copy = (struct copy *)(uintptr_t)ext->cookie;
	struct store *owner = copy->below.owner;

	if (owner && owner->ops->reject)
		owner->ops->reject(owner, &copy->below);
}

/* What the kernel reads by itself would never fail. */
static int fault_backing(struct store *st, const struct object *obj, int *ret_fd)
{
	return -ENOTSUP;
}

const struct store_ops fault_ops = {
	.name = "fault",
	.summary = "Fails reads and flips bits on purpose, to test what is above.",
	.open = fault_open,
	.close = fault_close,
	.fetch = fault_fetch,
	.lend = fault_lend,
	.backing = fault_backing,
	.put = fault_put,
	.reject = fault_reject,
};
