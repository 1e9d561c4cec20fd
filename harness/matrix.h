/* SPDX-License-Identifier: Apache-2.0 */
/* matrix - every run of an invocation, in order: repeats x variants x GPU counts x sources.
 *
 * The synthetic run of a GPU count comes before all that is compared with it, in every repeat; the
 * sources of a GPU count follow one another, so that a slow minute of the machine hits them alike.
 * Variants that ask for the same work share one synthetic run. */
#ifndef HARNESS_MATRIX_H
#define HARNESS_MATRIX_H

#include <stddef.h>

#include "harness/accelerator.h"
#include "harness/run.h"
#include "harness/settings.h"

#define MATRIX_GPUS_MAX 1024

struct variant {
	const char *name; /* NULL: the profile itself */
	struct config *cfg;
	struct accelerator acc; /* .name NULL with bench.gpu_rate */
	double images_per_s;    /* of one GPU */
	int batch, steps;       /* as scaled to fit the machine, or the time */
	int batch_asked;
};

struct cell {
	const struct source_ops *source;
	const char *stands_in_for; /* the source asked for, which cannot run here; else NULL */
	const struct variant *variant;
	int gpus, repeat, repeats; /* repeats: how often this cell is done in all */
};

struct matrix {
	char **names; /* of the variants */
	struct variant *variants;
	size_t n_variants;
	int *gpus;
	size_t n_gpus;
	struct cell *cells;
	size_t n_cells;
	bool without_remote; /* source remote was left out: see matrix_build() */
};

/* From the profile and options. fuse_missing: source `stack` stands in for `cached`. With
 * remote.origin, an emulated remote disk of embedded data is no part of the comparison: `remote` is
 * left out, unless remote.path is given or bench.sources is an option. */
int matrix_build(struct matrix *m, const struct settings *s, bool fuse_missing, struct err *err);
void matrix_done(struct matrix *m);

int matrix_most_gpus(const struct matrix *m);
bool matrix_has_source(const struct matrix *m, const char *name);

/* Epochs a source reads: bench.epochs where bytes are kept between epochs, else
 * bench.epochs_remote. */
int cell_epochs(const struct cell *c);
int64_t cell_samples(const struct cell *c); /* of one epoch */

/* Reader threads of one GPU, with bench.readers=auto resolved. */
int variant_readers(const struct variant *v);

/* Whether a and b ask the GPUs for the same work, so that one synthetic run serves both. */
bool cell_same_work(const struct cell *a, const struct cell *b);

#endif
