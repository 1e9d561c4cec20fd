/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata snapshot: whatever is in the file, what comes out are valid names with attributes
 * that pack to the same bytes, and a listing finds each of its own. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cachefs/listing.h"
#include "cachefs/stores/meta_snapshot.h"
#include "common/crc32c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define IDENTITY 42
#define HEADER_BYTES 40
#define PART_BYTES 24

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_listing(struct listing *l)
{
	struct object obj, found;
	size_t n = 0;

	for (size_t at = 0; listing_next(l, &at, &obj); n++) {
		require(store_component_valid(obj.name));
		require(strlen(obj.etag) < ETAG_MAX && (obj.is_dir || obj.version));
		require(listing_find(l, obj.name, &found) && !strcmp(found.name, obj.name));
	}
	require(n == listing_entries(l));
}

static void check_names(const struct snapshot_part *part)
{
	const struct snapshot_name *one;
	struct object obj;

	for (size_t at = 0; (one = snapshot_next_name(part, &at));) {
		packed_object((const struct packed *)one->place, &obj);
		require(store_component_valid(obj.name) || (!*obj.name && !*part->dir));
		require(at <= part->bytes);
	}
}

static void check(void *arg, struct snapshot_part *part)
{
	struct listing *l;

	require(store_name_valid(part->dir));
	if (part->kind == PART_NAMES) {
		check_names(part);
		free(part->data);
		return;
	}
	l = listing_from(part->data, part->bytes);
	if (l)
		check_listing(l);
	listing_put(l);
}

static void read_all(const void *data, size_t len)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC);

	require(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	lseek(fd, 0, SEEK_SET);
	snapshot_read(fd, IDENTITY, check, NULL);
	close(fd);
}

/* A right header, and right CRCs as far as there are parts, so that what is in them gets its turn. */
static void put_right(uint8_t *file, size_t len)
{
	static const char magic[8] = {'c', 'a', 'c', 'h', 'e', 'f', 's', 'M'};
	uint64_t bytes = len, identity = IDENTITY;
	uint32_t numbers[2] = {1, 0x01020304}, parts = 100, crc;

	memcpy(file, magic, sizeof(magic));
	memcpy(file + 8, numbers, sizeof(numbers));
	memcpy(file + 16, &identity, sizeof(identity));
	memcpy(file + 24, &bytes, sizeof(bytes));
	memcpy(file + 32, &parts, sizeof(parts));
	crc = crc32c(0, file, 36);
	memcpy(file + 36, &crc, sizeof(crc));
	for (size_t at = HEADER_BYTES; at + PART_BYTES <= len;) {
		uint16_t dir_len;

		memcpy(&dir_len, file + at + 6, sizeof(dir_len));
		memcpy(&bytes, file + at + 16, sizeof(bytes));
		size_t head = PART_BYTES + (dir_len + 7u) / 8 * 8, left = len - at;

		if (head > left || bytes > left - head)
			return;
		crc = crc32c(0, file + at + 4, PART_BYTES - 4 + dir_len);
		crc = crc32c(crc, file + at + head, bytes);
		memcpy(file + at, &crc, sizeof(crc));
		at += head + bytes;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *file = malloc(HEADER_BYTES + len);

	read_all(data, len);
	memcpy(file + HEADER_BYTES, data, len);
	put_right(file, HEADER_BYTES + len);
	read_all(file, HEADER_BYTES + len);
	free(file);
	return 0;
}
