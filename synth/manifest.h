/* SPDX-License-Identifier: Apache-2.0 */
/* manifest - what a data set holds, and what is there already of one that is being made.
 *
 * A set is made in units (a shard, or a thousand pictures). While it grows, DIR/manifest.partial is
 * a journal of units that are on the disk for good; a later run with the same parameters goes on
 * from there. When all are, DIR/manifest.txt is put together from it, appears at once, and the
 * journal goes. docs/internals/synth.md has both formats. */
#ifndef SYNTH_MANIFEST_H
#define SYNTH_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/knob.h"

#define MANIFEST_NAME "manifest.txt"
#define JOURNAL_NAME "manifest.partial"

struct set { /* what determines every byte of a data set */
	enum data_format format;
	uint64_t seed, samples;
	uint32_t shards, classes; /* shards: 0 for imagefolder */
};

/* 1: DIR holds this set already, of *ret_bytes; 0: no manifest; -EEXIST: DIR holds another set; -EIO:
 * a file that the manifest names is not there with its size. */
int manifest_check(int dirfd, const struct set *set, uint64_t *ret_bytes, struct err *err);

/* The journal of a set; append from any thread. */
struct journal;

/* Opens the journal, or starts one in an empty folder. A unit counts only if its files are there
 * with their sizes; what stands behind a damaged place of the journal is forgotten. -EEXIST: the
 * folder holds something else. */
int journal_open(
	int dirfd, const struct set *set, uint64_t units, struct journal **ret, struct err *err);
void journal_close(struct journal *j);
AUTO_FREE(journal_close, struct journal, journal_close);

/* Removes a journal that holds no unit yet, so that the folder is empty again. */
void journal_discard(struct journal *j);

bool journal_has(const struct journal *j, uint64_t unit);

/* Bytes of files in all units so far. */
uint64_t journal_bytes(struct journal *j);

/* Takes down a unit whose files are durable: their manifest lines, and how many bytes they are. */
int journal_append(struct journal *j, uint64_t unit, const char *lines, size_t len, uint64_t bytes);

/* Puts manifest.txt together and removes the journal; every unit must be there. */
int journal_finish(struct journal *j, struct err *err);

/* The next unit of a journal's text at *at: 1 and *at moves behind it; 0: there is none, or what is
 * there is cut or damaged. lines points into text. */
struct journal_unit {
	uint64_t unit, bytes;
	const char *lines;
	size_t len;
};
int journal_next(const char *text, size_t text_len, size_t *at, struct journal_unit *ret);

#endif
