/* SPDX-License-Identifier: Apache-2.0 */
/* One JPEG a file in class folders, as torchvision's ImageFolder reads them.
 *
 *   n90000017/n90000017_1017.JPEG      sample i lies in class i mod classes
 *
 * A unit is a thousand files: written into the page cache, from where the disk takes them while the
 * next ones are made, then one syncfs() for all of them, which is several times faster than an fsync
 * a file. Of a unit that fails no file stays. A class without a sample has no folder: ImageFolder
 * refuses empty ones. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/file.h"
#include "synth/layout.h"

#define UNIT 1000
#define FILE_PATH_MAX (CLASS_NAME_MAX + FILE_NAME_MAX)

static uint64_t count_units(const struct set *set)
{
	return (set->samples + UNIT - 1) / UNIT;
}

static int make_folders(const struct set *set, int dirfd)
{
	char name[CLASS_NAME_MAX];

	for (uint32_t i = 0; i < set->classes && i < set->samples; i++)
		if (mkdirat(dirfd, layout_class_name(i, name), 0755) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}

static void file_path(const struct set *set, uint64_t index, char ret[FILE_PATH_MAX])
{
	uint32_t class = layout_class(set, index);
	char folder[CLASS_NAME_MAX], name[FILE_NAME_MAX];

	snprintf(ret, FILE_PATH_MAX, "%s/%s", layout_class_name(class, folder),
		layout_file_name(class, index, name));
}

static int write_file(int dirfd, const char *path, const struct picture *p)
{
	AUTO(close)
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r;

	if (fd < 0)
		return -errno;
	r = file_pwrite_all(fd, p->data, p->len, 0);
	if (!r) /* a hint: syncfs() waits, and finds what fails */
		sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return r;
}

static int make_file(struct maker *m, uint64_t index, FILE *lines, uint64_t *bytes)
{
	char path[FILE_PATH_MAX];
	struct picture p;
	int r;

	file_path(m->set, index, path);
	content_make(m->content, m->canvas, m->set->seed, index, &p);
	r = write_file(m->dirfd, path, &p);
	if (r < 0)
		return r;
	*bytes += p.len;
	*m->bytes += p.len;
	if (fprintf(lines, "F\t%s\t%u\t%" PRIu64 "\t1\nS\t0\t%u\t%08x\t%u\n", path, p.len, index,
		    p.len, crc32c(0, p.data, p.len), layout_class(m->set, index)) < 0)
		return -ENOMEM;
	return 0;
}

static void remove_files(const struct maker *m, uint64_t from, uint64_t end)
{
	char path[FILE_PATH_MAX];

	for (uint64_t i = from; i < end; i++) {
		file_path(m->set, i, path);
		unlinkat(m->dirfd, path, 0);
	}
}

static int make_files(struct maker *m, uint64_t unit, FILE *lines, uint64_t *ret_bytes)
{
	uint64_t end = (unit + 1) * UNIT < m->set->samples ? (unit + 1) * UNIT : m->set->samples;
	uint64_t i = unit * UNIT;
	int r = 0;

	*ret_bytes = 0;
	for (; i < end && !r; i++)
		r = atomic_load(m->stop) ? -EINTR : make_file(m, i, lines, ret_bytes);
	if (!r && syncfs(m->dirfd) < 0)
		r = -errno;
	if (r < 0)
		remove_files(m, unit * UNIT, i);
	return r;
}

const struct layout layout_imagefolder = {
	.format = FORMAT_IMAGEFOLDER,
	.overhead = 4096, /* the rest of the last block, and an inode */
	.units = count_units,
	.prepare = make_folders,
	.make = make_files,
};
