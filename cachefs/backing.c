/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's interface for files that it reads by itself: see backing.h. */
#include "cachefs/backing.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

/* Names of Linux 6.9. Flags beyond 32 bits go into flags2, if INIT_EXT says that it is there. */
#define INIT_EXT (1u << 30)
#define PASSTHROUGH_2 (1u << (37 - 32))
#define OVERLAYFS_MAGIC 0x794c7630
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define IOC_BACKING_OPEN _IOW(229, 1, struct backing_map)
#define IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

/* struct fuse_init_in and fuse_init_out from their flags on, behind the header of the message. */
struct init_in {
	uint32_t major, minor, max_readahead, flags, flags2;
};
struct init_out {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth;
};

bool backing_offered(const void *request, size_t len)
{
	struct init_in in;

	if (len < sizeof(struct fuse_in_header) + sizeof(in))
		return false;
	memcpy(&in, (const char *)request + sizeof(struct fuse_in_header), sizeof(in));
	return in.flags & INIT_EXT && in.flags2 & PASSTHROUGH_2;
}

bool backing_take(void *answer, size_t len, uint32_t stack_depth)
{
	char *at = (char *)answer + sizeof(struct fuse_out_header);
	struct init_out out;

	if (len < sizeof(struct fuse_out_header) + sizeof(out))
		return false;
	memcpy(&out, at, sizeof(out));
	out.flags |= INIT_EXT;
	out.flags2 |= PASSTHROUGH_2;
	out.max_stack_depth = stack_depth;
	memcpy(at, &out, sizeof(out));
	return true;
}

uint32_t backing_stack_depth(int fd)
{
	struct statfs st;

	return !fstatfs(fd, &st) && st.f_type == OVERLAYFS_MAGIC ? 2 : 1;
}

int32_t backing_open(int session_fd, int fd)
{
	struct backing_map map = {.fd = fd};
	int id = ioctl(session_fd, IOC_BACKING_OPEN, &map);

	return id > 0 ? id : id < 0 ? -errno : -EIO;
}

void backing_close(int session_fd, int32_t id)
{
	uint32_t known = (uint32_t)id;

	ioctl(session_fd, IOC_BACKING_CLOSE, &known);
}
