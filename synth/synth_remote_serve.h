/* SPDX-License-Identifier: Apache-2.0 */
/* The server of synth-remote: a folder as a bucket over HTTP. The only user of libmicrohttpd.
 *
 *   /KEY, /BUCKET/KEY                 GET (single ranges, conditions) and HEAD of an object
 *   /?list-type=2..., /BUCKET?...     ListObjectsV2
 *   /-/stats                          {"requests":..,"bytes":..,"connections":..,"lists":..}
 *
 * BUCKET is the folder's own name. Should the folder hold an entry of that name, the second form is
 * off: a key must not stand for two things.
 *
 * One thread a connection: a request that waits for its latency or for the link sleeps in its own
 * thread, and bodies go out by sendfile(2). Suspending connections and waking them from a timer
 * would save stacks and cost a queue, a lock and two wake-ups a request. */
#ifndef SYNTH_REMOTE_SERVE_H
#define SYNTH_REMOTE_SERVE_H

#include "common/knob.h"

struct server;

/* Listens on cfg->remote.listen and serves until server_stop(). cfg must stay. SIGPIPE must be
 * ignored, and signals the caller waits for blocked in all threads. -EINVAL, -ENOENT, -ENOTDIR: dir
 * or address make no sense; -EADDRINUSE and others: not now, not here. */
int server_start(const char *dir, const struct config *cfg, struct server **ret, struct err *err);
const char *server_url(const struct server *s); /* "http://127.0.0.1:8080/" */
void server_stop(struct server *s);

#endif
