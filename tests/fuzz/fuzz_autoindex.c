/* SPDX-License-Identifier: Apache-2.0 */
/* nginx's JSON listings: what passes can stand in a folder. */
#include <stdlib.h>

#include "cachefs/stores/http_autoindex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int check_entry(void *arg, const struct object *entry)
{
	if (!store_component_valid(entry->name) || *entry->etag)
		abort();
	if (entry->is_dir ? entry->size : !entry->version)
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *why = NULL;
	struct http_gate gate;

	gate_init(&gate, check_entry, NULL);
	if (autoindex_parse((const char *)data, len, &gate, &why) && !why)
		abort();
	gate_done(&gate);
	return 0;
}
