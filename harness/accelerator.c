/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of accelerators.ini: see accelerator.h. */
#include "harness/accelerator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define KIND "accelerator"

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

static int number(
	const struct profile *p, const char *name, const char *key, double *ret, struct err *err)
{
	const char *text = profile_value(p, KIND, name, key);
	char *end = NULL;
	double value = text ? strtod(text, &end) : 0;

	if (!text || end == text || *end || !(value > 0 && value < 1e9))
		return err_set(err, EINVAL, "%s: [accelerator.%s] %s: %s; give a number above 0",
			p->path, name, key, text ? text : "missing");
	*ret = value;
	return 0;
}

static int fill(const struct profile *p, const char *name, struct accelerator *ret, struct err *err)
{
	const char *label = profile_value(p, KIND, name, "label");
	const char *source = profile_value(p, KIND, name, "source");
	double rate, batch;
	int r = number(p, name, "images_per_s", &rate, err);

	if (!r)
		r = number(p, name, "batch", &batch, err);
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

static int not_found(const struct profile *p, const char *name, struct err *err)
{
	char **names = profile_tables(p, KIND);
	const char *near = names ? err_nearest(name, (const char *const *)names, SIZE_MAX) : NULL;

	err_set(err, ENOENT, "bench.accelerator=%s: not in %s; %s%s%s", name, p->path,
		near ? "did you mean " : "see `run-bench list accelerators`", near ? near : "",
		near ? "?" : "");
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
		r = has_table(&all, name) ? fill(&all, name, ret, err) : not_found(&all, name, err);
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
