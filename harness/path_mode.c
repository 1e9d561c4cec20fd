/* SPDX-License-Identifier: Apache-2.0 */
/* The short form for an existing mount: source `external` on it. See path_mode.h. */
#include "harness/path_mode.h"

#include <errno.h>

#include "harness/campaign.h"

int path_mode_run(struct settings *s, struct err *err)
{
	const struct settings_word words[] = {{"bench.sources", "external"},
		{"external.path", settings_operand(s, 1)}, {NULL, NULL}};

	s->given = words;
	if (settings_load_profile(s, NULL, err))
		return EXIT_USAGE;
	return campaign_run(s, "path");
}
