/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of ListObjectsV2: what passes can stand in a folder, and a page that goes on says where. The
 * first line is the prefix. */
#include <stdlib.h>
#include <string.h>

#include "cachefs/stores/http_fields.h"
#include "cachefs/stores/s3_list.h"
#include "common/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int check_entry(void *arg, const struct object *entry)
{
	if (!store_component_valid(entry->name))
		abort();
	if (entry->is_dir ? entry->size : !entry->version)
		abort();
	if (strpbrk(entry->etag, "\r\n"))
		abort(); /* would go into a header */
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *line = memchr(data, '\n', len);
	AUTO(free)
	char *prefix = line ? strndup((const char *)data, (size_t)(line - data)) : strdup("");
	AUTO(free) struct s3_page *page = malloc(sizeof(*page));
	const uint8_t *xml = line ? line + 1 : data;
	struct http_gate gate;

	gate_init(&gate, check_entry, NULL);
	int r = s3_list_parse((const char *)xml, len - (size_t)(xml - data), prefix, &gate, page);

	if (r == 0 && page->truncated && !*page->token)
		abort();
	if (r != 0 && !page->why)
		abort();
	if (gate.passed + gate.refused > page->keys)
		abort();
	gate_done(&gate);
	return 0;
}
