/* SPDX-License-Identifier: Apache-2.0 */
/* options - the command line of cachefs: what to mount where, and the standard mount options that
 * mount(8) and fstab give beside knobs. */
#ifndef CACHEFS_OPTIONS_H
#define CACHEFS_OPTIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/knob.h"

struct mount_request {
	char *origin;     /* folders as absolute paths */
	char *origin_url; /* the same without user, password and query, for people */
	char *mountpoint; /* absolute, or /dev/fd/N */
	uid_t uid;        /* who owns files; the mounting user unless told otherwise */
	gid_t gid;
	mode_t file_mode, dir_mode; /* permission bits only */
	bool foreground, allow_other, nonempty, noexec;
};

/* Fills cfg and *ret from the command line. *ret_exit: --help or --version was answered, nothing
 * else is filled. Failures are -errno with err, and leave nothing to release. */
int options_parse(int argc, char **argv, struct config *cfg, struct mount_request *ret,
	bool *ret_exit, struct err *err);
void options_done(struct mount_request *req);

/* Applies one "-o" text. */
int options_mount(struct config *cfg, const char *text, struct mount_request *req, struct err *err);

/* url without credentials: "http://user:secret@host/a?sig=x" is "http://host/a". malloc'ed. */
char *options_public_url(const char *origin);

#endif
