/* SPDX-License-Identifier: Apache-2.0 */
/* Each good name once: see http_gate.h. Names are told apart by 64-bit hashes, so that a large folder
 * costs 16 bytes a name while it is listed; two of 16 million share one with a chance of 1e-5. */
#include "cachefs/stores/http_gate.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

void gate_init(struct http_gate *g, list_fn *each, void *arg)
{
	*g = (struct http_gate){.each = each, .arg = arg};
}

void gate_done(struct http_gate *g)
{
	free(g->seen);
	*g = (struct http_gate){0};
}

/* The place of hash: its own or a free one. */
static uint64_t *place_of(uint64_t *seen, size_t room, uint64_t hash)
{
	size_t at = hash & (room - 1);

	while (seen[at] && seen[at] != hash)
		at = (at + 1) & (room - 1);
	return &seen[at];
}

static int grow(struct http_gate *g)
{
	size_t room = g->room ? 2 * g->room : 64;
	uint64_t *seen = calloc(room, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < g->room; i++)
		if (g->seen[i])
			*place_of(seen, room, g->seen[i]) = g->seen[i];
	free(g->seen);
	g->seen = seen;
	g->room = room;
	return 0;
}

int gate_pass(struct http_gate *g, const char *name, size_t len, struct object *entry)
{
	uint64_t hash = store_version(name, 0, 0), *place;

	if (strlen(name) != len || !store_component_valid(name)) {
		if (!g->refused++)
			snprintf(g->example, sizeof(g->example), "%s", name);
		return 0;
	}
	if (g->passed == GATE_ENTRIES_MAX)
		return -E2BIG;
	if (2 * g->passed >= g->room && grow(g) < 0)
		return -ENOMEM;
	place = place_of(g->seen, g->room, hash);
	if (*place)
		return 0;
	*place = hash;
	g->passed++;
	entry->name = name;
	return g->each(g->arg, entry);
}
