/* SPDX-License-Identifier: Apache-2.0 */
/* disk_index - the log that says, after a restart, which blocks the disk tier holds.
 *
 * A record is appended after the data of a block was written (PUT) and before its place is given
 * up (GONE); the records in order give the state. Nothing is fsynced: after kill -9 the kernel
 * still has all of it in order, after a power loss the CRCs of records and of data decide. A
 * record that is torn or garbled is skipped: reading goes on at the next one that is whole.
 *
 *      header   magic, version, block_size
 *      record   struct index_disk_record, CRCs, name; padded to 8 bytes; CRC32C over all but itself
 *
 * Integers are in the machine's order: a cache directory stays where it was made. */
#ifndef CACHEFS_STORES_DISK_INDEX_H
#define CACHEFS_STORES_DISK_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_MAGIC "feedrate-index"

enum index_type { INDEX_PUT = 1, INDEX_GONE };

struct index_record {
	enum index_type type;
	const char *name;
	uint64_t version, size, where;
	uint32_t number, len, crcs;
	const uint32_t *crc; /* crcs of them; none with INDEX_GONE */
};

struct index_header {
	char magic[16];
	uint32_t format, block_size;
};

void index_header_fill(struct index_header *h, uint32_t block_size);

/* Bytes of a record, and the record itself into buf, which has room. */
size_t index_record_size(const struct index_record *r);
void index_record_put(const struct index_record *r, void *buf);

/* Every whole record of a log, in order: names valid, numbers and lengths consistent. Returns the
 * bytes that belong to no whole record, or -EINVAL when the header is another one. each's record
 * is valid during the call. */
typedef void index_fn(const struct index_record *r, void *arg);
int64_t index_parse(const void *data, size_t len, uint32_t block_size, index_fn *each, void *arg);

#endif
