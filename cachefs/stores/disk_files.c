/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the disk tier: see disk_files.h.
 *
 * block.where: bit 63 an object's own file, bits 62..32 the file's id, bits 31..0 the page in a
 * segment or the number of the block in the object. */
#include "cachefs/stores/disk_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/cleanup.h"

#define WHERE_OBJECT (1ull << 63)
#define OPEN_MAX_LEAST 64

enum { DESCRIPTOR_NONE = -1, DESCRIPTOR_IMPOSSIBLE = -2 };

static uint32_t where_id(uint64_t where)
{
	return (uint32_t)((where & ~WHERE_OBJECT) >> 32);
}

static uint64_t where_of(const struct disk_file *f, uint32_t low)
{
	return (f->packed ? 0 : WHERE_OBJECT) | (uint64_t)f->id << 32 | low;
}

static void file_name(const struct disk_file *f, char name[16])
{
	snprintf(name, 16, "%s-%08x", f->packed ? "seg" : "obj", (unsigned)f->id);
}

char *files_folder(const char *disk_path, const char *origin)
{
	char *ret;
	int r = asprintf(&ret, "%s/cachefs-%016llx", disk_path,
		(unsigned long long)store_version(origin, 0, 0));

	return r < 0 ? NULL : ret;
}

void files_init(struct disk_files *fs, int dir, bool exact)
{
	struct rlimit limit = {.rlim_cur = 1024};

	fs->dir = dir;
	fs->exact = exact;
	pthread_mutex_init(&fs->lock, NULL);
	getrlimit(RLIMIT_NOFILE, &limit);
	fs->open_max = limit.rlim_cur / 2 > 1 << 20 ? 1 << 20 : (int)(limit.rlim_cur / 2);
	if (fs->open_max < OPEN_MAX_LEAST)
		fs->open_max = OPEN_MAX_LEAST;
}

static struct disk_file *file_new(uint32_t id, bool packed)
{
	struct disk_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->id = id;
	f->packed = packed;
	f->fd = f->direct = DESCRIPTOR_NONE;
	f->around = packed ? calloc(AROUND_REGIONS, sizeof(*f->around)) : NULL;
	if (packed && (!f->around || space_init(&f->space, SEGMENT_SIZE) < 0)) {
		free(f->around);
		free(f);
		return NULL;
	}
	return f;
}

static void file_free(struct disk_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->direct >= 0)
		close(f->direct);
	space_done(&f->space);
	free(f->around);
	free(f);
}

void files_done(struct disk_files *fs, struct cache *c)
{
	for (size_t i = 0; i < c->buckets; i++)
		for (struct cache_file *f = c->bucket[i]; f; f = f->next)
			if (f->tier)
				file_free(f->tier);
	for (uint32_t i = 0; i < fs->segments; i++)
		if (fs->segment[i])
			file_free(fs->segment[i]);
	pthread_mutex_destroy(&fs->lock);
}

/* ---- places; locked ---- */

static struct disk_file *segment_at(struct disk_files *fs, uint32_t id)
{
	if (id >= SEGMENTS_MAX)
		return NULL;
	if (!fs->segment[id])
		fs->segment[id] = file_new(id, true);
	if (fs->segment[id] && id >= fs->segments)
		fs->segments = id + 1;
	return fs->segment[id];
}

static int place_in(struct disk_files *fs, uint32_t id, struct block *b)
{
	struct disk_file *f = fs->segment[id];
	uint64_t off;

	if (!f || f->dead || space_alloc(&f->space, space_round(b->len), &off) < 0)
		return -ENOSPC;
	b->where = where_of(f, (uint32_t)(off / SPACE_ALIGN));
	fs->current = id;
	return 0;
}

/* In the segment used last, else in any, else in a new one. */
static int place_packed(struct disk_files *fs, struct block *b)
{
	uint32_t id = 0;

	for (uint32_t i = 0; i < fs->segments; i++)
		if (!place_in(fs, (fs->current + i) % fs->segments, b))
			return 0;
	while (id < SEGMENTS_MAX && fs->segment[id])
		id++;
	return segment_at(fs, id) ? place_in(fs, id, b) : -ENOSPC;
}

/* While the index is replayed a file may lose its last block and get another: takes it back from
 * the dead. */
static struct disk_file *revive(struct disk_files *fs, uint32_t id, bool packed)
{
	struct disk_file **link = &fs->dead, *f;

	while ((f = *link) && (f->id != id || f->packed != packed))
		link = &f->next;
	if (!f)
		return NULL;
	*link = f->next;
	f->dead = false;
	return f;
}

static int place_packed_at(struct disk_files *fs, struct block *b)
{
	struct disk_file *f = segment_at(fs, where_id(b->where));

	if (!f || (b->where & WHERE_OBJECT))
		return -EINVAL;
	if (f->dead)
		revive(fs, f->id, true);
	return space_take(&f->space, (b->where & UINT32_MAX) * SPACE_ALIGN, space_round(b->len));
}

static int place_object(struct disk_files *fs, struct block *b, bool known)
{
	struct disk_file *f = b->file->tier;
	uint32_t id = known ? where_id(b->where) : fs->next_object;

	if (known && (!(b->where & WHERE_OBJECT) || (f && f->id != id)))
		return -EINVAL;
	if (!f) {
		f = known ? revive(fs, id, false) : NULL;
		if (!f && !(f = file_new(id, false)))
			return -ENOMEM;
		if (id >= fs->next_object)
			fs->next_object = id + 1;
		b->file->tier = f; /* once: readers of other blocks look at it without the lock */
	}
	b->where = where_of(f, b->number);
	return 0;
}

int files_place(struct disk_files *fs, struct cache *c, struct block *b)
{
	bool known = b->where != WHERE_ANY;

	if (b->file->size > PACKED_MAX)
		return place_object(fs, b, known);
	return known ? place_packed_at(fs, b) : place_packed(fs, b);
}

static void bury_file(struct disk_files *fs, struct disk_file *f)
{
	f->dead = true;
	f->next = fs->dead;
	fs->dead = f;
}

void files_unplace(struct disk_files *fs, struct block *b, bool last)
{
	if (b->file->size > PACKED_MAX) {
		if (last && b->file->tier)
			bury_file(fs, b->file->tier);
	} else if (b->placed) {
		struct disk_file *f = fs->segment[where_id(b->where)];

		space_free(&f->space, (b->where & UINT32_MAX) * SPACE_ALIGN, space_round(b->len));
		if (f->space.unused == f->space.size)
			bury_file(fs, f);
	}
}

struct disk_file *files_of(struct disk_files *fs, const struct block *b)
{
	return b->where & WHERE_OBJECT ? b->file->tier : fs->segment[where_id(b->where)];
}

off_t files_offset(const struct cache *c, const struct block *b)
{
	uint64_t low = b->where & UINT32_MAX;

	return (off_t)(low * (b->where & WHERE_OBJECT ? c->block_size : SPACE_ALIGN));
}

/* ---- descriptors ---- */

int files_get(struct disk_files *fs, struct disk_file *f, int *ret_fd)
{
	char name[16];
	int fd;

	pthread_mutex_lock(&fs->lock);
	f->users++;
	*ret_fd = f->fd;
	pthread_mutex_unlock(&fs->lock);
	if (*ret_fd >= 0)
		return 0;
	file_name(f, name);
	fd = openat(fs->dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EACCES) /* sealed, and this user minds modes */
		fd = openat(fs->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		int r = -errno;

		files_put(fs, f);
		return r;
	}
	if (fs->exact || f->packed)
		posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	pthread_mutex_lock(&fs->lock);
	if (f->fd < 0) {
		f->fd = fd;
		fs->open++;
		fd = -1;
	}
	*ret_fd = f->fd;
	pthread_mutex_unlock(&fs->lock);
	if (fd >= 0)
		close(fd); /* another thread was first */
	return 0;
}

static int open_direct(const struct disk_files *fs, const struct disk_file *f)
{
	char name[16];

	file_name(f, name);
	int fd = openat(fs->dir, name, O_RDWR | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == EACCES) /* sealed, and this user minds modes */
		fd = openat(fs->dir, name, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? DESCRIPTOR_IMPOSSIBLE : fd;
}

int files_get_direct(struct disk_files *fs, struct disk_file *f)
{
	pthread_mutex_lock(&fs->lock);
	int direct = f->direct;

	pthread_mutex_unlock(&fs->lock);
	if (direct != DESCRIPTOR_NONE)
		return direct;
	int fd = open_direct(fs, f);

	pthread_mutex_lock(&fs->lock);
	if (f->direct == DESCRIPTOR_NONE) {
		f->direct = fd;
		fs->open += fd >= 0;
		fd = DESCRIPTOR_NONE;
	}
	direct = f->direct;
	pthread_mutex_unlock(&fs->lock);
	if (fd >= 0)
		close(fd); /* another thread was first */
	return direct;
}

void files_put(struct disk_files *fs, struct disk_file *f)
{
	AUTO(close) int fd = -1;
	AUTO(close) int direct = -1;

	HOLD(&fs->lock);
	if (--f->users || f->fd < 0 || fs->open <= fs->open_max)
		return;
	fd = f->fd;
	f->fd = DESCRIPTOR_NONE;
	if (f->direct >= 0) {
		direct = f->direct;
		f->direct = DESCRIPTOR_NONE;
		fs->open--;
	}
	fs->open--;
}

void files_punch(struct disk_files *fs, const struct cache *c, const struct block *b)
{
	struct disk_file *f = files_of(fs, b);
	int fd;

	if (files_get(fs, f, &fd) < 0)
		return;
	/* Where holes are not supported the range is used again all the same. */
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, files_offset(c, b),
		(off_t)space_round(b->len));
	files_put(fs, f);
}

int files_seal(struct disk_files *fs, const struct disk_file *f, uint64_t size, int *ret_fd)
{
	struct stat st;
	char name[16];

	file_name(f, name);
	AUTO(close) int fd = openat(fs->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != size)
		return -EIO;
	if (st.st_mode & 0200 && fchmod(fd, 0400) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

void files_unlink(struct disk_files *fs, const struct disk_file *f)
{
	char name[16];

	file_name(f, name);
	unlinkat(fs->dir, name, 0);
}

static struct disk_file *take_dead(struct disk_files *fs, struct cache *c)
{
	HOLD(&c->lock);
	struct disk_file *f = fs->dead;

	if (f)
		fs->dead = f->next;
	return f;
}

/* A segment's id stays taken until its old file is gone. */
static void free_id(struct disk_files *fs, struct cache *c, const struct disk_file *f)
{
	HOLD(&c->lock);
	if (f->packed)
		fs->segment[f->id] = NULL;
}

void files_reap(struct disk_files *fs, struct cache *c)
{
	struct disk_file *f;

	while ((f = take_dead(fs, c))) {
		files_unlink(fs, f);
		free_id(fs, c, f);
		pthread_mutex_lock(&fs->lock);
		fs->open -= (f->fd >= 0) + (f->direct >= 0);
		pthread_mutex_unlock(&fs->lock);
		file_free(f);
	}
}

/* ---- restart ---- */

typedef void entry_fn(int dir, const char *name, uint32_t id, bool packed, void *arg);

static void each_file(int dir, entry_fn *each, void *arg)
{
	AUTO(closedir) DIR *d = fdopendir(dup(dir));
	struct dirent *entry;

	if (!d)
		return;
	rewinddir(d);
	while ((entry = readdir(d))) {
		bool packed = !strncmp(entry->d_name, "seg-", 4);
		char *end;

		if ((!packed && strncmp(entry->d_name, "obj-", 4)) || strlen(entry->d_name) != 12)
			continue;
		unsigned long id = strtoul(entry->d_name + 4, &end, 16);

		if (!*end)
			each(dir, entry->d_name, (uint32_t)id, packed, arg);
	}
}

static void add_usage(int dir, const char *name, uint32_t id, bool packed, void *arg)
{
	struct stat st;

	if (!fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		*(int64_t *)arg += (int64_t)st.st_blocks * 512;
}

int64_t files_usage(int dir)
{
	int64_t bytes = 0;

	each_file(dir, add_usage, &bytes);
	return bytes;
}

struct known_object {
	uint32_t id;
	struct cache_file *file;
};

struct tidying {
	struct disk_files *fs;
	struct cache *c;
	struct known_object *object; /* sorted */
	size_t objects;
};

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = ((const struct known_object *)a)->id, y = ((const struct known_object *)b)->id;

	return (x > y) - (x < y);
}

static int collect_ids(struct tidying *t)
{
	struct cache *c = t->c;

	t->object = malloc((c->files + 1) * sizeof(*t->object));
	if (!t->object)
		return -ENOMEM;
	for (size_t i = 0; i < c->buckets; i++)
		for (struct cache_file *f = c->bucket[i]; f; f = f->next) {
			struct disk_file *d = f->tier;

			if (d)
				t->object[t->objects++] = (struct known_object){d->id, f};
		}
	qsort(t->object, t->objects, sizeof(*t->object), compare_ids);
	return 0;
}

static void tidy_entry(int dir, const char *name, uint32_t id, bool packed, void *arg)
{
	struct tidying *t = arg;
	struct known_object key = {.id = id};
	struct known_object *object = packed ? NULL
					     : bsearch(&key, t->object, t->objects, sizeof(key),
						       compare_ids);
	bool known = packed ? id < t->fs->segments && t->fs->segment[id] : !!object;
	struct stat st;

	if (!known)
		unlinkat(dir, name, 0);
	else if (object && !fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) && !(st.st_mode & 0200))
		cache_reseal(t->c, object->file);
}

void files_tidy(struct disk_files *fs, struct cache *c)
{
	struct tidying t = {.fs = fs, .c = c};

	if (!collect_ids(&t))
		each_file(fs->dir, tidy_entry, &t);
	free(t.object);
	for (uint32_t i = 0; i < fs->segments; i++) {
		struct disk_file *f = fs->segment[i];
		int fd;

		if (!f || files_get(fs, f, &fd) < 0)
			continue;
		for (size_t k = 0; k < f->space.n; k++)
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				(off_t)f->space.range[k].off, (off_t)f->space.range[k].len);
		files_put(fs, f);
	}
}
