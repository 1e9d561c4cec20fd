/* SPDX-License-Identifier: Apache-2.0 */
/* layout - how pictures lie on the disk; one table entry a format.
 *
 * A set is made in units, each by one thread, in any order: what a unit holds follows from the set
 * and its number alone. */
#ifndef SYNTH_LAYOUT_H
#define SYNTH_LAYOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "synth/content.h"
#include "synth/manifest.h"

struct maker { /* what a thread has to make units with */
	const struct set *set;
	const struct content *content;
	struct canvas *canvas;
	uint8_t *buffer; /* of direct_buffer() */
	int dirfd;
	atomic_bool *stop;       /* true: give up with -EINTR before the next picture */
	_Atomic uint64_t *bytes; /* made so far by all threads, for progress */
};

struct layout {
	enum data_format format;
	uint64_t overhead; /* bytes a picture takes beside its own, at most */
	uint64_t (*units)(const struct set *set);
	/* Before the first unit, in one thread; may be NULL. */
	int (*prepare)(const struct set *set, int dirfd);
	/* Makes a unit's files durable and writes their manifest lines; *ret_bytes: of the files.
	 * -EINTR, -ENOSPC...: no file is left half-written. */
	int (*make)(struct maker *m, uint64_t unit, FILE *lines, uint64_t *ret_bytes);
};

extern const struct layout layout_tfrecord, layout_imagefolder;

const struct layout *layout_find(enum data_format format);

/* A picture's class and the names that stand for it. */
static inline uint32_t layout_class(const struct set *set, uint64_t index)
{
	return (uint32_t)(index % set->classes);
}

#define CLASS_NAME_MAX 16
#define FILE_NAME_MAX 40
/* "n90000017": the form of WordNet's ids, above all of them. */
char *layout_class_name(uint32_t class, char buf[CLASS_NAME_MAX]);
/* "n90000017_1017.JPEG": class and sample. */
char *layout_file_name(uint32_t class, uint64_t index, char buf[FILE_NAME_MAX]);

#endif
