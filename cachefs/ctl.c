/* SPDX-License-Identifier: Apache-2.0 */
/* cachefs-ctl stats|drop|refresh|warm MOUNT: reads MOUNT/.cachefs/stats.json, sends control messages, and
 * waits for the jobs they start. Talks to a mount as any program could; see control.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "cachefs/control.h"
#include "cachefs/plan.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/knob.h"
#include "common/units.h"

#define STATS_MAX (16 << 20)
#define ANSWER_S 20 /* longest wait for one call into the mount */
#define POLL_NS (200 * NSEC_PER_MSEC)

AUTO_FREE(json, json_t, json_decref);

struct ctl {
	const char *mount;
	char *plan; /* of warm: absolute path; NULL: none */
	bool json;
	struct err err;
	pthread_mutex_t lock; /* below */
	pthread_cond_t changed;
	int64_t until_ns; /* when a call into the mount has to have ended; 0: none is under way */
};

/* ---- talking to the mount ---- */

/* Ends the program when a call into the mount takes too long. On a thread of its own, since the one
 * in the call may not wake up, not even for a signal, before the mount answers. */
static void *watch(void *arg)
{
	struct ctl *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->until_ns || clock_now_ns() < c->until_ns) {
		struct timespec t = {c->until_ns / NSEC_PER_SEC, c->until_ns % NSEC_PER_SEC};

		if (c->until_ns)
			pthread_cond_clockwait(&c->changed, &c->lock, CLOCK_MONOTONIC, &t);
		else
			pthread_cond_wait(&c->changed, &c->lock);
	}
	fprintf(stderr,
		"cachefs-ctl: %s: no answer for %d s; if its cachefs hangs, end it and detach the "
		"mount: fusermount3 -uz %s\n",
		c->mount, ANSWER_S, c->mount);
	_exit(EXIT_FAILED);
}

/* Stand around each call into the mount. */
static void call_begins(struct ctl *c)
{
	HOLD(&c->lock);
	c->until_ns = clock_now_ns() + ANSWER_S * NSEC_PER_SEC;
	pthread_cond_signal(&c->changed);
}

static void call_ended(struct ctl *c)
{
	HOLD(&c->lock);
	c->until_ns = 0;
}

static int start_watch(struct ctl *c)
{
	pthread_t thread;
	int r;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	r = pthread_create(&thread, NULL, watch, c);
	return r ? err_set(&c->err, r, "cannot start a thread: %s", strerror(r)) : 0;
}

static int no_mount(struct ctl *c, int code)
{
	struct stat st;

	if (code == ENOENT && stat(c->mount, &st) < 0)
		code = errno == ENOENT ? ENXIO : errno;
	switch (code) {
	case ENOTCONN:
		return err_set(&c->err, code,
			"%s: a dead mount: its cachefs has ended; detach it with fusermount3 -uz "
			"%s, then mount again",
			c->mount, c->mount);
	case ENXIO:
		return err_set(&c->err, code, "%s: no such folder; give a mount point", c->mount);
	case ENOENT:
	case ENOTDIR:
	case ENOTTY:
		return err_set(&c->err, code,
			"%s: not a cachefs mount; mounted ones are listed by: findmnt -t "
			"fuse.cachefs",
			c->mount);
	case EPERM:
		return err_set(&c->err, code,
			"%s: only root and the user who mounted it may do this", c->mount);
	default:
		return err_set(&c->err, code, "%s: %s", c->mount, strerror(code));
	}
}

static json_t *read_stats(struct ctl *c)
{
	AUTO(free) char *path = NULL;
	AUTO(free) char *text = NULL;
	size_t len;
	json_t *stats = NULL;
	int r;

	call_begins(c);
	r = asprintf(&path, "%s/" CONTROL_FOLDER "/" CONTROL_STATS, c->mount) < 0
		    ? -ENOMEM
		    : file_read(path, STATS_MAX, &text, &len);
	call_ended(c);
	if (r >= 0)
		stats = json_loadb(text, len, 0, NULL);
	if (r >= 0 && !json_is_object(json_object_get(stats, "fuse"))) {
		json_decref(stats);
		stats = NULL;
		r = -ENOTTY;
	}
	if (r < 0)
		no_mount(c, -r);
	return stats;
}

/* Sends message (taken over); *ret_job is the job it started. */
static int send_message(struct ctl *c, json_t *message, json_int_t *ret_job)
{
	AUTO(json) json_t *owned = message;
	AUTO(free) char *path = NULL;
	struct control_buffer buf = {0};
	int r = -ENOMEM;

	if (json_dumpb(message, buf.text, sizeof(buf.text), JSON_COMPACT) > sizeof(buf.text))
		return err_set(&c->err, E2BIG,
			"too many or too long paths for one message; give the folder above them");
	if (asprintf(&path, "%s/" CONTROL_FOLDER, c->mount) < 0)
		return no_mount(c, ENOMEM);
	call_begins(c);
	AUTO(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	r = fd < 0 || ioctl(fd, CONTROL_IOCTL, &buf) < 0 ? errno : 0;
	call_ended(c);
	if (r)
		return no_mount(c, r);
	AUTO(json)
	json_t *answer = json_loadb(buf.text, strnlen(buf.text, sizeof(buf.text)), 0, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (error || json_unpack(answer, "{s:I}", "job", ret_job) < 0)
		return err_set(&c->err, EINVAL, "%s: %s", c->mount,
			error ? error
			      : "the answer makes no sense: other versions of cachefs and "
				"cachefs-ctl?");
	return 0;
}

/* ---- stats ---- */

/* Numbers as people write them: 315360000, not 3.1536e+08. */
static void print_real(const char *name, double value)
{
	bool large = value >= 1e5 || value <= -1e5;

	printf(large ? "%s %.0f\n" : "%s %.6g\n", name, value);
}

/* "layers.mem.hits 12", one line a number or word. */
static void print_flat(const char *prefix, const json_t *value)
{
	const char *key;
	json_t *member;

	if (json_is_real(value)) {
		print_real(prefix, json_real_value(value));
		return;
	}
	if (!json_is_object(value)) {
		AUTO(free) char *text = json_dumps(value, JSON_ENCODE_ANY);
		const char *word = json_string_value(value);

		printf("%s %s\n", prefix, word ? word : text);
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		AUTO(free) char *name = NULL;

		if (asprintf(&name, "%s%s%s", prefix, *prefix ? "." : "", key) >= 0)
			print_flat(name, member);
	}
}

static double number(const json_t *in, const char *key)
{
	return json_number_value(json_object_get(in, key));
}

static const char *word(const json_t *in, const char *key)
{
	const char *text = json_string_value(json_object_get(in, key));

	return text ? text : "?";
}

/* "disk      98.2% hits, 12.1 GB of 500 GB held"; layers that hold nothing are left out. */
static void print_layer(const char *name, const json_t *layer)
{
	double hits = number(layer, "hits"), asked = hits + number(layer, "misses");
	char used[UNITS_MAX], capacity[UNITS_MAX], ratio[32] = "not asked";

	if (!number(layer, "capacity_bytes") || !strcmp(name, "meta"))
		return;
	if (asked > 0)
		snprintf(ratio, sizeof(ratio), "%.1f%% hits", 100 * hits / asked);
	printf("%-9s %s, %s of %s held\n", name, ratio,
		units_human_bytes(number(layer, "used_bytes"), used),
		units_human_bytes(number(layer, "capacity_bytes"), capacity));
}

/* For people; the lines for scripts say everything. */
static void print_summary(const json_t *stats)
{
	const json_t *fuse = json_object_get(stats, "fuse"), *name;
	const json_t *origin = json_object_get(stats, "origin");
	const json_t *layers = json_object_get(stats, "layers");
	char read[UNITS_MAX], fetched[UNITS_MAX], up[UNITS_MAX], cpu[UNITS_MAX];
	double errors = number(origin, "errors") + number(fuse, "errors");
	size_t i;

	printf("origin    %s, %s fetched in %.0f requests\n", word(stats, "origin_url"),
		units_human_bytes(number(origin, "bytes"), fetched), number(origin, "requests"));
	printf("mount     mode %s, %.0f threads, up %s, CPU %s, pid %.0f\n", word(fuse, "mode"),
		number(fuse, "threads"), units_human_duration(number(stats, "uptime_s"), up),
		units_human_duration(number(stats, "cpu_s"), cpu), number(stats, "pid"));
	printf("read      %s in %.0f requests (the kernel's page cache answers others itself)\n",
		units_human_bytes(number(fuse, "read_bytes"), read), number(fuse, "reads"));
	json_array_foreach(json_object_get(stats, "order"), i, name)
	{
		const char *text = json_string_value(name);

		print_layer(text ? text : "?", json_object_get(layers, text ? text : "?"));
	}
	printf("errors    %.0f\n", errors);
	printf("all       cachefs-ctl stats MOUNT | less\n");
}

static int run_stats(struct ctl *c, char **paths, int n)
{
	AUTO(json) json_t *stats = read_stats(c);

	if (!stats)
		return EXIT_FAILED;
	if (c->json) {
		json_dumpf(stats, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
		putchar('\n');
	} else if (isatty(STDOUT_FILENO)) {
		print_summary(stats);
	} else {
		json_object_del(stats, "knobs");
		print_flat("", stats);
	}
	return ferror(stdout) ? EXIT_FAILED : EXIT_DONE;
}

/* ---- drop, warm ---- */

/* "MOUNT/a/b/", "./a/b" and "a/b" are all the name "a/b". */
static char *name_below(const char *mount, const char *path)
{
	AUTO(free) char *root = realpath(mount, NULL);
	size_t len = root ? strlen(root) : 0;
	char *name;

	if (*path == '/' && root && !strncmp(path, root, len) && strchr("/", path[len]))
		path += len;
	else if (!strncmp(path, mount, strlen(mount)) && strchr("/", path[strlen(mount)]))
		path += strlen(mount);
	while (!strncmp(path, "./", 2) || *path == '/')
		path += *path == '/' ? 1 : 2;
	name = strdup(strcmp(path, ".") ? path : "");
	for (size_t n = name ? strlen(name) : 0; n && name[n - 1] == '/'; n--)
		name[n - 1] = '\0';
	return name;
}

static json_t *make_message(struct ctl *c, const char *op, char **paths, int n)
{
	if (c->plan)
		return json_pack("{s:s,s:s}", "op", op, "plan", c->plan);
	json_t *list = json_array();

	for (int i = 0; i < n; i++) {
		AUTO(free) char *name = name_below(c->mount, paths[i]);

		json_array_append_new(list, json_string(name));
	}
	if (!n)
		json_array_append_new(list, json_string(""));
	return json_pack("{s:s,s:o}", "op", op, "paths", list);
}

struct progress {
	json_int_t files, files_done, bytes, bytes_done, bytes_added, errors;
	int full;
	const char *state, *error;
	double seconds;
	json_t *job;
};

/* Borrows from stats. */
static int find_job(const json_t *stats, json_int_t id, struct progress *ret)
{
	const json_t *list = json_object_get(json_object_get(stats, "warm"), "jobs");
	size_t i;
	json_t *job;

	json_array_foreach(list, i, job)
	{
		if (json_integer_value(json_object_get(job, "id")) != id)
			continue;
		*ret = (struct progress){
			.job = job, .error = json_string_value(json_object_get(job, "error"))};
		return json_unpack(job, "{s:s,s:I,s:I,s:I,s:I,s:I,s:b,s:I,s:F}", "state",
			&ret->state, "files", &ret->files, "files_done", &ret->files_done, "bytes",
			&ret->bytes, "bytes_done", &ret->bytes_done, "bytes_added",
			&ret->bytes_added, "full", &ret->full, "errors", &ret->errors, "seconds",
			&ret->seconds);
	}
	return -1;
}

static bool is_plan(const struct progress *p)
{
	return json_object_get(p->job, "plan");
}

static void print_progress(const char *op, const struct progress *p)
{
	char done[UNITS_MAX], all[UNITS_MAX], rate[UNITS_MAX], left[UNITS_MAX];
	double per_s = p->seconds > 0 ? (double)p->bytes_done / p->seconds : 0;

	if (strcmp(p->state, "working")) {
		fprintf(stderr, "\r%s: %s, %lld files\033[K", op, p->state, (long long)p->files);
		return;
	}
	if (is_plan(p)) {
		fprintf(stderr, "\r%s: %lld of %lld lines, %s, %s\033[K", op,
			(long long)p->files_done, (long long)p->files,
			units_human_bytes((double)p->bytes_done, done),
			units_human_rate(per_s, rate));
		return;
	}
	fprintf(stderr, "\r%s: %lld of %lld files, %s of %s, %s, %s left\033[K", op,
		(long long)p->files_done, (long long)p->files,
		units_human_bytes((double)p->bytes_done, done),
		units_human_bytes((double)p->bytes, all), units_human_rate(per_s, rate),
		per_s > 0 ? units_human_duration((double)(p->bytes - p->bytes_done) / per_s, left)
			  : "?");
}

static void print_warmed(const struct progress *p)
{
	char bytes[UNITS_MAX], took[UNITS_MAX], rate[UNITS_MAX], added[UNITS_MAX];
	double per_s = p->seconds > 0 ? (double)p->bytes_added / p->seconds : 0;

	printf("warm: %lld %s, %s", (long long)p->files_done, is_plan(p) ? "lines" : "files",
		units_human_bytes((double)p->bytes_done, bytes));
	if (!p->bytes_added) {
		printf(", were there already\n");
		return;
	}
	if (p->bytes_added < p->bytes_done)
		printf(", %s of it new", units_human_bytes((double)p->bytes_added, added));
	printf(" in %s (%s)\n", units_human_duration(p->seconds, took),
		units_human_rate(per_s, rate));
}

static void print_dropped(const char *op, const char *all, char **paths, int n)
{
	if (!n)
		printf("%s: %s\n", op, all);
	for (int i = 0; i < n; i++)
		printf("%s: %s\n", op, paths[i]);
}

/* The tier holds less than the plan: the rest is fetched as this is read. */
static void print_pacing(const struct progress *p)
{
	char bytes[UNITS_MAX];

	printf("warm: %lld of %lld lines, %s; the rest comes as these are read\n",
		(long long)p->files_done, (long long)p->files,
		units_human_bytes((double)p->bytes_done, bytes));
}

static int finish(struct ctl *c, const char *op, const struct progress *p)
{
	if (!strcmp(p->state, "stopped") && is_plan(p))
		err_set(&c->err, ECANCELED,
			"%s: the plan was followed for %lld of %lld lines, then another took its "
			"place",
			c->mount, (long long)p->files_done, (long long)p->files);
	else if (!strcmp(p->state, "stopped"))
		err_set(&c->err, EINTR, "%s: unmounted before %s was done", c->mount, op);
	else if (p->full)
		err_set(&c->err, ENOSPC,
			"%s: no space left in the tier: %lld of %lld files are in, %lld are not; "
			"free some, raise its capacity, or warm less",
			c->mount, (long long)p->files_done, (long long)p->files,
			(long long)(p->files - p->files_done));
	else if (p->errors)
		err_set(&c->err, EIO, "%s: %s failed for %lld files or folders; the first: %s",
			c->mount, op, (long long)p->errors, p->error ? p->error : "unknown");
	else if (!strcmp(p->state, "pacing") && !c->json)
		print_pacing(p);
	else if (!strcmp(op, "warm") && !c->json)
		print_warmed(p);
	else
		return EXIT_DONE;
	return *c->err.msg ? EXIT_FAILED : EXIT_DONE;
}

/* Whether so many bytes fit into the tier that keeps most: the lowest layer with a capacity. */
static int check_fits(struct ctl *c, const json_t *stats, json_int_t bytes)
{
	const json_t *order = json_object_get(stats, "order");
	char need[UNITS_MAX], have[UNITS_MAX];

	for (size_t i = json_array_size(order); i--;) {
		const char *name = json_string_value(json_array_get(order, i));
		const json_t *layer = json_object_get(json_object_get(stats, "layers"), name);
		json_int_t capacity = json_integer_value(json_object_get(layer, "capacity_bytes"));

		if (capacity <= 0 || !strcmp(name, "meta"))
			continue;
		if (bytes <= capacity)
			return 0;
		return err_set(&c->err, ENOSPC,
			"%s: %s do not fit into tier %s of %s; raise %s.capacity, or warm less",
			c->mount, units_human_bytes((double)bytes, need), name,
			units_human_bytes((double)capacity, have), name);
	}
	return err_set(&c->err, ENOSPC,
		"%s: no tier keeps anything; mount with mem.capacity or disk.path", c->mount);
}

static int end_job(struct ctl *c, const char *op, const json_t *stats, const struct progress *p)
{
	if (c->json) {
		json_dumpf(p->job, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
		putchar('\n');
	}
	if (!strcmp(op, "warm") && !is_plan(p) && !p->errors && check_fits(c, stats, p->bytes) < 0)
		return EXIT_FAILED;
	return finish(c, op, p);
}

static int run_job(struct ctl *c, const char *op, char **paths, int n)
{
	bool terminal = isatty(STDERR_FILENO);
	json_int_t id = 0;

	if (send_message(c, make_message(c, op, paths, n), &id) < 0)
		return EXIT_FAILED;
	for (;;) {
		AUTO(json) json_t *stats = read_stats(c);
		struct progress p;

		if (!stats)
			return EXIT_FAILED;
		if (find_job(stats, id, &p) < 0) {
			err_set(&c->err, ENOENT, "%s: job %lld is not in the statistics any more",
				c->mount, (long long)id);
			return EXIT_FAILED;
		}
		if (terminal)
			print_progress(op, &p);
		if (!strcmp(p.state, "done") || !strcmp(p.state, "stopped") ||
			!strcmp(p.state, "pacing")) {
			if (terminal)
				fputs("\r\033[K", stderr);
			return end_job(c, op, stats, &p);
		}
		clock_sleep_until(clock_now_ns() + POLL_NS);
	}
}

static int run_drop(struct ctl *c, char **paths, int n)
{
	int code = run_job(c, "drop", paths, n);

	if (code == EXIT_DONE && !c->json)
		print_dropped("drop", "all that was kept", paths, n);
	return code;
}

static int run_refresh(struct ctl *c, char **paths, int n)
{
	int code = run_job(c, "refresh", paths, n);

	if (code == EXIT_DONE && !c->json)
		print_dropped("refresh", "all names and attributes", paths, n);
	return code;
}

/* The daemon opens the plan: it must not lie in the mount, which the daemon itself serves. */
static int check_plan(struct ctl *c, int n)
{
	struct stat plan, mount;
	uint64_t lines;
	int r;

	if (n)
		return err_set(&c->err, EINVAL, "give PATHs or --plan, not both");
	if (plan_check(c->plan, NULL, &lines, &c->err) < 0)
		return -EINVAL;
	call_begins(c);
	r = stat(c->mount, &mount);
	call_ended(c);
	if (!r && !stat(c->plan, &plan) && plan.st_dev == mount.st_dev)
		return err_set(&c->err, EINVAL,
			"%s: lies in the mount itself; copy it to somewhere else", c->plan);
	return 0;
}

static int run_warm(struct ctl *c, char **paths, int n)
{
	if (c->plan && check_plan(c, n) < 0)
		return EXIT_USAGE;
	AUTO(json) json_t *stats = read_stats(c);

	if (!stats || check_fits(c, stats, 1) < 0)
		return EXIT_FAILED;
	return run_job(c, "warm", paths, n);
}

/* ---- commands ---- */

static const struct command {
	const char *name;
	int (*run)(struct ctl *c, char **paths, int n);
} commands[] = {
	{"stats", run_stats}, {"drop", run_drop}, {"refresh", run_refresh}, {"warm", run_warm}};

static int option_seen(const char *name, const char *value, void *arg, struct err *err)
{
	struct ctl *c = arg;

	if (!strcmp(name, "json")) {
		c->json = true;
		return 0;
	}
	free(c->plan);
	c->plan = realpath(value, NULL); /* for the daemon, which is elsewhere */
	return c->plan ? 0
		       : err_set(err, errno, "%s: cannot read the plan: %s", value,
				 strerror(errno));
}

static int run_command(struct ctl *c, char **operands, int n)
{
	const char *names[] = {"stats", "drop", "refresh", "warm", NULL};
	const char *near;

	if (n < 2) {
		err_set(&c->err, EINVAL,
			"usage: cachefs-ctl stats|drop|refresh|warm MOUNT [PATH]...; see --help");
		return EXIT_USAGE;
	}
	c->mount = operands[1];
	if (start_watch(c) < 0)
		return EXIT_FAILED;
	if (c->plan && strcmp(operands[0], "warm") != 0) {
		err_set(&c->err, EINVAL, "--plan goes with warm");
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, operands[0]))
			return commands[i].run(c, operands + 2, n - 2);
	near = err_nearest(operands[0], names, SIZE_MAX);
	err_set(&c->err, EINVAL, "%s: unknown command; %s%s%s", operands[0],
		near ? "did you mean " : "give stats, drop, refresh or warm", near ? near : "",
		near ? "?" : "");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct cli_option options[] = {
		{"json", 0, NULL, NULL,
			"Print JSON: the whole snapshot, or what became of the job"},
		{"plan", 0, "FILE", NULL,
			"Warm what this file names, in its order: a path a line, as "
			"bytes %XX where odd"},
		{NULL, 0, NULL, NULL, NULL},
	};
	static struct ctl c; /* outlives main(): so does the watching thread */
	const struct cli cli = {.program = "cachefs-ctl",
		.usage = "cachefs-ctl stats MOUNT [--json]\n"
			 "cachefs-ctl drop MOUNT [PATH]... [--json]\n"
			 "cachefs-ctl refresh MOUNT [PATH]... [--json]\n"
			 "cachefs-ctl warm MOUNT [PATH]... [--json]\n"
			 "cachefs-ctl warm MOUNT --plan FILE [--json]",
		.summary =
			"Shows what a cachefs mount does, makes it forget or look again, or fills its tiers.",
		.examples =
			"cachefs-ctl stats /data                  # on a terminal: a summary\n"
			"cachefs-ctl stats /data | grep layers    # lines KEY VALUE, all there is\n"
			"cachefs-ctl warm /data train/n01440764\n"
			"cachefs-ctl warm /data --plan epoch0.plan\n"
			"cachefs-ctl refresh /data                # new names and changes are seen now\n"
			"cachefs-ctl drop /data                   # the same, and no byte is kept",
		.options = options,
		.seen = option_seen,
		.arg = &c};
	struct config *cfg = config_new();
	int operands = 0, code;
	int r = cfg ? cli_parse(&cli, cfg, argc, argv, &operands, &c.err) : -ENOMEM;

	if (r < 0)
		code = EXIT_USAGE;
	else
		code = r ? EXIT_DONE : run_command(&c, argv + 1, operands);
	if (code)
		fprintf(stderr, "cachefs-ctl: %s\n", c.err.msg);
	free(c.plan);
	config_free(cfg);
	return code;
}
