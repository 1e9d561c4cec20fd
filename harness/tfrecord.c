/* SPDX-License-Identifier: Apache-2.0 */
/* TFRecord framing: see tfrecord.h. */
#include "harness/tfrecord.h"

#include <errno.h>

#include "common/crc32c.h"

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t crc32c_unmask(uint32_t masked)
{
	uint32_t rot = masked - 0xa282ead8u;

	return rot >> 17 | rot << 15;
}

int64_t tfrecord_parse(const uint8_t *buf, size_t have, bool verify, struct tfrecord *ret)
{
	uint64_t len;
	uint32_t crc;

	if (have < TFRECORD_HEADER)
		return TFRECORD_HEADER;
	len = le32(buf) | (uint64_t)le32(buf + 4) << 32;
	if (len > TFRECORD_LENGTH_MAX)
		return -EBADMSG;
	if (verify && crc32c_mask(crc32c(0, buf, 8)) != le32(buf + 8))
		return -EBADMSG;
	if (have < len + TFRECORD_FRAME)
		return (int64_t)(len + TFRECORD_FRAME);
	crc = crc32c_unmask(le32(buf + TFRECORD_HEADER + len));
	if (verify && crc32c(0, buf + TFRECORD_HEADER, (size_t)len) != crc)
		return -EBADMSG;
	*ret = (struct tfrecord){buf + TFRECORD_HEADER, (size_t)len, crc};
	return 0;
}
