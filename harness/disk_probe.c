/* SPDX-License-Identifier: Apache-2.0 */
/* Each thread takes the next file and reads what it holds in order: see disk_probe.h. */
#include "harness/disk_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define PROBE_READ (256u << 10)
#define PROBE_ALIGN 4096
#define PROBE_THREADS_MAX 64
#define PROBE_FILES 4096 /* more would take longer to list than there is time to read */

struct probe {
	char *path[PROBE_FILES];
	uint32_t n;
	int64_t deadline_ns;
	_Atomic uint32_t next;
	_Atomic uint64_t bytes;
	_Atomic bool failed;
};

static void list_files(struct probe *p, const char *dir)
{
	char *const paths[] = {(char *)dir, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	FTSENT *e;

	while (tree && p->n < PROBE_FILES && (e = fts_read(tree)))
		if (e->fts_info == FTS_F && e->fts_statp->st_size >= PROBE_ALIGN &&
			(p->path[p->n] = strdup(e->fts_path)))
			p->n++;
	if (tree)
		fts_close(tree);
}

/* Reading what is still to be written would measure writing. */
static void write_back(const struct probe *p, int64_t until_ns)
{
	for (uint32_t i = 0; i < p->n && clock_now_ns() < until_ns; i++) {
		AUTO(close) int fd = open(p->path[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			fdatasync(fd);
	}
}

/* The next bytes that the disk holds, at or after *off: returns how many can be read at once, 0 at
 * the end. A hole would cost nothing. */
static size_t next_data(int fd, off_t size, off_t *off)
{
	off_t at = lseek(fd, *off, SEEK_DATA), end;

	if (at < 0 && errno == ENXIO)
		return 0;
	*off = at < 0 ? *off : at - at % PROBE_ALIGN;
	end = lseek(fd, *off, SEEK_HOLE);
	end = end < 0 || end > size ? size : end;
	end -= end % PROBE_ALIGN;
	if (end <= *off)
		return 0;
	return end - *off < PROBE_READ ? (size_t)(end - *off) : PROBE_READ;
}

/* The end of a file, shorter than an aligned block, is left out. */
static int probe_file(struct probe *p, const char *path, void *buf)
{
	AUTO(close) int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	off_t size, off = 0;
	size_t len;

	if (fd < 0)
		return -errno;
	size = lseek(fd, 0, SEEK_END);
	while ((len = next_data(fd, size, &off))) {
		if (clock_now_ns() >= p->deadline_ns)
			return 0;
		if (pread(fd, buf, len, off) != (ssize_t)len)
			return -EIO;
		atomic_fetch_add(&p->bytes, len);
		off += (off_t)len;
	}
	return 0;
}

static void *probe_thread(void *arg)
{
	struct probe *p = arg;
	AUTO(free) void *buf = aligned_alloc(PROBE_ALIGN, PROBE_READ);

	while (buf && !p->failed && clock_now_ns() < p->deadline_ns) {
		uint32_t i = atomic_fetch_add(&p->next, 1);

		if (i >= p->n)
			break;
		if (probe_file(p, p->path[i], buf))
			p->failed = true;
	}
	return NULL;
}

/* Seconds that it took. */
static double read_all(struct probe *p, int threads, int64_t ns)
{
	int64_t start = clock_now_ns();
	pthread_t thread[PROBE_THREADS_MAX];
	int n = 0;

	p->deadline_ns = start + ns;
	while (n < threads && n < PROBE_THREADS_MAX &&
		!pthread_create(&thread[n], NULL, probe_thread, p))
		n++;
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	return (double)(clock_now_ns() - start) / NSEC_PER_SEC;
}

double disk_probe_rate(const char *dir, int threads, double seconds)
{
	AUTO(free) struct probe *p = calloc(1, sizeof(*p));
	int64_t ns = (int64_t)(seconds * NSEC_PER_SEC);
	double took;

	if (!p)
		return -1;
	list_files(p, dir);
	write_back(p, clock_now_ns() + ns);
	took = read_all(p, threads, ns);
	for (uint32_t i = 0; i < p->n; i++)
		free(p->path[i]);
	return p->failed || !p->bytes ? -1 : (double)p->bytes / took;
}
