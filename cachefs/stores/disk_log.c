/* SPDX-License-Identifier: Apache-2.0 */
/* The disk tier's index file: see disk_log.h. */
#include "cachefs/stores/disk_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cachefs/stores/disk_index.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/log.h"

#define LOG_NAME "index"
#define LOG_TEMP "index.tmp"
#define SLACK_BYTES (256 << 10) /* out-of-date bytes not worth a compaction */
#define SLOTS_AT_ONCE 1024      /* copied in one hold of the cache's lock */
#define BATCH_BYTES (256 << 10) /* written at once */

/* ---- records of blocks ---- */

static struct index_record record_of(struct block *b, enum index_type type)
{
	bool put = type == INDEX_PUT;

	return (struct index_record){
		.type = type,
		.name = b->file->name,
		.version = b->file->version,
		.size = b->file->size,
		.where = b->where,
		.number = b->number,
		.len = b->len,
		.crcs = put ? (b->len + CHUNK_SIZE - 1) / CHUNK_SIZE : 0,
		.crc = put ? block_crcs(b) : NULL,
	};
}

/* A record that cannot be written costs no more than its block after a restart: without its PUT it
 * is not found, and without its GONE the CRCs tell. The next one goes to the same place. Locked. */
static void append(struct disk_log *log, const struct index_record *r)
{
	size_t len = index_record_size(r);
	AUTO(free) char *buf = malloc(len);

	if (!buf)
		return;
	index_record_put(r, buf);
	int e = file_pwrite_all(log->fd, buf, len, (off_t)log->bytes);

	if (e < 0)
		log_warn("disk tier: the index cannot be written: %s", strerror(-e));
	else
		log->bytes += len;
}

void disk_log_put(struct disk_log *log, struct cache *c, struct block *b)
{
	struct index_record r = record_of(b, INDEX_PUT);

	HOLD(&log->lock);
	append(log, &r);
	b->logged = true;
}

void disk_log_gone(struct disk_log *log, struct cache *c, struct block *b)
{
	struct index_record r = record_of(b, INDEX_GONE);

	HOLD(&log->lock);
	append(log, &r);
	b->logged = false;
}

/* ---- compaction ---- */

struct batch {
	int fd;
	char *buf;
	size_t len, room;
	uint64_t written;
};

static int flush(struct batch *batch)
{
	int r = file_pwrite_all(batch->fd, batch->buf, batch->len, (off_t)batch->written);

	batch->written += batch->len;
	batch->len = 0;
	return r;
}

static int add_record(struct batch *batch, const struct index_record *r)
{
	size_t len = index_record_size(r);

	if (batch->len + len > batch->room) {
		size_t room = batch->room * 2 + len;
		char *buf = realloc(batch->buf, room);

		if (!buf)
			return -ENOMEM;
		batch->buf = buf;
		batch->room = room;
	}
	index_record_put(r, batch->buf + batch->len);
	batch->len += len;
	return 0;
}

/* Records of the logged blocks of slots [from, from + SLOTS_AT_ONCE); false: past the end. */
static bool add_slots(struct cache *c, uint32_t from, struct batch *batch, int *ret)
{
	HOLD(&c->lock);
	for (uint32_t i = from; i < from + SLOTS_AT_ONCE && i < c->slots_used && !*ret; i++) {
		struct block *b = &c->block[i];

		if (b->state == BLOCK_FREE || b->state == BLOCK_DOOMED || !b->logged)
			continue;
		struct index_record r = record_of(b, INDEX_PUT);

		*ret = add_record(batch, &r);
	}
	return from + SLOTS_AT_ONCE < c->slots_used;
}

static int write_all(struct cache *c, struct batch *batch)
{
	struct index_header h;
	int r = 0;
	bool more = true;

	index_header_fill(&h, c->block_size);
	batch->room = BATCH_BYTES;
	batch->buf = malloc(batch->room);
	if (!batch->buf)
		return -ENOMEM;
	memcpy(batch->buf, &h, sizeof(h));
	batch->len = sizeof(h);
	for (uint32_t from = 0; more && !r; from += SLOTS_AT_ONCE) {
		more = add_slots(c, from, batch, &r);
		if (!r && (!more || batch->len >= BATCH_BYTES / 2))
			r = flush(batch);
	}
	return r;
}

/* Locked by log->lock, so that the blocks' `logged` stands still. */
static int rewrite(struct disk_log *log, struct cache *c)
{
	struct batch batch = {.fd = -1};
	int r;

	unlinkat(log->dir, LOG_TEMP, 0);
	batch.fd = openat(log->dir, LOG_TEMP, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (batch.fd < 0)
		return -errno;
	r = write_all(c, &batch);
	if (!r && (fsync(batch.fd) < 0 || renameat(log->dir, LOG_TEMP, log->dir, LOG_NAME) < 0))
		r = -errno;
	free(batch.buf);
	if (r < 0) {
		close(batch.fd);
		unlinkat(log->dir, LOG_TEMP, 0);
		return r;
	}
	if (log->fd >= 0)
		close(log->fd);
	log->fd = batch.fd;
	log->bytes = log->compacted_bytes = batch.written;
	return 0;
}

void disk_log_compact(struct disk_log *log, struct cache *c)
{
	HOLD(&log->lock);
	if (log->bytes < 2 * log->compacted_bytes + SLACK_BYTES)
		return;
	if (rewrite(log, c) < 0)
		log->compacted_bytes = log->bytes; /* no room: try again when it has doubled */
}

/* ---- restart ---- */

struct loading {
	struct cache *c;
	uint64_t live_bytes;
};

static void load_record(const struct index_record *r, void *arg)
{
	struct loading *l = arg;
	struct object obj = {.name = r->name, .version = r->version, .size = r->size};
	struct block *b;

	cache_forget(l->c, &obj, r->number);
	if (r->type != INDEX_PUT || cache_restore(l->c, &obj, r->number, r->where, &b) < 0)
		return;
	memcpy(block_crcs(b), r->crc, r->crcs * sizeof(uint32_t));
	b->logged = true;
	cache_commit(l->c, b, false);
	l->live_bytes += index_record_size(r);
}

/* A log that cannot be read as ours: all that the folder holds is given up. */
static void warn_begun_anew(const void *data, size_t len, uint32_t block_size)
{
	struct index_header have = {0}, want;

	memcpy(&have, data, len < sizeof(have) ? len : sizeof(have));
	index_header_fill(&want, block_size);
	if (memcmp(have.magic, want.magic, sizeof(want.magic)) != 0)
		log_warn("disk tier: the index is damaged from its first bytes on; begun anew");
	else if (have.format != want.format)
		log_warn(
			"disk tier: made by another version of cachefs (format %u, this one's is %u); "
			"begun anew",
			have.format, want.format);
	else
		log_warn("disk tier: made with cache.block_size=%u, now it is %u; begun anew",
			have.block_size, want.block_size);
}

/* Reads the log into c; true: it can be appended to as it is. */
static bool load(struct disk_log *log, struct cache *c)
{
	AUTO(close) int fd = openat(log->dir, LOG_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct loading loading = {.c = c};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !st.st_size)
		return false;
	size_t len = (size_t)st.st_size;
	void *data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);

	if (data == MAP_FAILED)
		return false;
	int64_t skipped = index_parse(data, len, c->block_size, load_record, &loading);

	if (skipped < 0)
		warn_begun_anew(data, len, c->block_size);
	munmap(data, len);
	if (skipped > 0)
		log_warn("disk tier: %lld bytes of the index are damaged and left out",
			(long long)skipped);
	if (skipped || len > 2 * loading.live_bytes + SLACK_BYTES)
		return false;
	log->fd = take_fd(&fd);
	log->bytes = len;
	log->compacted_bytes = loading.live_bytes;
	return true;
}

int disk_log_open(struct disk_log *log, struct cache *c, int dir)
{
	*log = (struct disk_log){.dir = dir, .fd = -1};
	pthread_mutex_init(&log->lock, NULL);
	unlinkat(dir, LOG_TEMP, 0);
	return load(log, c) ? 0 : rewrite(log, c);
}

void disk_log_done(struct disk_log *log)
{
	if (log->fd >= 0)
		close(log->fd);
	pthread_mutex_destroy(&log->lock);
}
