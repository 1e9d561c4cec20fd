/* SPDX-License-Identifier: Apache-2.0 */
/* tfrecord - the framing of TFRecord files (tensorflow core/lib/io/record_writer.h):
 *
 *   uint64 length, uint32 masked CRC32C of length, data[length], uint32 masked CRC32C of data
 *
 * little-endian. A pure function over a buffer; readers/tfrecord.c does the reading. */
#ifndef HARNESS_TFRECORD_H
#define HARNESS_TFRECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TFRECORD_HEADER 12u
#define TFRECORD_FRAME 16u               /* bytes around the data */
#define TFRECORD_LENGTH_MAX (1ull << 30) /* longer ones are taken for damage */

struct tfrecord {
	const uint8_t *data; /* into the caller's buffer */
	size_t len;
	uint32_t crc; /* CRC32C of data, unmasked: computed if verify, else as stored */
};

/* The record at the start of buf. Returns 0; or how many bytes buf must hold (more than have) to go
 * on; or -EBADMSG: a CRC disagrees or the length is impossible. verify: check both CRCs, else
 * neither. */
int64_t tfrecord_parse(const uint8_t *buf, size_t have, bool verify, struct tfrecord *ret);

#endif
