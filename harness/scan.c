/* SPDX-License-Identifier: Apache-2.0 */
/* Lists an existing tree: see dataset_scan() in dataset.h.
 *
 * Walks breadth first, by d_type where the filesystem gives it, so that a class folder costs its
 * readdirs and no stat a file (as ImageFolder lists it). Both formats are collected and the one with
 * more bytes is kept. The walk runs under a deadline (deadline.h), so a mount that has died does
 * not hang the caller. */
#include <ctype.h>
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

#define DEPTH_MAX 8  /* levels of folders; ImageNet as it is unpacked has 6 */
#define STAT_MOST 64 /* files whose mean size stands for all */

struct file_list {
	struct data_file *files;
	uint32_t n, cap;
	uint64_t bytes; /* estimated */
};

struct scan {
	struct deadline_call call; /* first */
	char *root;
	struct scan_limits limits;
	int64_t deadline_ns, enough_ns;
	struct file_list found[2]; /* by enum data_format */
	struct dataset d;
	struct err err; /* set when a manifest is wrong, or a folder fails */
};

static bool has_suffix(const char *name, size_t n, const char *suffix)
{
	size_t m = strlen(suffix);

	return n > m && !strncasecmp(name + n - m, suffix, m);
}

/* Where the digits that end name[0..n) begin. */
static size_t before_digits(const char *name, size_t n)
{
	while (n && isdigit((unsigned char)name[n - 1]))
		n--;
	return n;
}

/* Length of name without "-00000-of-01024" at its end; n if it has none. */
static size_t without_shard_number(const char *name, size_t n)
{
	size_t of = before_digits(name, n), dash;

	if (of == n || of < 4 || strncmp(name + of - 4, "-of-", 4))
		return n;
	dash = before_digits(name, of - 4);
	return dash < of - 4 && dash > 1 && name[dash - 1] == '-' ? dash - 1 : n;
}

/* x.tfrecord, x.tfrecords, x.tfrec; those with TensorFlow's shard numbers; and numbered ones without
 * any suffix, such as train-00000-of-01024. */
static bool is_shard(const char *name)
{
	size_t all = strlen(name), n = without_shard_number(name, all);

	if (n < all && !memchr(name, '.', n))
		return true;
	return has_suffix(name, n, ".tfrecord") || has_suffix(name, n, ".tfrecords") ||
	       has_suffix(name, n, ".tfrec");
}

/* What torchvision's ImageFolder takes for a picture. */
static bool is_picture(const char *name)
{
	static const char *const suffixes[] = {
		".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};
	size_t n = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (has_suffix(name, n, suffixes[i]))
			return true;
	return false;
}

static char *join(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0 ? NULL : path;
}

static int add_file(struct scan *s, const char *dir, const char *name, enum data_format format)
{
	struct file_list *l = &s->found[format];
	char *path;

	if (dataset_grow(&l->files, l->n, &l->cap, sizeof(*l->files)) < 0)
		return -ENOMEM;
	path = join(dir, name);
	if (!path)
		return -ENOMEM;
	l->files[l->n++] = (struct data_file){.path = path};
	return 0;
}

/* Folders still to be walked, in order. */
struct folders {
	char **path;
	uint32_t n, cap;
};

static int add_folder(struct folders *f, const char *dir, const char *name)
{
	if (dataset_grow(&f->path, f->n, &f->cap, sizeof(*f->path)) < 0)
		return -ENOMEM;
	f->path[f->n] = join(dir, name);
	return f->path[f->n] ? f->n++, 0 : -ENOMEM;
}

static void folders_done(struct folders *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		free(f->path[i]);
	free(f->path);
	*f = (struct folders){.path = NULL};
}

static bool same_folder(int at, const char *path, const struct stat *st)
{
	struct stat other;

	return !fstatat(at, path, &other, 0) && other.st_dev == st->st_dev &&
	       other.st_ino == st->st_ino;
}

/* Whether a link in dir leads back to dir or to a folder above it, and so round for ever. */
static bool leads_back(int root, const char *dir, const struct stat *st)
{
	AUTO(free) char *path = strdup(dir);
	char *slash = path;

	if (!path || same_folder(root, ".", st) || (*path && same_folder(root, path, st)))
		return true;
	while ((slash = strrchr(path, '/'))) {
		*slash = '\0';
		if (same_folder(root, path, st))
			return true;
	}
	return false;
}

/* One folder while it is read. */
struct walk {
	struct scan *s;
	int root, fd;
	const char *dir; /* relative to root */
	struct folders *next;
};

static int look_at(struct walk *w, const struct dirent *e)
{
	enum data_format format = is_picture(e->d_name) ? FORMAT_IMAGEFOLDER : FORMAT_TFRECORD;
	bool is_dir = e->d_type == DT_DIR, is_file = e->d_type == DT_REG;
	struct stat st;

	if (e->d_name[0] == '.')
		return 0;
	if (e->d_type == DT_UNKNOWN || e->d_type == DT_LNK) {
		if (fstatat(w->fd, e->d_name, &st, 0) < 0)
			return 0; /* gone, or a link to nowhere */
		is_dir = S_ISDIR(st.st_mode) && !leads_back(w->root, w->dir, &st);
		is_file = S_ISREG(st.st_mode);
	}
	if (is_dir)
		return add_folder(w->next, w->dir, e->d_name);
	/* ImageFolder reads pictures in class folders only. */
	if (!is_file || (format == FORMAT_IMAGEFOLDER ? !*w->dir : !is_shard(e->d_name)))
		return 0;
	return add_file(w->s, w->dir, e->d_name, format);
}

static uint32_t n_found(const struct scan *s)
{
	return s->found[0].n + s->found[1].n;
}

/* Whether what was found will do. -ETIMEDOUT: time is up. */
static int is_enough(struct scan *s)
{
	int64_t now = clock_now_ns();

	if (now > s->deadline_ns || deadline_passed(&s->call))
		return -ETIMEDOUT;
	if (n_found(s) >= s->limits.max_files || (n_found(s) && now > s->enough_ns))
		s->d.scan.partial = true;
	return s->d.scan.partial;
}

static int fail_at(struct scan *s, const char *path, int code)
{
	bool dead = code == ENOTCONN || code == ECONNABORTED;

	return err_set(&s->err, code, "%s%s%s: %s; %s", s->root, *path ? "/" : "", path,
		strerror(code),
		dead ? "its daemon has ended: unmount it (umount -l) and mount it again"
		     : "give a folder that can be read");
}

/* A folder that is not ours to read, or has gone, is left out; the root is not. */
static int cannot_open(struct scan *s, const char *dir, int code)
{
	if (!*dir || (code != EACCES && code != EPERM && code != ENOENT && code != ENOTDIR))
		return fail_at(s, dir, code);
	s->d.scan.unreadable += code == EACCES || code == EPERM;
	return 0;
}

static int walk_folder(struct scan *s, int root, const char *dir, struct folders *next)
{
	int fd = openat(root, *dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(closedir) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct walk w = {s, root, fd, dir, next};
	struct dirent *e;
	int r;

	if (!stream)
		return cannot_open(s, dir, errno);
	s->d.scan.folders++;
	while (!(r = is_enough(s))) {
		errno = 0;
		e = readdir(stream);
		if (!e && errno)
			return fail_at(s, dir, errno);
		if (!e)
			break;
		r = look_at(&w, e);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int walk_level(struct scan *s, int root, const struct folders *now, struct folders *next)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < now->n && !s->d.scan.partial; i++)
		r = walk_folder(s, root, now->path[i], next);
	return r;
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

/* From a sample of the files. One that has gone since is none of them. */
static int find_sizes(struct scan *s, int root, enum data_format format)
{
	struct file_list *l = &s->found[format];
	uint32_t n = l->n < STAT_MOST ? l->n : STAT_MOST, seen = 0;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct data_file *f = &l->files[(uint64_t)i * l->n / n];
		struct stat st;

		if (clock_now_ns() > s->deadline_ns || deadline_passed(&s->call))
			return -ETIMEDOUT;
		if (fstatat(root, f->path, &st, 0) < 0)
			continue;
		if (format == FORMAT_TFRECORD)
			f->size = (uint64_t)st.st_size;
		sum += (uint64_t)st.st_size;
		seen++;
	}
	l->bytes = seen ? (uint64_t)((double)sum * l->n / seen) : 0;
	return 0;
}

/* Hands over the files of the format asked for, or of the one with more bytes. */
static void decide(struct scan *s)
{
	const struct file_list *shards = &s->found[FORMAT_TFRECORD];
	const struct file_list *pictures = &s->found[FORMAT_IMAGEFOLDER];
	bool larger = shards->n && (!pictures->n || shards->bytes >= pictures->bytes);
	enum data_format format = larger ? FORMAT_TFRECORD : FORMAT_IMAGEFOLDER;
	struct file_list *l;

	if (s->limits.format != SCAN_ANY_FORMAT)
		format = (enum data_format)s->limits.format;
	l = &s->found[format];
	s->d.format = format;
	s->d.files = l->files;
	s->d.n_files = l->n;
	s->d.bytes = l->bytes;
	s->d.scan.left_out = shards->n + pictures->n - l->n;
	*l = (struct file_list){.files = NULL};
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

/* A manifest of synth-data says more than a listing. 0: there is none. */
static int use_manifest(struct scan *s, int root)
{
	int fd = openat(root, "manifest.txt", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	AUTO(fclose) FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
	AUTO(free) char *name = join(s->root, "manifest.txt");
	char magic[sizeof(DATASET_MAGIC)] = "";
	struct dataset d;
	int r;

	if (!name)
		return -ENOMEM;
	/* Others call their files so, too. */
	if (!in || !fgets(magic, sizeof(magic), in) || strcmp(magic, DATASET_MAGIC) ||
		fseek(in, 0, SEEK_SET))
		return 0;
	r = dataset_parse(in, name, s->limits.max_samples, &d, &s->err);
	if (r < 0)
		return r;
	d.scan = s->d.scan;
	s->d = d;
	return 1;
}

static int list_tree(struct scan *s, int root)
{
	int r = walk(s, root);

	if (!r)
		r = find_sizes(s, root, FORMAT_TFRECORD);
	if (!r)
		r = find_sizes(s, root, FORMAT_IMAGEFOLDER);
	if (r)
		return r;
	decide(s);
	if (s->d.n_files && !s->d.bytes)
		return err_set(&s->err, ENODATA,
			"%s: no %s in it has a byte; give a folder with data", s->root,
			s->d.format == FORMAT_TFRECORD ? "shard" : "picture");
	return s->d.n_files ? make_samples(&s->d) : -ENODATA;
}

static int scan_all(struct deadline_call *call)
{
	struct scan *s = (struct scan *)call;
	int64_t begin = clock_now_ns();
	AUTO(close) int root = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (root < 0 || fstat(root, &st) < 0)
		return fail_at(s, "", errno);
	s->d.scan.dev = st.st_dev;
	s->d.scan.ino = st.st_ino;
	r = use_manifest(s, root);
	if (!r)
		r = list_tree(s, root);
	s->d.scan.seconds = (double)(clock_now_ns() - begin) / NSEC_PER_SEC;
	return r < 0 ? r : 0;
}

static void file_list_done(struct file_list *l)
{
	for (uint32_t i = 0; i < l->n; i++)
		free(l->files[i].path);
	free(l->files);
}

static void scan_free(struct deadline_call *call)
{
	struct scan *s = (struct scan *)call;

	if (!s)
		return;
	dataset_done(&s->d);
	file_list_done(&s->found[0]);
	file_list_done(&s->found[1]);
	deadline_destroy(call);
	free(s->root);
	free(s);
}

AUTO_FREE(scan, struct deadline_call, scan_free);

static struct deadline_call *scan_new(const char *dir, const struct scan_limits *l)
{
	struct scan *s = calloc(1, sizeof(*s));
	int64_t now = clock_now_ns();

	if (!s)
		return NULL;
	s->root = strdup(dir);
	if (!s->root) {
		free(s);
		return NULL;
	}
	s->limits = *l;
	s->deadline_ns = now + l->timeout_ns;
	s->enough_ns = l->enough_ns ? now + l->enough_ns : INT64_MAX;
	deadline_init(&s->call, scan_all, scan_free);
	return &s->call;
}

static int explain(const char *dir, const struct scan_limits *l, int code, struct err *err)
{
	if (code == ENODATA)
		return err_set(err, ENODATA,
			"%s: neither TFRecord shards (*.tfrecord*, train-*-of-*) nor pictures in "
			"class folders; give the folder that holds them",
			dir);
	if (code == ETIMEDOUT)
		return err_set(err, ETIMEDOUT,
			"%s: no answer, or no end of its listing, within %.0f s; look whether the "
			"storage hangs, give a smaller folder, or raise external.timeout",
			dir, (double)l->timeout_ns / NSEC_PER_SEC);
	if (code == EINTR)
		return err_set(err, EINTR, "interrupted");
	return err_set(err, code, "%s: %s", dir, strerror(code));
}

int dataset_scan(const char *dir, const struct scan_limits *l, struct dataset *ret, struct err *err)
{
	AUTO(scan) struct deadline_call *call = scan_new(dir, l);
	struct scan *s = (struct scan *)call;
	/* The scan looks at the clock itself; a moment more for it to say so. */
	int r = call ? deadline_run(&call, l->timeout_ns + NSEC_PER_SEC / 5, l->stop) : -ENOMEM;

	if (r < 0 && call && s->err.msg[0])
		return err_set(err, -r, "%s", s->err.msg);
	if (r < 0)
		return explain(dir, l, -r, err);
	*ret = s->d;
	s->d = (struct dataset){.files = NULL};
	return 0;
}
