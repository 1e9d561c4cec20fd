/* SPDX-License-Identifier: Apache-2.0 */
/* source - where a run gets its bytes. One source a run; readers (harness/reader.h) bring the
 * access pattern, so tf.data's and PyTorch's habits are the same over every source.
 *
 *   synthetic   copies samples from a pool in memory: the upper limit, no files
 *   cached      starts synth-remote and cachefs, then is `external` on that mount
 *   remote      plain files behind an emulated per-node bandwidth, IOPS and latency
 *   external    files under any path
 *   stack       cachefs' store stack in this process: what FUSE costs is the difference to cached
 */
#ifndef HARNESS_SOURCE_H
#define HARNESS_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <jansson.h>

#include "common/err.h"
#include "common/knob.h"

struct source;
struct dataset; /* harness/dataset.h: files and samples of a data set */

enum source_flags {
	SOURCE_NO_FILES = 1,   /* only sample(): no file ops, nothing to chill */
	SOURCE_PAGE_CACHE = 2, /* its files go through this host's page cache */
	SOURCE_KEEPS = 4       /* keeps bytes between epochs: run bench.epochs of them */
};

/* What a run reads, given to open(). Borrowed for the life of the source. */
struct source_spec {
	const struct config *cfg;
	const struct dataset *data;
	const char *data_dir;      /* folder of the data set; "" for synthetic */
	const char *work_dir;      /* scratch of this run: mounts, tiers, sockets, logs */
	int64_t capacity_bytes;    /* of the disk tier, for cached and stack */
	int readers;               /* threads that will read at once */
	const volatile bool *stop; /* set by a signal handler: give up with -EINTR; may be NULL */
};

struct source_file {
	int fd;         /* -1 where the source has no descriptors */
	void *handle;   /* source's own */
	uint64_t size;  /* needed only where there is no descriptor to ask */
	bool own_cache; /* the source models the page cache itself: leave fd's pages alone */
};

struct source_ops {
	const char *name, *summary;
	const char *label; /* in a sentence: "the cache"; NULL: external.path stands for it */
	unsigned flags;

	struct source *(*open)(const struct source_spec *spec, struct err *err);
	/* Unmounts, stops children; never fails, never hangs. Files below work_dir, the tier's too, stay
	 * for their owner to look at and remove. May be called while a thread is stuck in
	 * file_open() or file_pread() of a dead filesystem: these touch nothing of the source after the
	 * call that may block. */
	void (*close)(struct source *src);

	/* Makes everything cold and proves it (design: unmount, delete the tier, DONTNEED, remount).
	 * -ENOTSUP: the run is labelled warm. */
	int (*chill)(struct source *src, struct err *err);

	/* Files; path relative to the data set. Any thread; a file is used by one thread at a time. */
	int (*file_open)(struct source *src, const char *path, struct source_file *ret);
	ssize_t (*file_pread)(
		struct source *src, struct source_file *f, void *buf, size_t len, uint64_t off);
	void (*file_close)(struct source *src, struct source_file *f);

	/* SOURCE_NO_FILES: sample number index of any reader into buf, len bytes. */
	int (*sample)(struct source *src, uint64_t index, void *buf, size_t len);

	/* Snapshot at epoch borders: {"origin_bytes":N or null,"counters":{...},"cpu_s":{...}};
	 * totals since open(). cpu_s: "cachefs", "remote". "page_cache_bytes":N from sources that
	 * model a page cache or have no descriptors to look at; "tier_page_cache_bytes":N (null:
	 * unknown) from those that keep bytes in files of their own. */
	json_t *(*counters)(struct source *src);
};

struct source {
	const struct source_ops *ops;
	const struct source_spec *spec;
};

/* Every source there is, NULL-terminated; one line an entry in source.c. */
extern const struct source_ops *const source_registry[];
const struct source_ops *source_find(const char *name);

#endif
