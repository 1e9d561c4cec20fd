/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a cachefs daemon as a child: see cache_mount.h. */
#include "harness/cache_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "harness/deadline.h"
#include "harness/mounts.h"
#include "harness/page_cache.h"

#define START_NS (20 * NSEC_PER_SEC)
#define STOP_NS (10 * NSEC_PER_SEC)
#define POLL_NS (2 * NSEC_PER_MSEC)
#define STATS_MAX (1 << 20)
#define STATS_NS (5 * NSEC_PER_SEC)

AUTO_FREE(config, struct config, config_free);

int cache_tier_config(struct config *cfg, const char *tier, int64_t capacity, struct err *err)
{
	char bytes[32];
	int r;

	if (!capacity) {
		r = config_set(cfg, "disk.path", "", "run-bench", err);
		return r ? r : config_set(cfg, "mem.capacity", "0", "run-bench", err);
	}
	snprintf(bytes, sizeof(bytes), "%lld", (long long)capacity);
	if (mkdir(tier, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "%s: %s", tier, strerror(errno));
	r = config_set(cfg, "disk.path", tier, "run-bench", err);
	return r ? r : config_set(cfg, "disk.capacity", bytes, "run-bench", err);
}

int64_t cache_tier_resident(const char *tier)
{
	char *const paths[] = {(char *)tier, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	int64_t bytes = tree ? 0 : -1;
	FTSENT *e;

	while (bytes >= 0 && (e = fts_read(tree))) {
		AUTO(close)
		int fd = e->fts_info == FTS_F ? open(e->fts_path, O_RDONLY | O_CLOEXEC) : -1;
		int64_t in = fd >= 0 ? page_cache_resident(fd) : 0;

		bytes = in < 0 ? -1 : bytes + in;
	}
	if (tree)
		fts_close(tree);
	return bytes;
}

int cache_mount_init(struct cache_mount *m, const struct config *cfg, const char *origin,
	const char *work_dir, int64_t capacity, struct err *err)
{
	*m = (struct cache_mount){.cfg = cfg, .capacity = capacity, .origin = strdup(origin)};
	if (asprintf(&m->mountpoint, "%s/mnt", work_dir) < 0)
		m->mountpoint = NULL;
	if (asprintf(&m->tier, "%s/tier", work_dir) < 0)
		m->tier = NULL;
	if (asprintf(&m->log, "%s/cachefs.log", work_dir) < 0)
		m->log = NULL;
	if (!m->origin || !m->mountpoint || !m->tier || !m->log)
		return err_set(err, ENOMEM, "out of memory");
	if (mkdir(m->mountpoint, 0700) < 0 && errno != EEXIST)
		return err_set(err, errno, "%s: %s", m->mountpoint, strerror(errno));
	return 0;
}

void cache_mount_done(struct cache_mount *m)
{
	cache_mount_stop(m);
	free(m->origin);
	free(m->mountpoint);
	free(m->tier);
	free(m->log);
	*m = (struct cache_mount){0};
}

/* program, origin, mount point, -f, the knobs, NULL; free() the array only. */
static char **command_line(struct cache_mount *m, char *program, char **knob_args)
{
	size_t n = 0;
	char **argv;

	while (knob_args[n])
		n++;
	argv = calloc(n + 5, sizeof(*argv));
	if (!argv)
		return NULL;
	argv[0] = program;
	argv[1] = m->origin;
	argv[2] = m->mountpoint;
	argv[3] = "-f";
	memcpy(argv + 4, knob_args, n * sizeof(*argv));
	return argv;
}

static bool is_ready(const struct cache_mount *m)
{
	json_t *stats;

	if (!mounts_is_mounted(m->mountpoint))
		return false;
	stats = cache_mount_stats(m);
	json_decref(stats);
	return stats != NULL;
}

static int wait_ready(struct cache_mount *m, struct err *err)
{
	int64_t deadline = clock_now_ns() + START_NS;
	char words[512];
	int r;

	while (child_alive(&m->child) && clock_now_ns() < deadline && !(m->stop && *m->stop)) {
		if (is_ready(m))
			return 0;
		clock_sleep_until(clock_now_ns() + POLL_NS);
	}
	if (m->stop && *m->stop)
		r = err_set(err, EINTR, "interrupted");
	else
		r = err_set(err, EIO, "cachefs does not mount %s: %s", m->origin,
			child_last_words(&m->child, words, sizeof(words)));
	cache_mount_stop(m);
	return r;
}

/* Pages of a file that opens by passthrough are the tier's, which no reader of the mount can limit. */
static int limit_pages(struct config *cfg, struct err *err)
{
	if (cfg->bench.page_cache == PAGE_CACHE_ANY || cfg->fuse.open_mode != OPEN_AUTO)
		return 0;
	return config_set(cfg, "fuse.open_mode", "noopen", "bench.page_cache", err);
}

int cache_mount_start(struct cache_mount *m, struct err *err)
{
	AUTO(config) struct config *cfg = config_copy(m->cfg);
	AUTO(free) char *program = file_sibling_program("cachefs");
	AUTO(free) char **argv = NULL;
	char **knob_args;
	int r;

	if (!cfg || !program)
		return err_set(err, ENOENT, "cachefs is not found; it belongs beside run-bench");
	r = cache_tier_config(cfg, m->tier, m->capacity, err);
	if (!r)
		r = limit_pages(cfg, err);
	if (r)
		return r;
	knob_args = config_to_args(cfg, OWNER_CACHEFS);
	argv = knob_args ? command_line(m, program, knob_args) : NULL;
	r = argv ? child_start(&m->child, "cachefs", argv, m->log, NULL, err)
		 : err_set(err, ENOMEM, "out of memory");
	list_free(knob_args);
	return r ? r : wait_ready(m, err);
}

void cache_mount_stop(struct cache_mount *m)
{
	child_stop(&m->child, STOP_NS);
	child_done(&m->child);
	if (m->mountpoint)
		mounts_detach_below(m->mountpoint);
}

int cache_mount_try(const char *scratch, struct err *err)
{
	AUTO(config) struct config *cfg = config_new();
	AUTO(free) char *origin = NULL;
	struct cache_mount m;
	int r;

	if (!cfg || asprintf(&origin, "dir:%s/empty", scratch) < 0) {
		origin = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	r = file_make_dirs(origin + strlen("dir:"), 0700);
	if (r)
		return err_set(err, -r, "%s: %s", scratch, strerror(-r));
	r = cache_mount_init(&m, cfg, origin, scratch, 0, err);
	if (!r)
		r = cache_mount_start(&m, err);
	cache_mount_done(&m);
	return r;
}

int cache_mount_forget(struct cache_mount *m, struct err *err)
{
	int r = file_remove_tree(m->tier);

	if (r && r != -ENOENT)
		return err_set(err, -r, "%s: cannot be deleted: %s", m->tier, strerror(-r));
	return 0;
}

/* Reads the statistics under a deadline: a daemon that hangs must not take run-bench with it. */
struct stats_call {
	struct deadline_call call; /* first */
	char *path;
	char *text; /* result */
};

static int read_stats(struct deadline_call *call)
{
	struct stats_call *s = (struct stats_call *)call;
	size_t len;

	return file_read(s->path, STATS_MAX, &s->text, &len);
}

static void stats_free(struct deadline_call *call)
{
	struct stats_call *s = (struct stats_call *)call;

	if (!s)
		return;
	deadline_destroy(call);
	free(s->path);
	free(s->text);
	free(s);
}

AUTO_FREE(stats, struct deadline_call, stats_free);

json_t *cache_mount_stats(const struct cache_mount *m)
{
	struct stats_call *s = calloc(1, sizeof(*s));
	AUTO(stats) struct deadline_call *call = s ? &s->call : NULL;

	if (!s)
		return NULL;
	deadline_init(call, read_stats, stats_free);
	if (asprintf(&s->path, "%s/.cachefs/stats.json", m->mountpoint) < 0) {
		s->path = NULL;
		return NULL;
	}
	return deadline_run(&call, STATS_NS, NULL) ? NULL : json_loads(s->text, 0, NULL);
}
