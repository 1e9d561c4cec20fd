/* SPDX-License-Identifier: Apache-2.0 */
/* dataset - files and samples of a data set: from the manifest synth-data wrote, or by scanning an
 * existing tree (sources external and cached on a user's origin). */
#ifndef HARNESS_DATASET_H
#define HARNESS_DATASET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"
#include "common/knob.h"

struct data_file {
	char *path; /* relative to the data set's folder */
	uint64_t size;
	uint32_t first, n; /* samples of this file; n 0: unknown until read (a foreign TFRecord) */
};

struct data_sample {
	uint32_t file;
	uint32_t len; /* bytes: the payload of a record, the whole file of imagefolder;
			 0 without a manifest: unknown until read */
	uint64_t off; /* of the record's header, or 0 */
	uint32_t crc; /* CRC32C of the payload; valid if the set has a manifest */
};

struct dataset {
	enum data_format format;
	bool manifest; /* samples are known exactly */
	struct data_file *files;
	uint32_t n_files;
	struct data_sample *samples;
	uint32_t n_samples; /* 0 for foreign TFRecord */
	uint64_t bytes;
	double scan_s; /* time that listing took */
};

/* Reads DIR/manifest.txt; keeps the first max_samples samples (0: all). */
int dataset_load(const char *dir, uint32_t max_samples, struct dataset *ret, struct err *err);

/* The same from an open manifest; name is for messages. */
int dataset_parse(
	FILE *in, const char *name, uint32_t max_samples, struct dataset *ret, struct err *err);

/* A path that stays inside its folder: relative, no empty part, no "." or "..". */
bool dataset_path_ok(const char *path);

/* Lists at most max_files files of an existing tree: *.tfrecord* and train-*-of-* shards, or JPEGs
 * in class folders; decides the format by what it finds. Never writes there. Gives up after
 * timeout_ns with -ETIMEDOUT, even if the filesystem does not answer at all. Sizes: shards are
 * stat'ed; of pictures only 64 are, and `bytes` is an estimate by them. *stop (may be NULL) ends it
 * with -EINTR. */
int dataset_scan(const char *dir, uint32_t max_files, int64_t timeout_ns, const volatile bool *stop,
	struct dataset *ret, struct err *err);
void dataset_done(struct dataset *d);

/* Mean bytes a sample; ImageNet's 114,660 where d (may be NULL) does not know. */
uint32_t dataset_mean_bytes(const struct dataset *d);

#endif
