/* SPDX-License-Identifier: Apache-2.0 */
/* external - files under any path: a folder, or somebody's mount. */
#include <errno.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "harness/sources/files.h"

struct external {
	struct source base;
	struct files files;
};

static struct external *to_external(struct source *src)
{
	return container_of(src, struct external, base);
}

extern const struct source_ops source_external;

static void external_close(struct source *src)
{
	struct external *e = to_external(src);

	files_close(&e->files);
	free(e);
}

static struct source *external_open(const struct source_spec *spec, struct err *err)
{
	const char *path = spec->cfg->external.path;
	struct external *e = calloc(1, sizeof(*e));

	if (!e) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	e->base.ops = &source_external;
	e->base.spec = spec;
	if (files_open(&e->files, *path ? path : spec->data_dir, spec->cfg, err) < 0) {
		external_close(&e->base);
		return NULL;
	}
	return &e->base;
}

static int external_chill(struct source *src, struct err *err)
{
	return files_chill(&to_external(src)->files, src->spec, err);
}

static int external_file_open(struct source *src, const char *path, struct source_file *ret)
{
	return files_file_open(&to_external(src)->files, path, ret);
}

static ssize_t external_file_pread(
	struct source *src, struct source_file *f, void *buf, size_t len, uint64_t off)
{
	return files_pread(f, buf, len, off);
}

static void external_file_close(struct source *src, struct source_file *f)
{
	files_file_close(f);
}

static json_t *external_counters(struct source *src)
{
	/* Nobody else's cache can be asked what it fetched. */
	return json_pack("{s:n,s:{},s:{}}", "origin_bytes", "counters", "cpu_s");
}

const struct source_ops source_external = {
	.name = "external",
	.summary = "files under any path: a folder, or a mount of any filesystem",
	.flags = SOURCE_PAGE_CACHE | SOURCE_KEEPS,
	.open = external_open,
	.close = external_close,
	.chill = external_chill,
	.file_open = external_file_open,
	.file_pread = external_file_pread,
	.file_close = external_file_close,
	.counters = external_counters,
};
