/* SPDX-License-Identifier: Apache-2.0 */
/* Removing what runs left: see clean.h. */
#include "harness/clean.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/units.h"
#include "harness/data_store.h"
#include "harness/prepare.h"
#include "harness/work_dir.h"

static const char *ending(int n)
{
	return n == 1 ? "" : "s";
}

static int clean_work(const struct settings *s, struct work_sweep *ret, struct err *err)
{
	AUTO(free) char *root = prepare_work_root(s->cfg);
	char bytes[UNITS_MAX];
	int r = root ? work_dir_sweep(root, s->dry_run, ret) : -ENOMEM;

	if (r)
		return err_set(err, -r, "%s: %s", root ? root : "cache folder", strerror(-r));
	if (ret->dead)
		printf("%s in %s what %d dead run%s left: %s\n",
			s->dry_run ? "Would remove" : "Removed", root, ret->dead, ending(ret->dead),
			units_human_bytes((double)ret->bytes, bytes));
	if (ret->living)
		printf("Left alone in %s: %d run%s still going on\n", root, ret->living,
			ending(ret->living));
	return 0;
}

static int clean_data(const struct settings *s, struct data_sweep *ret, struct err *err)
{
	AUTO(free) char *root = data_store_root();
	char bytes[UNITS_MAX];
	int r = data_store_sweep(s->dry_run, ret);

	if (r)
		return err_set(err, -r, "%s: %s", root ? root : "cache folder", strerror(-r));
	if (ret->removed)
		printf("%s in %s %d data set%s: %s\n", s->dry_run ? "Would remove" : "Removed",
			root, ret->removed, ending(ret->removed),
			units_human_bytes((double)ret->bytes, bytes));
	if (ret->held)
		printf("Left alone in %s: %d data set%s in use\n", root, ret->held,
			ending(ret->held));
	return 0;
}

int clean_run(struct settings *s, struct err *err)
{
	struct work_sweep work = {0};
	struct data_sweep data = {0};

	if (settings_load_profile(s, NULL, err))
		return EXIT_USAGE;
	if (clean_work(s, &work, err) || clean_data(s, &data, err))
		return EXIT_FAILED;
	if (!work.dead && !work.living && !data.removed && !data.held)
		printf("Nothing to remove\n");
	return EXIT_DONE;
}
