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
	uint32_t mean_bytes; /* of a sample, if somebody has measured it; else 0 */
	struct {
		double seconds;
		bool partial;        /* ended before the end of the tree */
		uint32_t folders;    /* read */
		uint32_t unreadable; /* folders that we may not read */
		uint32_t left_out;   /* files of the other format */
		uint64_t dev, ino;   /* of the folder itself */
	} scan;                      /* how dataset_scan() came by it; else zeros */
};

#define DATASET_MAGIC "feedrate-manifest/1" /* how a manifest starts */

/* Reads DIR/manifest.txt; keeps the first max_samples samples (0: all). */
int dataset_load(const char *dir, uint32_t max_samples, struct dataset *ret, struct err *err);

/* The same from an open manifest; name is for messages. */
int dataset_parse(
	FILE *in, const char *name, uint32_t max_samples, struct dataset *ret, struct err *err);

/* For the lists of a data set: room for element n in the array that *arrayp points to, of *cap
 * elements of size bytes; arrays grow by half. 0 or -ENOMEM. */
int dataset_grow(void *arrayp, uint32_t n, uint32_t *cap, size_t size);

/* A path that stays inside its folder: relative, no empty part, no "." or "..". */
bool dataset_path_ok(const char *path);

#define SCAN_ANY_FORMAT (-1)

/* What a listing may cost. */
struct scan_limits {
	uint32_t max_files;
	uint32_t max_samples; /* of a manifest; 0: all */
	int64_t timeout_ns;   /* -ETIMEDOUT then, even if the filesystem never answers */
	int64_t enough_ns;    /* what was found by then will do; 0: the whole tree */
	int format;           /* enum data_format, or SCAN_ANY_FORMAT: the one with more bytes */
	const volatile bool *stop; /* set by a signal handler: -EINTR; may be NULL */
};

/* The data of an existing tree, which is never written to. By its manifest.txt if synth-data has
 * left one; else by listing it: TFRecord shards (.tfrecord, train-*-of-*), or pictures in class
 * folders, at any depth up to 8. Folders that may not be read are counted and left out; links are
 * followed, but not back to where they came from. Of at most 64 files of a format the size is asked; `bytes` is
 * an estimate by them. */
int dataset_scan(
	const char *dir, const struct scan_limits *l, struct dataset *ret, struct err *err);
void dataset_done(struct dataset *d);

/* Mean bytes a sample; ImageNet's 114,660 where d (may be NULL) does not know. Of a listed tree it is
 * estimated. */
uint32_t dataset_mean_bytes(const struct dataset *d);

#endif
