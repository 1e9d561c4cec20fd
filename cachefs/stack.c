/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the layers that cache.stack names over an origin and serves reads from them: see stack.h. */
#include "cachefs/stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/pool.h"
#include "common/cleanup.h"

#define LAYERS_MAX 16
#define QUEUE_MAX 65536

struct stack {
	struct store *layer[LAYERS_MAX]; /* the origin first */
	int layers;
	struct pool *pool;
};

/* ---- building ---- */

/* The origin's scheme, which is the name of its store, and what follows it for dir. */
static const char *origin_scheme(const char *origin, const char **ret_rest)
{
	static const char *const schemes[] = {"http", "https", "s3"};

	*ret_rest = origin;
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i]);

		if (!strncmp(origin, schemes[i], len) && !strncmp(origin + len, "://", 3))
			return i < 2 ? "http" : "s3";
	}
	if (!strncmp(origin, "dir:", 4))
		*ret_rest = origin + 4;
	return "dir";
}

static int push_layer(struct stack *s, const struct config *cfg, const char *name,
	const char *origin, struct err *err)
{
	const struct store_ops *ops = store_find(name);
	struct store *lower = s->layers ? s->layer[s->layers - 1] : NULL;

	if (!ops || ops->origin != !lower)
		return err_set(err, EINVAL,
			"cache.stack: %s is not a layer; see run-bench list layers", name);
	if (s->layers == LAYERS_MAX)
		return err_set(err, EINVAL, "cache.stack: more than %d layers", LAYERS_MAX - 1);
	struct store *st = ops->open(cfg, origin, lower, err);

	if (!st)
		return -EINVAL;
	s->layer[s->layers++] = st;
	return 0;
}

struct stack *stack_open(const struct config *cfg, const char *origin, struct err *err)
{
	struct stack *s = calloc(1, sizeof(*s));
	const char *rest, *scheme = origin_scheme(origin, &rest);

	if (!s || !(s->pool = pool_new((int)cfg->http.streams, QUEUE_MAX))) {
		err_set(err, ENOMEM, "not enough memory for the fetch pool");
		stack_close(s);
		return NULL;
	}
	if (push_layer(s, cfg, scheme, rest, err) < 0) {
		stack_close(s);
		return NULL;
	}
	return s;
}

void stack_close(struct stack *s)
{
	if (!s)
		return;
	pool_free(s->pool);
	while (s->layers--)
		s->layer[s->layers]->ops->close(s->layer[s->layers]);
	free(s);
}

struct store *stack_top(struct stack *s)
{
	return s->layer[s->layers - 1];
}

/* ---- reading ---- */

/* Verifies a lent extent and adds its bytes to the reply; takes the extent over. */
static int add_extent(struct reply *ret, struct extent *ext, char **scratch, char *scratch_end)
{
	const char *whole = ext->mem ? (const char *)ext->mem - ext->lead : *scratch;
	size_t need = ext->crc ? ext->whole : ext->len;

	if (!ext->mem && (size_t)(scratch_end - *scratch) < need)
		goto gone;
	if (!ext->mem && extent_read(ext, *scratch) < 0)
		goto bad;
	if (extent_check(ext, whole) < 0)
		goto bad;
	ret->iov[ret->n++] = (struct iovec){
		(char *)(uintptr_t)whole + (ext->crc ? ext->lead : 0), ext->len};
	if (ext->mem) {
		ret->ext[ret->n_ext++] = *ext;
	} else {
		*scratch += need;
		extent_put(ext);
	}
	return 0;
bad:
	extent_reject(ext);
	return -EAGAIN;
gone:
	extent_put(ext);
	return -EAGAIN;
}

int stack_read_now(
	struct stack *s, const struct object *obj, uint64_t off, size_t len, struct reply *ret)
{
	char *scratch = ret->scratch, *end = scratch ? scratch + ret->scratch_len : NULL;
	int r = 0;

	ret->n = ret->n_ext = 0;
	while (len && !r) {
		struct extent ext;

		r = ret->n == REPLY_PARTS ? -EAGAIN : store_lend(stack_top(s), obj, off, len, &ext);
		if (r < 0)
			break;
		off += ext.len;
		len -= ext.len;
		r = add_extent(ret, &ext, &scratch, end);
	}
	if (r < 0)
		reply_put(ret);
	return r;
}

void reply_put(struct reply *r)
{
	for (int i = 0; i < r->n_ext; i++)
		extent_put(&r->ext[i]);
	r->n = r->n_ext = 0;
}

struct wait {
	struct stack *stack;
	struct parked *parked;
	struct object obj;
};

static void fetch_parked(void *arg)
{
	struct wait *w = arg;
	struct parked *p = w->parked;
	AUTO(free) char *buf = malloc(p->len);
	struct reply reply = {.n = 1, .iov[0] = {buf, p->len}};
	int r = buf ? store_read(stack_top(w->stack), &w->obj, p->off, buf, p->len) : -ENOMEM;

	p->done(p, r, r ? NULL : &reply);
	free((char *)(uintptr_t)w->obj.name);
	free(w);
}

int stack_read_later(struct stack *s, const struct object *obj, struct parked *p)
{
	struct wait *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	*w = (struct wait){s, p, *obj};
	w->obj.name = strdup(obj->name);
	int r = w->obj.name ? pool_submit(s->pool, fetch_parked, w) : -ENOMEM;

	if (r < 0) {
		free((char *)(uintptr_t)w->obj.name);
		free(w);
	}
	return r;
}

void stack_cancel(struct stack *s, struct parked *p)
{
}

int stack_submit(struct stack *s, void (*fn)(void *arg), void *arg)
{
	return pool_submit(s->pool, fn, arg);
}

static int ignore_bytes(void *arg, const void *data, size_t len)
{
	return 0;
}

int stack_warm(struct stack *s, const struct object *obj)
{
	return obj->size ? store_fetch(stack_top(s), obj, 0, obj->size, ignore_bytes, NULL) : 0;
}

/* ---- statistics ---- */

static void add_latency(json_t *into, const char *name, const struct hist *h)
{
	if (!h->count)
		return;
	json_object_set_new(into, name,
		json_pack("{s:I,s:f,s:f}", "count", (json_int_t)h->count, "p50_ms",
			(double)hist_quantile_ns(h, 0.5) / 1e6, "p99_ms",
			(double)hist_quantile_ns(h, 0.99) / 1e6));
}

static json_t *layer_stats(struct store *st)
{
	static const char *const names[] = {"stat", "list", "fetch", "lend", "drop"};
	json_t *into = counters_to_json(st->counters, GROUP_LAYER), *latency = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		add_latency(latency, names[i], st->latency[i]);
	json_object_set_new(into, "latency", latency);
	if (st->ops->describe)
		st->ops->describe(st, into);
	return into;
}

json_t *stack_stats(struct stack *s)
{
	json_t *layers = json_object(), *order = json_array();

	for (int i = s->layers; i--;) {
		json_object_set_new(layers, s->layer[i]->ops->name, layer_stats(s->layer[i]));
		json_array_append_new(order, json_string(s->layer[i]->ops->name));
	}
	return json_pack("{s:o,s:o,s:o}", "layers", layers, "order", order, "origin",
		counters_to_json(s->layer[0]->counters, GROUP_ORIGIN));
}
