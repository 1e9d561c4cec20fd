/* SPDX-License-Identifier: Apache-2.0 */
/* files - plain files under a root folder: what the sources external, remote and cached share.
 *
 * Opened relative to one descriptor of the root, O_RDONLY, as loaders do; nothing is ever written
 * there. With bench.page_cache=none, files of a local filesystem are opened with O_DIRECT, so that
 * they stay out of the page cache without privileges. */
#ifndef HARNESS_SOURCES_FILES_H
#define HARNESS_SOURCES_FILES_H

#include <stdbool.h>

#include "harness/source.h"

struct files {
	int root;    /* -1 when closed */
	bool local;  /* a filesystem of this machine: the page cache is its only cache */
	bool direct; /* open with O_DIRECT, but for files that refuse */
	char *path;
};

/* Within external.timeout, or -ETIMEDOUT. files_close() is owed in any case. */
int files_open(struct files *fs, const char *root, const struct config *cfg, struct err *err);
void files_close(struct files *fs);

int files_file_open(struct files *fs, const char *path, struct source_file *ret);
ssize_t files_pread(const struct source_file *f, void *buf, size_t len, uint64_t off);
void files_file_close(struct source_file *f);

/* Drops the data set's pages from the page cache and checks that they are gone. -ENOTSUP, with err
 * saying why: some stayed, they cannot be seen, there are too many files for a quarter of
 * external.timeout, or the filesystem is not local and may hold the data elsewhere (its pages are
 * dropped all the same; with bench.page_cache=none by the readers). With bench.drop_caches, drops the whole
 * host's caches first. */
int files_chill(struct files *fs, const struct source_spec *spec, struct err *err);

#endif
