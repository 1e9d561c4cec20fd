/* SPDX-License-Identifier: Apache-2.0 */
/* A line of mountinfo: what comes out are strings inside the line that went in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/mounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const char *text, const char *line, size_t len)
{
	if (!text || text < line || text + strlen(text) > line + len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *line = malloc(len + 1); /* exact, so that the sanitizer sees a step beyond */
	struct mount_entry m;

	if (!line)
		return 0;
	memcpy(line, data, len);
	line[len] = '\0';
	if (mounts_parse_line(line, &m)) {
		check(m.path, line, len);
		check(m.type, line, len);
		check(m.source, line, len);
		mounts_type_is_remote(m.type);
	}
	free(line);
	return 0;
}
