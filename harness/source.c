/* SPDX-License-Identifier: Apache-2.0 */
/* The list of sources: one line an entry, in the order reports show them. */
#include "harness/source.h"

#include <string.h>

extern const struct source_ops source_synthetic, source_cached, source_remote, source_external,
	source_stack;

const struct source_ops *const source_registry[] = {
	&source_synthetic,
	&source_cached,
	&source_remote,
	&source_external,
	&source_stack,
	NULL,
};

const struct source_ops *source_find(const char *name)
{
	for (int i = 0; source_registry[i]; i++)
		if (!strcmp(source_registry[i]->name, name))
			return source_registry[i];
	return NULL;
}
