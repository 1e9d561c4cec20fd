/* SPDX-License-Identifier: Apache-2.0 */
/* meta - attributes and listings from memory.
 *
 * What is known is kept by folder (meta_table.h). A folder that was listed answers for all its
 * names, also for those that it does not have; one that was not holds the names asked for one by
 * one. An answer has an age:
 *
 *      up to half of meta.expiration     served
 *      up to meta.expiration             served, and asked for again in the background
 *      beyond                            asked for again first; if the origin does not answer,
 *                                        served all the same and counted as stale
 *
 * So a change at the origin is seen within meta.expiration while it answers, and whoever asks
 * often never waits. Absent names live for meta.negative, unless a listing answers for them. */
#include "cachefs/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/listing.h"
#include "cachefs/pool.h"
#include "cachefs/stores/meta_saver.h"
#include "cachefs/stores/meta_table.h"
#include "common/cleanup.h"
#include "common/clock.h"

extern const struct store_ops meta_ops, meta_off_ops;

#define REFRESH_QUEUE 1024
#define GRACE_NS (5 * NSEC_PER_SEC) /* a dead origin is not asked about the same entry again */

struct meta {
	struct store base;
	struct meta_table table;
	struct saver *saver;    /* NULL: no snapshot */
	struct pool *refresher; /* one thread: background work does not crowd out reads */
	int64_t expiration_ns, negative_ns; /* INT64_MAX: never */
};

enum freshness { FRESH, AGEING, EXPIRED };

static int64_t life_of(const struct meta *m, const struct meta_answer *a)
{
	return a->absent && !a->listed ? m->negative_ns : m->expiration_ns;
}

static enum freshness freshness(const struct meta *m, const struct meta_answer *a)
{
	int64_t life_ns = life_of(m, a), age_ns = clock_now_ns() - a->stamp_ns;

	if (age_ns < life_ns / 2)
		return FRESH;
	return age_ns < life_ns ? AGEING : EXPIRED;
}

/* The stamp of an answer that has GRACE_NS to live, or its whole life if that is less. */
static int64_t grace_stamp(const struct meta *m, const struct meta_answer *a)
{
	int64_t life_ns = life_of(m, a);

	return clock_now_ns() - life_ns + (life_ns < GRACE_NS ? life_ns : GRACE_NS);
}

/* Whether the origin said something about the name, rather than failed to answer. */
static bool is_answer(int r)
{
	return !r || r == -ENOENT || r == -ENOTDIR;
}

/* ---- asking below ---- */

/* wait: STORE_WAIT for what was never known: it is likely to be read next. */
static int ask_stat(struct meta *m, const char *name, enum store_wait wait, struct object *ret)
{
	int r = store_stat(m->base.lower, name, wait, ret);

	if (!r || r == -ENOENT)
		table_put(&m->table, name, r ? NULL : ret, clock_now_ns());
	return r;
}

static int ask_list(struct meta *m, const char *dir, struct listing **ret)
{
	int64_t start_ns = clock_now_ns();
	int r = store_listing(m->base.lower, dir, STORE_WAIT, ret);

	if (!r)
		table_put_listing(&m->table, dir, *ret, start_ns);
	else if (is_answer(r))
		table_drop(&m->table, dir);
	return r;
}

struct refresh {
	struct meta *m;
	bool list;
	char name[];
};

static void run_refresh(void *arg)
{
	struct refresh *job = arg;
	struct listing *l = NULL;
	struct object ignored;

	if (job->list && !ask_list(job->m, job->name, &l))
		listing_put(l);
	else if (!job->list)
		ask_stat(job->m, job->name, STORE_FRESH, &ignored);
	table_refreshed(&job->m->table, job->name);
	free(job);
}

/* Asks again in the background, unless that is under way. */
static void refresh(struct meta *m, const char *name, bool list)
{
	size_t len = strlen(name) + 1;
	struct refresh *job;

	if (!table_refreshing(&m->table, name))
		return;
	job = malloc(sizeof(*job) + len);
	if (job) {
		*job = (struct refresh){.m = m, .list = list};
		memcpy(job->name, name, len);
		if (!pool_submit(m->refresher, run_refresh, job))
			return;
	}
	free(job);
	table_refreshed(&m->table, name);
}

static char *parent_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strndup(name, slash ? (size_t)(slash - name) : 0);
}

/* Refreshes what answered for name: its folder's listing, or the name alone. */
static void refresh_answer(struct meta *m, const char *name, const struct meta_answer *a)
{
	AUTO(free) char *dir = parent_of(name);

	if (!a->listed)
		refresh(m, name, false);
	else if (dir)
		refresh(m, dir, true);
}

/* ---- stat, list ---- */

static int serve(struct meta *m, const struct meta_answer *a, struct object *ret)
{
	counter_add(m->base.counters, LAYER_hits, 1);
	if (a->stale)
		counter_add(m->base.counters, LAYER_stale, 1);
	if (a->absent)
		return -ENOENT;
	*ret = a->obj;
	return 0;
}

/* What answered for name proved wrong. A listing would go on saying so, so it is asked for again. */
static int stat_fresh(struct meta *m, const char *name, bool listed, struct object *ret)
{
	AUTO(free) char *dir = parent_of(name);
	struct listing *l = NULL;
	struct meta_answer a;

	if (!listed || !dir || ask_list(m, dir, &l) < 0)
		return ask_stat(m, name, STORE_FRESH, ret);
	listing_put(l);
	return table_get(&m->table, name, &a) ? serve(m, &a, ret)
					      : ask_stat(m, name, STORE_FRESH, ret);
}

static int meta_stat(struct store *st, const char *name, enum store_wait wait, struct object *ret)
{
	struct meta *m = container_of(st, struct meta, base);
	struct meta_answer a;
	bool known = table_get(&m->table, name, &a);
	enum freshness age = known ? freshness(m, &a) : EXPIRED;

	if (wait == STORE_FRESH)
		return stat_fresh(m, name, known && a.listed, ret);
	if (known && age != EXPIRED) {
		if (age == AGEING)
			refresh_answer(m, name, &a);
		return serve(m, &a, ret);
	}
	if (wait == STORE_NOWAIT)
		return -EAGAIN;
	counter_add(st->counters, LAYER_misses, 1);
	if (known && a.listed)
		refresh_answer(m, name, &a);
	int r = ask_stat(m, name, known ? STORE_FRESH : STORE_WAIT, ret);

	if (is_answer(r) || !known)
		return r;
	table_extend(&m->table, name, false, grace_stamp(m, &a));
	a.stale = true;
	return serve(m, &a, ret);
}

/* The listing as the origin gives it now, else the one that is known. */
static int list_again(struct meta *m, const char *dir, struct listing *known,
	const struct meta_answer *a, struct listing **ret)
{
	counter_add(m->base.counters, LAYER_misses, 1);
	int r = ask_list(m, dir, ret);

	if (is_answer(r) || !known)
		return r;
	counter_add(m->base.counters, LAYER_stale, 1);
	table_extend(&m->table, dir, true, grace_stamp(m, a));
	*ret = listing_use(known);
	return 0;
}

static int meta_listing(
	struct store *st, const char *dir, enum store_wait wait, struct listing **ret)
{
	struct meta *m = container_of(st, struct meta, base);
	struct listing *known = NULL;
	struct meta_answer a;
	enum freshness age = EXPIRED;
	int r;

	if (table_get_listing(&m->table, dir, &known, &a))
		age = freshness(m, &a);
	if (age == AGEING)
		refresh(m, dir, true);
	if (age != EXPIRED) {
		counter_add(st->counters, LAYER_hits, 1);
		counter_add(st->counters, LAYER_stale, a.stale);
		*ret = known;
		return 0;
	}
	r = wait == STORE_NOWAIT ? -EAGAIN : list_again(m, dir, known, &a, ret);
	listing_put(known);
	return r;
}

static int meta_list(
	struct store *st, const char *dir, enum store_wait wait, list_fn *each, void *arg)
{
	struct listing *l;
	struct object entry;
	int r = meta_listing(st, dir, wait, &l);

	if (r)
		return r;
	for (size_t at = 0; !r && listing_next(l, &at, &entry);)
		r = each(arg, &entry);
	listing_put(l);
	return r;
}

static int meta_drop(struct store *st, const char *name)
{
	struct meta *m = container_of(st, struct meta, base);

	table_drop(&m->table, name);
	saver_dropped(m->saver);
	return 0;
}

static void meta_describe(struct store *st, json_t *into)
{
	saver_describe(container_of(st, struct meta, base)->saver, into);
}

/* ---- life ---- */

static void meta_stop(struct store *st)
{
	struct meta *m = container_of(st, struct meta, base);

	pool_free(m->refresher);
	saver_free(m->saver);
	m->refresher = NULL;
	m->saver = NULL;
}

static void meta_close(struct store *st)
{
	struct meta *m = container_of(st, struct meta, base);

	meta_stop(st);
	table_done(&m->table);
	store_done(st);
	free(m);
}

static struct store *meta_open(
	const struct config *cfg, const char *origin, struct store *lower, struct err *err)
{
	const struct store_ops *ops = cfg->meta.enabled ? &meta_ops : &meta_off_ops;
	struct meta *m = calloc(1, sizeof(*m));

	if (!m || store_init(&m->base, ops, lower) < 0) {
		free(m);
		err_set(err, ENOMEM, "not enough memory for the metadata cache");
		return NULL;
	}
	m->expiration_ns = cfg->meta.expiration < 0 ? INT64_MAX : cfg->meta.expiration;
	m->negative_ns = cfg->meta.negative < 0 ? INT64_MAX : cfg->meta.negative;
	m->refresher = pool_new(1, REFRESH_QUEUE);
	if (table_init(&m->table, (size_t)cfg->meta.max_size, m->base.counters) < 0 ||
		!m->refresher) {
		meta_close(&m->base);
		err_set(err, ENOMEM, "not enough memory for the metadata cache");
		return NULL;
	}
	if (cfg->meta.enabled && saver_open(cfg, origin, lower, &m->table, &m->saver, err) < 0) {
		meta_close(&m->base);
		return NULL;
	}
	return &m->base;
}

const struct store_ops meta_ops = {
	.name = "meta",
	.summary = "Keeps attributes and listings in memory.",
	.open = meta_open,
	.stop = meta_stop,
	.close = meta_close,
	.stat = meta_stat,
	.list = meta_list,
	.listing = meta_listing,
	.drop = meta_drop,
	.forget = meta_drop,
	.describe = meta_describe,
};

/* meta.enabled=no: it stands in the stack and does nothing. */
const struct store_ops meta_off_ops = {
	.name = "meta",
	.summary = "Switched off: every question goes to the origin.",
	.stop = meta_stop,
	.close = meta_close,
};
