/* SPDX-License-Identifier: Apache-2.0 */
/* struct config: values in typed fields, where each came from, and back to text: a child's options,
 * JSON for records, the effective profile.
 *
 * The text that the user wrote is kept beside the field. So it reads back to the same value by
 * definition, and reports show "25%" to whoever wrote "25%". */
#include "common/knob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/knob_value.h"

static size_t knob_index(const struct knob *k)
{
	return (size_t)(k - knobs);
}

static int store_text(const char **field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free((char *)(uintptr_t)*field);
	*field = copy;
	return 0;
}

static int store_value(
	struct config *cfg, const struct knob *k, const char *text, const struct knob_value *v)
{
	void *field = (char *)cfg + k->offset;

	switch (k->type) {
	case KNOB_BOOL:
		*(bool *)field = v->number != 0;
		return 0;
	case KNOB_RATIO:
		*(double *)field = v->is_word ? (double)v->number : v->ratio;
		return 0;
	case KNOB_CHOICE:
		*(int *)field = (int)v->number;
		return 0;
	case KNOB_STRING:
		return store_text(field, text);
	default:
		*(int64_t *)field = v->number;
		return 0;
	}
}

static int remember_origin(struct knob_origin *o, const char *text, const char *from)
{
	AUTO(free) char *t = strdup(text);
	AUTO(free) char *f = strdup(from);

	if (!t || !f)
		return -ENOMEM;
	free(o->text);
	free(o->from);
	o->text = TAKE(t);
	o->from = TAKE(f);
	return 0;
}

int config_set(
	struct config *cfg, const char *dotted, const char *text, const char *from, struct err *err)
{
	const struct knob *k = knob_find(dotted, err);
	struct knob_value v;
	int r;

	if (!k)
		return -ENOENT;
	r = knob_parse(k, text, &v, err);
	if (r < 0)
		return r;
	r = remember_origin(&cfg->origin[knob_index(k)], text, from);
	if (!r)
		r = store_value(cfg, k, text, &v);
	return r < 0 ? err_set(err, -r, "out of memory") : 0;
}

struct config *config_new(void)
{
	struct config *cfg = calloc(1, sizeof(*cfg));

	for (size_t i = 0; cfg && i < KNOB_N; i++) {
		char dotted[64];

		snprintf(dotted, sizeof(dotted), "%s.%s", knobs[i].section, knobs[i].name);
		if (config_set(cfg, dotted, knobs[i].def, "default", NULL) < 0) {
			config_free(cfg);
			return NULL;
		}
	}
	return cfg;
}

struct config *config_copy(const struct config *cfg)
{
	struct config *copy = config_new();

	for (size_t i = 0; copy && i < KNOB_N; i++) {
		const struct knob_origin *o = &cfg->origin[i];
		char dotted[64];

		snprintf(dotted, sizeof(dotted), "%s.%s", knobs[i].section, knobs[i].name);
		if (config_set(copy, dotted, o->text, o->from, NULL) < 0) {
			config_free(copy);
			return NULL;
		}
	}
	return copy;
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	for (size_t i = 0; i < KNOB_N; i++) {
		if (knobs[i].type == KNOB_STRING)
			free(*(char **)((char *)cfg + knobs[i].offset));
		free(cfg->origin[i].text);
		free(cfg->origin[i].from);
	}
	free(cfg);
}

const char *config_text(const struct config *cfg, const struct knob *k)
{
	return cfg->origin[knob_index(k)].text;
}

bool config_is_set(const struct config *cfg, const struct knob *k)
{
	const char *text = config_text(cfg, k);
	struct knob_value now, def;

	if (k->type == KNOB_STRING)
		return strcmp(text, k->def) != 0;
	if (knob_parse(k, text, &now, NULL) < 0 || knob_parse(k, k->def, &def, NULL) < 0)
		return true;
	return !knob_same_value(k, &now, &def);
}

char **config_to_args(const struct config *cfg, unsigned owner)
{
	char **args = calloc(KNOB_N + 1, sizeof(*args));
	size_t n = 0;

	for (size_t i = 0; args && i < KNOB_N; i++) {
		const struct knob *k = &knobs[i];

		if (!(k->owner & owner) || !config_is_set(cfg, k))
			continue;
		if (asprintf(&args[n], "--%s.%s=%s", k->section, k->name, config_text(cfg, k)) <
			0) {
			args[n] = NULL;
			list_free(args);
			return NULL;
		}
		n++;
	}
	return args;
}

json_t *config_to_json(const struct config *cfg, unsigned owner)
{
	json_t *ret = json_object();

	for (size_t i = 0; ret && i < KNOB_N; i++) {
		const struct knob *k = &knobs[i];
		char dotted[64];

		if (!(k->owner & owner))
			continue;
		snprintf(dotted, sizeof(dotted), "%s.%s", k->section, k->name);
		json_object_set_new(ret, dotted,
			/* A path need not be UTF-8; JSON must be: null then. */
			json_pack("{s:o?,s:o?}", "value", json_string(cfg->origin[i].text), "from",
				json_string(cfg->origin[i].from)));
	}
	return ret;
}

#define INI_LINE 120 /* bytes of a value in one line; a profile's line ends at 198 */

void ini_print_value(const char *text, const char *mark, FILE *out)
{
	size_t n;

	while (strlen(text) > INI_LINE) {
		for (n = INI_LINE; n > 1 && (text[n - 1] == ' ' || text[n] == ' ');)
			n--;
		fprintf(out, "%.*s\\\n%s\t", (int)n, text, mark);
		text += n;
	}
	fprintf(out, "%s\n", text);
}

static void print_ini_part(const struct config *cfg, unsigned owner, bool set, FILE *out)
{
	for (const struct knob_section *s = knob_sections; s->name; s++) {
		bool headed = false;

		for (size_t i = 0; i < KNOB_N; i++) {
			const struct knob *k = &knobs[i];

			if (strcmp(k->section, s->name) != 0 || !(k->owner & owner) ||
				config_is_set(cfg, k) != set)
				continue;
			if (!headed)
				fprintf(out, "%s[%s]\n", set ? "" : "# ", s->name);
			headed = true;
			if (set)
				fprintf(out, "# %.150s\n", cfg->origin[i].from);
			fprintf(out, "%s%s = ", set ? "" : "# ", k->name);
			ini_print_value(config_text(cfg, k), set ? "" : "# ", out);
		}
	}
}

void config_to_ini(const struct config *cfg, unsigned owner, FILE *out)
{
	fprintf(out, "# Effective profile: values off their default, and where each came from.\n");
	print_ini_part(cfg, owner, true, out);
	fprintf(out, "\n# At their defaults.\n");
	print_ini_part(cfg, owner, false, out);
}
