/* SPDX-License-Identifier: Apache-2.0 */
/* troubled_fuse SOURCE MOUNTPOINT hang|die|eio READS: shows a folder until trouble comes.
 *
 * After READS reads (0: from the first request on) every further request hangs for ever, kills the
 * daemon, or, if it is a read, fails with EIO. Stays in front; prints "ready" when mounted. */
#define FUSE_USE_VERSION 314
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum trouble { HANG, DIE, EIO_ON_READ };

static int root;
static enum trouble trouble;
static long reads_left;
static _Atomic long reads;

static int meet_trouble(bool is_read)
{
	if (atomic_load(&reads) < reads_left)
		return 0;
	if (trouble == DIE)
		kill(getpid(), SIGKILL);
	while (trouble == HANG)
		pause();
	return is_read ? -EIO : 0;
}

/* A path of FUSE as one relative to the folder shown. */
static const char *below(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static int show_attributes(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	int r = meet_trouble(false);

	return r ? r : fstatat(root, below(path), st, 0) ? -errno : 0;
}

static int list(const char *path, void *buf, fuse_fill_dir_t fill, off_t off,
	struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	int r = meet_trouble(false), fd = openat(root, below(path), O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (r || !dir)
		return r ? r : -errno;
	while ((e = readdir(dir))) {
		struct stat st = {.st_mode = (mode_t)e->d_type << 12};

		fill(buf, e->d_name, &st, 0, 0);
	}
	closedir(dir);
	return 0;
}

static int open_file(const char *path, struct fuse_file_info *fi)
{
	int r = meet_trouble(false), fd = r ? r : openat(root, below(path), O_RDONLY);

	if (fd < 0)
		return r ? r : -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int read_file(const char *path, char *buf, size_t len, off_t off, struct fuse_file_info *fi)
{
	int r = meet_trouble(true);
	ssize_t n;

	if (r)
		return r;
	atomic_fetch_add(&reads, 1);
	n = pread((int)fi->fh, buf, len, off);
	return n < 0 ? -errno : (int)n;
}

static int close_file(const char *path, struct fuse_file_info *fi)
{
	return close((int)fi->fh);
}

static void *say_ready(struct fuse_conn_info *conn, struct fuse_config *cfg)
{
	puts("ready");
	fflush(stdout);
	return NULL;
}

static const struct fuse_operations operations = {
	.init = say_ready,
	.getattr = show_attributes,
	.readdir = list,
	.open = open_file,
	.read = read_file,
	.release = close_file,
};

int main(int argc, char **argv)
{
	char *fuse_argv[] = {argv[0], "-f", "-o", "ro,subtype=troubled", argv[2], NULL};

	if (argc != 5 || (root = open(argv[1], O_PATH | O_DIRECTORY)) < 0) {
		fputs("usage: troubled_fuse SOURCE MOUNTPOINT hang|die|eio READS\n", stderr);
		return 2;
	}
	trouble = !strcmp(argv[3], "hang") ? HANG : !strcmp(argv[3], "die") ? DIE : EIO_ON_READ;
	reads_left = atol(argv[4]);
	return fuse_main(5, fuse_argv, &operations, NULL);
}
