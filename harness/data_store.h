/* SPDX-License-Identifier: Apache-2.0 */
/* data_store - embedded data sets, made once and kept for later invocations.
 *
 *   $XDG_CACHE_HOME/feedrate/data/FORMAT-SAMPLES-sSEED/    manifest.txt: it is complete
 *
 * Who reads a set holds a shared lock on its folder (flock), who makes or removes it an exclusive
 * one: `clean` takes no data from under a run, and synth-data, which locks alike, makes no set that
 * somebody reads. */
#ifndef HARNESS_DATA_STORE_H
#define HARNESS_DATA_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct data_set {
	const char *format; /* "tfrecord" */
	int64_t samples, seed;
};

/* The folder of the smallest complete set with at least want->samples, else of one to be made;
 * free() it. NULL: out of memory. */
char *data_store_find(const struct data_set *want, bool *ret_complete);

/* Samples of the largest set with fewer than below->samples, complete or begun; 0: there is none. */
int64_t data_store_largest_below(const struct data_set *below);

/* A descriptor that keeps a complete set from being removed until it is closed. -ENOENT: it is not
 * complete; -EBUSY: it is being made or removed. */
int data_store_hold(const char *path);

struct data_sweep {
	int removed, held; /* sets; held: read by somebody, so they stayed */
	int64_t bytes;     /* of those removed */
};

/* Removes every set, complete or not; with only_look it stays. */
int data_store_sweep(bool only_look, struct data_sweep *ret);

/* Where the sets are; free() it. */
char *data_store_root(void);

#endif
