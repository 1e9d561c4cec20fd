/* SPDX-License-Identifier: Apache-2.0 */
/* Work folders and their locks: see work_dir.h. */
#include "harness/work_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "harness/mounts.h"

#define FRESH_S 60 /* a folder gets its lock much sooner */

/* The lock of folder dir, taken; -EWOULDBLOCK: somebody lives there. */
static int take_lock(const char *dir, int flags)
{
	AUTO(free) char *path = NULL;
	AUTO(close) int fd = -1;

	if (asprintf(&path, "%s/lock", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return take_fd(&fd);
}

int work_dir_open(struct work_dir *w, const char *root, struct err *err)
{
	int r = file_make_dirs(root, 0700);

	*w = (struct work_dir){.lock = -1};
	if (r)
		return err_set(err, -r,
			"%s: %s; set XDG_CACHE_HOME to a folder that can be written", root,
			strerror(-r));
	if (asprintf(&w->path, "%s/%d-XXXXXX", root, (int)getpid()) < 0) {
		w->path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	if (!mkdtemp(w->path)) {
		r = err_set(err, errno, "%s: %s", w->path, strerror(errno));
		free(w->path);
		w->path = NULL;
		return r;
	}
	w->lock = take_lock(w->path, O_CREAT);
	if (w->lock < 0) {
		r = err_set(err, -w->lock, "%s/lock: %s", w->path, strerror(-w->lock));
		work_dir_close(w);
	}
	return r;
}

void work_dir_drop(const char *run_dir)
{
	/* Never delete through a mount that would not go. */
	if (!mounts_detach_below(run_dir))
		file_remove_tree(run_dir);
}

void work_dir_close(struct work_dir *w)
{
	if (!w->path)
		return;
	work_dir_drop(w->path);
	if (w->lock >= 0)
		close(w->lock);
	free(w->path);
	*w = (struct work_dir){.lock = -1};
}

char *work_dir_run(const struct work_dir *w, int n, struct err *err)
{
	char *path;

	if (asprintf(&path, "%s/%d", w->path, n) < 0) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (!mkdir(path, 0700) || errno == EEXIST)
		return path;
	err_set(err, errno, "%s: %s", path, strerror(errno));
	free(path);
	return NULL;
}

/* Whether its maker may not have come to lock it yet. */
static bool is_being_made(const char *path, int pid)
{
	struct stat st;
	int64_t age;

	if (lstat(path, &st) < 0)
		return false;
	age = clock_wall_ns() / NSEC_PER_SEC - st.st_ctim.tv_sec;
	return age < FRESH_S && (!kill(pid, 0) || errno == EPERM);
}

static void sweep_one(const char *root, const char *name, bool only_look, struct work_sweep *sum)
{
	AUTO(free) char *path = NULL;
	AUTO(close) int lock = -1;
	int pid, from = 0, end = 0;

	if (sscanf(name, "%d-%n%*[0-9A-Za-z]%n", &pid, &from, &end) != 1 || end != from + 6 ||
		name[end])
		return;
	if (asprintf(&path, "%s/%s", root, name) < 0) {
		path = NULL;
		return;
	}
	lock = take_lock(path, 0);
	if ((lock < 0 && lock != -ENOENT) || is_being_made(path, pid)) {
		sum->living++;
		return;
	}
	sum->dead++;
	if (!only_look && mounts_detach_below(path))
		return;
	if (!mounts_any_below(path))
		sum->bytes += file_tree_bytes(path);
	if (!only_look)
		work_dir_drop(path);
}

int work_dir_sweep(const char *root, bool only_look, struct work_sweep *ret)
{
	AUTO(closedir) DIR *dir = opendir(root);
	struct work_sweep sum = {0};
	struct dirent *e;

	if (!dir && errno != ENOENT)
		return -errno;
	while (dir && (e = readdir(dir)))
		sweep_one(root, e->d_name, only_look, &sum);
	*ret = sum;
	return 0;
}
