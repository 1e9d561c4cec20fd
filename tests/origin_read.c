/* SPDX-License-Identifier: Apache-2.0 */
/* An origin alone, without tiers and mount; for system tests and by hand:
 *
 *      origin_read [OPTIONS] ORIGIN tree           "SIZE PATH" of every file, "dir PATH" of every folder
 *      origin_read [OPTIONS] ORIGIN copy FOLDER    every file, in pieces that fit no block; what STAT says
 *                                                  of it must be what the listing said
 *      origin_read [OPTIONS] ORIGIN rate [PASSES]  fetches everything by blocks on http.streams threads:
 *                                                  bytes, MB/s, CPU seconds a GB
 *
 * OPTIONS are knobs. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cachefs/stack.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"

#define PIECE 299993
#define THREADS_MAX 1024

struct file {
	struct file *next;
	struct object obj;
	char name[];
};

struct tool {
	struct config *cfg;
	struct store *origin;
	struct file *files, **last;
	const char *dir; /* being listed */
	pthread_mutex_t lock;
	struct file *todo; /* lock */
	uint64_t todo_off; /* lock */
	_Atomic int64_t bytes;
};

static void must(int r, const char *what, const char *name)
{
	if (r >= 0)
		return;
	fprintf(stderr, "origin_read: %s '%s': %s\n", what, name, strerror(-r));
	exit(1);
}

/* ---- walking ---- */

static int add_file(void *arg, const struct object *entry)
{
	struct tool *t = arg;
	size_t size = strlen(t->dir) + strlen(entry->name) + 2;
	struct file *f = calloc(1, sizeof(*f) + size);

	if (!f)
		return -ENOMEM;
	snprintf(f->name, size, "%s%s%s", t->dir, *t->dir ? "/" : "", entry->name);
	f->obj = *entry;
	f->obj.name = f->name;
	*t->last = f;
	t->last = &f->next;
	return 0;
}

static void list_folder(struct tool *t, const char *dir)
{
	t->dir = dir;
	must(store_list(t->origin, dir, STORE_WAIT, add_file, t), "list", dir);
}

/* All files and folders; what is found is added at the end of the list that is walked. */
static void walk(struct tool *t)
{
	t->last = &t->files;
	list_folder(t, "");
	for (struct file *f = t->files; f; f = f->next)
		if (f->obj.is_dir)
			list_folder(t, f->name);
}

static int tree(struct tool *t, const char *arg)
{
	for (struct file *f = t->files; f; f = f->next)
		if (f->obj.is_dir)
			printf("dir %s\n", f->name);
		else
			printf("%llu %s\n", (unsigned long long)f->obj.size, f->name);
	return 0;
}

/* ---- copy ---- */

static void copy_file(struct tool *t, const struct file *f, int to)
{
	static char buf[PIECE];

	for (uint64_t off = 0; off < f->obj.size; off += PIECE) {
		size_t n = f->obj.size - off < PIECE ? (size_t)(f->obj.size - off) : PIECE;

		must(store_read(t->origin, &f->obj, off, buf, n), "read", f->name);
		must(file_pwrite_all(to, buf, n, (off_t)off), "write", f->name);
	}
}

static void check_stat(struct tool *t, const struct file *f)
{
	struct object obj;

	must(store_stat(t->origin, f->name, STORE_WAIT, &obj), "stat", f->name);
	if (obj.is_dir != f->obj.is_dir || obj.version != f->obj.version ||
		obj.size != f->obj.size || obj.mtime_ns != f->obj.mtime_ns)
		must(-ESTALE, "stat differs from listing of", f->name);
}

static int copy(struct tool *t, const char *folder)
{
	for (struct file *f = t->files; f; f = f->next) {
		AUTO(free) char *path = NULL;

		if (asprintf(&path, "%s/%s", folder, f->name) < 0)
			return 1;
		check_stat(t, f);
		if (f->obj.is_dir) {
			must(file_make_dirs(path, 0755), "make", path);
			continue;
		}
		AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);

		must(fd < 0 ? -errno : 0, "create", path);
		copy_file(t, f, fd);
	}
	return 0;
}

/* ---- rate ---- */

static int count_bytes(void *arg, const void *data, size_t len)
{
	*(int64_t *)arg += (int64_t)len;
	return 0;
}

/* The next block; false: there is none. */
static bool next_block(struct tool *t, struct object *ret, uint64_t *ret_off)
{
	HOLD(&t->lock);
	while (t->todo && (t->todo->obj.is_dir || t->todo_off >= t->todo->obj.size)) {
		t->todo = t->todo->next;
		t->todo_off = 0;
	}
	if (!t->todo)
		return false;
	*ret = t->todo->obj;
	*ret_off = t->todo_off;
	t->todo_off += (uint64_t)t->cfg->cache.block_size;
	return true;
}

static void *fetch_blocks(void *arg)
{
	struct tool *t = arg;
	int64_t bytes = 0;
	struct object obj;
	uint64_t off;

	while (next_block(t, &obj, &off)) {
		uint64_t block = (uint64_t)t->cfg->cache.block_size;
		uint64_t len = obj.size - off < block ? obj.size - off : block;

		must(store_fetch(t->origin, &obj, off, len, count_bytes, &bytes), "read", obj.name);
	}
	t->bytes += bytes;
	return NULL;
}

static int rate(struct tool *t, const char *passes)
{
	pthread_t thread[THREADS_MAX];
	int n = (int)t->cfg->http.streams;

	for (int i = 0; i < (passes ? atoi(passes) : 1); i++) {
		int64_t start_ns = clock_now_ns(), cpu_ns = clock_cpu_ns();

		t->todo = t->files;
		t->todo_off = 0;
		t->bytes = 0;
		for (int k = 0; k < n; k++)
			must(-pthread_create(&thread[k], NULL, fetch_blocks, t), "start", "thread");
		for (int k = 0; k < n; k++)
			pthread_join(thread[k], NULL);
		double s = (double)(clock_now_ns() - start_ns) / 1e9;
		double cpu_s = (double)(clock_cpu_ns() - cpu_ns) / 1e9;

		printf("%lld bytes, %.0f MB/s, %.3f CPU s a GB\n", (long long)t->bytes,
			(double)t->bytes / 1e6 / s, cpu_s / ((double)t->bytes / 1e9));
	}
	return 0;
}

/* ---- main ---- */

static const struct cli cli = {
	.program = "origin_read",
	.usage = "origin_read [OPTIONS] ORIGIN tree|copy FOLDER|rate",
	.summary = "Reads an origin for tests.",
	.options = (const struct cli_option[]){{0}},
	.owner = OWNER_CACHEFS,
};

static int run(struct tool *t, int n, char **word)
{
	const char *arg = n > 2 ? word[2] : NULL;

	walk(t);
	if (!strcmp(word[1], "copy") && arg)
		return copy(t, arg);
	return !strcmp(word[1], "rate") ? rate(t, arg) : tree(t, arg);
}

static void print_stats(struct stack *s)
{
	json_t *stats = stack_stats(s);

	json_dumpf(stats, stderr, JSON_INDENT(1));
	json_decref(stats);
}

int main(int argc, char **argv)
{
	struct tool t = {.cfg = config_new(), .lock = PTHREAD_MUTEX_INITIALIZER};
	struct err err = {0};
	struct stack *s = NULL;
	int n = 0;

	if (t.cfg && !cli_parse(&cli, t.cfg, argc, argv, &n, &err) && n >= 2)
		s = stack_open(t.cfg, argv[1], &err);
	if (!s) {
		fprintf(stderr, "origin_read: %s\n", *err.msg ? err.msg : cli.usage);
		config_free(t.cfg);
		return EXIT_USAGE;
	}
	for (t.origin = stack_top(s); t.origin->lower; t.origin = t.origin->lower)
		;
	int r = run(&t, n, argv + 1);

	if (getenv("ORIGIN_STATS"))
		print_stats(s);
	for (struct file *f = t.files, *next; f; f = next) {
		next = f->next;
		free(f);
	}
	stack_close(s);
	config_free(t.cfg);
	return r;
}
