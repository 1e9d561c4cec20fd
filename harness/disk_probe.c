/* SPDX-License-Identifier: Apache-2.0 */
/* Each thread takes the next file and reads its whole blocks in order: see disk_probe.h. */
#include "harness/disk_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/dataset.h"

#define PROBE_READ (256u << 10)
#define PROBE_THREADS_MAX 64

struct probe {
	int root;
	const struct dataset *data;
	int64_t deadline_ns;
	_Atomic uint32_t next;
	_Atomic uint64_t bytes;
	_Atomic bool failed;
};

/* The last part of a file, shorter than a block, is left out. */
static int probe_file(struct probe *p, const struct data_file *f, void *buf)
{
	AUTO(close) int fd = openat(p->root, f->path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (uint64_t off = 0; off + PROBE_READ <= f->size; off += PROBE_READ) {
		if (clock_now_ns() >= p->deadline_ns)
			return 0;
		if (pread(fd, buf, PROBE_READ, (off_t)off) != (ssize_t)PROBE_READ)
			return -EIO;
		atomic_fetch_add(&p->bytes, PROBE_READ);
	}
	return 0;
}

static void *probe_thread(void *arg)
{
	struct probe *p = arg;
	AUTO(free) void *buf = aligned_alloc(4096, PROBE_READ);

	while (buf && !p->failed && clock_now_ns() < p->deadline_ns) {
		uint32_t i = atomic_fetch_add(&p->next, 1);

		if (i >= p->data->n_files)
			break;
		if (probe_file(p, &p->data->files[i], buf))
			p->failed = true;
	}
	return NULL;
}

double disk_probe_rate(const char *dir, const struct dataset *data, int threads, double seconds)
{
	AUTO(close) int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t start = clock_now_ns();
	struct probe p = {.root = root,
		.data = data,
		.deadline_ns = start + (int64_t)(seconds * NSEC_PER_SEC)};
	pthread_t thread[PROBE_THREADS_MAX];
	int n = 0;

	while (root >= 0 && n < threads && n < PROBE_THREADS_MAX &&
		!pthread_create(&thread[n], NULL, probe_thread, &p))
		n++;
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	if (p.failed || !p.bytes)
		return -1;
	return (double)p.bytes / ((double)(clock_now_ns() - start) / NSEC_PER_SEC);
}
