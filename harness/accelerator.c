/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of accelerators.ini: see accelerator.h. */
#include "harness/accelerator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define KIND "accelerator"
#define RATE_LEAST 0.001 /* images/s: a step of a batch of one every quarter of an hour */

static bool is_yes(const char *text)
{
	return text && !strcmp(text, "yes");
}

static bool has_table(const struct profile *p, const char *name)
{
	char **names = profile_tables(p, KIND);
	bool found = false;

	for (char **n = names; n && *n; n++)
		found |= !strcmp(*n, name);
	list_free(names);
	return found;
}

/* The last entry that gives KEY of a row; with key NULL, the first entry of the row. */
static const struct profile_entry *find_entry(
	const struct profile *p, const char *name, const char *key)
{
	const struct profile_entry *found = NULL;
	char section[128];

	snprintf(section, sizeof(section), KIND ".%s", name);
	for (size_t i = 0; i < p->n && (key || !found); i++)
		if (!strcmp(p->entries[i].section, section) &&
			(!key || !strcmp(p->entries[i].key, key)))
			found = &p->entries[i];
	return found;
}

static int number(const struct profile *p, const char *name, const char *key, double least,
	double *ret, struct err *err)
{
	const struct profile_entry *e = find_entry(p, name, key);
	const struct profile_entry *at = e ? e : find_entry(p, name, NULL);
	char *end = NULL;
	double value = e ? strtod(e->value, &end) : 0;

	if (!e || end == e->value || *end || !(value >= least && value < 1e9))
		return err_set(err, EINVAL, "%s:%d: [" KIND ".%s] %s: %s; give a number from %g on",
			at->file, at->line, name, key, e ? e->value : "missing", least);
	*ret = value;
	return 0;
}

static int fill(const struct profile *p, const char *name, struct accelerator *ret, struct err *err)
{
	const char *label = profile_value(p, KIND, name, "label");
	const char *source = profile_value(p, KIND, name, "source");
	double rate, batch;
	int r = number(p, name, "images_per_s", RATE_LEAST, &rate, err);

	if (!r)
		r = number(p, name, "batch", 1, &batch, err);
	if (r)
		return r;
	*ret = (struct accelerator){.name = strdup(name),
		.label = strdup(label ? label : name),
		.source = strdup(source ? source : ""),
		.images_per_s = rate,
		.batch = (int)batch,
		.allreduce_included = is_yes(profile_value(p, KIND, name, "allreduce_included")),
		.calibrated = is_yes(profile_value(p, KIND, name, "calibrated"))};
	return 0;
}

/* own: the user's profile, whose names are the likelier ones; may be NULL. */
static int not_found(
	const struct profile *own, const struct profile *all, const char *name, struct err *err)
{
	char **mine = own ? profile_tables(own, KIND) : NULL;
	char **names = profile_tables(all, KIND);
	const char *near = mine ? err_nearest(name, (const char *const *)mine, SIZE_MAX) : NULL;

	if (!near && names)
		near = err_nearest(name, (const char *const *)names, SIZE_MAX);
	err_set(err, ENOENT, "bench.accelerator=%s: not in %s; %s%s%s", name, all->path,
		near ? "did you mean " : "see `run-bench list accelerators`", near ? near : "",
		near ? "?" : "");
	list_free(mine);
	list_free(names);
	return -ENOENT;
}

int accelerator_find(
	const struct profile *profile, const char *name, struct accelerator *ret, struct err *err)
{
	struct profile all = {0};
	int r;

	if (profile && has_table(profile, name))
		return fill(profile, name, ret, err);
	AUTO(free) char *path = profile_find("accelerators", err);
	if (!path)
		return -ENOENT;
	r = profile_load(path, &all, err);
	if (!r)
		r = has_table(&all, name) ? fill(&all, name, ret, err)
					  : not_found(profile, &all, name, err);
	profile_done(&all);
	return r;
}

void accelerator_done(struct accelerator *a)
{
	free(a->name);
	free(a->label);
	free(a->source);
	*a = (struct accelerator){0};
}
