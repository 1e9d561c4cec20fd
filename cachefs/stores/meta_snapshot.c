/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot's format: see meta_snapshot.h. */
#include "cachefs/stores/meta_snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/crc32c.h"
#include "common/file.h"

#define MAGIC "cachefsM"
#define VERSION 1
#define BYTE_ORDER_MARK 0x01020304u
#define NAME_MAX_BYTES 4096
#define BUFFER_BYTES (256 << 10)

struct header {
	char magic[8];
	uint32_t version, order;
	uint64_t identity, bytes;
	uint32_t parts, crc; /* crc: of what precedes it */
};

struct part_header {
	uint32_t crc;  /* of what follows it: header, folder, data */
	uint16_t kind; /* enum part_kind */
	uint16_t dir_len;
	int64_t wall_ns;
	uint64_t bytes; /* of data, which begins at a multiple of PACKED_ALIGN */
};

static size_t padding(size_t len)
{
	return (PACKED_ALIGN - len % PACKED_ALIGN) % PACKED_ALIGN;
}

static uint32_t header_crc(const struct header *h)
{
	return crc32c(0, h, offsetof(struct header, crc));
}

static uint32_t part_crc(const struct part_header *h, const char *dir, const void *data)
{
	uint32_t crc = crc32c(0, &h->kind, sizeof(*h) - offsetof(struct part_header, kind));

	crc = crc32c(crc, dir, h->dir_len);
	return crc32c(crc, data, h->bytes);
}

/* ---- writing ---- */

static int put(struct snapshot_writer *w, const void *data, size_t len)
{
	w->bytes += len;
	return fwrite(data, 1, len, w->file) == len ? 0 : -errno;
}

int snapshot_begin(struct snapshot_writer *w, int fd, uint64_t identity)
{
	struct header none = {0}; /* the right one comes last */

	*w = (struct snapshot_writer){.identity = identity, .file = fdopen(fd, "w")};
	if (!w->file) {
		close(fd);
		return -errno;
	}
	setvbuf(w->file, NULL, _IOFBF, BUFFER_BYTES);
	return put(w, &none, sizeof(none));
}

int snapshot_add(struct snapshot_writer *w, const struct snapshot_part *part)
{
	static const char zeros[PACKED_ALIGN];
	size_t len = strlen(part->dir);
	struct part_header h = {.kind = (uint16_t)part->kind,
		.dir_len = (uint16_t)len,
		.wall_ns = part->wall_ns,
		.bytes = part->bytes};
	int r;

	h.crc = part_crc(&h, part->dir, part->data);
	r = put(w, &h, sizeof(h));
	if (!r)
		r = put(w, part->dir, len);
	if (!r)
		r = put(w, zeros, padding(len));
	if (!r && part->bytes)
		r = put(w, part->data, part->bytes);
	w->parts++;
	return r;
}

int snapshot_end(struct snapshot_writer *w)
{
	struct header h = {.magic = MAGIC,
		.version = VERSION,
		.order = BYTE_ORDER_MARK,
		.identity = w->identity,
		.bytes = w->bytes,
		.parts = w->parts};
	int fd = fileno(w->file);
	int r = fflush(w->file) ? -errno : 0;

	h.crc = header_crc(&h);
	if (!r)
		r = file_pwrite_all(fd, &h, sizeof(h), 0);
	if (!r && fsync(fd) < 0)
		r = -errno;
	snapshot_abort(w);
	return r;
}

void snapshot_abort(struct snapshot_writer *w)
{
	if (w->file)
		fclose(w->file);
	w->file = NULL;
}

/* ---- reading ---- */

struct reader {
	FILE *file;
	uint64_t left; /* bytes, by the size of the file */
	part_fn *each;
	void *arg;
};

static bool take(struct reader *r, void *to, uint64_t len)
{
	if (len > r->left || fread(to, 1, len, r->file) != len)
		return false;
	r->left -= len;
	return true;
}

static const char *read_header(struct reader *r, uint64_t identity, struct header *ret)
{
	uint64_t size = r->left;

	if (!take(r, ret, sizeof(*ret)) || memcmp(ret->magic, MAGIC, sizeof(ret->magic)) != 0)
		return "it is no snapshot";
	if (ret->version != VERSION || ret->order != BYTE_ORDER_MARK)
		return "it is of another version";
	if (ret->crc != header_crc(ret))
		return "its header is damaged";
	if (ret->identity != identity)
		return "it is of another origin";
	return ret->bytes == size ? NULL : "it was cut";
}

static bool folder_valid(const struct part_header *h, const char *dir)
{
	return strlen(dir) == h->dir_len && store_name_valid(dir);
}

/* false: damaged. */
static bool read_part(struct reader *r)
{
	char dir[NAME_MAX_BYTES + PACKED_ALIGN];
	struct part_header h;

	if (!take(r, &h, sizeof(h)) || h.dir_len >= NAME_MAX_BYTES || h.kind >= PART_KINDS ||
		h.bytes % PACKED_ALIGN || !take(r, dir, h.dir_len + padding(h.dir_len)) ||
		h.bytes > r->left)
		return false;
	dir[h.dir_len] = '\0';
	AUTO(free) void *data = malloc(h.bytes ? h.bytes : 1);

	if (!data || !take(r, data, h.bytes) || h.crc != part_crc(&h, dir, data) ||
		!folder_valid(&h, dir))
		return false;
	r->each(r->arg, &(struct snapshot_part){h.kind, dir, h.wall_ns, TAKE(data), h.bytes});
	return true;
}

const char *snapshot_read(int fd, uint64_t identity, part_fn *each, void *arg)
{
	AUTO(close) int own = dup(fd);
	AUTO(fclose) FILE *file = own < 0 ? NULL : fdopen(own, "r");
	struct reader r = {.file = file, .each = each, .arg = arg};
	struct header h;
	struct stat st;
	const char *wrong;

	if (!file)
		return "no memory";
	own = -1; /* the file's now */
	if (fstat(fd, &st) < 0)
		return "it cannot be read";
	setvbuf(file, NULL, _IOFBF, BUFFER_BYTES);
	r.left = (uint64_t)st.st_size;
	wrong = read_header(&r, identity, &h);
	for (uint32_t i = 0; !wrong && i < h.parts; i++)
		if (!read_part(&r))
			wrong = "a part is damaged";
	return wrong;
}

bool snapshot_is_one(int fd)
{
	char magic[sizeof(MAGIC) - 1];
	ssize_t n = pread(fd, magic, sizeof(magic), 0);

	return n >= 0 && !memcmp(magic, MAGIC, (size_t)n);
}

const struct snapshot_name *snapshot_next_name(const struct snapshot_part *part, size_t *at)
{
	const struct snapshot_name *name = (const struct snapshot_name *)((const char *)part->data +
									  *at);
	size_t left = part->bytes - *at;

	if (left < sizeof(*name) || name->absent > 1 ||
		!packed_valid(name->place, left - sizeof(*name), !*part->dir))
		return NULL;
	*at += sizeof(*name) + packed_size((const struct packed *)name->place);
	return name;
}
