/* SPDX-License-Identifier: Apache-2.0 */
/* verdict - what limits a run, decided from its record alone, and said in words. */
#ifndef HARNESS_VERDICT_H
#define HARNESS_VERDICT_H

#include <stdio.h>
#include <jansson.h>

/* "gpus": they are fed. Else who is slower than they: "harness" (this machine's CPUs), "origin",
 * "tier-disk" or "storage". "unknown": too few steps ended. NULL: a failed run, or one without
 * figures. Needs the record's doubts. */
const char *verdict_limit(const json_t *record);

/* A line for each source at its largest number of GPUs, synthetic ones left out: AU, per cent of
 * synthetic, what limits it; medians of its repeats, as in the report. */
void verdict_print(const json_t *records, FILE *out);

#endif
