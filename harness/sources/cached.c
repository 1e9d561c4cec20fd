/* SPDX-License-Identifier: Apache-2.0 */
/* Source cached: a synth-remote over the data set (or the user's own origin), a cachefs mounted on
 * it, and then plain files on that mount, as source `external` reads them: whatever is measured here would
 * be measured alike on anybody's mount. Only counters() and chill() know that the other side is ours.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "harness/cache_mount.h"
#include "harness/remote_server.h"
#include "harness/sources/files.h"

extern const struct source_ops source_cached;

struct cached {
	struct source base;
	struct remote_server remote; /* not started with remote.origin */
	struct cache_mount mount;
	struct files files; /* on the mount; closed while it is not mounted */
};

static struct cached *cached_of(struct source *src)
{
	return container_of(src, struct cached, base);
}

static bool own_remote(const struct cached *c)
{
	return !c->base.spec->cfg->remote.origin[0];
}

static int mount_and_open(struct cached *c, struct err *err)
{
	int r = cache_mount_start(&c->mount, err);

	return r ? r : files_open(&c->files, c->mount.mountpoint, c->base.spec->cfg, err);
}

static void unmount(struct cached *c)
{
	files_close(&c->files);
	cache_mount_stop(&c->mount);
}

static void cached_close(struct source *src)
{
	struct cached *c = cached_of(src);

	unmount(c);
	cache_mount_done(&c->mount);
	remote_server_stop(&c->remote);
	free(c);
}

static int cached_start(struct cached *c, struct err *err)
{
	const struct source_spec *spec = c->base.spec;
	const char *origin = spec->cfg->remote.origin;
	int r = 0;

	if (own_remote(c)) {
		r = remote_server_start(&c->remote, spec, err);
		origin = c->remote.url;
	}
	if (!r)
		r = cache_mount_init(
			&c->mount, spec->cfg, origin, spec->work_dir, spec->capacity_bytes, err);
	c->mount.stop = spec->stop;
	return r ? r : mount_and_open(c, err);
}

static struct source *cached_open(const struct source_spec *spec, struct err *err)
{
	struct cached *c = calloc(1, sizeof(*c));

	if (!c) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	c->base = (struct source){.ops = &source_cached, .spec = spec};
	c->remote.out_fd = -1;
	c->files.root = -1;
	if (cached_start(c, err)) {
		cached_close(&c->base);
		return NULL;
	}
	return &c->base;
}

static int cached_chill(struct source *src, struct err *err)
{
	struct cached *c = cached_of(src);
	int warm = 0, r;

	unmount(c);
	r = cache_mount_forget(&c->mount, err);
	if (!r && own_remote(c))
		warm = remote_server_chill(src->spec, err);
	if (!r)
		r = mount_and_open(c, err);
	return r ? r : warm;
}

static int cached_file_open(struct source *src, const char *path, struct source_file *ret)
{
	return files_file_open(&cached_of(src)->files, path, ret);
}

static ssize_t cached_file_pread(
	struct source *src, struct source_file *f, void *buf, size_t len, uint64_t off)
{
	return files_pread(f, buf, len, off);
}

static void cached_file_close(struct source *src, struct source_file *f)
{
	files_file_close(f);
}

static json_t *member(json_t *object, const char *group, const char *name)
{
	return json_object_get(json_object_get(object, group), name);
}

static json_t *cached_counters(struct source *src)
{
	struct cached *c = cached_of(src);
	json_t *daemon = cache_mount_stats(&c->mount);
	json_t *remote = own_remote(c) ? remote_server_stats(&c->remote) : NULL;
	/* The server's own count needs no trust in what is measured. */
	json_t *bytes = remote ? json_object_get(remote, "bytes")
			       : member(daemon, "origin", "bytes");
	int64_t resident = cache_tier_resident(c->mount.tier);

	json_object_del(daemon, "knobs"); /* the record has them */
	json_t *ret = json_pack("{s:O?, s:o?, s:{s:o*, s:o*}, s:{s:f}}", "origin_bytes", bytes,
		"tier_page_cache_bytes", resident < 0 ? NULL : json_integer(resident), "counters",
		"cachefs", daemon, "remote", remote, "cpu_s", "cachefs",
		child_cpu_s(&c->mount.child));

	if (ret && own_remote(c))
		json_object_set_new(json_object_get(ret, "cpu_s"), "remote",
			json_real(child_cpu_s(&c->remote.child)));
	return ret;
}

const struct source_ops source_cached = {
	.name = "cached",
	.summary = "cachefs on a mount of its own, over an emulated object store or your origin",
	.label = "the cache",
	.flags = SOURCE_PAGE_CACHE | SOURCE_KEEPS,
	.open = cached_open,
	.close = cached_close,
	.chill = cached_chill,
	.file_open = cached_file_open,
	.file_pread = cached_file_pread,
	.file_close = cached_file_close,
	.counters = cached_counters,
};
