/* SPDX-License-Identifier: Apache-2.0 */
/* Small data sets for tests of the harness: samples of noise, framed by hand (not by synth-data's
 * code), so that reader and writer are not wrong in the same way. */
#ifndef TESTS_HARNESS_DATA_H
#define TESTS_HARNESS_DATA_H

#include <stdint.h>

#include "common/knob.h"
#include "harness/dataset.h"
#include "harness/run.h"

struct test_data {
	char dir[64];
	struct dataset set;
};

/* n samples of about `mean` bytes (half to one and a half) in `files` files (imagefolder: one a
 * file, in `files` class folders), with manifest.txt, in a new folder under /tmp. */
void test_data_make(
	struct test_data *t, enum data_format format, uint32_t n, uint32_t files, uint32_t mean);
void test_data_remove(struct test_data *t);

/* Overwrites one byte of a file of the set. */
void test_data_damage(const struct test_data *t, uint32_t file, uint64_t off);

/* A run over the set that fits it: steps are samples / (gpus x batch). One epoch, prefetch 2,
 * 4 readers, 1 ms a step. */
struct run_spec test_run(const struct test_data *t, const struct config *cfg,
	const struct source_ops *source, int gpus, int batch);

#endif
