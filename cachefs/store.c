/* SPDX-License-Identifier: Apache-2.0 */
/* The wrappers around store_ops: they check the contract, go past layers without the op, time and
 * count every call; and the registry of all layers and origins. See store.h. */
#include "cachefs/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "cachefs/hash.h"
#include "cachefs/listing.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/crc32c.h"
#include "common/file.h"

extern const struct store_ops meta_ops, mem_ops, disk_ops, throttle_ops, delay_ops, fault_ops,
	dir_ops, http_ops, s3_ops;

/* One line an entry. */
/* clang-format off */
const struct store_ops *const store_registry[] = {
	&meta_ops,
	&mem_ops,
	&disk_ops,
	&throttle_ops,
	&delay_ops,
	&fault_ops,
	&dir_ops,
	&http_ops,
	&s3_ops,
	NULL,
};
/* clang-format on */

const struct store_ops *store_find(const char *name)
{
	for (size_t i = 0; store_registry[i]; i++)
		if (!strcmp(store_registry[i]->name, name))
			return store_registry[i];
	return NULL;
}

int store_init(struct store *st, const struct store_ops *ops, struct store *lower)
{
	*st = (struct store){.ops = ops, .lower = lower};
	st->counters = aligned_alloc(64, sizeof(*st->counters));
	for (size_t i = 0; i < ARRAY_SIZE(st->latency); i++)
		st->latency[i] = calloc(1, sizeof(*st->latency[i]));
	for (size_t i = 0; i < ARRAY_SIZE(st->latency); i++)
		if (!st->latency[i] || !st->counters) {
			store_done(st);
			return -ENOMEM;
		}
	memset(st->counters, 0, sizeof(*st->counters));
	return 0;
}

void store_done(struct store *st)
{
	for (size_t i = 0; i < ARRAY_SIZE(st->latency); i++)
		free(st->latency[i]);
	free(st->counters);
	*st = (struct store){0};
}

/* ---- versions ---- */

uint64_t store_version(const char *etag, uint64_t size, int64_t mtime_ns)
{
	uint64_t hash = HASH_START;

	if (etag && *etag) {
		hash = hash_bytes(hash, etag, strlen(etag));
	} else {
		hash = hash_bytes(hash, &size, sizeof(size));
		hash = hash_bytes(hash, &mtime_ns, sizeof(mtime_ns));
	}
	return hash ? hash : 1;
}

/* ---- calls ---- */

static int finish(struct store *st, enum store_op_kind kind, int64_t start_ns, int r)
{
	hist_add(st->latency[kind], clock_now_ns() - start_ns);
	if (r < 0 && r != -EAGAIN && r != -ENOENT)
		counter_add(st->counters, LAYER_errors, 1);
	return r;
}

int store_stat(struct store *st, const char *name, enum store_wait wait, struct object *ret)
{
	struct object found = {0};

	while (st && !st->ops->stat)
		st = st->lower;
	if (!st)
		return -ENOTSUP;
	if (!store_name_valid(name))
		return -ENOENT;
	counter_add(st->counters, LAYER_stats, 1);
	int64_t start_ns = clock_now_ns();
	int r = st->ops->stat(st, name, wait, &found);

	finish(st, STORE_STAT, start_ns, r);
	if (r < 0)
		return r;
	found.name = name;
	*ret = found;
	return 0;
}

int store_list(struct store *st, const char *dir, enum store_wait wait, list_fn *each, void *arg)
{
	while (st && !st->ops->list)
		st = st->lower;
	if (!st)
		return -ENOTSUP;
	if (!store_name_valid(dir))
		return -ENOENT;
	counter_add(st->counters, LAYER_lists, 1);
	int64_t start_ns = clock_now_ns();
	int r = st->ops->list(st, dir, wait, each, arg);

	return finish(st, STORE_LIST, start_ns, r);
}

static int collect(void *arg, const struct object *entry)
{
	return listing_add(arg, entry);
}

static int make_listing(
	struct store *st, const char *dir, enum store_wait wait, struct listing **ret)
{
	struct listing *l = listing_new();
	int r = l ? st->ops->list(st, dir, wait, collect, l) : -ENOMEM;

	if (!r)
		r = listing_finish(l);
	if (r)
		listing_put(l);
	else
		*ret = l;
	return r;
}

int store_listing(struct store *st, const char *dir, enum store_wait wait, struct listing **ret)
{
	while (st && !st->ops->listing && !st->ops->list)
		st = st->lower;
	if (!st)
		return -ENOTSUP;
	if (!store_name_valid(dir))
		return -ENOENT;
	counter_add(st->counters, LAYER_lists, 1);
	int64_t start_ns = clock_now_ns();
	int r = st->ops->listing ? st->ops->listing(st, dir, wait, ret)
				 : make_listing(st, dir, wait, ret);

	return finish(st, STORE_LIST, start_ns, r);
}

/* [off, off+len) lies inside the object, and the object is a file's version. */
static bool range_valid(const struct object *obj, uint64_t off, uint64_t len)
{
	return !obj->is_dir && obj->version && len && off < obj->size && len <= obj->size - off;
}

/* What a fetch hands up, checked: not a byte more than was asked for. */
struct counted_sink {
	sink_fn *each;
	void *arg;
	uint64_t left;
};

static int count_sink(void *arg, const void *data, size_t len)
{
	struct counted_sink *c = arg;

	if (len > c->left)
		return -EPROTO;
	c->left -= len;
	return c->each(c->arg, data, len);
}

int store_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg)
{
	struct counted_sink counted = {each, arg, len};

	while (st && !st->ops->fetch)
		st = st->lower;
	if (!st)
		return -ENOTSUP;
	if (!range_valid(obj, off, len))
		return -EINVAL;
	counter_add(st->counters, LAYER_reads, 1);
	int64_t start_ns = clock_now_ns();
	int r = st->ops->fetch(st, obj, off, len, count_sink, &counted);

	if (!r && counted.left)
		r = -EIO; /* a short fetch would become a short reply */
	counter_add(st->counters, LAYER_read_bytes, (int64_t)(len - counted.left));
	return finish(st, STORE_FETCH, start_ns, r);
}

int store_lend(
	struct store *st, const struct object *obj, uint64_t off, size_t len, struct extent *ret)
{
	struct extent ext = {.fd = -1};

	while (st && !st->ops->lend)
		st = st->lower;
	if (!st)
		return -EAGAIN;
	if (!range_valid(obj, off, len))
		return -EINVAL;
	int64_t start_ns = clock_now_ns();
	int r = st->ops->lend(st, obj, off, len, &ext);

	if (r < 0)
		return r == -EAGAIN ? r : finish(st, STORE_LEND, start_ns, r);
	counter_add(st->counters, LAYER_reads, 1);
	counter_add(st->counters, LAYER_read_bytes, (int64_t)ext.len);
	*ret = ext;
	return finish(st, STORE_LEND, start_ns, 0);
}

void extent_put(struct extent *ext)
{
	struct store *owner = ext->owner;

	ext->owner = NULL;
	if (owner)
		owner->ops->put(owner, ext);
}

void extent_reject(struct extent *ext)
{
	if (ext->owner && ext->owner->ops->reject)
		ext->owner->ops->reject(ext->owner, ext);
	extent_put(ext);
}

int store_keep(struct store *st, const struct object *obj, uint64_t off, struct extent *ext)
{
	while (st && !st->ops->keep)
		st = st->lower;
	return st ? st->ops->keep(st, obj, off, ext) : -ENOTSUP;
}

int store_prefetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len)
{
	while (st && !st->ops->prefetch)
		st = st->lower;
	if (!range_valid(obj, off, len))
		return -EINVAL;
	return st ? st->ops->prefetch(st, obj, off, len) : 0;
}

bool store_holds(struct store *st, const struct object *obj, uint64_t off)
{
	while (st && !st->ops->holds)
		st = st->lower;
	return st && range_valid(obj, off, 1) && st->ops->holds(st, obj, off);
}

int store_backing(struct store *st, const struct object *obj, int *ret_fd)
{
	while (st && !st->ops->backing)
		st = st->lower;
	if (!st)
		return -ENOTSUP;
	if (obj && !range_valid(obj, 0, obj->size))
		return -ENOTSUP;
	return st->ops->backing(st, obj, ret_fd);
}

static int drop_all(struct store *st, const char *name, bool names_only)
{
	int first = 0;

	if (!store_name_valid(name))
		return -ENOENT;
	for (; st; st = st->lower) {
		int (*drop)(struct store *, const char *) = names_only ? st->ops->forget
								       : st->ops->drop;

		if (!drop)
			continue;
		int64_t start_ns = clock_now_ns();
		int r = drop(st, name);

		finish(st, STORE_DROP, start_ns, r);
		if (r < 0 && !first)
			first = r;
	}
	return first;
}

int store_drop(struct store *st, const char *name)
{
	return drop_all(st, name, false);
}

int store_forget(struct store *st, const char *name)
{
	return drop_all(st, name, true);
}

static int copy_sink(void *arg, const void *data, size_t len)
{
	char **to = arg;

	memcpy(*to, data, len);
	*to += len;
	return 0;
}

int store_read(struct store *st, const struct object *obj, uint64_t off, void *buf, size_t len)
{
	char *to = buf;

	return store_fetch(st, obj, off, len, copy_sink, &to);
}

/* ---- extents ---- */

int extent_read(const struct extent *ext, void *buf)
{
	size_t len = ext->crc ? ext->whole : ext->len;
	off_t off = ext->crc ? ext->off - (off_t)ext->lead : ext->off;

	if (ext->owner && ext->owner->ops->read)
		return ext->owner->ops->read(ext->owner, ext, buf);
	return file_pread_all(ext->fd, buf, len, off);
}

int extent_check(const struct extent *ext, const void *whole)
{
	const char *p = whole;

	for (size_t done = 0, i = 0; ext->crc && done < ext->whole; i++) {
		size_t n = ext->whole - done < CHUNK_SIZE ? ext->whole - done : CHUNK_SIZE;

		if (crc32c(0, p + done, n) != ext->crc[i])
			return -EBADMSG;
		done += n;
	}
	return 0;
}
