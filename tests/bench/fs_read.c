/* SPDX-License-Identifier: Apache-2.0 */
/* How fast does a file system hand out whole files? Opens, reads to the end and closes the files of a
 * list in its order, with N threads, and prints what that took.
 *
 *   fs_read [-j THREADS] [-b BLOCK] [-n FILES] [-s SECONDS] [-x SECONDS] ROOT LIST
 *   fs_read -c SOURCE ...     compares each file with the same one below SOURCE
 *   fs_read -d ...            reads nothing: drops the files' pages (posix_fadvise)
 *
 * LIST has "SIZE PATH" a line. -n: its first FILES lines only. -s: goes through it again until so much
 * time is over; -x: ends after so much time wherever it is. A read is a pread(2) of BLOCK bytes into the
 * thread's own memory; a file that has not exactly SIZE bytes is an error. Prints, CPU time being that
 * of this process:
 *
 *   files=10000 bytes=1100000000 seconds=0.093 cpu=0.181 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define THREADS_MAX 256

struct file {
	char *path;
	uint64_t size;
};

struct load {
	int root, source; /* folders; source -1: nothing to compare with */
	bool drop;
	size_t block;
	const struct file *files;
	uint64_t n;
	double again_s, stop_s;
	int64_t start_ns;
	_Atomic uint64_t next, done, bytes;
	_Atomic bool failed;
};

static double elapsed_s(const struct load *l)
{
	return (double)(clock_now_ns() - l->start_ns) / (double)NSEC_PER_SEC;
}

/* The next file to read; NULL: no more. */
static const struct file *take(struct load *l)
{
	uint64_t i = atomic_fetch_add(&l->next, 1);

	if (l->failed || (i >= l->n && elapsed_s(l) >= l->again_s) ||
		(l->stop_s > 0 && elapsed_s(l) >= l->stop_s))
		return NULL;
	return &l->files[i % l->n];
}

static bool trouble(const struct file *f, const char *what)
{
	fprintf(stderr, "fs_read: %s: %s\n", f->path, what);
	return false;
}

/* Reads a file to its end by blocks; with other, compares each with the same one of that descriptor. */
static bool read_file(const struct load *l, const struct file *f, int fd, int other, char *buf)
{
	uint64_t off = 0;
	ssize_t n;

	while ((n = pread(fd, buf, l->block, (off_t)off)) > 0) {
		if (other >= 0 && (pread(other, buf + l->block, (size_t)n, (off_t)off) != n ||
					  memcmp(buf, buf + l->block, (size_t)n) != 0))
			return trouble(f, "not what the source holds");
		off += (uint64_t)n;
	}
	if (n < 0)
		return trouble(f, strerror(errno));
	return off == f->size || trouble(f, "not as long as the list says");
}

static bool visit(struct load *l, const struct file *f, char *buf)
{
	AUTO(close) int fd = openat(l->root, f->path, O_RDONLY | O_CLOEXEC);
	AUTO(close) int other = -1;

	if (l->drop)
		return fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
	if (fd >= 0 && l->source >= 0)
		other = openat(l->source, f->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (l->source >= 0 && other < 0))
		return trouble(f, strerror(errno));
	return read_file(l, f, fd, other, buf);
}

static void *reader(void *arg)
{
	struct load *l = arg;
	const struct file *f;
	AUTO(free) char *buf = malloc(2 * l->block);

	if (!buf) {
		l->failed = true;
		return NULL;
	}
	memset(buf, 0, 2 * l->block); /* not a page fault in the first reads */
	while ((f = take(l))) {
		if (!visit(l, f, buf)) {
			l->failed = true;
			break;
		}
		l->done++;
		l->bytes += f->size;
	}
	return NULL;
}

/* The list's first max files, in memory until the end of the process; their number. */
static uint64_t read_list(const char *path, uint64_t max, struct file **ret)
{
	FILE *in = fopen(path, "r");
	AUTO(free) char *line = NULL;
	uint64_t n = 0, room = 0;
	size_t size = 0;
	char *name;

	while (in && n < max && getline(&line, &size, in) > 0) {
		if (n == room) {
			room = room ? 2 * room : 1024;
			*ret = realloc(*ret, room * sizeof(**ret));
			if (!*ret)
				exit(1);
		}
		line[strcspn(line, "\n")] = '\0';
		(*ret)[n].size = strtoull(line, &name, 10);
		(*ret)[n++].path = strdup(name + strspn(name, " "));
	}
	if (in)
		fclose(in);
	return n;
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int run(struct load *l, int threads)
{
	pthread_t thread[THREADS_MAX];
	double before = cpu_s();
	int started = 0;

	l->start_ns = clock_now_ns();
	while (started < threads && !pthread_create(&thread[started], NULL, reader, l))
		started++;
	for (int i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	printf("files=%llu bytes=%llu seconds=%.6f cpu=%.6f\n", (unsigned long long)l->done,
		(unsigned long long)l->bytes, elapsed_s(l), cpu_s() - before);
	return l->failed || started < threads;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: fs_read [-j THREADS] [-b BLOCK] [-n FILES] [-s SECONDS] [-x SECONDS] "
		"[-c SOURCE | -d] ROOT LIST\n");
	return 2;
}

static int open_folder(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fprintf(stderr, "fs_read: %s: %s\n", path, strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	struct load l = {.source = -1, .block = 256 << 10};
	const char *source = NULL;
	struct file *files = NULL;
	uint64_t max = UINT64_MAX;
	int threads = 2, c;

	while ((c = getopt(argc, argv, "j:b:n:s:x:c:d")) != -1) {
		switch (c) {
		case 'j':
			threads = atoi(optarg);
			break;
		case 'b':
			l.block = strtoul(optarg, NULL, 10);
			break;
		case 'n':
			max = strtoull(optarg, NULL, 10);
			break;
		case 's':
			l.again_s = atof(optarg);
			break;
		case 'x':
			l.stop_s = atof(optarg);
			break;
		case 'c':
			source = optarg;
			break;
		case 'd':
			l.drop = true;
			break;
		default:
			return usage();
		}
	}
	if (argc - optind != 2 || threads < 1 || threads > THREADS_MAX || !l.block)
		return usage();
	l.root = open_folder(argv[optind]);
	l.source = source ? open_folder(source) : -1;
	l.n = read_list(argv[optind + 1], max, &files);
	l.files = files;
	if (l.root < 0 || (source && l.source < 0) || !l.n)
		return usage();
	return run(&l, threads);
}
