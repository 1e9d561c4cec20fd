/* SPDX-License-Identifier: Apache-2.0 */
/* verdict - what limits a run, decided from its record alone; reports/limits.h says it. */
#ifndef HARNESS_VERDICT_H
#define HARNESS_VERDICT_H

#include <jansson.h>

/* "gpus": they are fed. Else who is slower than they: "harness" (this machine's CPUs), "origin",
 * "tier-disk" or "storage". "unknown": too few steps ended, or
 * the machine was too late or noisy to blame the storage. NULL: a failed run, or one without
 * figures. Needs the record's doubts. */
const char *verdict_limit(const json_t *record);

#endif
