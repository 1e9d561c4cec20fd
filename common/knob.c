/* SPDX-License-Identifier: Apache-2.0 */
/* The knob table, how its rows are found by name, and the comma lists inside STRING knobs. */
#include "common/knob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* clang-format off */
const struct knob knobs[KNOB_N] = {
#define SECTION(name, help)
#define KNOB(section, name, type, def, min, max, words, owner, when, sweep, elsewhere, help)       \
	{#section, #name, KNOB_##type, def, min, max, words, owner, when, sweep, elsewhere, help,  \
		offsetof(struct config, section.name)},
#define SECTION_END(name)
#include "common/knobs.def"
};

const struct knob_section knob_sections[] = {
#define SECTION(name, help) {#name, help},
#define KNOB(section, name, ...)
#define SECTION_END(name)
#include "common/knobs.def"
	{NULL, NULL},
};
/* clang-format on */

static const struct knob *nearest_in(const char *section, const char *name, const char **ret_word)
{
	const char *words[KNOB_N];
	size_t n = 0;

	for (size_t i = 0; i < KNOB_N; i++) {
		if (strcmp(knobs[i].section, section) != 0)
			continue;
		if (!strcmp(knobs[i].name, name))
			return &knobs[i];
		words[n++] = knobs[i].name;
	}
	*ret_word = err_nearest(name, words, n);
	return NULL;
}

bool knob_is_section(const char *name)
{
	for (const struct knob_section *s = knob_sections; s->name; s++)
		if (!strcmp(s->name, name))
			return true;
	return false;
}

const char *knob_nearest_section(const char *name)
{
	const char *words[KNOB_N];
	size_t n = 0;

	for (const struct knob_section *s = knob_sections; s->name; s++)
		words[n++] = s->name;
	return err_nearest(name, words, n);
}

/* A name without its section: the section that has it, if just one does. */
static const struct knob *find_bare(const char *name)
{
	const struct knob *found = NULL;

	for (size_t i = 0; i < KNOB_N; i++) {
		if (strcmp(knobs[i].name, name) != 0)
			continue;
		if (found)
			return NULL;
		found = &knobs[i];
	}
	return found;
}

const struct knob *knob_find(const char *dotted, struct err *err)
{
	const char *dot = strchr(dotted, '.'), *near = NULL;
	AUTO(free) char *section = NULL;

	if (!dot) {
		const struct knob *k = find_bare(dotted);

		if (k)
			err_set(err, ENOENT, "%s: unknown knob; did you mean %s.%s?", dotted,
				k->section, k->name);
		else
			err_set(err, ENOENT, "%s: unknown knob; knobs are SECTION.NAME, see --help",
				dotted);
		return NULL;
	}
	section = strndup(dotted, (size_t)(dot - dotted));
	if (!section)
		return NULL;
	if (!knob_is_section(section)) {
		near = knob_nearest_section(section);
		err_set(err, ENOENT, "%s: there is no section \"%s\"%s%s%s", dotted, section,
			near ? "; did you mean " : "; see --help", near ? near : "",
			near ? "?" : "");
		return NULL;
	}
	const struct knob *k = nearest_in(section, dot + 1, &near);

	if (!k)
		err_set(err, ENOENT, "%s: unknown knob%s%s%s%s%s", dotted,
			near ? "; did you mean " : "; see --help for those of section ",
			near ? section : "", near ? "." : section, near ? near : "",
			near ? "?" : "");
	return k;
}

/* ---- comma lists ---- */

void list_free(char **list)
{
	for (char **p = list; p && *p; p++)
		free(*p);
	free(list);
}

char **list_split(const char *text, char separator, size_t *ret_n)
{
	size_t n = 0, max = 1;

	for (const char *p = text; *p; p++)
		max += *p == separator;
	char **list = calloc(max + 1, sizeof(*list));

	while (list && *text) {
		const char *end = strchrnul(text, separator);
		const char *next = *end ? end + 1 : end;

		while (text < end && (*text == ' ' || *text == '\t'))
			text++;
		while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (end > text && !(list[n++] = strndup(text, (size_t)(end - text)))) {
			list_free(list);
			return NULL;
		}
		text = next;
	}
	if (ret_n)
		*ret_n = list ? n : 0;
	return list;
}
