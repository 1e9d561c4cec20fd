/* SPDX-License-Identifier: Apache-2.0 */
/* The disk tier's index: whatever is in the file, records that come out are consistent, and writing
 * them again gives records that are read back the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/store.h"
#include "cachefs/stores/disk_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define BLOCK_SIZE (1 << 20)

static void check_same(const struct index_record *r, void *arg)
{
	const struct index_record *want = arg;

	if (r->type != want->type || strcmp(r->name, want->name) || r->version != want->version ||
		r->size != want->size || r->where != want->where || r->number != want->number ||
		r->len != want->len || r->crcs != want->crcs)
		abort();
	if (r->crcs && memcmp(r->crc, want->crc, r->crcs * sizeof(uint32_t)))
		abort();
}

static void check(const struct index_record *r, void *arg)
{
	size_t size = index_record_size(r);
	char *log = malloc(sizeof(struct index_header) + size);

	if (!store_name_valid(r->name) || !r->len || r->len > BLOCK_SIZE)
		abort();
	if ((uint64_t)r->number * BLOCK_SIZE + r->len > r->size)
		abort();
	index_header_fill((struct index_header *)log, BLOCK_SIZE);
	index_record_put(r, log + sizeof(struct index_header));
	if (index_parse(log, sizeof(struct index_header) + size, BLOCK_SIZE, check_same,
		    (void *)(uintptr_t)r))
		abort();
	free(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t size = sizeof(struct index_header) + len;
	char *log = malloc(size);

	index_parse(data, len, BLOCK_SIZE, check, NULL);
	index_header_fill(
		(struct index_header *)log, BLOCK_SIZE); /* so that records get their turn */
	memcpy(log + sizeof(struct index_header), data, len);
	index_parse(log, size, BLOCK_SIZE, check, NULL);
	free(log);
	return 0;
}
