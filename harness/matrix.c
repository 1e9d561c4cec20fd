/* SPDX-License-Identifier: Apache-2.0 */
/* Building the list of runs: see matrix.h. */
#include "harness/matrix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/pipeline.h"

#define TFRECORD_STREAMS 10   /* tf_cnn_benchmarks: interleave's cycle_length */
#define IMAGEFOLDER_WORKERS 8 /* NVIDIA's ResNet-50 scripts for the V100 */
#define SYNTHETIC "synthetic"

static int fill_variant(
	struct variant *v, const struct settings *s, const char *name, struct err *err)
{
	const char *acc;
	int r;

	v->name = name;
	v->cfg = settings_config(s, name, err);
	if (!v->cfg || pipeline_check_cpus(v->cfg, err))
		return -EINVAL;
	acc = v->cfg->bench.accelerator;
	r = accelerator_find(s->profile.path ? &s->profile : NULL, acc, &v->acc, err);
	if (r)
		return r == -ENOMEM ? r : -EINVAL;
	v->images_per_s = v->acc.images_per_s;
	v->batch = (int)(v->cfg->bench.batch ? v->cfg->bench.batch : v->acc.batch);
	v->batch_asked = v->batch;
	v->steps = (int)v->cfg->bench.steps;
	if (v->cfg->bench.gpu_rate > 0) {
		v->images_per_s = v->cfg->bench.gpu_rate;
		accelerator_done(&v->acc);
	}
	return 0;
}

static int build_variants(struct matrix *m, const struct settings *s, struct err *err)
{
	size_t n = 0;
	int r = 0;

	if (s->profile.path)
		m->names = profile_tables(&s->profile, "variant");
	while (m->names && m->names[n])
		n++;
	m->variants = calloc(n + 1, sizeof(*m->variants));
	if (!m->variants)
		return err_set(err, ENOMEM, "out of memory");
	do {
		r = fill_variant(
			&m->variants[m->n_variants], s, n ? m->names[m->n_variants] : NULL, err);
		m->n_variants++;
	} while (!r && m->n_variants < n);
	return r;
}

static const struct source_ops *find_source(const char *name, struct err *err)
{
	const struct source_ops *ops = source_find(name);
	const char *names[32], *near;
	size_t n = 0;

	if (ops)
		return ops;
	while (n < ARRAY_SIZE(names) && source_registry[n]) {
		names[n] = source_registry[n]->name;
		n++;
	}
	near = err_nearest(name, names, n);
	err_set(err, EINVAL, "bench.sources: no source \"%s\"; %s%s%s", name,
		near ? "did you mean " : "see `run-bench list sources`", near ? near : "",
		near ? "?" : "");
	return NULL;
}

static bool has_source(char **sources, const char *name)
{
	while (*sources && strcmp(*sources, name))
		sources++;
	return *sources != NULL;
}

bool cell_same_work(const struct cell *a, const struct cell *b)
{
	const struct config *x = a->variant->cfg, *y = b->variant->cfg;

	return a->gpus == b->gpus && a->variant->images_per_s == b->variant->images_per_s &&
	       a->variant->batch == b->variant->batch && x->bench.steps == y->bench.steps &&
	       x->bench.prefetch == y->bench.prefetch && x->bench.readers == y->bench.readers &&
	       x->bench.decode == y->bench.decode && x->bench.sync == y->bench.sync &&
	       x->bench.allreduce == y->bench.allreduce && x->bench.format == y->bench.format;
}

/* The synthetic run that a variant would need is in this repeat already. */
static bool have_synthetic(const struct matrix *m, const struct cell *c)
{
	for (size_t i = 0; i < m->n_cells; i++)
		if (!strcmp(m->cells[i].source->name, SYNTHETIC) &&
			m->cells[i].repeat == c->repeat && cell_same_work(&m->cells[i], c))
			return true;
	return false;
}

/* What a source cannot do without. */
static int check_source(const char *name, const struct config *cfg, struct err *err)
{
	if (!strcmp(name, "external") && !cfg->external.path[0])
		return err_set(err, EINVAL,
			"source external: give its folder by --external.path, or run-bench PATH");
	if (!strcmp(name, "stack") && cfg->remote.origin[0])
		return err_set(err, EINVAL,
			"remote.origin=%s: source stack reads embedded data only; use source cached",
			cfg->remote.origin);
	return 0;
}

static int add_cell(
	struct matrix *m, struct cell c, const char *source, bool fuse_missing, struct err *err)
{
	bool replace = fuse_missing && !strcmp(source, "cached");

	c.source = find_source(replace ? "stack" : source, err);
	if (!c.source || check_source(c.source->name, c.variant->cfg, err))
		return -EINVAL;
	c.stands_in_for = replace ? "cached" : NULL;
	if (strcmp(source, SYNTHETIC) || !have_synthetic(m, &c))
		m->cells[m->n_cells++] = c;
	return 0;
}

static int cell_repeats(const struct matrix *m, const struct variant *v, int gpus)
{
	int64_t more = gpus == matrix_most_gpus(m) ? v->cfg->bench.repeats_last : 0;

	return (int)(v->cfg->bench.repeats + more);
}

/* A disk with other data, at a rate that is not that of the user's origin. */
static bool is_stranger(const char *source, const struct config *cfg)
{
	return !strcmp(source, "remote") && cfg->remote.origin[0] && !cfg->remote.path[0] &&
	       !settings_from_option(cfg, "bench.sources");
}

/* One GPU count of one repeat: the synthetic run, then the others as the user ordered them. */
static int add_group(
	struct matrix *m, struct cell c, char **sources, bool fuse_missing, struct err *err)
{
	int r = 0;

	if (has_source(sources, SYNTHETIC))
		r = add_cell(m, c, SYNTHETIC, fuse_missing, err);
	for (char **s = sources; !r && *s; s++)
		if (is_stranger(*s, c.variant->cfg))
			m->without_remote = true;
		else if (strcmp(*s, SYNTHETIC))
			r = add_cell(m, c, *s, fuse_missing, err);
	return r;
}

static int repeats_max(const struct matrix *m)
{
	int most = 0;

	for (size_t i = 0; i < m->n_variants; i++) {
		int n = cell_repeats(m, &m->variants[i], matrix_most_gpus(m));

		most = n > most ? n : most;
	}
	return most;
}

/* Samples are numbered with 32 bits. */
static int check_samples(const struct matrix *m, struct err *err)
{
	for (size_t i = 0; i < m->n_cells; i++)
		if (cell_samples(&m->cells[i]) >= UINT32_MAX)
			return err_set(err, EINVAL,
				"%d steps of %d images on %d GPUs are too many samples for an epoch; "
				"lower bench.steps, bench.batch or bench.gpus",
				m->cells[i].variant->steps, m->cells[i].variant->batch,
				m->cells[i].gpus);
	return 0;
}

static int build_cells(
	struct matrix *m, char **sources, size_t n_sources, bool fuse_missing, struct err *err)
{
	int rounds = repeats_max(m);
	int r = 0;

	m->n_cells = 0;
	m->cells = calloc(
		(size_t)rounds * m->n_variants * m->n_gpus * n_sources + 1, sizeof(*m->cells));
	if (!m->cells)
		return err_set(err, ENOMEM, "out of memory");
	for (int repeat = 0; !r && repeat < rounds; repeat++) {
		for (size_t i = 0; !r && i < m->n_gpus * m->n_variants; i++) {
			struct cell c = {.variant = &m->variants[i % m->n_variants],
				.gpus = m->gpus[i / m->n_variants],
				.repeat = repeat};

			c.repeats = cell_repeats(m, c.variant, c.gpus);
			if (repeat < c.repeats)
				r = add_group(m, c, sources, fuse_missing, err);
		}
	}
	return r ? r : check_samples(m, err);
}

int matrix_build(struct matrix *m, const struct settings *s, bool fuse_missing, struct err *err)
{
	size_t n = 0;
	char **sources;
	int r;

	*m = (struct matrix){0};
	r = settings_numbers(
		"bench.gpus", s->cfg->bench.gpus, MATRIX_GPUS_MAX, &m->gpus, &m->n_gpus, err);
	if (!r)
		r = build_variants(m, s, err);
	if (r)
		return r;
	sources = list_split(s->cfg->bench.sources, ',', &n);
	if (!sources)
		return err_set(err, ENOMEM, "out of memory");
	r = n ? build_cells(m, sources, n, fuse_missing, err)
	      : err_set(err, EINVAL, "bench.sources is empty; see `run-bench list sources`");
	list_free(sources);
	return r;
}

void matrix_done(struct matrix *m)
{
	for (size_t i = 0; i < m->n_variants; i++) {
		config_free(m->variants[i].cfg);
		accelerator_done(&m->variants[i].acc);
	}
	list_free(m->names);
	free(m->variants);
	free(m->gpus);
	free(m->cells);
	*m = (struct matrix){0};
}

int matrix_most_gpus(const struct matrix *m)
{
	int most = 0;

	for (size_t i = 0; i < m->n_gpus; i++)
		most = m->gpus[i] > most ? m->gpus[i] : most;
	return most;
}

bool matrix_has_source(const struct matrix *m, const char *name)
{
	for (size_t i = 0; i < m->n_cells; i++)
		if (!strcmp(m->cells[i].source->name, name))
			return true;
	return false;
}

int cell_epochs(const struct cell *c)
{
	const struct config *cfg = c->variant->cfg;

	return (int)(c->source->flags & SOURCE_KEEPS ? cfg->bench.epochs
						     : cfg->bench.epochs_remote);
}

int64_t cell_samples(const struct cell *c)
{
	return (int64_t)c->variant->steps * c->variant->batch * c->gpus;
}

int variant_readers(const struct variant *v)
{
	if (v->cfg->bench.readers != KNOB_VALUE_AUTO)
		return (int)v->cfg->bench.readers;
	return v->cfg->bench.format == FORMAT_TFRECORD ? TFRECORD_STREAMS : IMAGEFOLDER_WORKERS;
}
