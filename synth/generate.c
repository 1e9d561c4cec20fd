/* SPDX-License-Identifier: Apache-2.0 */
/* Threads take units in turn; the caller's thread watches them. See generate.h. */
#include "synth/generate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/units.h"
#include "synth/direct.h"
#include "synth/layout.h"
#include "synth/random.h"
#include "synth/size.h"

#define PROGRESS_NS (500 * NSEC_PER_MSEC)
#define WATCH_NS (50 * NSEC_PER_MSEC) /* between looks at job->stop */
#define RESERVE_BYTES (16 << 20)      /* for manifest, folders and the filesystem's own */

struct crew {
	const struct job *job;
	const struct layout *layout;
	struct content *content;
	struct journal *journal;
	int dirfd;
	uint64_t units;
	_Atomic uint64_t next, made_bytes;
	atomic_bool stop;     /* asked by the user, or one failed */
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	int running, failure; /* failure: the first -errno */
};

uint64_t generate_samples_for(uint64_t seed, uint64_t bytes)
{
	uint64_t n = 0;

	if (bytes / SIZE_MEAN > GENERATE_SAMPLES_MAX)
		return UINT64_MAX;
	for (uint64_t sum = 0; sum < bytes && n <= GENERATE_SAMPLES_MAX; n++)
		sum += size_draw(random_key(seed, n));
	return n;
}

/* ---- a worker ---- */

static int make_unit(struct crew *c, struct maker *m, uint64_t unit)
{
	AUTO(free) char *lines = NULL;
	uint64_t bytes = 0;
	size_t len = 0;
	FILE *out = open_memstream(&lines, &len);
	int r;

	if (!out)
		return -ENOMEM;
	r = c->layout->make(m, unit, out, &bytes);
	if (fclose(out) && !r)
		r = -ENOMEM;
	return r ? r : journal_append(c->journal, unit, lines, len, bytes);
}

static int make_units(struct crew *c)
{
	AUTO(canvas_free) struct canvas *canvas = canvas_new(c->content);
	AUTO(free) uint8_t *buffer = direct_buffer();
	struct maker m = {
		&c->job->set, c->content, canvas, buffer, c->dirfd, &c->stop, &c->made_bytes};
	uint64_t unit;
	int r = 0;

	if (!canvas || !buffer)
		return -ENOMEM;
	while (!r && !atomic_load(&c->stop) && (unit = atomic_fetch_add(&c->next, 1)) < c->units)
		if (!journal_has(c->journal, unit))
			r = make_unit(c, &m, unit);
	return r;
}

static void *worker(void *arg)
{
	struct crew *c = arg;
	int r = make_units(c);

	if (r)
		atomic_store(&c->stop, true);
	HOLD(&c->lock);
	if (r && r != -EINTR && !c->failure)
		c->failure = r;
	c->running--;
	pthread_cond_signal(&c->changed);
	return NULL;
}

/* ---- the caller's thread ---- */

static void take_stock(struct crew *c, int64_t start_ns, struct made *m)
{
	uint64_t most = m->image_bytes - m->before_bytes;

	m->made_bytes = atomic_load(&c->made_bytes);
	if (m->made_bytes > most) /* before_bytes counts the frames of images too */
		m->made_bytes = most;
	m->seconds = (double)(clock_now_ns() - start_ns) / 1e9;
}

/* Until all workers are done. */
static void watch(struct crew *c, int64_t start_ns, struct made *m)
{
	int64_t next_ns = start_ns + PROGRESS_NS;

	HOLD(&c->lock);
	while (c->running) {
		int64_t until = clock_wall_ns() + WATCH_NS;
		struct timespec ts = {until / NSEC_PER_SEC, until % NSEC_PER_SEC};

		pthread_cond_timedwait(&c->changed, &c->lock, &ts);
		if (atomic_load(c->job->stop))
			atomic_store(&c->stop, true);
		if (!c->job->progress || clock_now_ns() < next_ns)
			continue;
		next_ns += PROGRESS_NS;
		take_stock(c, start_ns, m);
		c->job->progress(m, c->job->progress_arg);
	}
}

static int work(struct crew *c, int64_t start_ns, struct made *m, struct err *err)
{
	AUTO(free) pthread_t *threads = calloc((size_t)c->job->threads, sizeof(*threads));
	int n = 0, r = 0;

	if (!threads)
		return err_set(err, ENOMEM, "no memory");
	c->running = c->job->threads;
	while (n < c->job->threads && !r) {
		r = -pthread_create(&threads[n], NULL, worker, c);
		n += !r;
	}
	if (r) {
		HOLD(&c->lock);
		c->running -= c->job->threads - n;
		atomic_store(&c->stop, true);
	}
	watch(c, start_ns, m);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	take_stock(c, start_ns, m);
	if (r)
		return err_set(err, -r, "cannot start %d threads: %s; give fewer with --threads",
			c->job->threads, strerror(-r));
	if (c->failure == -ENOSPC || c->failure == -EDQUOT)
		return err_set(err, -c->failure,
			"%s: the disk is full; free space and give the same command to go on",
			c->job->dir);
	if (c->failure)
		return err_set(err, -c->failure, "%s: cannot write: %s", c->job->dir,
			strerror(-c->failure));
	if (atomic_load(&c->stop))
		return err_set(err, EINTR, "interrupted; the same command goes on where it was");
	return 0;
}

static int check_space(struct crew *c, const struct made *m, struct err *err)
{
	uint64_t need = m->image_bytes + m->samples * c->layout->overhead + RESERVE_BYTES;
	char a[UNITS_MAX], b[UNITS_MAX];
	int64_t have;
	int r = file_free_bytes(c->job->dir, &have);

	if (r < 0)
		return err_set(err, -r, "%s: %s", c->job->dir, strerror(-r));
	need -= need < journal_bytes(c->journal) ? need : journal_bytes(c->journal);
	if (need <= (uint64_t)have)
		return 0;
	journal_discard(c->journal);
	return err_set(err, ENOSPC,
		"%s: needs %s, but %s are free; free space, or give fewer samples or another folder",
		c->job->dir, units_human_bytes((double)need, a),
		units_human_bytes((double)have, b));
}

static int make_set(struct crew *c, int64_t start_ns, struct made *m, struct err *err)
{
	const struct set *set = &c->job->set;
	AUTO(journal_close) struct journal *journal = NULL;
	AUTO(content_free) struct content *content = NULL;
	int r;

	c->units = c->layout->units(set);
	r = journal_open(c->dirfd, set, c->units, &journal, err);
	if (r < 0)
		return err_prefix(err, r, "%s", c->job->dir);
	c->journal = journal;
	m->before_bytes = journal_bytes(journal);
	if (m->before_bytes > m->image_bytes)
		m->before_bytes = m->image_bytes;
	r = check_space(c, m, err);
	if (r < 0)
		return r;
	c->content = content = content_new(err);
	if (!content)
		return -ENOMEM;
	r = c->layout->prepare ? c->layout->prepare(set, c->dirfd) : 0;
	if (r < 0)
		return err_set(err, -r, "%s: %s", c->job->dir, strerror(-r));
	r = work(c, start_ns, m, err);
	if (!r)
		r = err_prefix(err, journal_finish(journal, err), "%s", c->job->dir);
	m->bytes = journal_bytes(journal);
	return r;
}

/* The folder, made if need be, locked against others. */
static int open_folder(const char *dir, struct err *err)
{
	AUTO(close) int fd = -1;
	int r = file_make_dirs(dir, 0755);

	if (r < 0)
		return err_set(err, -r, "%s: cannot make the folder: %s", dir, strerror(-r));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "%s: %s; give a folder", dir, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(
			err, EBUSY, "%s: another synth-data is at work there; wait for it", dir);
	return take_fd(&fd);
}

int generate(const struct job *job, struct made *ret, struct err *err)
{
	int64_t start_ns = clock_now_ns();
	AUTO(close) int dirfd = open_folder(job->dir, err);
	struct made m = {.samples = job->set.samples};
	struct crew c = {.job = job,
		.layout = layout_find(job->set.format),
		.dirfd = dirfd,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER};
	int r;

	if (dirfd < 0)
		return dirfd;
	for (uint64_t i = 0; i < m.samples; i++)
		m.image_bytes += size_draw(random_key(job->set.seed, i));
	r = manifest_check(dirfd, &job->set, &m.bytes, err);
	if (r == 1)
		m.before_bytes = m.image_bytes;
	else if (r < 0)
		err_prefix(err, r, "%s", job->dir);
	else
		r = make_set(&c, start_ns, &m, err);
	m.seconds = (double)(clock_now_ns() - start_ns) / 1e9;
	*ret = m;
	return r < 0 ? r : 0;
}
