/* SPDX-License-Identifier: Apache-2.0 */
/* Records: one JSON object a line in records.jsonl, schema "feedrate-record/1".
 *
 * Appending is one write(2) of a whole line followed by fdatasync, so that a killed run leaves
 * whole lines or one cut line at the end; reading skips what is cut or of an unknown schema and
 * says how much. */
#ifndef FEEDRATE_RECORD_H
#define FEEDRATE_RECORD_H

#include <stdio.h>
#include <jansson.h>

#include "common/err.h"

#define RECORD_SCHEMA "feedrate-record/1"
#define RECORD_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(12)) /* json_dumps(): a line */

int record_append(const char *path, json_t *record, struct err *err);

/* An array of records. *ret_skipped (may be NULL) counts lines left out; err then says why. */
json_t *record_load(const char *path, int *ret_skipped, struct err *err);

/* Numbers of a record by path, "steady.images_per_s"; NaN when absent or null. */
double record_number(const json_t *record, const char *path);
const char *record_text(const json_t *record, const char *path); /* NULL when absent */

/* {"host":..,"kernel":..,"cpu":..,"cpus":..,"ram_bytes":..,"fs":..,...}: this machine, for `env`
 * and environment.json. fs: type of the filesystem under $XDG_CACHE_HOME/feedrate. What could not be
 * found out is null. Names no user and no secret. */
json_t *record_environment(void);

#endif
