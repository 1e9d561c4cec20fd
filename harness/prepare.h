/* SPDX-License-Identifier: Apache-2.0 */
/* prepare - the data that runs read, and whether they fit this machine.
 *
 * Embedded data are made once by synth-data in $XDG_CACHE_HOME/feedrate/data/FORMAT-SAMPLES-sSEED and
 * used by every later invocation that needs as many samples or fewer: a run reads a prefix. The
 * user's own data are listed (listing.h) and never written to.
 *
 * Where the disk is too small for all of it, steps are lowered. What an earlier invocation has made,
 * or begun to make, with fewer samples is gone on with: otherwise it would only take the room. */
#ifndef HARNESS_PREPARE_H
#define HARNESS_PREPARE_H

#include "harness/dataset.h"
#include "harness/matrix.h"

/* Bytes of one image on average, until a data set says better: ImageNet's mean train JPEG
 * (argonne-lcf/dlio_benchmark resnet50 workload: record_length 114660.07). */
#define PREPARE_IMAGE_BYTES 114660.07

struct prepared {
	char *data;           /* folder of embedded data; NULL if no run needs them */
	int64_t samples;      /* that the runs need, of the largest GPU count */
	bool have_data;       /* they are there already */
	int hold;             /* keeps them from being removed meanwhile; -1: nothing */
	int64_t data_bytes;   /* of those samples, about */
	int64_t tier_bytes;   /* most that a disk tier may take */
	char why_scaled[256]; /* "" unless steps were lowered */
};

/* Where runs leave mounts, tiers and logs: under disk.path if it is given, else the cache home. */
char *prepare_work_root(const struct config *cfg);

/* Decides what is needed; lowers variant.steps where the disk is too small, and says so. */
int prepare_plan(struct prepared *p, struct matrix *m, struct err *err);

/* Runs synth-data if the data are not there yet; what it says goes to the file log (NULL: to our
 * stderr). */
int prepare_make(struct prepared *p, const struct matrix *m, const char *log,
	const volatile bool *stop, struct err *err);
void prepare_done(struct prepared *p);

/* The folder that a cell reads ("" for synthetic, whose data are NULL), owned by the caller's p
 * and the cell's config. NULL: a mount of remote.origin. */
const char *prepare_folder(const struct prepared *p, const struct cell *c);

/* Whether a cell reads embedded data rather than the user's, or none. */
bool prepare_is_embedded(const struct cell *c);

/* The prefix of embedded data that an epoch of a cell reads; the caller's to release. */
int prepare_dataset(
	const struct prepared *p, const struct cell *c, struct dataset *ret, struct err *err);

/* What a disk tier may hold: disk.capacity if given, else bench.cache_ratio of the data. */
int64_t prepare_capacity(const struct cell *c, uint64_t data_bytes);

#endif
