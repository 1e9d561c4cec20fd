/* SPDX-License-Identifier: Apache-2.0 */
/* See direct.h. Blocks are written whole, the last one padded; ftruncate() cuts the padding. */
#include "synth/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

#define ALIGNMENT ((size_t)4096) /* enough for every disk we know of */

uint8_t *direct_buffer(void)
{
	return aligned_alloc(ALIGNMENT, DIRECT_BUFFER);
}

int direct_open(struct direct *d, int dirfd, const char *name, uint64_t expect, uint8_t *buffer)
{
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;

	*d = (struct direct){.dirfd = dirfd, .buffer = buffer};
	snprintf(d->name, sizeof(d->name), "%s", name);
	snprintf(d->tmp, sizeof(d->tmp), ".%s.tmp", d->name);
	d->fd = openat(dirfd, d->tmp, flags | O_DIRECT, 0644);
	if (d->fd < 0 && errno == EINVAL)
		d->fd = openat(dirfd, d->tmp, flags, 0644);
	if (d->fd < 0)
		return -errno;
	if (expect && fallocate(d->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)expect) < 0 &&
		errno == ENOSPC) {
		direct_abort(d);
		return -ENOSPC;
	}
	return 0;
}

static int write_blocks(struct direct *d, size_t len)
{
	int r = file_pwrite_all(d->fd, d->buffer, len, (off_t)d->written);
	int flags = r == -EINVAL ? fcntl(d->fd, F_GETFL) : -1;

	/* Opened, but refused by the first write: as filesystems over others do. */
	if (flags >= 0 && (flags & O_DIRECT) && fcntl(d->fd, F_SETFL, flags & ~O_DIRECT) == 0)
		r = file_pwrite_all(d->fd, d->buffer, len, (off_t)d->written);
	return r;
}

int direct_put(struct direct *d, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		size_t n = DIRECT_BUFFER - d->used < len ? DIRECT_BUFFER - d->used : len;

		memcpy(d->buffer + d->used, p, n);
		d->used += n;
		p += n;
		len -= n;
		if (d->used < DIRECT_BUFFER)
			break;
		int r = write_blocks(d, DIRECT_BUFFER);

		if (r < 0)
			return r;
		d->written += DIRECT_BUFFER;
		d->used = 0;
	}
	return 0;
}

static int write_rest(struct direct *d)
{
	size_t padded = (d->used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	int r = 0;

	memset(d->buffer + d->used, 0, padded - d->used);
	if (padded)
		r = write_blocks(d, padded);
	if (!r && ftruncate(d->fd, (off_t)direct_size(d)) < 0)
		r = -errno;
	if (!r && fsync(d->fd) < 0)
		r = -errno;
	return r;
}

int direct_commit(struct direct *d)
{
	int r = write_rest(d);

	if (!r && renameat(d->dirfd, d->tmp, d->dirfd, d->name) < 0)
		r = -errno;
	if (r < 0) {
		direct_abort(d);
		return r;
	}
	r = close(d->fd) < 0 ? -errno : 0;
	d->fd = -1;
	return r;
}

void direct_abort(struct direct *d)
{
	if (d->fd < 0)
		return;
	close(d->fd);
	d->fd = -1;
	unlinkat(d->dirfd, d->tmp, 0);
}
