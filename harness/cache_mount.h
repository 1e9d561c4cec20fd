/* SPDX-License-Identifier: Apache-2.0 */
/* cache_mount - a cachefs of our own on a mount point: started, asked, stopped.
 *
 * Everything lies in one folder: WORK_DIR/mnt, WORK_DIR/tier, WORK_DIR/cachefs.log. The daemon
 * stays in front (-f), so it is a child like any other; it is ready when the kernel lists the mount
 * and stats.json in it can be read. */
#ifndef HARNESS_CACHE_MOUNT_H
#define HARNESS_CACHE_MOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "common/knob.h"
#include "harness/child.h"

struct cache_mount {
	struct child child;
	const struct config *cfg; /* borrowed */
	char *origin, *mountpoint, *tier, *log;
	int64_t capacity;          /* of the tier; 0: no disk tier, no memory tier */
	const volatile bool *stop; /* ends a start with -EINTR; may be NULL */
};

/* Names only; nothing is started. */
int cache_mount_init(struct cache_mount *m, const struct config *cfg, const char *origin,
	const char *work_dir, int64_t capacity, struct err *err);
void cache_mount_done(struct cache_mount *m); /* stops it, too */

int cache_mount_start(struct cache_mount *m, struct err *err);

/* Mounts an empty folder in scratch, which is one, and unmounts it: 0, or err says why cachefs cannot
 * run here. */
int cache_mount_try(const char *scratch, struct err *err);

/* Unmounted and ended, whatever state it is in. The tier stays. */
void cache_mount_stop(struct cache_mount *m);

/* Deletes the tier; call it between stop and start. */
int cache_mount_forget(struct cache_mount *m, struct err *err);

/* What MOUNT/.cachefs/stats.json says, the caller's; NULL if it cannot be read within 5 s. */
json_t *cache_mount_stats(const struct cache_mount *m);

/* Bytes of a tier's own files in the page cache; negative: they cannot be seen. */
int64_t cache_tier_resident(const char *tier);

/* Sets the knobs of a tier in a config: where it lies and what it may hold. For source `stack` too.
 */
int cache_tier_config(struct config *cfg, const char *tier, int64_t capacity, struct err *err);

#endif
