/* SPDX-License-Identifier: Apache-2.0 */
/* From figures to what limits: see verdict.h. */
#include "harness/verdict.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/record.h"
#include "harness/doubt.h"

#define FED_AU 0.98  /* at which GPUs count as fed; doubt.c asks for as much */
#define STEPS_FEW 10 /* under that, or twice the queue, GPUs that seem fed may just have begun */
#define QUEUES_FEW 2
#define HUNGRY_AU 0.5 /* at which they are not fed, if one more step had ended as well */
#define FAR_AU 0.25   /* at which no late clock and no noise is the reason */

static bool has_doubt(const json_t *record, const char *name)
{
	const json_t *doubt;
	size_t i;

	json_array_foreach(json_object_get(record, "doubts"), i, doubt)
	{
		if (!strcmp(json_string_value(doubt), name))
			return true;
	}
	return false;
}

static double main_number(const json_t *record, const char *name)
{
	return record_number(json_object_get(record, doubt_main_part(record)), name);
}

/* A few steps can prove a slow storage, but not from a time that contains the start. */
static bool is_unknown(const json_t *record, double au)
{
	double steps = doubt_steps(record) + 0.5;
	bool few = steps < STEPS_FEW || steps < QUEUES_FEW * doubt_queue(record);

	return few && (au >= HUNGRY_AU || strcmp(doubt_main_part(record), "steady"));
}

/* The machine may have cost what the storage would be blamed for. */
static bool is_disturbed(const json_t *record, double au)
{
	return au >= FAR_AU &&
	       (has_doubt(record, "clock-late") || has_doubt(record, "noisy-machine"));
}

const char *verdict_limit(const json_t *record)
{
	double au = main_number(record, "au");

	if (isnan(au))
		return NULL;
	if (is_unknown(record, au))
		return "unknown";
	if (au >= FED_AU)
		return "gpus";
	if (has_doubt(record, "harness-limit"))
		return "harness";
	if (has_doubt(record, "origin-limit"))
		return "origin";
	if (has_doubt(record, "tier-disk-limit"))
		return "tier-disk";
	return is_disturbed(record, au) ? "unknown" : "storage";
}
