/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the disk tier's log: see disk_index.h. */
#include "cachefs/stores/disk_index.h"

#include <errno.h>
#include <string.h>

#include "cachefs/store.h"
#include "common/crc32c.h"

#define RECORD_MAGIC 0x78646e69u /* "indx" */
#define INDEX_FORMAT 1
#define NAME_LEN_MAX 4095

struct index_disk_record {
	uint32_t magic, crc; /* crc: over all that follows it */
	uint32_t total;      /* bytes with padding */
	uint16_t type, name_len;
	uint64_t version, size, where;
	uint32_t number, len, crcs, unused;
};

void index_header_fill(struct index_header *h, uint32_t block_size)
{
	*h = (struct index_header){.magic = INDEX_MAGIC, .format = INDEX_FORMAT};
	h->block_size = block_size;
}

static size_t record_size(size_t crcs, size_t name_len)
{
	return (sizeof(struct index_disk_record) + crcs * 4 + name_len + 7) & ~(size_t)7;
}

size_t index_record_size(const struct index_record *r)
{
	return record_size(r->crcs, strlen(r->name));
}

/* Over everything after the field itself. */
static uint32_t record_crc(const void *record, size_t total)
{
	size_t from = offsetof(struct index_disk_record, crc) + sizeof(uint32_t);

	return crc32c(0, (const char *)record + from, total - from);
}

void index_record_put(const struct index_record *r, void *buf)
{
	size_t total = index_record_size(r), name_len = strlen(r->name);
	struct index_disk_record d = {
		.magic = RECORD_MAGIC,
		.total = (uint32_t)total,
		.type = (uint16_t)r->type,
		.name_len = (uint16_t)name_len,
		.version = r->version,
		.size = r->size,
		.where = r->where,
		.number = r->number,
		.len = r->len,
		.crcs = r->crcs,
	};
	char *p = buf;

	memset(p, 0, total);
	memcpy(p, &d, sizeof(d));
	if (r->crcs)
		memcpy(p + sizeof(d), r->crc, r->crcs * sizeof(uint32_t));
	memcpy(p + sizeof(d) + r->crcs * sizeof(uint32_t), r->name, name_len);
	d.crc = record_crc(p, total);
	memcpy(p + offsetof(struct index_disk_record, crc), &d.crc, sizeof(d.crc));
}

/* Whether the fields agree with each other, as those of every record we write do. */
static bool consistent(const struct index_disk_record *d, uint32_t block_size)
{
	uint64_t off = (uint64_t)d->number * block_size;
	uint32_t chunks = (d->len + CHUNK_SIZE - 1) / CHUNK_SIZE;

	if (!d->version || !d->len || d->len > block_size || off >= d->size)
		return false;
	if (d->len != (d->size - off < block_size ? d->size - off : block_size))
		return false;
	if (d->type == INDEX_GONE)
		return !d->crcs;
	return d->type == INDEX_PUT && d->crcs == chunks;
}

/* The record at p, or 0 when there is no whole one in left bytes; else its size. */
static size_t read_record(
	const char *p, size_t left, uint32_t block_size, index_fn *each, void *arg)
{
	struct index_disk_record d;
	uint32_t crc[(16 << 20) / CHUNK_SIZE];
	char name[NAME_LEN_MAX + 1];

	if (left < sizeof(d))
		return 0;
	memcpy(&d, p, sizeof(d));
	if (d.magic != RECORD_MAGIC || d.total > left || d.name_len > NAME_LEN_MAX ||
		d.crcs > sizeof(crc) / sizeof(*crc) || d.total != record_size(d.crcs, d.name_len))
		return 0;
	if (record_crc(p, d.total) != d.crc || !consistent(&d, block_size))
		return 0;
	memcpy(crc, p + sizeof(d), d.crcs * sizeof(*crc));
	memcpy(name, p + sizeof(d) + d.crcs * sizeof(*crc), d.name_len);
	name[d.name_len] = 0;
	if (strlen(name) != d.name_len || !*name || !store_name_valid(name))
		return 0;
	struct index_record r = {
		.type = (enum index_type)d.type,
		.name = name,
		.version = d.version,
		.size = d.size,
		.where = d.where,
		.number = d.number,
		.len = d.len,
		.crcs = d.crcs,
		.crc = crc,
	};

	each(&r, arg);
	return d.total;
}

int64_t index_parse(const void *data, size_t len, uint32_t block_size, index_fn *each, void *arg)
{
	struct index_header want, have;
	const char *p = data;
	int64_t skipped = 0;
	size_t off = sizeof(have);

	index_header_fill(&want, block_size);
	if (len < sizeof(have) || memcmp(data, &want, sizeof(want)))
		return -EINVAL;
	while (off < len) {
		size_t n = read_record(p + off, len - off, block_size, each, arg);

		if (!n) {
			n = len - off < 8 ? len - off : 8;
			skipped += (int64_t)n;
		}
		off += n;
	}
	return skipped;
}
