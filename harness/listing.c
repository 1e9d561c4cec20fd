/* SPDX-License-Identifier: Apache-2.0 */
/* Listing the user's data: see listing.h. */
#include "harness/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "harness/cache_mount.h"

#define FILES_MOST 200000

const char *listing_place(const struct cell *c)
{
	const struct config *cfg = c->variant->cfg;
	const char *place = "";

	if (!strcmp(c->source->name, "external"))
		place = cfg->external.path;
	else if (!strcmp(c->source->name, "remote"))
		place = cfg->remote.path;
	else if (!strcmp(c->source->name, "cached"))
		place = cfg->remote.origin;
	return *place ? place : NULL;
}

struct scan_limits listing_limits(const struct config *cfg, const volatile bool *stop)
{
	int64_t timeout = cfg->external.timeout;

	return (struct scan_limits){.max_files = FILES_MOST,
		.timeout_ns = timeout,
		.enough_ns = LISTING_NS < timeout ? LISTING_NS : timeout / 2,
		.format = settings_is_default(cfg, "bench.format") ? SCAN_ANY_FORMAT
								   : (int)cfg->bench.format,
		.stop = stop};
}

/* Through a mount of its own. */
static int scan_origin(const struct cell *c, const char *work_dir, const struct scan_limits *limits,
	struct dataset *ret, struct err *err)
{
	struct cache_mount mount;
	int r = cache_mount_init(
		&mount, c->variant->cfg, c->variant->cfg->remote.origin, work_dir, 0, err);

	mount.stop = limits->stop;
	if (!r)
		r = cache_mount_start(&mount, err);
	if (!r)
		r = dataset_scan(mount.mountpoint, limits, ret, err);
	cache_mount_done(&mount);
	return r;
}

static struct listing *find(
	struct listing *all, const char *place, const struct scan_limits *limits)
{
	struct listing *l = all;

	while (l && (strcmp(l->place, place) || l->asked != limits->format ||
			    (l->data.manifest && l->samples != limits->max_samples)))
		l = l->next;
	return l;
}

static struct listing *add(
	struct listing **all, const char *place, const struct scan_limits *limits)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (!l || !(l->place = strdup(place))) {
		free(l);
		return NULL;
	}
	l->asked = limits->format;
	l->samples = limits->max_samples;
	l->next = *all;
	*all = l;
	return l;
}

int listing_get(struct listing **all, const struct cell *c, const char *work_dir,
	const volatile bool *stop, const struct dataset **ret, struct err *err)
{
	struct scan_limits limits = listing_limits(c->variant->cfg, stop);
	const char *place = listing_place(c);
	struct listing *l;

	limits.max_samples = (uint32_t)cell_samples(c);
	l = find(*all, place, &limits);
	if (!l) {
		l = add(all, place, &limits);
		if (!l)
			return err_set(err, ENOMEM, "out of memory");
		l->r = strcmp(c->source->name, "cached")
			       ? dataset_scan(place, &limits, &l->data, &l->why)
			       : scan_origin(c, work_dir, &limits, &l->data, &l->why);
	}
	if (l->r) {
		*err = l->why;
		return l->r;
	}
	*ret = &l->data;
	return 0;
}

void listing_free(struct listing *all)
{
	while (all) {
		struct listing *next = all->next;

		dataset_done(&all->data);
		free(all->place);
		free(all);
		all = next;
	}
}
