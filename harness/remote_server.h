/* SPDX-License-Identifier: Apache-2.0 */
/* remote_server - a synth-remote of our own: the emulated object store under sources `cached` and
 * `stack`. */
#ifndef HARNESS_REMOTE_SERVER_H
#define HARNESS_REMOTE_SERVER_H

#include <jansson.h>

#include "harness/child.h"
#include "harness/source.h"

struct remote_server {
	struct child child;
	int out_fd;   /* its stdout, kept so that it can write there */
	char url[64]; /* "http://127.0.0.1:PORT/"; "" while it does not run */
};

/* Serves spec->data_dir with the remote.* knobs on a free port; messages go to
 * WORK_DIR/remote.log. */
int remote_server_start(struct remote_server *s, const struct source_spec *spec, struct err *err);
void remote_server_stop(struct remote_server *s);

/* Makes this host forget the data set that is served, or it would come from memory and not from the
 * emulated remote's disk. -ENOTSUP: some of it stayed; err says what. */
int remote_server_chill(const struct source_spec *spec, struct err *err);

/* {"requests","bytes","connections","lists"}, the caller's; NULL if it does not answer in 2 s. */
json_t *remote_server_stats(const struct remote_server *s);

#endif
