/* SPDX-License-Identifier: Apache-2.0 */
/* Reading profiles: see profile.h. The only file that includes inih.
 *
 * inih calls back without a line number, so lines are counted as they are handed to it. `include`
 * is spliced in where it stands, so "later wins" holds across files. Entries are checked when their
 * file is read; so what was loaded applies (common/profile_apply.c). */
#include "common/profile.h"

#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#include "common/cleanup.h"

#define INCLUDE_DEPTH 8
#define NO_SENSE "neither [section] nor key = value"

static const char *const tables[] = {"variant", "accelerator", "remote", "external.knob"};

struct load {
	struct profile *profile;
	const struct load *outer; /* the file that includes this one */
	const char *path;
	FILE *file;
	struct stat st; /* tells a file from others, whatever its path */
	int line, depth;
	bool indented; /* the line just read starts with a space: it goes on with the one before */
	int code;      /* first failure, -errno */
	struct err *err;
};

static int load_file(
	const char *path, const struct load *outer, struct profile *profile, struct err *err);

/* The kind of table that section is ("variant.page": "variant"); NULL when it is none. */
const char *profile_table_kind(const char *section)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		size_t n = strlen(tables[i]);

		if (!strncmp(section, tables[i], n) && section[n] == '.' && section[n + 1])
			return tables[i];
	}
	return NULL;
}

bool profile_is_job(const struct profile *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const char *kind = profile_table_kind(p->entries[i].section);

		if (!kind || !strcmp(kind, "variant"))
			return true;
	}
	return false;
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
	const char *dot = strrchr(section, '.'), *near;

	if (knob_is_section(section) || profile_table_kind(section))
		return 0;
	near = knob_nearest_section(section);
	if (dot) {
		AUTO(free) char *kind = strndup(section, (size_t)(dot - section));

		near = kind ? err_nearest(kind, tables, ARRAY_SIZE(tables)) : NULL;
	}
	if (!near)
		return fail(load, "[%s]: no such section; see --help=ini for all of them", section);
	return fail(
		load, "[%s]: no such section; did you mean [%s%s]?", section, near, dot ? dot : "");
}

/* Whether a key would be taken: scratch is a config to try it on. */
static int check_entry(struct load *load, struct config *scratch, const struct profile_entry *e)
{
	const char *kind = profile_table_kind(e->section);
	struct err why = {""};
	char dotted[160];

	load->line = e->line;
	if (check_section(load, e->section) < 0)
		return load->code;
	if (kind && (strcmp(kind, "variant") != 0 || !*e->key || !strcmp(e->key, "base")))
		return 0;
	if (!strcmp(e->key, "include"))
		return fail(load, "[%s] include: must stand before the first section", e->section);
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

/* An indented line goes on with the value before it (inih calls again with the same key): after a
 * space, or where a backslash stands, right there, so that a value of any length can be written. */
static int continue_entry(struct load *load, const char *value)
{
	struct profile_entry *e = &load->profile->entries[load->profile->n - 1];
	size_t len = strlen(e->value);
	bool joined = len && e->value[len - 1] == '\\';
	char *longer = NULL;

	if (asprintf(&longer, "%.*s%s%s", (int)(len - joined), e->value, joined ? "" : " ", value) <
		0)
		return load->code = -ENOMEM;
	free(e->value);
	e->value = longer;
	return 0;
}

/* A variant may be empty: the settings of the profile as they are. inih tells of no section without
 * keys, so the lines that start one are looked at here. */
static void on_section(struct load *load, const char *line)
{
	size_t len = strcspn(line, "]");
	AUTO(free) char *section = strndup(line, len);

	if (!section)
		load->code = -ENOMEM;
	else if (!line[len])
		fail(load, NO_SENSE);
	else if (!check_section(load, section) && !strncmp(section, "variant.", strlen("variant.")))
		add_entry(load, section, "", "");
}

/* inih's reader: like fgets, counting lines and refusing those that inih would cut. */
static char *read_line(char *buf, int size, void *arg)
{
	struct load *load = arg;
	int n = 0, c = 0;

	if (load->code < 0)
		return NULL;
	load->line++;
	while (c != '\n' && n < size - 1 && (c = getc(load->file)) > 0)
		buf[n++] = (char)c;
	buf[n] = '\0';
	if (!c)
		fail(load, "a NUL byte; a profile is a text file");
	else if (n == size - 1 && c != '\n')
		fail(load, "line longer than %d bytes; go on in an indented line", size - 2);
	else if (c == EOF && ferror(load->file))
		fail(load, "cannot read: %s", strerror(errno));
	load->indented = buf[0] == ' ' || buf[0] == '\t';
	if (buf[0] == '[' && !load->code)
		on_section(load, buf + 1);
	return n && !load->code ? buf : NULL;
}

/* Beside the file that includes it, else where -p looks: the shipped profiles can be built upon. A
 * name that is nowhere is one beside it, for the message. */
static char *find_include(const char *from, const char *name)
{
	AUTO(free) char *copy = strdup(from);
	AUTO(free) char *path = NULL;
	char *known = NULL;

	if (*name == '/')
		return strdup(name);
	if (!copy || asprintf(&path, "%s/%s", dirname(copy), name) < 0) {
		path = NULL;
		return NULL;
	}
	if (access(path, F_OK) < 0)
		known = profile_find(name, NULL);
	return known ? known : TAKE(path);
}

static int include_file(struct load *load, const char *name)
{
	AUTO(free) char *path = find_include(load->path, name);
	int r;

	if (!path)
		return load->code = -ENOMEM;
	if (load->depth >= INCLUDE_DEPTH)
		return fail(load, "include = %s: files include each other more than %d deep", name,
			INCLUDE_DEPTH);
	r = load_file(path, load, load->profile, load->err);
	if (r < 0)
		load->code = err_prefix(load->err, r, "%s:%d", load->path, load->line);
	return r;
}

static bool continues(const struct load *load, const char *section, const char *key)
{
	const struct profile *p = load->profile;
	const struct profile_entry *last = p->n ? &p->entries[p->n - 1] : NULL;

	return last && !strcmp(last->key, key) && !strcmp(last->section, section) &&
	       !strcmp(last->file, load->path);
}

static int on_entry(void *arg, const char *section, const char *key, const char *value)
{
	struct load *load = arg;

	if (load->code < 0)
		return 0;
	if (load->indented && continues(load, section, key))
		continue_entry(load, value);
	else if (load->indented)
		fail(load, "%s: starts with a space, as only what goes on with the line above may",
			key);
	else if (*section)
		add_entry(load, section, key, value);
	else if (!strcmp(key, "include"))
		include_file(load, value);
	else
		fail(load, "%s: stands before any section; only include = FILE may", key);
	return load->code == 0;
}

/* Whether the file just opened can be read, and is not being read already: 0 or -errno. */
static int check_file(struct load *load)
{
	if (!load->file || fstat(fileno(load->file), &load->st) < 0)
		return -errno;
	if (S_ISDIR(load->st.st_mode))
		return -EISDIR;
	for (const struct load *l = load->outer; l; l = l->outer)
		if (l->st.st_dev == load->st.st_dev && l->st.st_ino == load->st.st_ino)
			return -ELOOP;
	return 0;
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
	int bad, r = check_file(&load);

	if (r == -ELOOP)
		return err_set(err, ELOOP, "%s: the file includes itself", path);
	if (r < 0)
		return err_set(err, -r, "%s: cannot read: %s; check the path and its mode", path,
			strerror(-r));
	bad = ini_parse_stream(read_line, &load, on_entry, &load);
	if (load.code < 0)
		return load.code;
	load.line = bad;
	if (bad)
		return fail(&load, NO_SENSE);
	return check_entries(&load, first);
}

/* Bases are known, and go in no circle. */
static int check_variants(const struct profile *p, struct err *err)
{
	char **names = profile_tables(p, "variant");
	struct config *scratch = config_new();
	int r = names && scratch ? 0 : -ENOMEM;

	for (char **name = names; !r && *name; name++)
		r = profile_apply(p, *name, scratch, err);
	config_free(scratch);
	list_free(names);
	return r;
}

int profile_load(const char *path, struct profile *ret, struct err *err)
{
	struct profile p = {.path = strdup(path)};
	int r = p.path ? load_file(path, NULL, &p, err) : -ENOMEM;

	if (!r)
		r = check_variants(&p, err);
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
