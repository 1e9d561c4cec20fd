/* SPDX-License-Identifier: Apache-2.0 */
/* run_record - a finished or failed run as the JSON object of one line of records.jsonl. */
#ifndef HARNESS_RUN_RECORD_H
#define HARNESS_RUN_RECORD_H

#include "harness/prepare.h"
#include "harness/results.h"

struct run_facts {
	const struct cell *cell;
	const struct matrix
		*matrix; /* that the cell is of: says which synthetic run is its measure */
	const struct run_spec *spec;
	const struct prepared *prepared;
	const struct run_result *result; /* NULL: it failed */
	const char *error;               /* NULL: it did not */
	const char *profile;
	double image_bytes;          /* of one image on average */
	double tier_rate, data_rate; /* bytes/s of native reads of the tier's files, and of the
				      * embedded data's; negative: unknown, or it plays no part */
	const json_t *env;           /* of this invocation */
	const struct results *results;
};

/* The whole record, doubts included; NULL without memory. */
json_t *run_record(const struct run_facts *f);

#endif
