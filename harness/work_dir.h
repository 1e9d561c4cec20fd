/* SPDX-License-Identifier: Apache-2.0 */
/* work_dir - a folder for mounts, tiers and logs of one invocation, and for finding what dead ones
 * left behind.
 *
 *   ROOT/PID-XXXXXX/lock    locked by the living invocation (flock), so a lock that can be taken
 *                           marks the folder of a dead one
 *   ROOT/PID-XXXXXX/N/      one a run */
#ifndef HARNESS_WORK_DIR_H
#define HARNESS_WORK_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct work_dir {
	char *path; /* NULL: none */
	int lock;
};

/* Makes ROOT/PID-XXXXXX, 0700. */
int work_dir_open(struct work_dir *w, const char *root, struct err *err);

/* Detaches mounts below it and removes it; accepts one that was never opened. */
void work_dir_close(struct work_dir *w);

/* A folder for run number n; removed with its contents by work_dir_drop(). */
char *work_dir_run(const struct work_dir *w, int n, struct err *err);
void work_dir_drop(const char *run_dir);

/* What a look at root found. */
struct work_sweep {
	int living;    /* folders of invocations that run now; they stay */
	int dead;      /* folders of dead ones */
	int64_t bytes; /* that these take on the disk; mounts are not looked into */
};

/* Removes what dead invocations left in root, mounts first; with only_look it stays. */
int work_dir_sweep(const char *root, bool only_look, struct work_sweep *ret);

#endif
