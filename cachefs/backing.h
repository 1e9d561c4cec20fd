/* SPDX-License-Identifier: Apache-2.0 */
/* backing - files that the kernel reads by itself in place of ours (FUSE passthrough, Linux 6.9), by its own
 * interface: libfuse has one only since 3.17, and older headers lack the names.
 *
 *      INIT    the kernel offers it; the answer has to take it, and to say how deep filesystems stack
 *      ioctl   on the session's descriptor: an open file in, an id out; needs CAP_SYS_ADMIN
 *      OPEN    the answer names the id; then no READ comes for that handle
 *
 * Failures are -errno: EPERM without the privilege, ELOOP where the file's filesystem is itself one
 * upon another, ENOTTY where the kernel knows nothing of it. */
#ifndef CACHEFS_BACKING_H
#define CACHEFS_BACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKING_OPEN_FLAG (1u << 7)    /* of an answer to OPEN: FOPEN_PASSTHROUGH */
#define BACKING_NOFLUSH_FLAG (1u << 5) /* FOPEN_NOFLUSH, the only companion that is allowed */

/* struct fuse_open_out, whose last field has no name in older headers. */
struct backing_open_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

/* Whether the kernel offers it in this request INIT. */
bool backing_offered(const void *request, size_t len);

/* Takes it in an answer to INIT, whole as it goes to the kernel; stack_depth: 1, or 2 where backing files
 * lie on a stacked filesystem (nothing can be stacked on the mount then). false: too short. */
bool backing_take(void *answer, size_t len, uint32_t stack_depth);

/* Filesystems that a file lies on, one upon another: 1 or, for overlayfs, 2. */
uint32_t backing_stack_depth(int fd);

/* The id (> 0) by which the kernel knows a file that is open for reading; fd may be closed then. */
int32_t backing_open(int session_fd, int fd);
void backing_close(int session_fd, int32_t id);

#endif
