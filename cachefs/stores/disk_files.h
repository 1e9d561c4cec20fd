/* SPDX-License-Identifier: Apache-2.0 */
/* disk_files - where the disk tier's bytes lie.
 *
 *      seg-XXXXXXXX   256 MiB of blocks of objects <= 1 MiB, 4 KiB aligned; freed ranges are
 *                     punched and used again; unlinked when empty
 *      obj-XXXXXXXX   one larger object each, sparse: a block lies at its own offset. Mode 0400: sealed,
 *                     somebody may read it without asking us, so it is unlinked and never punched,
 *                     also after a restart, which its readers may have outlived
 *
 * Descriptors are opened when needed and kept up to a share of the limit of open files.
 * Locks: "locked" functions run under the cache's; `lock` (descriptors) is taken after it. */
#ifndef CACHEFS_STORES_DISK_FILES_H
#define CACHEFS_STORES_DISK_FILES_H

#include <pthread.h>

#include "cachefs/cache.h"
#include "cachefs/space.h"

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x00000080 /* Linux 6.14; filesystems without it answer EOPNOTSUPP */
#endif

#define SEGMENT_SIZE (256ull << 20)
#define SEGMENTS_MAX 65536
#define PACKED_MAX (1 << 20) /* larger objects have a file of their own */
#define AROUND_SIZE (1 << 20)
#define AROUND_REGIONS (SEGMENT_SIZE / AROUND_SIZE)

/* A mebibyte of a segment that was read along with something in it: when last, and how much of that
 * nobody has asked for yet. */
struct region {
	_Atomic uint32_t at_s;
	_Atomic int32_t unread;
};

struct disk_file {
	uint32_t id;
	bool packed, dead;        /* dead: to be unlinked; the cache's lock */
	struct space space;       /* packed; the cache's lock */
	int fd, users;            /* files->lock; fd -1: closed */
	int direct;               /* opened with O_DIRECT; files->lock; -1: closed, -2: cannot be */
	struct region *around;    /* packed: see disk_read.h */
	_Atomic uint32_t writing; /* see disk_write.c */
	struct disk_file *next;   /* dead ones; the cache's lock */
};

struct disk_files {
	int dir;
	struct disk_file *segment[SEGMENTS_MAX]; /* by id; the cache's lock */
	uint32_t segments, current, next_object; /* ids below; where to go on; the cache's lock */
	struct disk_file *dead;                  /* to be unlinked; the cache's lock */
	pthread_mutex_t lock;                    /* below */
	int open, open_max;
	bool exact; /* no readahead of objects: what nobody asked for would stay in the page cache; constant */
};

/* The tier's folder in disk.path for an origin; malloc'ed, NULL without memory. */
char *files_folder(const char *disk_path, const char *origin);

void files_init(struct disk_files *fs, int dir, bool exact);
void files_done(struct disk_files *fs, struct cache *c); /* closes; nothing is unlinked */

/* Locked: cache_ops.place and .unplace. */
int files_place(struct disk_files *fs, struct cache *c, struct block *b);
void files_unplace(struct disk_files *fs, struct block *b, bool last);

/* The file of a placed block that cannot go meanwhile (pinned, being filled or erased). */
struct disk_file *files_of(struct disk_files *fs, const struct block *b);
off_t files_offset(const struct cache *c, const struct block *b);

int files_get(struct disk_files *fs, struct disk_file *f, int *ret_fd); /* open, and pinned open */
/* Another descriptor of f, which files_get() has pinned: it reads and writes past the page cache. Negative: not
 * possible. */
int files_get_direct(struct disk_files *fs, struct disk_file *f);
void files_put(struct disk_files *fs, struct disk_file *f);

/* Gives the bytes of b back to the filesystem. */
void files_punch(struct disk_files *fs, const struct cache *c, const struct block *b);

/* Seals the file of a sealed object, of size bytes, and opens it; -EIO when it is not as it should be. */
int files_seal(struct disk_files *fs, const struct disk_file *f, uint64_t size, int *ret_fd);
/* Takes its name away; who has it open reads on. */
void files_unlink(struct disk_files *fs, const struct disk_file *f);

/* Unlinks what became empty. No lock held. */
void files_reap(struct disk_files *fs, struct cache *c);

/* After the index was read back: unlinks files that it does not name, punches what it does not, seals
 * what was sealed. */
void files_tidy(struct disk_files *fs, struct cache *c);

/* Bytes that files of the tier take on the filesystem now. */
int64_t files_usage(int dir);

#endif
