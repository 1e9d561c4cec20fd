/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets: what is needed, what is there, what must be made: see prepare.h. */
#include "harness/prepare.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/units.h"
#include "harness/cache_mount.h"
#include "harness/child.h"

#define RESERVE_BYTES (256LL << 20) /* left free on the disk */
#define STEPS_LEAST 10              /* fewer measure nothing */
#define GENERATE_NS (6 * 3600 * NSEC_PER_SEC)
#define STOP_NS (10 * NSEC_PER_SEC)
#define SCAN_FILES_MAX 200000

static const char *format_name(const struct config *cfg)
{
	return cfg->bench.format == FORMAT_TFRECORD ? "tfrecord" : "imagefolder";
}

/* Whether a cell reads embedded data rather than the user's. */
static bool is_embedded(const struct cell *c)
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

/* "tfrecord-30720-s1" with enough samples and a manifest: the smallest such, or none. */
struct candidate {
	const char *format;
	long long seed, samples, best;
};

static void consider(struct candidate *c, const char *root, const char *name)
{
	char format[16], manifest[4096];
	long long samples, seed;
	int end = 0;

	if (sscanf(name, "%15[a-z]-%lld-s%lld%n", format, &samples, &seed, &end) != 3 ||
		name[end] || strcmp(format, c->format) || seed != c->seed || samples < c->samples)
		return;
	snprintf(manifest, sizeof(manifest), "%s/%s/manifest.txt", root, name);
	if (!access(manifest, R_OK) && (c->best < 0 || samples < c->best))
		c->best = samples;
}

static int choose_folder(struct prepared *p, const struct config *cfg)
{
	AUTO(free) char *home = file_cache_home();
	AUTO(free) char *root = NULL;
	struct candidate c = {format_name(cfg), cfg->data.seed, p->samples, -1};
	struct dirent *e;

	if (!home || asprintf(&root, "%s/data", home) < 0) {
		root = NULL;
		return -ENOMEM;
	}
	AUTO(closedir) DIR *dir = opendir(root);
	while (dir && (e = readdir(dir)))
		consider(&c, root, e->d_name);
	p->have_data = c.best >= 0;
	free(p->data);
	if (asprintf(&p->data, "%s/%s-%lld-s%lld", root, c.format,
		    p->have_data ? c.best : c.samples, c.seed) < 0) {
		p->data = NULL;
		return -ENOMEM;
	}
	return 0;
}

static void need_of(struct prepared *p, const struct matrix *m)
{
	p->samples = 0;
	p->tier_bytes = 0;
	for (size_t i = 0; i < m->n_cells; i++) {
		const struct cell *c = &m->cells[i];
		int64_t samples = cell_samples(c), tier;

		if (is_embedded(c) && samples > p->samples)
			p->samples = samples;
		tier = has_tier(c) ? prepare_capacity(
					     c, (uint64_t)((double)samples * PREPARE_IMAGE_BYTES))
				   : 0;
		p->tier_bytes = tier > p->tier_bytes ? tier : p->tier_bytes;
	}
	p->data_bytes = (int64_t)((double)p->samples * PREPARE_IMAGE_BYTES * 1.01);
}

static int64_t missing_bytes(const struct prepared *p)
{
	return p->tier_bytes + (p->have_data ? 0 : p->data_bytes);
}

static int refuse_disk(const struct prepared *p, struct err *err)
{
	char need[UNITS_MAX], have[UNITS_MAX];

	return err_set(err, ENOSPC,
		"the data and the disk tier need %s, %s are free at %s; set XDG_CACHE_HOME to a "
		"larger disk, or lower --bench.steps",
		units_human_bytes((double)(missing_bytes(p) + RESERVE_BYTES), need),
		units_human_bytes((double)p->free_bytes, have), p->data);
}

/* Fewer steps for every variant, so that data and tier fit; ratios stay as they are. */
static int scale_steps(struct prepared *p, struct matrix *m, struct err *err)
{
	double share = (double)(p->free_bytes - RESERVE_BYTES) /
		       ((double)p->tier_bytes + (double)p->data_bytes);
	char have[UNITS_MAX];

	for (size_t i = 0; i < m->n_variants; i++) {
		struct variant *v = &m->variants[i];

		v->steps = (int)(v->steps * share);
		if (v->steps < STEPS_LEAST)
			return refuse_disk(p, err);
	}
	snprintf(p->why_scaled, sizeof(p->why_scaled), "%s free on the disk: %d steps an epoch",
		units_human_bytes((double)p->free_bytes, have), m->variants[0].steps);
	need_of(p, m);
	return choose_folder(p, m->variants[0].cfg);
}

int prepare_plan(struct prepared *p, struct matrix *m, struct err *err)
{
	const struct config *cfg = m->variants[0].cfg;
	AUTO(free) char *work = prepare_work_root(cfg);
	int r;

	*p = (struct prepared){0};
	for (size_t i = 1; i < m->n_variants; i++)
		if (m->variants[i].cfg->bench.format != cfg->bench.format ||
			m->variants[i].cfg->data.seed != cfg->data.seed)
			return err_set(err, EINVAL,
				"[variant.%s] bench.format or data.seed differs from the others'; run "
				"data sets one after another",
				m->variants[i].name);
	need_of(p, m);
	r = choose_folder(p, cfg);
	if (!r)
		r = work ? file_free_bytes(work, &p->free_bytes) : -ENOMEM;
	if (r)
		return err_set(err, -r, "%s: %s", work ? work : "cache folder", strerror(-r));
	if (missing_bytes(p) && missing_bytes(p) + RESERVE_BYTES > p->free_bytes)
		r = scale_steps(p, m, err);
	return r;
}

static int run_synth_data(const struct prepared *p, const struct config *cfg, bool quiet,
	const volatile bool *stop, struct err *err)
{
	AUTO(free) char *program = file_sibling_program("synth-data");
	char format[64], samples[64], seed[64], words[512];
	char *argv[] = {program, p->data, format, samples, seed, NULL};
	AUTO(free) char *log = NULL;
	struct child c;
	int r;

	snprintf(format, sizeof(format), "--data.format=%s", format_name(cfg));
	snprintf(samples, sizeof(samples), "--data.samples=%lld", (long long)p->samples);
	snprintf(seed, sizeof(seed), "--data.seed=%lld", (long long)cfg->data.seed);
	if (!program)
		return err_set(err, ENOENT, "synth-data is not found; it belongs beside run-bench");
	if (asprintf(&log, "%s.log", p->data) < 0) {
		log = NULL;
		return -ENOMEM;
	}
	r = child_start(&c, "synth-data", argv, quiet ? log : NULL, NULL, err);
	if (r)
		return r;
	r = child_wait(&c, GENERATE_NS, stop);
	child_stop(&c, STOP_NS);
	if (r == -EINTR)
		err_set(err, EINTR, "interrupted; the same command goes on where it was");
	else if (r || c.status)
		r = err_set(err, EIO, "data cannot be made in %s: %s", p->data,
			child_last_words(&c, words, sizeof(words)));
	unlink(log);
	child_done(&c);
	return r;
}

int prepare_make(struct prepared *p, const struct matrix *m, bool quiet, const volatile bool *stop,
	struct err *err)
{
	int r;

	if (!p->samples || p->have_data)
		return 0;
	r = file_make_dirs(p->data, 0755);
	if (r)
		return err_set(err, -r, "%s: %s", p->data, strerror(-r));
	return run_synth_data(p, m->variants[0].cfg, quiet, stop, err);
}

void prepare_done(struct prepared *p)
{
	free(p->data);
	*p = (struct prepared){0};
}

const char *prepare_folder(const struct prepared *p, const struct cell *c)
{
	const struct config *cfg = c->variant->cfg;

	if (c->source->flags & SOURCE_NO_FILES)
		return "";
	if (is_embedded(c))
		return p->data;
	if (!strcmp(c->source->name, "external"))
		return cfg->external.path;
	return !strcmp(c->source->name, "remote") ? cfg->remote.path : NULL;
}

/* The user's data. The listing has a deadline and so comes first; a manifest of synth-data, if one
 * lies there, then says more. */
static int open_foreign(const char *dir, const struct cell *c, struct dataset *ret, struct err *err)
{
	AUTO(free) char *manifest = NULL;
	int r = dataset_scan(dir, SCAN_FILES_MAX, c->variant->cfg->external.timeout, ret, err);

	if (r)
		return r;
	if (!ret->n_files) {
		dataset_done(ret);
		return err_set(err, ENODATA,
			"%s: no TFRecord shards (*.tfrecord, train-*-of-*) and no class folders "
			"with JPEGs; give a folder with training data",
			dir);
	}
	if (asprintf(&manifest, "%s/manifest.txt", dir) < 0) {
		manifest = NULL;
		return -ENOMEM;
	}
	if (access(manifest, R_OK))
		return 0;
	dataset_done(ret);
	return dataset_load(dir, (uint32_t)cell_samples(c), ret, err);
}

/* remote.origin is listed as anybody would: through a mount. */
static int list_origin(
	const struct cell *c, const char *work_dir, struct dataset *ret, struct err *err)
{
	struct cache_mount mount;
	int r = cache_mount_init(
		&mount, c->variant->cfg, c->variant->cfg->remote.origin, work_dir, 0, err);

	if (!r)
		r = cache_mount_start(&mount, err);
	if (!r)
		r = open_foreign(mount.mountpoint, c, ret, err);
	cache_mount_done(&mount);
	return r;
}

int prepare_dataset(const struct prepared *p, const struct cell *c, const char *work_dir,
	struct dataset *ret, struct err *err)
{
	const char *dir = prepare_folder(p, c);

	if (is_embedded(c))
		return dataset_load(dir, (uint32_t)cell_samples(c), ret, err);
	return dir ? open_foreign(dir, c, ret, err) : list_origin(c, work_dir, ret, err);
}
