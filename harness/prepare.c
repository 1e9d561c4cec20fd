/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets: what is needed, what is there, what must be made: see prepare.h. */
#include "harness/prepare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/tier_check.h"
#include "common/units.h"
#include "harness/child.h"
#include "harness/data_store.h"

#define RESERVE_BYTES (256LL << 20) /* left free on the disk */
#define STEPS_LEAST 10              /* fewer measure nothing */
#define ROUNDING 1e-6               /* of a step: a share of whole ones that was divided out */
#define GENERATE_NS (6 * 3600 * NSEC_PER_SEC)
#define STOP_NS (10 * NSEC_PER_SEC)

static const char *format_name(const struct config *cfg)
{
	return cfg->bench.format == FORMAT_TFRECORD ? "tfrecord" : "imagefolder";
}

bool prepare_is_embedded(const struct cell *c)
{
	const char *name = c->source->name;
	const struct config *cfg = c->variant->cfg;

	if (c->source->flags & SOURCE_NO_FILES || !strcmp(name, "external"))
		return false;
	if (!strcmp(name, "cached"))
		return !cfg->remote.origin[0];
	return strcmp(name, "remote") || !cfg->remote.path[0];
}

static bool has_tier(const struct cell *c)
{
	return !strcmp(c->source->name, "cached") || !strcmp(c->source->name, "stack");
}

char *prepare_work_root(const struct config *cfg)
{
	AUTO(free) char *home = file_cache_home();
	char *root;

	if (cfg->disk.path[0])
		return asprintf(&root, "%s/feedrate-work", cfg->disk.path) < 0 ? NULL : root;
	return !home || asprintf(&root, "%s/work", home) < 0 ? NULL : root;
}

int64_t prepare_capacity(const struct cell *c, uint64_t data_bytes)
{
	const struct config *cfg = c->variant->cfg;

	if (cfg->disk.capacity != KNOB_VALUE_AUTO)
		return cfg->disk.capacity;
	return (int64_t)((double)data_bytes * cfg->bench.cache_ratio);
}

static int choose_folder(struct prepared *p, const struct config *cfg)
{
	struct data_set want = {format_name(cfg), p->samples, cfg->data.seed};

	free(p->data);
	p->data = data_store_find(&want, &p->have_data);
	return p->data ? 0 : -ENOMEM;
}

static void need_of(struct prepared *p, const struct matrix *m)
{
	p->samples = 0;
	p->tier_bytes = 0;
	for (size_t i = 0; i < m->n_cells; i++) {
		const struct cell *c = &m->cells[i];
		int64_t samples = cell_samples(c), tier;

		if (prepare_is_embedded(c) && samples > p->samples)
			p->samples = samples;
		tier = has_tier(c) ? prepare_capacity(
					     c, (uint64_t)((double)samples * PREPARE_IMAGE_BYTES))
				   : 0;
		p->tier_bytes = tier > p->tier_bytes ? tier : p->tier_bytes;
	}
	p->data_bytes = (int64_t)((double)p->samples * PREPARE_IMAGE_BYTES * 1.01);
}

/* The device of the nearest existing parent; 0: unknown. */
static dev_t device_of(const char *path)
{
	AUTO(free) char *copy = strdup(path);
	struct stat st;
	char *slash;

	while (copy && *copy && stat(copy, &st) < 0) {
		slash = strrchr(copy, '/');
		if (errno != ENOENT || !slash)
			return 0;
		*slash = 0;
	}
	return copy && (*copy || !stat("/", &st)) ? st.st_dev : 0;
}

/* What a disk must hold and has. */
struct demand {
	const char *path;
	int64_t need, free;
};

/* One demand if data and tiers share a disk, else two. Returns their number or -errno. */
static int list_demands(struct prepared *p, const char *work, struct demand ret[2], struct err *err)
{
	int64_t there = p->have_data ? p->data_bytes : file_tree_bytes(p->data);
	int64_t data = p->data_bytes - (there > 0 ? there : 0);
	bool same = device_of(work) == device_of(p->data);
	int n = same ? 1 : 2;

	data = data > 0 ? data : 0;
	ret[0] = (struct demand){p->data, data + (same ? p->tier_bytes : 0), 0};
	ret[1] = (struct demand){work, p->tier_bytes, 0};
	for (int i = 0; i < n; i++) {
		int r = file_free_bytes(ret[i].path, &ret[i].free);

		if (r)
			return err_set(err, -r, "%s: %s", ret[i].path, strerror(-r));
	}
	return n;
}

static int refuse_disk(const struct demand *d, struct err *err)
{
	char need[UNITS_MAX], have[UNITS_MAX];

	return err_set(err, ENOSPC,
		"data and disk tier need %s, %s are free at %s; set XDG_CACHE_HOME to a larger "
		"disk, or lower --bench.steps or --gpus",
		units_human_bytes((double)(d->need + RESERVE_BYTES), need),
		units_human_bytes((double)d->free, have), d->path);
}

/* The share of what is needed that fits, 1 or less, and what the tightest disk has; -errno. */
static double fitting_share(
	struct prepared *p, const char *work, struct demand *ret_tightest, struct err *err)
{
	struct demand d[2];
	double share = 1;
	int n = list_demands(p, work, d, err);

	for (int i = 0; i < n; i++) {
		double fits = (double)(d[i].free - RESERVE_BYTES) / (double)d[i].need;

		if (!d[i].need || fits >= share)
			continue;
		share = fits < 0 ? 0 : fits;
		*ret_tightest = d[i];
	}
	return n < 0 ? n : share;
}

/* Fewer steps for every variant, so that data and tier fit; ratios stay as they are. asked: the
 * steps of each before. */
static int scale_steps(struct prepared *p, struct matrix *m, const int *asked, double share)
{
	for (size_t i = 0; i < m->n_variants; i++)
		m->variants[i].steps = (int)(asked[i] * share + ROUNDING);
	need_of(p, m);
	return choose_folder(p, m->variants[0].cfg);
}

/* Down to the samples of the largest set that is there, or was begun, if these fit and are no fewer
 * than `share` of what is needed. Returns whether that is so, or -errno. */
static int scale_to_set(
	struct prepared *p, struct matrix *m, const int *asked, double share, const char *work)
{
	struct data_set less = {
		format_name(m->variants[0].cfg), p->samples, m->variants[0].cfg->data.seed};
	int64_t there = data_store_largest_below(&less);
	struct demand none;
	struct err ignored;
	int r;

	if (!there || (double)there < share * (double)p->samples)
		return false;
	r = scale_steps(p, m, asked, (double)there / (double)p->samples);
	return r ? r : p->samples == there && fitting_share(p, work, &none, &ignored) == 1;
}

static bool has_few_steps(const struct matrix *m)
{
	for (size_t i = 0; i < m->n_variants; i++)
		if (m->variants[i].steps < STEPS_LEAST)
			return true;
	return false;
}

/* Compares what is needed with what is free, and scales if it must. */
static int fit_disks(struct prepared *p, struct matrix *m, const char *work, struct err *err)
{
	AUTO(free) int *asked = calloc(m->n_variants, sizeof(*asked));
	AUTO(free) char *where = NULL; /* of what is freed when steps are lowered */
	struct demand tightest = {0};
	double share = asked ? fitting_share(p, work, &tightest, err) : -ENOMEM;
	char have[UNITS_MAX];
	int r;

	if (share < 0)
		return (int)share;
	if (share == 1 || !tightest.path)
		return 0;
	tightest.path = where = strdup(tightest.path);
	if (!where)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_variants; i++)
		asked[i] = m->variants[i].steps;
	r = scale_to_set(p, m, asked, share, work);
	if (!r || (r > 0 && has_few_steps(m)))
		r = scale_steps(p, m, asked, share);
	if (r < 0)
		return r;
	if (has_few_steps(m))
		return refuse_disk(&tightest, err);
	snprintf(p->why_scaled, sizeof(p->why_scaled), "%s free at %.120s: %d steps an epoch",
		units_human_bytes((double)tightest.free, have), tightest.path,
		m->variants[0].steps);
	return 0;
}

/* The tiers as cachefs would refuse them, before hours of other runs. */
static int check_tiers(const struct matrix *m, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < m->n_cells && !r; i++)
		if (has_tier(&m->cells[i]))
			r = tier_check(m->cells[i].variant->cfg, NULL, NULL, err);
	return r;
}

int prepare_plan(struct prepared *p, struct matrix *m, struct err *err)
{
	const struct config *cfg = m->variants[0].cfg;
	AUTO(free) char *work = prepare_work_root(cfg);
	int r;

	*p = (struct prepared){.hold = -1};
	for (size_t i = 1; i < m->n_variants; i++)
		if (m->variants[i].cfg->bench.format != cfg->bench.format ||
			m->variants[i].cfg->data.seed != cfg->data.seed)
			return err_set(err, EINVAL,
				"[variant.%s] bench.format or data.seed differs from the others'; run "
				"data sets one after another",
				m->variants[i].name);
	r = check_tiers(m, err);
	if (r)
		return r;
	need_of(p, m);
	r = choose_folder(p, cfg);
	if (r || !work)
		return err_set(err, ENOMEM, "out of memory");
	return fit_disks(p, m, work, err);
}

static int run_synth_data(const struct prepared *p, const struct config *cfg, const char *log,
	const volatile bool *stop, struct err *err)
{
	AUTO(free) char *program = file_sibling_program("synth-data");
	char format[64], samples[64], seed[64], words[512];
	char *argv[] = {program, p->data, format, samples, seed, NULL};
	struct child c;
	int r;

	snprintf(format, sizeof(format), "--data.format=%s", format_name(cfg));
	snprintf(samples, sizeof(samples), "--data.samples=%lld", (long long)p->samples);
	snprintf(seed, sizeof(seed), "--data.seed=%lld", (long long)cfg->data.seed);
	if (!program)
		return err_set(err, ENOENT, "synth-data is not found; it belongs beside run-bench");
	r = child_start(&c, "synth-data", argv, log, NULL, err);
	if (r)
		return r;
	r = child_wait(&c, GENERATE_NS, stop);
	child_stop(&c, STOP_NS);
	if (r == -EINTR)
		err_set(err, EINTR, "interrupted; the same command goes on where it was");
	else if (r || c.status)
		r = err_set(err, EIO, "data cannot be made in %s: %s", p->data,
			child_last_words(&c, words, sizeof(words)));
	child_done(&c);
	return r;
}

int prepare_make(struct prepared *p, const struct matrix *m, const char *log,
	const volatile bool *stop, struct err *err)
{
	int r;

	if (!p->samples)
		return 0;
	r = data_store_hold(p->data);
	if (r == -ENOENT) {
		r = file_make_dirs(p->data, 0755);
		if (r)
			return err_set(err, -r, "%s: %s", p->data, strerror(-r));
		r = run_synth_data(p, m->variants[0].cfg, log, stop, err);
		if (r)
			return r;
		r = data_store_hold(p->data);
	}
	p->hold = r;
	if (r == -EBUSY)
		return err_set(err, EBUSY,
			"%s: another run is making this data set, or removing it; try again later",
			p->data);
	return r < 0 ? err_set(err, -r, "%s: %s", p->data, strerror(-r)) : 0;
}

void prepare_done(struct prepared *p)
{
	if (p->data && p->hold >= 0)
		close(p->hold);
	free(p->data);
	*p = (struct prepared){.hold = -1};
}

const char *prepare_folder(const struct prepared *p, const struct cell *c)
{
	const struct config *cfg = c->variant->cfg;

	if (c->source->flags & SOURCE_NO_FILES)
		return "";
	if (prepare_is_embedded(c))
		return p->data;
	if (!strcmp(c->source->name, "external"))
		return cfg->external.path;
	return !strcmp(c->source->name, "remote") ? cfg->remote.path : NULL;
}

int prepare_dataset(
	const struct prepared *p, const struct cell *c, struct dataset *ret, struct err *err)
{
	return dataset_load(p->data, (uint32_t)cell_samples(c), ret, err);
}
