/* SPDX-License-Identifier: Apache-2.0 */
/* Using profiles that were read: applying them to a config, looking into their tables, and finding
 * their files by name. */
#include "common/profile.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/file.h"
#include "version.h"

static int apply_entry(
	struct config *cfg, const char *dotted, const struct profile_entry *e, struct err *err)
{
	AUTO(free) char *from = NULL;

	if (asprintf(&from, "profile:%s:%d", e->file, e->line) < 0)
		return -ENOMEM;
	return config_set(cfg, dotted, e->value, from, err);
}

static const struct profile_entry *find_entry(
	const struct profile *p, const char *section, const char *key)
{
	for (size_t i = p->n; i-- > 0;)
		if (!strcmp(p->entries[i].section, section) && !strcmp(p->entries[i].key, key))
			return &p->entries[i];
	return NULL;
}

static int unknown_variant(const struct profile *p, const char *variant, struct err *err)
{
	char **names = profile_tables(p, "variant");
	const char *near = names ? err_nearest(variant, (const char *const *)names, SIZE_MAX)
				 : NULL;

	err_set(err, ENOENT, "%s: there is no [variant.%s]%s%s%s", p->path, variant,
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	list_free(names);
	return -ENOENT;
}

static int apply_variant(const struct profile *p, const char *variant, size_t depth,
	struct config *cfg, struct err *err)
{
	AUTO(free) char *section = NULL;
	bool found = false;
	int r = 0;

	if (asprintf(&section, "variant.%s", variant) < 0)
		return -ENOMEM;
	const struct profile_entry *base = find_entry(p, section, "base");

	if (base && depth > p->n)
		return err_set(err, ELOOP, "%s:%d: [%s] base = %s: bases go in a circle",
			base->file, base->line, section, base->value);
	if (base)
		r = apply_variant(p, base->value, depth + 1, cfg, err);
	if (r == -ENOENT)
		return err_prefix(err, r, "%s:%d: [%s] base", base->file, base->line, section);
	for (size_t i = 0; !r && i < p->n; i++) {
		const struct profile_entry *e = &p->entries[i];

		if (strcmp(e->section, section) != 0)
			continue;
		found = true;
		if (*e->key && strcmp(e->key, "base") != 0)
			r = apply_entry(cfg, e->key, e, err);
	}
	return r || found ? r : unknown_variant(p, variant, err);
}

int profile_apply(const struct profile *p, const char *variant, struct config *cfg, struct err *err)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct profile_entry *e = &p->entries[i];
		char dotted[160];
		int r;

		if (profile_table_kind(e->section))
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
		const char *section = p->entries[i].section, *has = profile_table_kind(section);
		bool known = !has || strcmp(has, kind) != 0;

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
	AUTO(free) char *section = NULL;

	if (asprintf(&section, "%s.%s", kind, name) < 0)
		return NULL;
	const struct profile_entry *e = find_entry(p, section, key);

	return e ? e->value : NULL;
}

#define NAMES_MAX 256

/* Where profiles lie, the nearest first; the caller's, by list_free(). */
static char **find_folders(void)
{
	char **folders = calloc(3, sizeof(*folders));
	char *installed = file_beside_program(FEEDRATE_PROFILES_FROM_BIN);

	if (folders) {
		folders[0] = strdup("profiles");
		folders[1] = installed ? TAKE(installed) : strdup(FEEDRATE_PROFILE_DIR);
	}
	free(installed);
	return folders;
}

/* Adds NAME of each NAME.ini in folder to names[*n], which has room for most. */
static void add_names(const char *folder, char **names, size_t *n, size_t most)
{
	AUTO(closedir) DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) && *n < most) {
		char *dot = strrchr(entry->d_name, '.');
		bool known = !dot || dot == entry->d_name || strcmp(dot, ".ini") != 0;

		if (!known)
			*dot = '\0';
		for (size_t i = 0; !known && i < *n; i++)
			known = !strcmp(names[i], entry->d_name);
		if (!known && (names[*n] = strdup(entry->d_name)))
			*n += 1;
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **profile_names(void)
{
	char **names = calloc(NAMES_MAX + 1, sizeof(*names)), **folders = find_folders();
	size_t n = 0;

	for (size_t i = 0; names && folders && folders[i]; i++)
		add_names(folders[i], names, &n, NAMES_MAX);
	list_free(folders);
	if (names)
		qsort(names, n, sizeof(*names), compare_names);
	return names;
}

static int not_found(const char *name, const char *installed, struct err *err)
{
	char **names = profile_names();
	const char *near = names ? err_nearest(name, (const char *const *)names, SIZE_MAX) : NULL;

	err_set(err, ENOENT, "%s: no such profile (looked in ., ./profiles and %s)%s%s%s", name,
		installed, near ? "; did you mean " : "; give the path of an INI file",
		near ? near : "", near ? "?" : "");
	list_free(names);
	return -ENOENT;
}

/* A folder called as a profile is not meant. */
static bool is_profile(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISDIR(st.st_mode);
}

/* folder/name or folder/name.ini; NULL if neither is there. */
static char *find_in(const char *folder, const char *name)
{
	static const char *const suffixes[] = {"", ".ini"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		AUTO(free) char *path = NULL;

		if (asprintf(&path, "%s/%s%s", folder, name, suffixes[i]) < 0)
			return NULL;
		if (is_profile(path))
			return TAKE(path);
	}
	return NULL;
}

char *profile_find(const char *name, struct err *err)
{
	char **folders = find_folders(), *path = NULL;

	if (!folders || !folders[0] || !folders[1])
		err_set(err, ENOMEM, "%s: not enough memory to look for it", name);
	else if (is_profile(name))
		path = strdup(name);
	else {
		for (size_t i = 0; !path && !strchr(name, '/') && folders[i]; i++)
			path = find_in(folders[i], name);
		if (!path)
			not_found(name, folders[1], err);
	}
	list_free(folders);
	return path;
}
