/* SPDX-License-Identifier: Apache-2.0 */
/* Writing tier files: see disk_write.h. */
#include "cachefs/stores/disk_write.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/file.h"

#define STRETCH (4 << 20)
#define BEHIND 16 /* stretches looked at again */

/* There and then where the filesystem cannot do it. pad: zeros up to a whole page; or a write behind an
 * odd end brings the page of that end back to clear its rest, and there it stays. */
static int write_dropping(int fd, const void *data, size_t len, off_t off, size_t pad)
{
	static const char zeros[SPACE_ALIGN];
	struct iovec iov[2] = {{(void *)(uintptr_t)data, len}, {(void *)(uintptr_t)zeros, pad}};
	int r;

	if (pwritev2(fd, iov, 2, off, RWF_DONTCACHE) == (ssize_t)(len + pad))
		return 0;
	r = file_pwrite_all(fd, data, len, off);
	sync_file_range(fd, off, (off_t)len,
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	posix_fadvise(fd, off, (off_t)len, POSIX_FADV_DONTNEED);
	return r;
}

/* A block was written at off. Stretches are numbered from 1; 0: none yet. What is still on its way to the
 * disk cannot be forgotten, so it is tried again with each of the next stretches. */
static void send_behind(struct disk_file *f, int fd, off_t off)
{
	uint32_t now = (uint32_t)(off / STRETCH) + 1, last = atomic_exchange(&f->writing, now);
	uint32_t first = last > BEHIND ? last - BEHIND : 1;

	if (!last || last == now)
		return;
	sync_file_range(fd, (off_t)(last - 1) * STRETCH, STRETCH, SYNC_FILE_RANGE_WRITE);
	if (last > 1)
		posix_fadvise(fd, (off_t)(first - 1) * STRETCH, (off_t)(last - first) * STRETCH,
			POSIX_FADV_DONTNEED);
}

static bool write_direct(
	struct disk_files *fs, struct disk_file *f, const void *data, size_t len, off_t off)
{
	bool whole = !(((uintptr_t)data | len | (size_t)off) % SPACE_ALIGN);
	int fd = f->packed || !whole ? -1 : files_get_direct(fs, f);

	return fd >= 0 && pwrite(fd, data, len, off) == (ssize_t)len;
}

static int write_cached(struct disk_file *f, int fd, const void *data, size_t len, off_t off,
	enum written_pages pages)
{
	if (pages == PAGES_NOTHING)
		return write_dropping(fd, data, len, off, f->packed ? space_round(len) - len : 0);
	int r = file_pwrite_all(fd, data, len, off);

	if (!r && pages == PAGES_BEHIND)
		send_behind(f, fd, off);
	return r;
}

int disk_write(struct disk_files *fs, struct disk_file *f, const void *data, size_t len, off_t off,
	enum written_pages pages)
{
	int fd, r = files_get(fs, f, &fd);

	if (r < 0)
		return r;
	if (pages == PAGES_KEEP || !write_direct(fs, f, data, len, off))
		r = write_cached(f, fd, data, len, off, pages);
	files_put(fs, f);
	return r;
}
