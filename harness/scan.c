/* SPDX-License-Identifier: Apache-2.0 */
/* Lists an existing tree: see dataset_scan() in dataset.h.
 *
 * Walks at most three levels, breadth first, by d_type where the filesystem gives it, so that a
 * class folder costs its readdirs and no stat a file (as ImageFolder lists it). The walk runs under
 * a deadline (deadline.h), so a mount that has died does not hang the caller. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/dataset.h"
#include "harness/deadline.h"

#define DEPTH_MAX 3
#define STAT_PICTURES 64 /* their mean size stands for all */

struct scan {
	struct deadline_call call; /* first */
	char *root;
	uint32_t max_files;
	int64_t deadline_ns;
	struct dataset d; /* files of the format found first; the other kind is left out */
	bool decided;
	uint32_t cap;
};

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && !strcasecmp(name + n - m, suffix);
}

static bool is_shard(const char *name)
{
	if (strstr(name, ".tfrecord"))
		return !has_suffix(name, ".idx") && !has_suffix(name, ".gz");
	return !strncmp(name, "train-", 6) && strstr(name, "-of-");
}

static bool is_picture(const char *name)
{
	return has_suffix(name, ".jpeg") || has_suffix(name, ".jpg");
}

static unsigned char type_of(int dir, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN && e->d_type != DT_LNK)
		return e->d_type;
	if (fstatat(dir, e->d_name, &st, 0) < 0)
		return DT_UNKNOWN;
	return S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
}

static int add_file(struct scan *s, const char *dir, const char *name, enum data_format format)
{
	struct dataset *d = &s->d;
	char *path;

	if (!s->decided) {
		d->format = format;
		s->decided = true;
	}
	if (d->format != format)
		return 0;
	if (d->n_files == s->cap) {
		uint32_t cap = s->cap * 2 + 256;
		void *more = reallocarray(d->files, cap, sizeof(*d->files));

		if (!more)
			return -ENOMEM;
		d->files = more;
		s->cap = cap;
	}
	if (asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0)
		return -ENOMEM;
	d->files[d->n_files++] = (struct data_file){.path = path};
	return 0;
}

/* Folders still to be walked, in order. */
struct folders {
	char **path;
	uint32_t n, cap;
};

static int add_folder(struct folders *f, const char *dir, const char *name)
{
	if (f->n == f->cap) {
		uint32_t cap = f->cap * 2 + 64;
		void *more = reallocarray(f->path, cap, sizeof(*f->path));

		if (!more)
			return -ENOMEM;
		f->path = more;
		f->cap = cap;
	}
	if (asprintf(&f->path[f->n], "%s%s%s", dir, *dir ? "/" : "", name) < 0)
		return -ENOMEM;
	f->n++;
	return 0;
}

static int look_at(
	struct scan *s, int fd, const char *dir, const struct dirent *e, struct folders *next)
{
	enum data_format format = is_picture(e->d_name) ? FORMAT_IMAGEFOLDER : FORMAT_TFRECORD;
	unsigned char type;

	if (e->d_name[0] == '.')
		return 0;
	type = type_of(fd, e);
	if (type == DT_DIR)
		return add_folder(next, dir, e->d_name);
	/* ImageFolder reads pictures in class folders only. */
	if (type != DT_REG || (format == FORMAT_IMAGEFOLDER ? !*dir : !is_shard(e->d_name)))
		return 0;
	return add_file(s, dir, e->d_name, format);
}

static int walk_folder(struct scan *s, int root, const char *dir, struct folders *next)
{
	int fd = openat(root, *dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedir) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!stream)
		return -errno;
	while (!r && s->d.n_files < s->max_files && (e = readdir(stream))) {
		if (clock_now_ns() > s->deadline_ns)
			return -ETIMEDOUT;
		r = look_at(s, fd, dir, e, next);
	}
	return r;
}

static int walk_level(struct scan *s, int root, struct folders *now, struct folders *next)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < now->n && s->d.n_files < s->max_files; i++)
		r = walk_folder(s, root, now->path[i], next);
	return r;
}

static void folders_done(struct folders *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		free(f->path[i]);
	free(f->path);
	*f = (struct folders){.path = NULL};
}

static int walk(struct scan *s, int root)
{
	struct folders now = {.path = NULL}, next = {.path = NULL};
	int r = add_folder(&now, "", "");

	for (int depth = 0; !r && depth < DEPTH_MAX && now.n; depth++) {
		r = walk_level(s, root, &now, &next);
		folders_done(&now);
		now = next;
		next = (struct folders){.path = NULL};
	}
	folders_done(&now);
	folders_done(&next);
	return r;
}

static int find_sizes(struct scan *s, int root)
{
	struct dataset *d = &s->d;
	bool pictures = d->format == FORMAT_IMAGEFOLDER;
	uint32_t n = pictures && d->n_files > STAT_PICTURES ? STAT_PICTURES : d->n_files;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct data_file *f = &d->files[(uint64_t)i * d->n_files / n];
		struct stat st;

		if (clock_now_ns() > s->deadline_ns)
			return -ETIMEDOUT;
		if (fstatat(root, f->path, &st, 0) < 0)
			return -errno;
		if (!pictures)
			f->size = (uint64_t)st.st_size;
		sum += (uint64_t)st.st_size;
	}
	d->bytes = n ? (uint64_t)((double)sum * d->n_files / n) : 0;
	return 0;
}

/* A picture is a sample; what a shard holds is known when it has been read. */
static int make_samples(struct dataset *d)
{
	if (d->format != FORMAT_IMAGEFOLDER)
		return 0;
	d->samples = calloc(d->n_files, sizeof(*d->samples));
	if (!d->samples)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->n_files; i++) {
		d->samples[i].file = i;
		d->files[i].first = i;
		d->files[i].n = 1;
	}
	d->n_samples = d->n_files;
	return 0;
}

static int scan_all(struct deadline_call *call)
{
	struct scan *s = (struct scan *)call;
	AUTO(close) int root = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t begin = clock_now_ns();
	int r = root < 0 ? -errno : walk(s, root);

	s->d.scan_s = (double)(clock_now_ns() - begin) / NSEC_PER_SEC;
	if (!r && !s->d.n_files)
		r = -ENODATA;
	if (!r)
		r = find_sizes(s, root);
	return r ? r : make_samples(&s->d);
}

static void scan_free(struct deadline_call *call)
{
	struct scan *s = (struct scan *)call;

	if (!s)
		return;
	dataset_done(&s->d);
	deadline_destroy(call);
	free(s->root);
	free(s);
}

AUTO_FREE(scan, struct deadline_call, scan_free);

static struct deadline_call *scan_new(const char *dir, uint32_t max_files, int64_t timeout_ns)
{
	struct scan *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->root = strdup(dir);
	if (!s->root) {
		free(s);
		return NULL;
	}
	s->max_files = max_files;
	s->deadline_ns = clock_now_ns() + timeout_ns;
	deadline_init(&s->call, scan_all, scan_free);
	return &s->call;
}

int dataset_scan(const char *dir, uint32_t max_files, int64_t timeout_ns, const volatile bool *stop,
	struct dataset *ret, struct err *err)
{
	AUTO(scan) struct deadline_call *call = scan_new(dir, max_files, timeout_ns);
	/* The scan looks at the clock itself; a moment more for it to say so. */
	int r = call ? deadline_run(&call, timeout_ns + NSEC_PER_SEC / 5, stop) : -ENOMEM;

	if (r == -ENODATA)
		return err_set(err, ENODATA,
			"%s: neither TFRecord shards (*.tfrecord*, train-*-of-*) nor JPEGs in class "
			"folders; give the folder that holds them",
			dir);
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT,
			"%s: listing took more than %.0f s; give a smaller "
			"folder, or raise external.timeout",
			dir, (double)timeout_ns / NSEC_PER_SEC);
	if (r < 0)
		return err_set(
			err, -r, "%s: %s; give a folder that can be read", dir, strerror(-r));
	*ret = ((struct scan *)call)->d;
	((struct scan *)call)->d = (struct dataset){.files = NULL};
	return 0;
}
