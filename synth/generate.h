/* SPDX-License-Identifier: Apache-2.0 */
/* generate - makes a data set in a folder with several threads, or goes on with one.
 *
 * What is made does not depend on threads, interrupts or order: see content.h and layout.h. */
#ifndef SYNTH_GENERATE_H
#define SYNTH_GENERATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "synth/manifest.h"

#define GENERATE_SAMPLES_MAX ((uint64_t)1000000000)

struct made {                  /* how far a run is */
	uint64_t samples;      /* of the whole set */
	uint64_t bytes;        /* of all files; 0 until the end */
	uint64_t image_bytes;  /* of the whole set */
	uint64_t before_bytes; /* about what earlier runs had made */
	uint64_t made_bytes;   /* bytes of images this run has made */
	double seconds;        /* of this run, templates included */
};

typedef void made_fn(const struct made *m, void *arg);

struct job {
	const char *dir; /* made if it does not exist */
	struct set set;
	int threads;
	atomic_bool
		*stop; /* set by anyone, a signal handler too: -EINTR, and the next run goes on */
	made_fn *progress; /* twice a second, from the caller's thread; may be NULL */
	void *progress_arg;
};

/* Images of `seed` until their sizes reach `bytes`, that is how many `--bytes` stands for; more than
 * GENERATE_SAMPLES_MAX: too many. */
uint64_t generate_samples_for(uint64_t seed, uint64_t bytes);

/* 0: the set is complete and durable. -EEXIST, -ENOTDIR: the folder is not ours to fill. -EBUSY:
 * another process fills it. -EINTR, -ENOSPC...: what is complete stays for the next run, what is
 * not was removed. */
int generate(const struct job *job, struct made *ret, struct err *err);

#endif
