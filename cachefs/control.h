/* SPDX-License-Identifier: Apache-2.0 */
/* control - what cachefs-ctl may ask of a mount: one JSON object by ioctl on MOUNT/.cachefs.
 *
 *      {"op":"warm","paths":["train",""]}      fetch these files and folders into the tiers
 *      {"op":"warm","plan":"/home/me/plan"}    fetch what this file names, in its order: see plan.h
 *      {"op":"drop","paths":["train/a.jpg"]}   forget them ("" is everything)
 *      {"op":"refresh","paths":[""]}           forget names and attributes; bytes stay that still are right
 *
 * The same buffer comes back with the answer, at once: {"job":7} or {"error":"..."}. Work goes on
 * in the background; job 7 stands in the statistics until others have pushed it out. A read-only
 * mount can take no write, and an ioctl needs no open file of its own: hence an ioctl. */
#ifndef CACHEFS_CONTROL_H
#define CACHEFS_CONTROL_H

#include <stddef.h>
#include <sys/ioctl.h>

#include "common/err.h"

#define CONTROL_FOLDER ".cachefs"
#define CONTROL_STATS "stats.json"

struct control_buffer {
	char text[16000]; /* ioctl numbers hold 14 bits of size */
};
#define CONTROL_IOCTL _IOWR('F', 0xca, struct control_buffer)

enum control_op { CONTROL_WARM, CONTROL_DROP, CONTROL_REFRESH };

struct control_message {
	enum control_op op;
	char **paths; /* NULL-terminated, names as store.h wants them; at least one, or a plan */
	size_t n;
	char *plan; /* absolute path, opened by the daemon with its rights; NULL: none */
};

/* text needs no NUL within len. -EINVAL and err; nothing to release then. */
int control_parse(const char *text, size_t len, struct control_message *ret, struct err *err);
void control_message_done(struct control_message *msg);

const char *control_op_name(enum control_op op);

#endif
