/* SPDX-License-Identifier: Apache-2.0 */
/* What a name may look like: see store.h. A file of its own, so that programs without a stack can
 * check names too. */
#include <string.h>

#include "cachefs/store.h"

#define NAME_BYTES_MAX 4095
#define COMPONENT_BYTES_MAX 255

static bool component_valid(const char *s, size_t len)
{
	if (!len || len > COMPONENT_BYTES_MAX || memchr(s, '/', len))
		return false;
	return !(s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')));
}

bool store_component_valid(const char *component)
{
	return component_valid(component, strlen(component));
}

bool store_name_valid(const char *name)
{
	if (!*name)
		return true;
	if (strlen(name) > NAME_BYTES_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(name, "/");

		if (!component_valid(name, len))
			return false;
		if (!name[len])
			return true;
		name += len + 1;
	}
}
