/* SPDX-License-Identifier: Apache-2.0 */
/* plan - a file that tells in which order bytes will be read, for instance by a sampler that has
 * been asked before the epoch.
 *
 *      # epoch 0
 *      train/n01440764/n01440764_10026.JPEG
 *      shards/train-00017-of-01024<TAB>1048576<TAB>110592
 *      odd%20names/100%25.jpg
 *
 * A line is a path below the mount, and, where only a part is read, OFFSET and LENGTH in bytes.
 * %XX stands for a byte; '%', control characters and a '#' at the front have to be written so. Other
 * lines that begin with '#', and empty ones, say nothing. Names come from anybody: what does not obey
 * the rules of store.h is an error.
 *
 * It is read as a stream in 64 KiB of memory, so a plan may have any number of lines. */
#ifndef CACHEFS_PLAN_H
#define CACHEFS_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct plan;

struct plan_line {
	const char *name;  /* valid until the next call */
	uint64_t off, len; /* len 0: the whole file */
	uint64_t epoch;    /* of the last "# epoch N"; 0 before one */
	uint64_t where;    /* offset of the line in the file */
};

/* NULL and err: it cannot be opened or is no regular file. */
struct plan *plan_open(const char *path, struct err *err);
void plan_close(struct plan *p); /* NULL is accepted */

/* 1: the next line; 0: the end, or -errno and err, which names file and line. */
int plan_next(struct plan *p, struct plan_line *ret, struct err *err);

/* Goes on with the line at `where` of an earlier plan_line. Line numbers and epochs are not right from
 * there on. */
void plan_seek(struct plan *p, uint64_t where);

/* Reads all of it, or until *stop (NULL: all), as that may take long: 0 and the number of lines that name
 * something, or -errno and err. */
int plan_check(const char *path, const _Atomic bool *stop, uint64_t *ret_lines, struct err *err);

#endif
