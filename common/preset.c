/* SPDX-License-Identifier: Apache-2.0 */
/* Applying a named remote: see preset.h. */
#include "common/preset.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/profile.h"

static int check_known(const struct profile *p, const char *name, struct err *err)
{
	char **known = profile_tables(p, "remote");
	const char *nearest;
	int r = -ENOENT;

	if (!known)
		return -ENOMEM;
	for (size_t i = 0; known[i]; i++)
		if (!strcmp(known[i], name))
			r = 0;
	nearest = err_nearest(name, (const char *const *)known, SIZE_MAX);
	if (r < 0)
		err_set(err, ENOENT, "remote.preset=%s: no [remote.%s] in %s%s%s%s", name, name,
			p->path, nearest ? "; did you mean " : "", nearest ? nearest : "",
			nearest ? "?" : "");
	list_free(known);
	return r;
}

static bool given_by_user(const struct config *cfg, const struct knob *k)
{
	return strcmp(cfg->origin[k - knobs].from, "default") != 0;
}

static int apply_values(const struct profile *p, struct config *cfg, struct err *err)
{
	AUTO(free) char *name = strdup(cfg->remote.preset);
	char from[80], dotted[80];
	int r = 0;

	if (!name)
		return -ENOMEM;
	snprintf(from, sizeof(from), "preset:%s", name);
	for (size_t i = 0; i < KNOB_N && !r; i++) {
		const struct knob *k = &knobs[i];
		const char *value = NULL;

		if (!strcmp(k->section, "remote") && !given_by_user(cfg, k))
			value = profile_value(p, "remote", name, k->name);
		if (!value)
			continue;
		snprintf(dotted, sizeof(dotted), "remote.%s", k->name);
		r = config_set(cfg, dotted, value, from, err);
	}
	return r < 0 ? err_prefix(err, r, "%s: [remote.%s]", p->path, name) : 0;
}

int preset_apply(struct config *cfg, struct err *err)
{
	struct profile p = {0};
	int r;

	if (!*cfg->remote.preset)
		return 0;
	AUTO(free) char *path = profile_find("remotes.ini", err);

	if (!path)
		return -ENOENT;
	r = profile_load(path, &p, err);
	if (r < 0)
		return r;
	r = check_known(&p, cfg->remote.preset, err);
	if (!r)
		r = apply_values(&p, cfg, err);
	profile_done(&p);
	return r;
}
