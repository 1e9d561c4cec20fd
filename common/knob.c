/* SPDX-License-Identifier: Apache-2.0 */
/* The knob table and struct config: parsing, checking, provenance, and back to text.
 *
 * A value is parsed twice at most: into a struct value (a number, a double or a text), then stored
 * through the row's type into the field at its offset. */
#include "common/knob.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/units.h"

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

struct value {
	int64_t number; /* BOOL, COUNT, SIZE, RATE, TIME, CHOICE */
	double ratio;
	bool is_word; /* one of the row's words: min and max do not apply */
};

static size_t knob_index(const struct knob *k)
{
	return (size_t)(k - knobs);
}

/* ---- names ---- */

static const struct knob *nearest_in(const char *section, const char *name, const char **ret_word)
{
	const char *words[KNOB_N];
	size_t n = 0;

	for (size_t i = 0; i < KNOB_N; i++) {
		if (strcmp(knobs[i].section, section))
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
		if (strcmp(knobs[i].name, name))
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

/* ---- words ---- */

/* Calls of words_next() walk "auto=-1,never=-2" or "direct,page": each word and its value. */
static const char *words_next(const char *p, char word[32], int64_t *value)
{
	size_t n = strcspn(p, ",=");

	if (!*p)
		return NULL;
	snprintf(word, 32, "%.*s", (int)n, p);
	p += n;
	if (*p == '=')
		*value = strtoll(p + 1, (char **)&p, 10);
	return *p == ',' ? p + 1 : p;
}

static bool word_value(const struct knob *k, const char *text, int64_t *ret)
{
	char word[32];
	int64_t value = 0;

	for (const char *p = k->words; (p = words_next(p, word, &value)); value++) {
		if (!strcmp(word, text)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

/* ---- text to value ---- */

static const char *type_example(enum knob_type type)
{
	static const char *const examples[] = {
		[KNOB_BOOL] = "yes or no",
		[KNOB_COUNT] = "a whole number such as 64 or 10k",
		[KNOB_SIZE] = "a size such as 64K, 256M or 1.5G",
		[KNOB_RATE] = "a rate such as 100M/s, 1.25G/s or 800Mbit/s",
		[KNOB_TIME] = "a time such as 30s, 10ms or 2h",
		[KNOB_RATIO] = "a number such as 0.95 or 95%",
		[KNOB_CHOICE] = "",
		[KNOB_STRING] = "a text",
	};

	return examples[type];
}

static int parse_number(enum knob_type type, const char *text, struct value *ret)
{
	switch (type) {
	case KNOB_COUNT:
		return units_parse_count(text, &ret->number);
	case KNOB_SIZE:
		return units_parse_size(text, &ret->number);
	case KNOB_RATE:
		return units_parse_rate(text, &ret->number);
	case KNOB_TIME:
		return units_parse_duration(text, &ret->number);
	case KNOB_RATIO:
		return units_parse_ratio(text, &ret->ratio);
	default:
		return -EINVAL;
	}
}

static int parse_bool(const char *text, struct value *ret)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
			ret->number = !strcmp(text, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

/* Whether v lies below (sign -1) or above (sign 1) the bound written in text. */
static bool beyond(const struct knob *k, const char *bound, const struct value *v, int sign)
{
	struct value b = {0};

	if (!*bound || parse_number(k->type, bound, &b) < 0)
		return false;
	if (k->type == KNOB_RATIO)
		return (v->ratio - b.ratio) * sign > 0;
	return sign < 0 ? v->number < b.number : v->number > b.number;
}

static int parse_value(const struct knob *k, const char *text, struct value *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (k->type == KNOB_STRING)
		return strpbrk(text, "\n\r") ? -EINVAL : 0;
	if (k->type == KNOB_BOOL)
		return parse_bool(text, ret);
	if (word_value(k, text, &ret->number)) {
		ret->is_word = true;
		return 0;
	}
	int r = parse_number(k->type, text, ret);

	if (r < 0)
		return r;
	return beyond(k, k->min, ret, -1) || beyond(k, k->max, ret, 1) ? -ERANGE : 0;
}

/* "auto=-1,never=-2" as people read it: "auto, never". */
static void words_text(const struct knob *k, char *buf, size_t len)
{
	char word[32];
	int64_t value = 0;
	size_t n = 0;

	buf[0] = '\0';
	for (const char *p = k->words; (p = words_next(p, word, &value)) && n < len;)
		n += (size_t)snprintf(buf + n, len - n, "%s%s", n ? ", " : "", word);
}

static int explain(const struct knob *k, const char *text, int code, struct err *err)
{
	char words[160];

	words_text(k, words, sizeof(words));
	if (k->type == KNOB_CHOICE) {
		char *list[32];
		size_t n = 0;
		char *save = NULL;
		char copy[160];

		memcpy(copy, words, sizeof(copy));
		for (char *w = strtok_r(copy, ", ", &save); w && n < ARRAY_SIZE(list);
			w = strtok_r(NULL, ", ", &save))
			list[n++] = w;
		const char *near = err_nearest(text, (const char *const *)list, n);

		return err_set(err, -code, "%s.%s: \"%s\" is none of %s%s%s%s", k->section, k->name,
			text, words, near ? "; did you mean " : "", near ? near : "",
			near ? "?" : "");
	}
	if (code == -ERANGE && (*k->min || *k->max))
		return err_set(err, -code, "%s.%s: %s is out of range; give %s%s%s%s%s%s",
			k->section, k->name, text, *k->min ? k->min : "at most ",
			*k->min && *k->max ? " to " : "", *k->max ? k->max : " or more",
			*words ? " (or " : "", words, *words ? ")" : "");
	return err_set(err, -code, "%s.%s: \"%s\" is not %s%s%s", k->section, k->name, text,
		type_example(k->type), *words ? ", or one of " : "", words);
}

/* ---- storing ---- */

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
	struct config *cfg, const struct knob *k, const char *text, const struct value *v)
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
	struct value v;
	int r;

	if (!k)
		return -ENOENT;
	r = parse_value(k, text, &v);
	if (r < 0)
		return explain(k, text, r, err);
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

/* ---- and back ---- */

/* The text the user wrote reads back to the same value by definition. */
const char *config_text(const struct config *cfg, const struct knob *k)
{
	return cfg->origin[knob_index(k)].text;
}

static bool same_value(const struct knob *k, const struct value *a, const struct value *b)
{
	if (k->type == KNOB_RATIO)
		return fabs(a->ratio - b->ratio) < 1e-12 && a->number == b->number;
	return a->number == b->number;
}

bool config_is_set(const struct config *cfg, const struct knob *k)
{
	const char *text = config_text(cfg, k);
	struct value now, def;

	if (k->type == KNOB_STRING)
		return strcmp(text, k->def) != 0;
	if (parse_value(k, text, &now) < 0 || parse_value(k, k->def, &def) < 0)
		return true;
	return !same_value(k, &now, &def);
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
			json_pack("{s:s,s:s}", "value", cfg->origin[i].text, "from",
				cfg->origin[i].from));
	}
	return ret;
}

static void print_ini_part(const struct config *cfg, unsigned owner, bool set, FILE *out)
{
	for (const struct knob_section *s = knob_sections; s->name; s++) {
		bool headed = false;

		for (size_t i = 0; i < KNOB_N; i++) {
			const struct knob *k = &knobs[i];

			if (strcmp(k->section, s->name) || !(k->owner & owner) ||
				config_is_set(cfg, k) != set)
				continue;
			if (!headed)
				fprintf(out, "%s[%s]\n", set ? "" : "# ", s->name);
			headed = true;
			if (set)
				fprintf(out, "# %s\n", cfg->origin[i].from);
			fprintf(out, "%s%s = %s\n", set ? "" : "# ", k->name, config_text(cfg, k));
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
