/* SPDX-License-Identifier: Apache-2.0 */
/* tf.train.Example: what is found lies inside the message. */
#include <stdlib.h>

#include "harness/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *got;
	size_t n;

	if (example_bytes(data, len, "image/encoded", &got, &n) == 0)
		if (got < data || n > len || got + n > data + len)
			abort();
	return 0;
}
