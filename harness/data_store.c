/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of data sets and their locks: see data_store.h. */
#include "harness/data_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "common/cleanup.h"
#include "common/file.h"

#define MANIFEST "manifest.txt"

char *data_store_root(void)
{
	AUTO(free) char *home = file_cache_home();
	char *root;

	return !home || asprintf(&root, "%s/data", home) < 0 ? NULL : root;
}

/* Takes "tfrecord-30720-s1" apart; format has room for 16 bytes. */
static bool parse_name(const char *name, char *format, long long *samples, long long *seed)
{
	int end = 0;

	return sscanf(name, "%15[a-z]-%lld-s%lld%n", format, samples, seed, &end) == 3 &&
	       !name[end];
}

/* A better find than *best (negative: none yet). */
static void consider(int root, const char *name, const struct data_set *want, long long *best)
{
	char format[16], manifest[300];
	long long samples, seed;

	if (!parse_name(name, format, &samples, &seed) || strcmp(format, want->format) ||
		seed != want->seed || samples < want->samples || (*best >= 0 && samples >= *best))
		return;
	snprintf(manifest, sizeof(manifest), "%s/" MANIFEST, name);
	if (!faccessat(root, manifest, R_OK, 0))
		*best = samples;
}

char *data_store_find(const struct data_set *want, bool *ret_complete)
{
	AUTO(free) char *root = data_store_root();
	long long best = -1;
	struct dirent *e;
	char *path;

	if (!root)
		return NULL;
	AUTO(closedir) DIR *dir = opendir(root);
	while (dir && (e = readdir(dir)))
		consider(dirfd(dir), e->d_name, want, &best);
	*ret_complete = best >= 0;
	if (asprintf(&path, "%s/%s-%lld-s%lld", root, want->format,
		    best >= 0 ? best : (long long)want->samples, (long long)want->seed) < 0)
		return NULL;
	return path;
}

int64_t data_store_largest_below(const struct data_set *below)
{
	AUTO(free) char *root = data_store_root();
	AUTO(closedir) DIR *dir = root ? opendir(root) : NULL;
	long long best = 0, samples, seed;
	char format[16];
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (parse_name(e->d_name, format, &samples, &seed) &&
			!strcmp(format, below->format) && seed == below->seed && samples > best &&
			samples < below->samples)
			best = samples;
	return best;
}

int data_store_hold(const char *path)
{
	AUTO(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (faccessat(fd, MANIFEST, R_OK, 0) < 0)
		return -errno;
	return take_fd(&fd);
}

static int sweep_one(const char *root, const char *name, bool only_look, struct data_sweep *sum)
{
	AUTO(free) char *path = NULL;
	AUTO(close) int fd = -1;
	char format[16];
	long long samples, seed;
	int64_t bytes;
	int r;

	if (!parse_name(name, format, &samples, &seed))
		return 0;
	if (asprintf(&path, "%s/%s", root, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		sum->held++;
		return 0;
	}
	bytes = file_tree_bytes(path);
	r = only_look ? 0 : file_remove_tree(path);
	if (!r) {
		sum->removed++;
		sum->bytes += bytes;
	}
	return r;
}

int data_store_sweep(bool only_look, struct data_sweep *ret)
{
	AUTO(free) char *root = data_store_root();
	struct data_sweep sum = {0};
	struct dirent *e;
	int r = root ? 0 : -ENOMEM;

	if (r)
		return r;
	AUTO(closedir) DIR *dir = opendir(root);
	if (!dir && errno != ENOENT)
		return -errno;
	while (dir && !r && (e = readdir(dir)))
		r = sweep_one(root, e->d_name, only_look, &sum);
	*ret = sum;
	return r;
}
