/* SPDX-License-Identifier: Apache-2.0 */
/* Removing what runs left: see clean.h. */
#include "harness/clean.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/file.h"
#include "common/units.h"
#include "harness/prepare.h"
#include "harness/work_dir.h"

static int clean_work(const struct settings *s, struct work_sweep *ret, struct err *err)
{
	AUTO(free) char *root = prepare_work_root(s->cfg);
	const char *verb = s->dry_run ? "Would remove" : "Removed";
	char bytes[UNITS_MAX];
	int r = root ? work_dir_sweep(root, s->dry_run, ret) : -ENOMEM;

	if (r)
		return err_set(err, -r, "%s: %s", root ? root : "cache folder", strerror(-r));
	if (ret->dead)
		printf("%s %d work folder%s of dead runs in %s: %s\n", verb, ret->dead,
			ret->dead == 1 ? "" : "s", root,
			units_human_bytes((double)ret->bytes, bytes));
	if (ret->living)
		printf("Left alone: %d run%s in %s\n", ret->living,
			ret->living == 1 ? " that goes on" : "s that go on", root);
	return 0;
}

static int clean_data(const struct settings *s, int living, struct err *err)
{
	AUTO(free) char *home = file_cache_home();
	AUTO(free) char *data = NULL;
	char bytes[UNITS_MAX];
	int r = 0;

	if (!home || asprintf(&data, "%s/data", home) < 0) {
		data = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (access(data, F_OK))
		return 0;
	if (living) {
		printf("Left alone: the data sets in %s, which a run may be reading\n", data);
		return 0;
	}
	units_human_bytes((double)file_tree_bytes(data), bytes);
	if (!s->dry_run)
		r = file_remove_tree(data);
	if (r)
		return err_set(err, -r, "%s: %s", data, strerror(-r));
	printf("%s the data sets in %s: %s\n", s->dry_run ? "Would remove" : "Removed", data,
		bytes);
	return 0;
}

int clean_run(struct settings *s, struct err *err)
{
	struct work_sweep swept = {0};

	if (settings_load_profile(s, NULL, err))
		return EXIT_USAGE;
	if (clean_work(s, &swept, err) || clean_data(s, swept.living, err))
		return EXIT_FAILED;
	return EXIT_DONE;
}
