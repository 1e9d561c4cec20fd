/* SPDX-License-Identifier: Apache-2.0 */
/* TFRecord framing: the first byte chooses whether CRCs are checked, the rest is a stream. */
#include <stdlib.h>

#include "harness/tfrecord.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t pos = 1;
	struct tfrecord rec;

	while (pos < len) {
		int64_t need = tfrecord_parse(data + pos, len - pos, data[0] & 1, &rec);

		if (need < 0)
			break;
		if (need > 0) {
			if ((uint64_t)need <= len - pos)
				abort(); /* asks for what it has */
			break;
		}
		if (rec.data < data + pos || rec.data + rec.len + 4 > data + len)
			abort();
		pos += rec.len + TFRECORD_FRAME;
	}
	return 0;
}
