/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing the snapshot: see meta_saver.h. */
#include "cachefs/stores/meta_saver.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cachefs/listing.h"
#include "cachefs/stores/disk_files.h"
#include "cachefs/stores/meta_snapshot.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

extern const struct store_ops disk_ops;

#define LONG_AGO_NS (INT64_MIN / 4) /* older than the longest meta.expiration, younger than never */
#define TICK_NS NSEC_PER_SEC
#define SETTLE_NS                                                                                  \
	(20 * NSEC_PER_SEC) /* from the first change to writing: listings come in crowds */
#define REST_FACTOR 20      /* at most this share of the time is spent on writing */

struct saver {
	struct meta_table *table;
	struct counter_set *counters;
	char *path, *name, *temporary; /* as told to users; within dir */
	int dir;
	uint64_t identity;
	pthread_t thread;
	pthread_mutex_t lock; /* all below; held over renaming and unlinking */
	pthread_cond_t stopped;
	bool stop;
	uint64_t drops;
	uint64_t saved; /* table_changes() of what is in the file */
	/* For the statistics, which take no lock that is held over I/O. The first two are constant once open. */
	int64_t loaded;
	const char *wrong; /* with the file that was found; NULL: nothing */
	_Atomic int64_t bytes, writes, saved_wall_ns;
};

/* ---- which file ---- */

/* What decides how names and versions look, besides the origin's text: of another place nothing may be
 * believed. */
static uint64_t identity_of(const struct config *cfg, const char *origin)
{
	const char *endpoint = *cfg->s3.endpoint ? cfg->s3.endpoint : getenv("AWS_ENDPOINT_URL");
	AUTO(free) char *text = NULL;

	if (asprintf(&text, "%s\n%s\n%s\n%d", origin, endpoint ? endpoint : "", cfg->s3.region,
		    (int)cfg->http.listing) < 0) {
		text = NULL;
		return 0;
	}
	return store_version(text, 0, 0);
}

static bool has_disk(const struct store *st)
{
	while (st && st->ops != &disk_ops)
		st = st->lower;
	return st;
}

/* *ret: malloc'ed; NULL: none. */
static int snapshot_path(const struct config *cfg, const char *origin, const struct store *lower,
	char **ret, struct err *err)
{
	const char *knob = cfg->meta.snapshot;
	AUTO(free) char *folder = NULL;

	*ret = NULL;
	if (!strcmp(knob, "none") || (!strcmp(knob, "auto") && !has_disk(lower)))
		return 0;
	if (strcmp(knob, "auto") != 0)
		*ret = strdup(knob);
	else if ((folder = files_folder(cfg->disk.path, origin)) &&
		 asprintf(ret, "%s/meta", folder) < 0)
		*ret = NULL;
	return *ret ? 0 : err_set(err, ENOMEM, "not enough memory for the metadata snapshot");
}

/* Opens the folder, so that a change of the working directory does not matter. */
static int open_place(struct saver *s, struct err *err)
{
	AUTO(free) char *copy = strdup(s->path), *base = strdup(s->path);
	const char *folder = copy ? dirname(copy) : NULL;

	s->name = base ? strdup(basename(base)) : NULL;
	if (!folder || !s->name || asprintf(&s->temporary, "%s.tmp", s->name) < 0) {
		s->temporary = NULL;
		err_set(err, ENOMEM, "not enough memory for the metadata snapshot");
		return -ENOMEM;
	}
	s->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0 || faccessat(s->dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return err_set(err, errno,
			"meta.snapshot: cannot write to folder %s: %s; give a file in a folder that this user may write to",
			folder, strerror(errno));
	return 0;
}

/* ---- reading ---- */

struct load {
	struct saver *s;
	int64_t now_ns, wall_ns;
	int64_t bad; /* parts whose content is not valid */
};

/* From the wall clock to the monotonic one. What was learnt in the future was learnt by another
 * clock: its age is not known, so it is as old as can be. */
static int64_t stamp_of(const struct load *l, int64_t wall_ns)
{
	int64_t age_ns = l->wall_ns - wall_ns;

	return wall_ns > l->wall_ns || wall_ns < 0 ? LONG_AGO_NS : l->now_ns - age_ns;
}

static void load_names(struct load *l, const struct snapshot_part *part)
{
	AUTO(free) char *name = malloc(strlen(part->dir) + 2 + UINT8_MAX);
	const struct snapshot_name *one;
	size_t at = 0;

	while (name && (one = snapshot_next_name(part, &at))) {
		struct object obj = {0};

		packed_object((const struct packed *)one->place, &obj);
		sprintf(name, "%s%s%s", part->dir, *part->dir && *obj.name ? "/" : "", obj.name);
		table_put(l->s->table, name, one->absent ? NULL : &obj, stamp_of(l, one->wall_ns));
		l->s->loaded++;
	}
	l->bad += at != part->bytes;
}

static void load_part(void *arg, struct snapshot_part *part)
{
	struct load *l = arg;
	struct listing *listing;

	if (part->kind == PART_NAMES) {
		load_names(l, part);
		free(part->data);
		return;
	}
	listing = listing_from(part->data, part->bytes);
	if (!listing) {
		l->bad++;
		return;
	}
	table_put_listing(l->s->table, part->dir, listing, stamp_of(l, part->wall_ns));
	l->s->loaded += (int64_t)listing_entries(listing);
	listing_put(listing);
}

/* NULL: it is a file that nobody but this user or root can have written. */
static const char *not_trusted(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "it is no regular file";
	if ((st.st_uid && st.st_uid != geteuid()) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return "others may write to it";
	return NULL;
}

static int load(struct saver *s, bool ours, struct err *err)
{
	AUTO(close)
	int fd = openat(s->dir, s->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct load l = {.s = s, .now_ns = clock_now_ns(), .wall_ns = clock_wall_ns()};

	if (fd < 0 && errno == ENOENT)
		return 0;
	s->wrong = fd < 0 ? "it cannot be opened" : not_trusted(fd);
	if (!ours && (s->wrong || !snapshot_is_one(fd)))
		return err_set(err, EINVAL,
			"meta.snapshot: %s: %s; give another file, or delete it", s->path,
			s->wrong ? s->wrong : "it is no snapshot of cachefs");
	if (!s->wrong)
		s->wrong = snapshot_read(fd, s->identity, load_part, &l);
	if (!s->wrong && l.bad)
		s->wrong = "a part is not valid";
	if (s->wrong) {
		counter_add(s->counters, LAYER_errors, 1);
		log_warn("meta.snapshot: %s: %s: %lld names are taken from it", s->path, s->wrong,
			(long long)s->loaded);
	}
	s->saved = s->wrong ? 0 : table_changes(s->table);
	return 0;
}

/* ---- writing ---- */

/* Answers about single names of a folder, as they go into the file. */
struct names {
	char *data;
	size_t bytes, room;
	int64_t offset_ns; /* from the monotonic to the wall clock */
	bool failed;
};

static void add_name(void *arg, int64_t stamp_ns, bool absent, const struct packed *packed)
{
	struct names *n = arg;
	struct snapshot_name *one;
	size_t bytes = sizeof(*one) + packed_size(packed);

	if (n->bytes + bytes > n->room) {
		size_t room = n->room * 2 + bytes + 1024;
		char *data = realloc(n->data, room);

		n->failed |= !data;
		if (!data)
			return;
		n->data = data;
		n->room = room;
	}
	one = (struct snapshot_name *)(n->data + n->bytes);
	one->wall_ns = stamp_ns + n->offset_ns;
	one->absent = absent;
	memcpy(one->place, packed, packed_size(packed));
	if (absent)
		((struct packed *)one->place)->version = 1;
	n->bytes += bytes;
}

static int write_folder(struct saver *s, struct snapshot_writer *w, const char *dir)
{
	struct names names = {.offset_ns = clock_wall_ns() - clock_now_ns()};
	struct snapshot_part part = {.kind = PART_LISTING, .dir = dir};
	struct listing *listing;
	int r = 0;

	table_export(s->table, dir, &listing, &part.wall_ns, add_name, &names);
	if (listing) {
		part.wall_ns += names.offset_ns;
		part.data = (void *)(uintptr_t)listing_packed(listing, &part.bytes);
		r = snapshot_add(w, &part);
		listing_put(listing);
	}
	if (!r && names.failed)
		r = -ENOMEM;
	if (!r && names.bytes)
		r = snapshot_add(
			w, &(struct snapshot_part){PART_NAMES, dir, 0, names.data, names.bytes});
	free(names.data);
	return r;
}

static int write_folders(struct saver *s, struct snapshot_writer *w)
{
	size_t bytes = 0;
	AUTO(free) char *dirs = table_dirs(s->table, &bytes);
	int r = dirs ? 0 : -ENOMEM;

	for (const char *dir = dirs; !r && dir < dirs + bytes; dir += strlen(dir) + 1)
		r = write_folder(s, w, dir);
	return r;
}

/* The temporary file, empty and ours alone: another cachefs may write to the same place. */
static int open_temporary(struct saver *s)
{
	AUTO(close)
	int fd = openat(s->dir, s->temporary,
		O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st, there;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 ||
		fstatat(s->dir, s->temporary, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (st.st_ino != there.st_ino || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
		st.st_uid != geteuid())
		return -EBUSY;
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Puts the finished file in its place, unless something was dropped since it was begun. */
static int put_in_place(struct saver *s, uint64_t drops)
{
	HOLD(&s->lock);
	if (s->drops != drops)
		return -EAGAIN;
	if (renameat(s->dir, s->temporary, s->dir, s->name) < 0 || fsync(s->dir) < 0)
		return -errno;
	return 0;
}

static int write_file(struct saver *s, uint64_t drops, int64_t *ret_bytes)
{
	struct snapshot_writer w = {0};
	int fd = open_temporary(s), r = fd < 0 ? fd : snapshot_begin(&w, fd, s->identity);

	if (!r)
		r = write_folders(s, &w);
	if (r)
		snapshot_abort(&w);
	else
		r = snapshot_end(&w);
	*ret_bytes = (int64_t)w.bytes;
	if (!r)
		r = put_in_place(s, drops);
	if (r && fd >= 0)
		unlinkat(s->dir, s->temporary, 0);
	return r;
}

static void save(struct saver *s)
{
	int64_t bytes = 0;

	pthread_mutex_lock(&s->lock);
	uint64_t drops = s->drops;
	pthread_mutex_unlock(&s->lock);
	uint64_t changes = table_changes(s->table);
	int r = write_file(s, drops, &bytes);

	if (r && r != -EAGAIN && r != -EBUSY && r != -EWOULDBLOCK) {
		counter_add(s->counters, LAYER_errors, 1);
		log_warn("meta.snapshot: cannot write %s: %s", s->path, strerror(-r));
	}
	if (r)
		return;
	HOLD(&s->lock);
	s->saved = changes;
	s->bytes = bytes;
	s->writes++;
	s->saved_wall_ns = clock_wall_ns();
}

/* ---- the thread ---- */

/* Waits a tick; true: the end. */
static bool wait_tick(struct saver *s)
{
	int64_t wake_ns = clock_now_ns() + TICK_NS;
	struct timespec until = {wake_ns / NSEC_PER_SEC, wake_ns % NSEC_PER_SEC};

	HOLD(&s->lock);
	if (!s->stop)
		pthread_cond_clockwait(&s->stopped, &s->lock, CLOCK_MONOTONIC, &until);
	return s->stop;
}

static bool is_dirty(struct saver *s)
{
	HOLD(&s->lock);
	return s->saved != table_changes(s->table);
}

static void *run(void *arg)
{
	struct saver *s = arg;
	int64_t due_ns = 0, rest_until_ns = 0;

	while (!wait_tick(s)) {
		int64_t now_ns = clock_now_ns();

		if (!is_dirty(s)) {
			due_ns = 0;
			continue;
		}
		if (!due_ns)
			due_ns = now_ns + SETTLE_NS;
		if (now_ns < due_ns || now_ns < rest_until_ns)
			continue;
		save(s);
		due_ns = 0;
		rest_until_ns = clock_now_ns() + REST_FACTOR * (clock_now_ns() - now_ns);
	}
	return NULL;
}

static void saver_done(struct saver *s)
{
	if (s->dir >= 0)
		close(s->dir);
	free(s->path);
	free(s->name);
	free(s->temporary);
	pthread_cond_destroy(&s->stopped);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int set_up(struct saver *s, const struct config *cfg, struct err *err)
{
	int r = open_place(s, err);

	if (r >= 0)
		r = load(s, !strcmp(cfg->meta.snapshot, "auto"), err);
	if (r < 0)
		return r;
	r = pthread_create(&s->thread, NULL, run, s);
	return r ? err_set(err, r, "cannot start a thread: %s", strerror(r)) : 0;
}

int saver_open(const struct config *cfg, const char *origin, const struct store *lower,
	struct meta_table *table, struct saver **ret, struct err *err)
{
	char *path;
	int r = snapshot_path(cfg, origin, lower, &path, err);
	struct saver *s;

	*ret = NULL;
	if (r < 0 || !path)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s) {
		free(path);
		return err_set(err, ENOMEM, "not enough memory for the metadata snapshot");
	}
	*s = (struct saver){.table = table,
		.counters = table->counters,
		.path = path,
		.dir = -1,
		.identity = identity_of(cfg, origin)};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->stopped, NULL);
	r = set_up(s, cfg, err);
	if (r < 0)
		saver_done(s);
	else
		*ret = s;
	return r;
}

void saver_dropped(struct saver *s)
{
	if (!s)
		return;
	HOLD(&s->lock);
	s->drops++;
	unlinkat(s->dir, s->name, 0);
	fsync(s->dir);
}

void saver_free(struct saver *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->stopped);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	if (is_dirty(s))
		save(s);
	saver_done(s);
}

void saver_describe(struct saver *s, json_t *into)
{
	if (!s)
		return;
	json_object_set_new(into, "snapshot",
		json_pack("{s:s,s:I,s:s?,s:I,s:I,s:f}", "path", s->path, "loaded",
			(json_int_t)s->loaded, "wrong", s->wrong, "writes", (json_int_t)s->writes,
			"bytes", (json_int_t)s->bytes, "saved_at",
			(double)s->saved_wall_ns / NSEC_PER_SEC));
}
