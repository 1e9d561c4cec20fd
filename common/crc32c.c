/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32C by isa-l (the only file that includes it). */
#include "common/crc32c.h"

#include <limits.h>

#include <isa-l/crc.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	const unsigned char *p = data;

	/* isa-l takes and returns the register without the final inversion, and an int length. */
	crc = ~crc;
	while (len) {
		int n = len > INT_MAX ? INT_MAX : (int)len;

		crc = crc32_iscsi((unsigned char *)(uintptr_t)p, n, crc);
		p += n;
		len -= (size_t)n;
	}
	return ~crc;
}
