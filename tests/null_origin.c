/* SPDX-License-Identifier: Apache-2.0 */
/* An origin made of arithmetic: see null_origin.h. */
#include "tests/null_origin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define PIECE (16 << 10) /* bytes handed up at once, as curl does */

struct null_origin *null_origin_new(int files, int per_dir, uint64_t (*size_of)(int file))
{
	struct null_origin *o = calloc(1, sizeof(*o));

	if (!o || files > NULL_FILES_MAX || store_init(&o->base, &null_ops, NULL) < 0)
		abort();
	o->files = files;
	o->per_dir = per_dir;
	o->size_of = size_of;
	o->gate = UINT64_MAX;
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->changed, NULL);
	return o;
}

static void null_close(struct store *st)
{
	struct null_origin *o = container_of(st, struct null_origin, base);

	pthread_cond_destroy(&o->changed);
	pthread_mutex_destroy(&o->lock);
	store_done(st);
	free(o);
}

void null_origin_gate(struct null_origin *o, uint64_t bytes)
{
	HOLD(&o->lock);
	o->gate = bytes;
	pthread_cond_broadcast(&o->changed);
}

void null_origin_await(struct null_origin *o, int fetches)
{
	HOLD(&o->lock);
	while (o->waiting < fetches)
		pthread_cond_wait(&o->changed, &o->lock);
}

/* ---- content ---- */

static uint64_t mix(uint64_t n)
{
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ull;
	n = (n ^ n >> 27) * 0x94d049bb133111ebull;
	return n ^ n >> 31;
}

void null_origin_bytes(const struct object *obj, uint64_t off, void *buf, size_t len)
{
	uint64_t seed = store_version(obj->name, 0, 0) ^ obj->version;
	char *p = buf;

	while (len) {
		uint64_t word = mix(seed + off / 8);
		size_t from = off % 8, n = len < 8 - from ? len : 8 - from;

		memcpy(p, (char *)&word + from, n);
		p += n;
		off += n;
		len -= n;
	}
}

bool null_origin_right(const struct object *obj, uint64_t off, const void *buf, size_t len)
{
	unsigned char want[4096];

	for (size_t done = 0; done < len;) {
		size_t n = len - done < sizeof(want) ? len - done : sizeof(want);

		null_origin_bytes(obj, off + done, want, n);
		if (memcmp(want, (const char *)buf + done, n))
			return false;
		done += n;
	}
	return true;
}

/* ---- the store ---- */

void null_origin_object(struct null_origin *o, int n, char *name, struct object *ret)
{
	snprintf(name, 32, "d%d/f%d", n / o->per_dir, n);
	*ret = (struct object){.name = name, .size = o->size_of(n)};
	snprintf(ret->etag, sizeof(ret->etag), "\"%d-%u\"", n, o->generation[n]);
	ret->version = store_version(ret->etag, 0, 0);
}

/* Number of the file called name; -1 if there is none, -2 for a folder. */
static int find_name(struct null_origin *o, const char *name)
{
	char right[32];
	int d = 0, n = 0;

	if (!*name)
		return -2;
	if (sscanf(name, "d%d/f%d", &d, &n) == 2 && n >= 0 && n < o->files) {
		snprintf(right, sizeof(right), "d%d/f%d", n / o->per_dir, n);
		return strcmp(right, name) ? -1 : n;
	}
	if (sscanf(name, "d%d", &d) != 1 || d < 0 || d * o->per_dir >= o->files)
		return -1;
	snprintf(right, sizeof(right), "d%d", d);
	return strcmp(right, name) ? -1 : -2;
}

static int null_stat(struct store *st, const char *name, enum store_wait wait, struct object *ret)
{
	struct null_origin *o = container_of(st, struct null_origin, base);
	int n = find_name(o, name);
	char own[32];

	if (wait == STORE_NOWAIT)
		return -EAGAIN;
	o->stats++;
	if (o->down)
		return -EIO;
	if (n == -1)
		return -ENOENT;
	if (n == -2)
		*ret = (struct object){.is_dir = true};
	else
		null_origin_object(o, n, own, ret);
	return 0;
}

static int list_files(struct null_origin *o, int dir, list_fn *each, void *arg)
{
	int r = 0;

	for (int n = dir * o->per_dir; n < (dir + 1) * o->per_dir && n < o->files && !r; n++) {
		char name[32];
		struct object obj;

		null_origin_object(o, n, name, &obj);
		obj.name = strchr(name, '/') + 1;
		r = each(arg, &obj);
	}
	return r;
}

static int list_dirs(struct null_origin *o, list_fn *each, void *arg)
{
	int r = 0;

	for (int d = 0; d * o->per_dir < o->files && !r; d++) {
		char name[32];

		snprintf(name, sizeof(name), "d%d", d);
		r = each(arg, &(struct object){.name = name, .is_dir = true});
	}
	return r;
}

static int null_list(
	struct store *st, const char *dir, enum store_wait wait, list_fn *each, void *arg)
{
	struct null_origin *o = container_of(st, struct null_origin, base);
	int n = find_name(o, dir);

	if (wait == STORE_NOWAIT)
		return -EAGAIN;
	o->lists++;
	if (o->down)
		return -EIO;
	if (n == -1)
		return -ENOENT;
	if (n >= 0)
		return -ENOTDIR;
	return *dir ? list_files(o, atoi(dir + 1), each, arg) : list_dirs(o, each, arg);
}

static void pass_gate(struct null_origin *o, uint64_t done)
{
	HOLD(&o->lock);
	if (done < o->gate)
		return;
	o->waiting++;
	pthread_cond_broadcast(&o->changed);
	while (done >= o->gate)
		pthread_cond_wait(&o->changed, &o->lock);
	o->waiting--;
}

static int null_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg)
{
	struct null_origin *o = container_of(st, struct null_origin, base);
	int file = find_name(o, obj->name), r = 0;
	char name[32], data[PIECE];
	struct object now;

	o->fetches++;
	counter_add(st->counters, ORIGIN_requests, 1);
	if (o->down)
		return -EIO;
	if (file < 0)
		return -ENOENT;
	null_origin_object(o, file, name, &now);
	if (now.version != obj->version)
		return -ESTALE;
	for (uint64_t done = 0; done < len && !r;) {
		size_t n = len - done < PIECE ? (size_t)(len - done) : PIECE;

		pass_gate(o, done);
		null_origin_bytes(&now, off + done, data, n);
		r = each(arg, data, n);
		done += n;
	}
	counter_add(st->counters, ORIGIN_bytes, (int64_t)len);
	return r;
}

const struct store_ops null_ops = {
	.name = "null",
	.summary = "An origin made of arithmetic.",
	.origin = true,
	.close = null_close,
	.stat = null_stat,
	.list = null_list,
	.fetch = null_fetch,
};
