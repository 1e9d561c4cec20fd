/* SPDX-License-Identifier: Apache-2.0 */
/* meta_snapshot - what is known of names, in a file, so that the next mount knows it at once.
 *
 *      header   magic, format version, byte order, whose, size, parts, CRC32C
 *      part     CRC32C of the rest, kind, folder, time, then
 *               PART_LISTING: the folder's listing as it lies in memory (listing_packed())
 *               PART_NAMES: answers about single names of it: (time, packed object) each
 *      ...      the folder used longest ago first
 *
 * Numbers are the machine's own: the file stays where it was written. What is read is checked before it
 * is handed up, whoever wrote it: a file of another version or origin is not used, and from the first
 * damaged part on nothing is. Times are of the wall clock, when the origin said so. */
#ifndef CACHEFS_STORES_META_SNAPSHOT_H
#define CACHEFS_STORES_META_SNAPSHOT_H

#include <stdint.h>
#include <stdio.h>

#include "cachefs/packed.h"

enum part_kind { PART_LISTING, PART_NAMES, PART_KINDS };

struct snapshot_part {
	enum part_kind kind;
	const char *dir;
	int64_t wall_ns; /* of a listing */
	void *data;      /* when read: malloc'ed, the receiver's to free */
	size_t bytes;
};

/* In the data of PART_NAMES. */
struct snapshot_name {
	int64_t wall_ns;
	uint64_t absent; /* 1: there is no such name; what it would be does not count */
	_Alignas(PACKED_ALIGN) char place[]; /* struct packed */
};

/* ---- writing; 0 or -errno ---- */

struct snapshot_writer {
	FILE *file;
	uint64_t identity, bytes;
	uint32_t parts;
};

/* fd: empty, at its start, taken over. snapshot_end() is due in any case, or snapshot_abort(). */
int snapshot_begin(struct snapshot_writer *w, int fd, uint64_t identity);
int snapshot_add(struct snapshot_writer *w, const struct snapshot_part *part);
int snapshot_end(struct snapshot_writer *w); /* durable; closes fd */
void snapshot_abort(struct snapshot_writer *w);

/* ---- reading ---- */

typedef void part_fn(void *arg, struct snapshot_part *part);

/* Hands up every part; folder names are valid, listings and names not looked into yet. NULL, or what
 * is wrong with the file in a few words; what was handed up before is right all the same. */
const char *snapshot_read(int fd, uint64_t identity, part_fn *each, void *arg);

/* Whether the file begins like a snapshot of any version, as far as it goes. */
bool snapshot_is_one(int fd);

/* The name at *at and moves past it; NULL: at the end, or nothing valid follows. */
const struct snapshot_name *snapshot_next_name(const struct snapshot_part *part, size_t *at);

#endif
