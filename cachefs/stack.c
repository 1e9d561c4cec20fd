/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the layers that cache.stack names over an origin and serves reads from them: see stack.h. */
#include "cachefs/stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/parked.h"
#include "cachefs/readahead.h"
#include "cachefs/stores/mem.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

#define LAYERS_MAX 16
#define QUEUE_MAX 65536 /* more than the kernel has requests under way */
#define WARM_RESEND_NS (250 * NSEC_PER_MSEC)
#define WARM_MEM_NS NSEC_PER_SEC /* memory keeps a block as it lands, or not */

AUTO_FREE(list, char *, list_free);

struct stack {
	struct store *layer[LAYERS_MAX]; /* the origin first */
	int layers;
	struct store *mem;
	struct pool *pool;
	struct waits waits;
	struct readahead readahead;
	bool waiting;       /* waits and readahead are set up */
	int64_t timeout_ns; /* of a whole operation */
};

struct store *stack_top(struct stack *s)
{
	return s->layer[s->layers - 1];
}

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

	if (!ops || ops->origin)
		return err_set(err, EINVAL, "cache.stack: %s is no layer; take %s", name,
			"meta, mem, disk, throttle, delay or fault");
	if (s->layers == LAYERS_MAX)
		return err_set(err, EINVAL, "cache.stack: more than %d layers", LAYERS_MAX - 1);
	for (int i = 0; i < s->layers; i++)
		if (s->layer[i]->ops == ops)
			return err_set(err, EINVAL, "cache.stack: %s stands there twice", name);
	struct store *st = ops->open(cfg, origin, stack_top(s), err);

	if (!st)
		return -EINVAL;
	s->layer[s->layers++] = st;
	if (ops == &mem_ops)
		s->mem = st;
	return 0;
}

/* cache.stack with its default resolved; mem, where fetches land, is added where it is missing:
 * below meta, else on top. */
static char *stack_text(const struct config *cfg)
{
	const char *text = cfg->cache.stack;
	AUTO(list) char **word = NULL;
	char *ret = NULL;
	size_t n;

	if (!strcmp(text, "auto"))
		return strdup(*cfg->disk.path ? "meta,mem,disk" : "meta,mem");
	word = list_split(text, ',', &n);
	for (size_t i = 0; word && i < n; i++)
		if (!strcmp(word[i], "mem"))
			return strdup(text);
	bool meta = word && n && !strcmp(word[0], "meta");
	const char *rest = meta ? text + strcspn(text, ",") : text;
	int r = meta ? asprintf(&ret, "meta,mem%s", rest)
		     : asprintf(&ret, "mem%s%s", n ? "," : "", rest);

	return r < 0 ? NULL : ret;
}

/* The layers above the origin, lowest first. */
static int push_layers(
	struct stack *s, const struct config *cfg, const char *origin, struct err *err)
{
	AUTO(free) char *text = stack_text(cfg);
	size_t n = 0;
	AUTO(list) char **word = text ? list_split(text, ',', &n) : NULL;

	if (!word)
		return err_set(err, ENOMEM, "not enough memory for the stack");
	while (n--) {
		int r = push_layer(s, cfg, word[n], origin, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether a layer above mem but meta has to see every read. */
static bool layers_above_mem(const struct stack *s)
{
	for (int i = s->layers - 1; s->layer[i] != s->mem; i--)
		if (s->layer[i]->ops->fetch)
			return true;
	return false;
}

static int build(struct stack *s, const struct config *cfg, const char *origin, struct err *err)
{
	s->timeout_ns = 2 * cfg->http.timeout;
	s->pool = pool_new((int)cfg->http.streams, QUEUE_MAX);
	if (!s->pool)
		return err_set(err, ENOMEM, "not enough memory for the fetch pool");
	int r = push_layers(s, cfg, origin, err);

	if (r < 0)
		return r;
	r = waits_init(&s->waits, s->mem, stack_top(s), layers_above_mem(s), s->pool,
		(int)cfg->http.streams);
	if (r < 0)
		return err_set(err, -r, "cannot start a thread: raise the limit of processes");
	readahead_init(&s->readahead, cfg, s->mem);
	s->waiting = true;
	return 0;
}

struct stack *stack_open_over(
	const struct config *cfg, struct store *origin, const char *text, struct err *err)
{
	struct stack *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, ENOMEM, "not enough memory for the stack");
		origin->ops->close(origin);
		return NULL;
	}
	s->layer[s->layers++] = origin;
	if (build(s, cfg, text, err) < 0) {
		stack_close(s);
		return NULL;
	}
	return s;
}

/* Whether meta has something to say by itself. */
static bool knows_names(const struct stack *s)
{
	for (int i = 0; i < s->layers; i++)
		if (s->layer[i]->ops->listing &&
			counter_get(s->layer[i]->counters, LAYER_blocks) > 0)
			return true;
	return false;
}

/* An origin that nobody answers for is borne where names are known from the last mount. */
static struct stack *open_checked(
	const struct config *cfg, struct store *origin, const char *text, struct err *err)
{
	struct err why = {0};
	int r = origin->ops->check ? origin->ops->check(origin, &why) : 0;
	struct stack *s;

	if (r < 0 && r != -EHOSTUNREACH) {
		err_set(err, -r, "%s", why.msg);
		origin->ops->close(origin);
		return NULL;
	}
	s = stack_open_over(cfg, origin, text, err);
	if (!s || !r)
		return s;
	if (knows_names(s)) {
		log_warn("%s; going on with what is known from the last mount", why.msg);
		return s;
	}
	err_set(err, -r, "%s", why.msg);
	stack_close(s);
	return NULL;
}

struct stack *stack_open(const struct config *cfg, const char *origin, struct err *err)
{
	const char *rest, *scheme = origin_scheme(origin, &rest);
	AUTO(free) char *absolute = strcmp(scheme, "dir") ? NULL : realpath(rest, NULL);
	const struct store_ops *ops = store_find(scheme);

	if (absolute)
		rest = absolute;
	if (!ops) {
		err_set(err, EINVAL, "%s: there is no origin %s", origin, scheme);
		return NULL;
	}
	struct store *st = ops->open(cfg, rest, NULL, err);

	return st ? open_checked(cfg, st, rest, err) : NULL;
}

void stack_close(struct stack *s)
{
	if (!s)
		return;
	if (s->waiting)
		waits_shutdown(&s->waits);
	for (int i = s->layers; i--;)
		if (s->layer[i]->ops->interrupt)
			s->layer[i]->ops->interrupt(s->layer[i]);
	pool_free(s->pool);
	for (int i = s->layers; i--;)
		if (s->layer[i]->ops->stop)
			s->layer[i]->ops->stop(s->layer[i]);
	for (int i = s->layers; i--;)
		s->layer[i]->ops->close(s->layer[i]);
	if (s->waiting) {
		readahead_done(&s->readahead);
		waits_done(&s->waits);
	}
	free(s);
}

/* ---- reading ---- */

/* Verifies a lent extent and adds its bytes to the reply; takes the extent over. */
static int add_extent(struct reply *ret, struct extent *ext, char **scratch, char *scratch_end)
{
	const char *whole = ext->mem ? (const char *)ext->mem - ext->lead : *scratch;
	size_t need = ext->crc ? ext->whole : ext->len;

	need = (need + EXTENT_ALIGN - 1) & ~(size_t)(EXTENT_ALIGN - 1);
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
	uint64_t at = off, left = len;
	int r = 0;

	ret->n = ret->n_ext = 0;
	while (left && !r) {
		struct extent ext;

		r = ret->n == REPLY_PARTS ? -EAGAIN : store_lend(stack_top(s), obj, at, left, &ext);
		if (r < 0)
			break;
		at += ext.len;
		left -= ext.len;
		r = add_extent(ret, &ext, &scratch, end);
	}
	if (r < 0)
		reply_put(ret);
	else
		readahead_note(&s->readahead, obj, off, len);
	return r;
}

void reply_put(struct reply *r)
{
	for (int i = 0; i < r->n_ext; i++)
		extent_put(&r->ext[i]);
	r->n = r->n_ext = 0;
}

/* Whether a miss fetches all of its blocks, so that they are kept, or only [off, off+len). A tier below mem may
 * hold what mem does not lend, to have it promoted: that costs the origin nothing. */
static bool fetch_whole(struct stack *s, const struct object *obj, uint64_t off, uint64_t len)
{
	if (obj->size <= s->readahead.block_size || store_holds(s->mem->lower, obj, off))
		return true;
	return mem_keeps(s->mem, obj, off) && readahead_whole(&s->readahead, obj, off, len);
}

int stack_read_later(struct stack *s, const struct object *obj, struct parked *p)
{
	uint64_t off = p->off, len = p->len; /* p may be gone by then */

	if (obj->is_dir || !len || off >= obj->size || len > obj->size - off)
		return -EINVAL;
	int r = waits_park(&s->waits, obj, p, fetch_whole(s, obj, off, len));

	if (!r) /* now that what is asked for goes first */
		readahead_note(&s->readahead, obj, off, len);
	return r;
}

void stack_cancel(struct stack *s, struct parked *p)
{
	waits_cancel(&s->waits, p);
}

int stack_submit(struct stack *s, void (*fn)(void *arg), void *arg)
{
	return pool_submit(s->pool, fn, arg);
}

static int ignore_bytes(void *arg, const void *data, size_t len)
{
	return 0;
}

/* The lowest layer that lends, which warm fills. */
static struct store *lowest_tier(struct stack *s)
{
	struct store *lowest = s->mem;

	for (struct store *st = s->mem->lower; st; st = st->lower)
		if (st->ops->keep)
			lowest = st;
	return lowest;
}

/* Gets the block at off into the tier: from memory if it is there, else by a fetch, which offers it
 * to the tier as it lands. */
static int send_block(struct stack *s, const struct object *obj, uint64_t off)
{
	int r = mem_offer(s->mem, obj, off);

	if (r == -EAGAIN)
		r = store_fetch(
			s->mem, obj, off, mem_block_left(s->mem, obj, off), ignore_bytes, NULL);
	return r == -EEXIST ? 0 : r;
}

/* A tier that writes behind takes its time, and leaves a block out while its queue is full: then
 * the block is sent again, ever more seldom, as the tier may never want it. A full disk is not waited
 * for, whichever block was refused. */
static int warm_block(struct stack *s, struct store *tier, const struct object *obj, uint64_t off)
{
	int64_t refused = counter_get(tier->counters, LAYER_no_space);
	int64_t now_ns = clock_now_ns(), send_ns = now_ns, resend_ns = WARM_RESEND_NS;
	int64_t until_ns = now_ns + (tier == s->mem ? WARM_MEM_NS : s->timeout_ns);

	if (counter_get(tier->counters, LAYER_capacity_bytes) <= 0)
		return -ENOSPC;
	while (!store_holds(tier, obj, off)) {
		if (now_ns > until_ns || counter_get(tier->counters, LAYER_no_space) > refused)
			return -ENOSPC;
		if (now_ns >= send_ns) {
			int r = send_block(s, obj, off);

			if (r < 0)
				return r;
			send_ns = clock_now_ns() + resend_ns;
			resend_ns *= 2;
		} else {
			clock_sleep_until(now_ns + NSEC_PER_MSEC / 2);
		}
		now_ns = clock_now_ns();
	}
	return 0;
}

int stack_warm_range(
	struct stack *s, const struct object *obj, uint64_t off, uint64_t len, uint64_t *ret_added)
{
	struct store *tier = lowest_tier(s);
	uint64_t added = 0, end = off + len, left;

	for (; off < end; off += left) {
		left = mem_block_left(s->mem, obj, off);
		if (store_holds(tier, obj, off))
			continue;
		int r = warm_block(s, tier, obj, off);

		if (r < 0)
			return r;
		added += left;
	}
	if (ret_added)
		*ret_added = added;
	return 0;
}

int stack_warm(struct stack *s, const struct object *obj, uint64_t *ret_added)
{
	return stack_warm_range(s, obj, 0, obj->size, ret_added);
}

bool stack_holds(struct stack *s, const struct object *obj, uint64_t off)
{
	return store_holds(lowest_tier(s), obj, off);
}

uint64_t stack_capacity(struct stack *s)
{
	return (uint64_t)counter_get(lowest_tier(s)->counters, LAYER_capacity_bytes);
}

uint64_t stack_free_bytes(struct stack *s)
{
	struct counter_set *of = lowest_tier(s)->counters;
	int64_t n = counter_get(of, LAYER_capacity_bytes) - counter_get(of, LAYER_used_bytes);

	return n > 0 ? (uint64_t)n : 0;
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

int64_t stack_received(struct stack *s)
{
	return counter_get(s->layer[0]->counters, ORIGIN_bytes);
}

json_t *stack_stats(struct stack *s)
{
	json_t *layers = json_object(), *order = json_array();

	for (int i = s->layers; i--;) {
		json_object_set_new(layers, s->layer[i]->ops->name, layer_stats(s->layer[i]));
		json_array_append_new(order, json_string(s->layer[i]->ops->name));
	}
	return json_pack("{s:o,s:o,s:o,s:o}", "layers", layers, "order", order, "origin",
		counters_to_json(s->layer[0]->counters, GROUP_ORIGIN), "readahead",
		readahead_stats(&s->readahead));
}
