/* SPDX-License-Identifier: Apache-2.0 */
/* session - one mount from its first to its last moment, in the calling process:
 *
 *      origin opened and asked ─> mounted ─> INIT answered ─> ready() ─> requests ─> unmounted
 *
 * Returns when the mount has gone: unmounted by somebody, or SIGINT, SIGTERM or SIGHUP came. Before
 * it is mounted these signals end the process at once, since nothing is there to take away. After
 * the end has begun it takes 5 s at most: then the process exits, whatever its threads wait for. */
#ifndef CACHEFS_SESSION_H
#define CACHEFS_SESSION_H

#include "cachefs/options.h"

/* Called once, when programs can use the mount. */
typedef void ready_fn(void *arg);

/* Call with no other thread running. 0, or -errno and err, with nothing left mounted. */
int session_run(const struct mount_request *req, const struct config *cfg, ready_fn *ready,
	void *arg, struct err *err);

#endif
