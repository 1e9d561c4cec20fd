/* SPDX-License-Identifier: Apache-2.0 */
/* jobs - warm and drop in the background, one after the other on a thread of their own; progress
 * stands in the statistics. A warm job lists first, so that its size is known, then fetches files
 * on the fetch pool, never more than half of it, so that readers are not kept waiting.
 *
 * Plans have a thread of their own, as a plan may be followed for as long as the training takes
 * (prefetch.h). A new one ends the one before. */
#ifndef CACHEFS_JOBS_H
#define CACHEFS_JOBS_H

#include "cachefs/control.h"
#include "cachefs/prefetch.h"
#include "cachefs/stack.h"

struct jobs;

/* Called on the job thread when a path is forgotten: by all layers, or its names and attributes only. */
typedef void dropped_fn(const char *path, bool names_only, void *arg);

/* window: files fetched at once. NULL and err on failure. */
struct jobs *jobs_new(struct stack *stack, struct prefetch *prefetch, int window,
	dropped_fn *dropped, void *arg, struct err *err);

/* Ends the running job early, forgets those that wait, joins. NULL is accepted. */
void jobs_free(struct jobs *j);

/* Takes msg over and returns at once; a plan that is followed ends for another. -EBUSY and err: too
 * many jobs wait. */
int jobs_add(struct jobs *j, struct control_message *msg, int64_t *ret_id, struct err *err);

/* {"running":true,"jobs":[{"id":7,"op":"warm","state":"fetching","files":..,"files_done":..,
 *   "bytes":..,"bytes_done":..,"bytes_added":..,"full":false,"errors":..,"error":null,"seconds":..},...]},
 * newest last. done: is there; added: was not there before; full: the tier took no more, so the rest
 * was left out. Plans also have "plan" and "epoch", and the state "pacing" while they wait for readers;
 * their bytes are those of the files that are here. */
json_t *jobs_stats(struct jobs *j);

#endif
