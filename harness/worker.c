/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader thread does besides its reader's pattern: claim, wait, read under the watchdog,
 * check, decode, deliver. See pipeline.h.
 *
 * A thread may be stuck in a filesystem that never answers. The run then fails and goes on without
 * it; so after every call into the source a worker looks whether it was stopped, and touches
 * nothing but the pipeline (which is leaked for its sake) if it was. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "harness/dataset.h"
#include "harness/decode.h"
#include "harness/page_cache.h"
#include "harness/pipeline.h"

static const char *file_name(const struct pipeline *p, uint32_t file)
{
	return p->data->files[file].path;
}

bool worker_wait_space(struct worker *w, uint64_t batch)
{
	struct lane *lane = w->lane;

	while (!pipeline_stopped(w->p)) {
		uint32_t seen = gate_look(&lane->space);
		uint64_t freed = atomic_load_explicit(&lane->freed, memory_order_acquire);

		if (batch < freed + (uint64_t)w->p->depth)
			return true;
		if (!pipeline_stopped(w->p))
			gate_sleep(&lane->space, seen, INT64_MAX);
	}
	return false;
}

bool worker_claim(struct worker *w, uint64_t *ret_slot)
{
	struct pipeline *p = w->p;
	uint64_t slot = atomic_fetch_add_explicit(&w->lane->claimed, 1, memory_order_relaxed);

	if (slot >= (uint64_t)p->steps * p->batch || !worker_wait_space(w, slot / p->batch))
		return false;
	*ret_slot = slot;
	return true;
}

/* Puts a checked sample into its slot; the last one of a batch stamps it. */
static void put_into_batch(struct worker *w, uint64_t slot, const struct sample *s)
{
	struct pipeline *p = w->p;
	struct batch *b = &w->lane->batches[slot / p->batch % (uint64_t)p->depth];

	b->samples[slot % p->batch] = *s;
	if (atomic_fetch_add_explicit(&b->filled, 1, memory_order_acq_rel) + 1 < p->batch)
		return;
	atomic_store_explicit(&b->full_ns, clock_now_ns(), memory_order_release);
	atomic_fetch_add(&w->lane->full, 1);
	gate_ring(&p->batch_full);
}

static int check_sum(struct worker *w, const struct sample *s)
{
	struct pipeline *p = w->p;
	const struct data_sample *known;

	/* The TFRecord reader has compared CRCs itself, and memory has none. */
	if (!p->verify || p->reader != &reader_imagefolder || !p->data->manifest)
		return 0;
	known = &p->data->samples[s->index];
	atomic_fetch_add_explicit(&w->checked, 1, memory_order_relaxed);
	if (s->len == known->len && crc32c(0, s->data, s->len) == known->crc)
		return 0;
	atomic_fetch_add(&p->crc_errors, 1);
	return pipeline_fail(p, EBADMSG,
		"%s: wrong CRC32C or length: the bytes read are not those "
		"of the manifest; check the storage, or generate the data again",
		file_name(p, known->file));
}

static int decode_jpeg(struct worker *w, const struct sample *s)
{
	struct pipeline *p = w->p;
	const uint8_t *picture = s->data;
	size_t len = s->len;
	int r = 0;

	if (p->reader == &reader_tfrecord)
		r = example_bytes(s->data, s->len, "image/encoded", &picture, &len);
	if (r < 0)
		return pipeline_fail(p, EBADMSG,
			"a record has no image/encoded; use bench.decode=none, or a time");
	r = decoder_jpeg(w->decoder, picture, len);
	if (r < 0)
		return pipeline_fail(p, EBADMSG,
			"a sample is no JPEG (%s); use bench.decode=none, "
			"or a time",
			decoder_why(w->decoder));
	return 0;
}

int worker_deliver(struct worker *w, uint64_t slot, const struct sample *s)
{
	struct pipeline *p = w->p;
	int r = check_sum(w, s);

	if (!r && p->decode == BENCH_DECODE_JPEG)
		r = decode_jpeg(w, s);
	else if (!r && p->decode > 0)
		decode_spin(p->decode);
	if (r < 0) {
		slab_put(s->slab);
		return r;
	}
	if (s->index != SAMPLE_UNKNOWN)
		order_mark(&p->order, s->index);
	atomic_fetch_add_explicit(&w->samples, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->bytes, s->len, memory_order_relaxed);
	put_into_batch(w, slot, s);
	return 0;
}

uint8_t *worker_alloc(struct worker *w, size_t len, struct sample *ret)
{
	/* Reads with O_DIRECT need alignment and may write up to it. */
	size_t room = (len + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;

	if (!w->arena || w->arena->cap - w->arena_used < room) {
		slab_put(w->arena);
		w->arena = slab_get(&w->lane->pool, room);
		w->arena_used = 0;
	}
	if (!w->arena) {
		pipeline_fail(w->p, ENOMEM, "no memory for a sample of %zu bytes", len);
		return NULL;
	}
	uint8_t *mem = w->arena->mem + w->arena_used;

	w->arena_used += room;
	slab_ref(w->arena);
	ret->data = mem;
	ret->slab = w->arena;
	ret->len = (uint32_t)len;
	return mem;
}

void worker_trim(struct worker *w, struct sample *s, size_t len)
{
	size_t start = (size_t)(s->data - s->slab->mem);

	s->len = (uint32_t)len;
	w->arena_used = start + (len + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
}

static void call_begins(struct worker *w, uint32_t file, uint64_t off)
{
	atomic_store_explicit(&w->busy_file, file, memory_order_relaxed);
	atomic_store_explicit(&w->busy_off, off, memory_order_relaxed);
	atomic_store_explicit(&w->busy_since_ns, clock_now_ns(), memory_order_release);
}

static bool call_ends(struct worker *w)
{
	atomic_store_explicit(&w->busy_since_ns, 0, memory_order_release);
	return !pipeline_stopped(w->p);
}

int worker_open(struct worker *w, uint32_t file, struct source_file *ret)
{
	struct pipeline *p = w->p;
	int r;

	call_begins(w, file, 0);
	r = p->ops->file_open(p->src, file_name(p, file), ret);
	if (!call_ends(w))
		return -ECANCELED;
	if (r < 0)
		return pipeline_fail(p, -r, "%s: cannot open: %s; check that the data set is whole",
			file_name(p, file), strerror(-r));
	atomic_store_explicit(&p->opened[file], true, memory_order_relaxed);
	if (!ret->own_cache)
		page_cache_start(p->page_cache, ret->fd);
	return 0;
}

static void count_bytes(struct pipeline *p, ssize_t n)
{
	uint64_t sum;

	if (!p->max_bytes)
		return;
	sum = atomic_fetch_add(&p->read_bytes, (uint64_t)n) + (uint64_t)n;
	if (sum >= (uint64_t)p->max_bytes && !atomic_exchange(&p->full_up, true))
		gate_ring(&p->watch);
}

/* O_DIRECT refuses an offset that is not aligned, also at the end of the file, where a loader asks
 * once more and is told 0. */
static bool is_past_end(const struct source_file *f, uint64_t off)
{
	struct stat st;

	return f->fd >= 0 && fstat(f->fd, &st) == 0 && off >= (uint64_t)st.st_size;
}

ssize_t worker_pread(
	struct worker *w, struct source_file *f, uint32_t file, void *buf, size_t len, uint64_t off)
{
	struct pipeline *p = w->p;
	ssize_t n;

	if (atomic_load_explicit(&p->full_up, memory_order_relaxed))
		return -ECANCELED;
	call_begins(w, file, off);
	n = p->ops->file_pread(p->src, f, buf, len, off);
	if (!call_ends(w))
		return -ECANCELED;
	if (n == -EINVAL && is_past_end(f, off))
		return 0;
	if (n < 0)
		return pipeline_fail(p, (int)-n,
			"%s: read of %zu bytes at %llu failed: %s; a run "
			"counts only if every read succeeds",
			file_name(p, file), len, (unsigned long long)off, strerror((int)-n));
	count_bytes(p, n);
	return n;
}

void worker_close(struct worker *w, struct source_file *f)
{
	if (pipeline_stopped(w->p))
		return;
	/* A filesystem may hang in FLUSH as well. */
	call_begins(w, atomic_load(&w->busy_file), atomic_load(&w->busy_off));
	w->p->ops->file_close(w->p->src, f);
	call_ends(w);
}

/* A worker that has been in one call for timeout_ns or more; NULL: none has. */
static const struct worker *find_stuck(
	const struct pipeline *p, int64_t now_ns, int64_t timeout_ns, int64_t *ret_since)
{
	for (int i = 0; i < p->gpus * p->readers; i++) {
		const struct worker *w = &p->workers[i];

		*ret_since = atomic_load_explicit(&w->busy_since_ns, memory_order_acquire);
		if (*ret_since && now_ns - *ret_since >= timeout_ns)
			return w;
	}
	return NULL;
}

static char *say_stuck(const struct worker *w, int64_t ns, char *buf, size_t len)
{
	snprintf(buf, len,
		"reader %d of GPU %d: %s at offset %llu: no answer for %.1f s; the storage hangs, "
		"or raise external.timeout",
		w->number, w->gpu, file_name(w->p, atomic_load(&w->busy_file)),
		(unsigned long long)atomic_load(&w->busy_off), (double)ns / NSEC_PER_SEC);
	return buf;
}

void worker_watchdog(struct pipeline *p, int64_t now_ns)
{
	char text[sizeof(p->err.msg)];
	int64_t since;
	const struct worker *w = find_stuck(p, now_ns, p->timeout_ns, &since);

	if (w)
		pipeline_fail(p, ETIMEDOUT, "%s", say_stuck(w, now_ns - since, text, sizeof(text)));
}

int worker_explain_stuck(const struct pipeline *p, int64_t now_ns, struct err *err)
{
	char text[sizeof(err->msg)];
	int64_t since;
	const struct worker *w = find_stuck(p, now_ns, 0, &since);

	if (w)
		return err_set(
			err, ETIMEDOUT, "%s", say_stuck(w, now_ns - since, text, sizeof(text)));
	return err_set(err, ETIMEDOUT, "readers did not return from the storage; it hangs");
}

void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct pipeline *p = w->p;

	if (p->pin)
		pthread_setaffinity_np(pthread_self(), sizeof(p->cpus), &p->cpus);
	p->reader->work(w);
	if (atomic_fetch_sub(&p->alive, 1) == 1)
		gate_ring(&p->watch);
	return NULL;
}
