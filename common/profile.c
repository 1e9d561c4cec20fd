/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: see profile.h. The only file that includes inih.
 *
 * inih calls back without a line number, so lines are counted as they are handed to it. `include`
 * is spliced in where it stands, so "later wins" holds across files. */
#include "common/profile.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ini.h>

#include "common/cleanup.h"
#include "version.h"

#define INCLUDE_DEPTH 8
#define LINE_BYTES 198 /* inih's INI_MAX_LINE of 200, less newline and NUL; Debian builds it so */

static const char *const tables[] = {"variant", "accelerator", "remote", "external.knob"};

struct load {
	struct profile *profile;
	const struct load *outer; /* the file that includes this one */
	const char *path;
	FILE *file;
	int line, depth;
	bool indented; /* the line just read starts with a space: it goes on with the one before */
	bool cut;      /* it was too long; reading stopped there */
	int code;      /* first failure, -errno */
	struct err *err;
};

static int load_file(
	const char *path, const struct load *outer, struct profile *profile, struct err *err);

/* inih's reader: like fgets, counting lines and refusing those that inih would cut. */
static char *read_line(char *buf, int size, void *arg)
{
	struct load *load = arg;

	if (load->code < 0 || !fgets(buf, size, load->file))
		return NULL;
	load->line++;
	load->indented = buf[0] == ' ' || buf[0] == '\t';
	if (strlen(buf) == (size_t)size - 1 && buf[size - 2] != '\n') {
		load->cut = true;
		return NULL;
	}
	return buf;
}

/* "variant.page" names table kind "variant"; NULL when section is no table. */
static const char *table_kind(const char *section)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		size_t n = strlen(tables[i]);

		if (!strncmp(section, tables[i], n) && section[n] == '.' && section[n + 1])
			return tables[i];
	}
	return NULL;
}

static int fail(struct load *load, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct load *load, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	load->code = -EINVAL;
	return err_set(load->err, EINVAL, "%s:%d: %s", load->path, load->line, text);
}

static int check_section(struct load *load, const char *section)
{
	const char *near;

	if (knob_is_section(section) || table_kind(section))
		return 0;
	near = knob_nearest_section(section);
	if (!near)
		near = err_nearest(section, tables, ARRAY_SIZE(tables));
	return fail(load, "[%s]: no such section%s%s%s", section, near ? "; did you mean [" : "",
		near ? near : "; see --help=ini for all of them", near ? "]?" : "");
}

/* Whether a key would be taken: scratch is a config to try it on. */
static int check_entry(struct load *load, struct config *scratch, const struct profile_entry *e)
{
	const char *kind = table_kind(e->section);
	struct err why = {""};
	char dotted[160];

	load->line = e->line;
	if (check_section(load, e->section) < 0)
		return load->code;
	if (kind && (strcmp(kind, "variant") || !strcmp(e->key, "base")))
		return 0;
	snprintf(dotted, sizeof(dotted), "%s%s%s", kind ? "" : e->section, kind ? "" : ".", e->key);
	if (config_set(scratch, dotted, e->value, "", &why) < 0)
		return fail(load, "[%s] %s", e->section, why.msg);
	return 0;
}

/* Entries from first on: those of this file and of what it includes, which are checked already. */
static int check_entries(struct load *load, size_t first)
{
	struct config *scratch = config_new();

	if (!scratch)
		return -ENOMEM;
	for (size_t i = first; !load->code && i < load->profile->n; i++)
		if (!strcmp(load->profile->entries[i].file, load->path))
			check_entry(load, scratch, &load->profile->entries[i]);
	config_free(scratch);
	return load->code;
}

static int add_entry(struct load *load, const char *section, const char *key, const char *value)
{
	struct profile *p = load->profile;
	struct profile_entry *bigger = realloc(p->entries, (p->n + 1) * sizeof(*bigger));
	struct profile_entry *e;

	if (!bigger)
		return load->code = -ENOMEM;
	p->entries = bigger;
	e = &p->entries[p->n++];
	*e = (struct profile_entry){
		strdup(section), strdup(key), strdup(value), strdup(load->path), load->line};
	if (!e->section || !e->key || !e->value || !e->file)
		return load->code = -ENOMEM;
	return 0;
}

/* An indented line goes on with the value before it: inih calls again with the same key. */
static int continue_entry(struct load *load, const char *value)
{
	struct profile_entry *e = &load->profile->entries[load->profile->n - 1];
	char *longer = NULL;

	if (asprintf(&longer, "%s %s", e->value, value) < 0)
		return load->code = -ENOMEM;
	free(e->value);
	e->value = longer;
	return 0;
}

static int include_file(struct load *load, const char *name)
{
	AUTO(free) char *copy = strdup(load->path);
	AUTO(free) char *path = NULL;
	int r;

	if (!copy)
		return load->code = -ENOMEM;
	if (load->depth >= INCLUDE_DEPTH)
		return fail(load, "include = %s: files include each other more than %d deep", name,
			INCLUDE_DEPTH);
	if (asprintf(&path, "%s%s%s", name[0] == '/' ? "" : dirname(copy),
		    name[0] == '/' ? "" : "/", name) < 0)
		return load->code = -ENOMEM;
	for (const struct load *l = load; l; l = l->outer)
		if (!strcmp(l->path, path))
			return fail(load, "include = %s: the file includes itself", name);
	r = load_file(path, load, load->profile, load->err);
	if (r < 0)
		load->code = err_prefix(load->err, r, "%s:%d", load->path, load->line);
	return r;
}

static bool continues(const struct load *load, const char *section, const char *key)
{
	const struct profile *p = load->profile;
	const struct profile_entry *last = p->n ? &p->entries[p->n - 1] : NULL;

	return load->indented && last && !strcmp(last->key, key) &&
	       !strcmp(last->section, section) && !strcmp(last->file, load->path);
}

static int on_entry(void *arg, const char *section, const char *key, const char *value)
{
	struct load *load = arg;

	if (load->code < 0)
		return 0;
	if (*section)
		load->code = continues(load, section, key) ? continue_entry(load, value)
							   : add_entry(load, section, key, value);
	else if (!strcmp(key, "include"))
		include_file(load, value);
	else
		fail(load, "%s: stands before any section; only include = FILE may", key);
	return load->code == 0;
}

static int load_file(
	const char *path, const struct load *outer, struct profile *profile, struct err *err)
{
	AUTO(fclose) FILE *file = fopen(path, "re");
	struct load load = {.profile = profile,
		.outer = outer,
		.path = path,
		.file = file,
		.depth = outer ? outer->depth + 1 : 0,
		.err = err};
	size_t first = profile->n;
	int bad;

	if (!file || (bad = fgetc(file)) == EOF) {
		int code = !file ? errno : ferror(file) ? errno : 0;

		return code ? err_set(err, code, "%s: cannot read: %s; check the path and its mode",
				      path, strerror(code))
			    : 0;
	}
	ungetc(bad, file);
	bad = ini_parse_stream(read_line, &load, on_entry, &load);
	if (load.cut)
		return fail(
			&load, "line longer than %d bytes; go on in an indented line", LINE_BYTES);
	if (load.code < 0)
		return load.code;
	load.line = bad;
	if (bad)
		return fail(&load, "neither [section] nor key = value");
	return check_entries(&load, first);
}

int profile_load(const char *path, struct profile *ret, struct err *err)
{
	struct profile p = {.path = strdup(path)};
	int r = p.path ? load_file(path, NULL, &p, err) : -ENOMEM;

	if (r < 0) {
		profile_done(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void profile_done(struct profile *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->entries[i].section);
		free(p->entries[i].key);
		free(p->entries[i].value);
		free(p->entries[i].file);
	}
	free(p->entries);
	free(p->path);
	*p = (struct profile){0};
}

/* ---- applying ---- */

static int apply_entry(
	struct config *cfg, const char *dotted, const struct profile_entry *e, struct err *err)
{
	AUTO(free) char *from = NULL;

	if (asprintf(&from, "profile:%s:%d", e->file, e->line) < 0)
		return -ENOMEM;
	return config_set(cfg, dotted, e->value, from, err);
}

static int apply_variant(const struct profile *p, const char *variant, int depth,
	struct config *cfg, struct err *err)
{
	const char *base = profile_value(p, "variant", variant, "base");
	AUTO(free) char *section = NULL;
	bool found = false;
	int r = 0;

	if (depth > INCLUDE_DEPTH)
		return err_set(
			err, EINVAL, "%s: [variant.%s]: bases go in a circle", p->path, variant);
	if (base)
		r = apply_variant(p, base, depth + 1, cfg, err);
	if (r < 0 || asprintf(&section, "variant.%s", variant) < 0)
		return r < 0 ? r : -ENOMEM;
	for (size_t i = 0; !r && i < p->n; i++) {
		if (strcmp(p->entries[i].section, section))
			continue;
		found = true;
		if (strcmp(p->entries[i].key, "base"))
			r = apply_entry(cfg, p->entries[i].key, &p->entries[i], err);
	}
	if (!found)
		return err_set(err, ENOENT, "%s: there is no [variant.%s]", p->path, variant);
	return r;
}

int profile_apply(const struct profile *p, const char *variant, struct config *cfg, struct err *err)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct profile_entry *e = &p->entries[i];
		char dotted[160];
		int r;

		if (table_kind(e->section))
			continue;
		snprintf(dotted, sizeof(dotted), "%s.%s", e->section, e->key);
		r = apply_entry(cfg, dotted, e, err);
		if (r < 0)
			return r;
	}
	return variant ? apply_variant(p, variant, 0, cfg, err) : 0;
}

char **profile_tables(const struct profile *p, const char *kind)
{
	char **names = calloc(p->n + 1, sizeof(*names));
	size_t n = 0, len = strlen(kind);

	for (size_t i = 0; names && i < p->n; i++) {
		const char *section = p->entries[i].section, *has = table_kind(section);
		bool known = !has || strcmp(has, kind);

		for (size_t j = 0; !known && j < n; j++)
			known = !strcmp(names[j], section + len + 1);
		if (!known && !(names[n++] = strdup(section + len + 1))) {
			list_free(names);
			return NULL;
		}
	}
	return names;
}

const char *profile_value(
	const struct profile *p, const char *kind, const char *name, const char *key)
{
	size_t len = strlen(kind);

	for (size_t i = p->n; i-- > 0;) {
		const struct profile_entry *e = &p->entries[i];

		if (!strncmp(e->section, kind, len) && e->section[len] == '.' &&
			!strcmp(e->section + len + 1, name) && !strcmp(e->key, key))
			return e->value;
	}
	return NULL;
}

/* ---- finding ---- */

static const char *const folders[] = {"profiles", FEEDRATE_PROFILE_DIR};

/* "Did you mean" over the profiles of both folders. */
static int not_found(const char *name, struct err *err)
{
	char *names[256];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		AUTO(closedir) DIR *dir = opendir(folders[i]);
		struct dirent *entry;

		while (dir && (entry = readdir(dir)) && n < ARRAY_SIZE(names)) {
			char *dot = strrchr(entry->d_name, '.');

			if (dot && dot > entry->d_name && !strcmp(dot, ".ini") &&
				(names[n] = strndup(entry->d_name, (size_t)(dot - entry->d_name))))
				n++;
		}
	}
	const char *near = err_nearest(name, (const char *const *)names, n);

	err_set(err, ENOENT, "%s: no such profile (looked in ., ./profiles and %s)%s%s%s", name,
		FEEDRATE_PROFILE_DIR, near ? "; did you mean " : "; give the path of an INI file",
		near ? near : "", near ? "?" : "");
	while (n > 0)
		free(names[--n]);
	return -ENOENT;
}

char *profile_find(const char *name, struct err *err)
{
	static const char *const suffixes[] = {"", ".ini"};

	if (!access(name, F_OK))
		return strdup(name);
	for (size_t i = 0; !strchr(name, '/') && i < ARRAY_SIZE(folders); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(suffixes); j++) {
			AUTO(free) char *path = NULL;

			if (asprintf(&path, "%s/%s%s", folders[i], name, suffixes[j]) < 0)
				return NULL;
			if (!access(path, F_OK))
				return TAKE(path);
		}
	}
	not_found(name, err);
	return NULL;
}
