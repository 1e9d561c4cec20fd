/* SPDX-License-Identifier: Apache-2.0 */
/* A journal of synth-data behind its head: whatever stands there, units lie inside the text. */
#include <stdlib.h>

#include "synth/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	struct journal_unit u;
	size_t at = 0, before = 0;

	while (journal_next(text, len, &at, &u)) {
		if (at <= before || at > len || !u.len || u.lines < text + before ||
			u.lines + u.len != text + at)
			abort();
		before = at;
	}
	return 0;
}
