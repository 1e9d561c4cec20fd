/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32C (Castagnoli, RFC 3720 B.4) by isa-l, and TFRecord's masked form. */
#ifndef FEEDRATE_CRC32C_H
#define FEEDRATE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues from crc (0 at first): crc32c(crc32c(0, a), b) is the CRC of a then b. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* TFRecord stores ((crc >> 15) | (crc << 17)) + 0xa282ead8 (tensorflow core/lib/hash/crc32c.h). */
static inline uint32_t crc32c_mask(uint32_t crc)
{
	return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

#endif
