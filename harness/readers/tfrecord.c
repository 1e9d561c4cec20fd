/* SPDX-License-Identifier: Apache-2.0 */
/* tfrecord - reads shards as tf.data does (traced by strace, TensorFlow 2.21): openat, preads of
 * exactly 262,144 bytes at consecutive offsets, a short one, one that returns 0, close; about ten
 * streams a GPU, each in one shard, whose records go into batches in turn. Latencies are those of a
 * pread.
 *
 * A chunk is read into the slab right behind the one before, so records are slices of slabs:
 *
 *   slab   [ head | chunk | chunk | chunk ... ]      head: what the slab before held of a record
 *                    ^pos             ^end           that goes on in this one, copied
 *
 * Chunks start at multiples of 4 KiB in memory as in the file, which O_DIRECT asks for. */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "common/clock.h"
#include "harness/dataset.h"
#include "harness/page_cache.h"
#include "harness/pipeline.h"
#include "harness/tfrecord.h"

#define CHUNK 262144u
#define SHARD_ENDED 1

struct stream {
	struct worker *w;
	struct source_file f;
	bool open;
	struct segment seg; /* seg.n: records still to come */
	uint64_t off;       /* of the next chunk in the file */
	struct slab *slab;
	size_t pos, end; /* bytes of the slab not yet parsed */
	uint32_t barren; /* shards in a row without a record */
};

static const char *shard_name(const struct stream *s)
{
	return s->w->p->data->files[s->seg.file].path;
}

static void stream_close(struct stream *s)
{
	if (s->open)
		worker_close(s->w, &s->f);
	s->open = false;
}

static size_t align_up(size_t n)
{
	return (n + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
}

/* A slab that can hold `need` bytes from pos on and a chunk more; takes the rest along. */
static int switch_slab(struct stream *s, size_t need)
{
	size_t rest = s->end - s->pos, head = align_up(rest);
	struct slab *fresh = slab_get(&s->w->lane->pool, head + align_up(need) + CHUNK);

	if (!fresh)
		return pipeline_fail(s->w->p, ENOMEM, "%s: no memory for a record of %zu bytes",
			shard_name(s), need);
	if (s->slab && rest)
		memcpy(fresh->mem + head - rest, s->slab->mem + s->pos, rest);
	slab_put(s->slab);
	s->slab = fresh;
	s->pos = head - rest;
	s->end = head;
	return 0;
}

/* Reads the next chunk; need: bytes wanted from pos on. Returns bytes read, 0 at the end. */
static ssize_t read_chunk(struct stream *s, size_t need)
{
	struct worker *w = s->w;
	int64_t start;
	ssize_t n;
	int r = 0;

	if (!s->slab || s->slab->cap - s->end < CHUNK || s->slab->cap - s->pos < need)
		r = switch_slab(s, need);
	if (r < 0)
		return r;
	assert(s->slab);
	start = clock_now_ns();
	n = worker_pread(w, &s->f, s->seg.file, s->slab->mem + s->end, CHUNK, s->off);
	if (n < 0)
		return n;
	hist_add(&w->reads, clock_now_ns() - start);
	if (!s->f.own_cache)
		page_cache_note(w->p->page_cache, s->f.fd, s->off, (uint64_t)n);
	s->off += (uint64_t)n;
	s->end += (size_t)n;
	return n;
}

/* The next record. SHARD_ENDED: the file ends where a record would begin. */
static int read_record(struct stream *s, struct tfrecord *ret)
{
	struct pipeline *p = s->w->p;

	for (;;) {
		size_t have = s->end - s->pos;
		const uint8_t *at = s->slab ? s->slab->mem + s->pos : NULL;
		int64_t need = tfrecord_parse(at, have, p->verify, ret);
		ssize_t n;

		if (need == 0)
			return 0;
		if (need < 0) {
			atomic_fetch_add(&p->crc_errors, 1);
			return pipeline_fail(p, EBADMSG,
				"%s: wrong CRC32C or length of the record that ends before offset %llu; "
				"check the storage, or generate the data again",
				shard_name(s), (unsigned long long)s->off);
		}
		n = read_chunk(s, (size_t)need);
		if (n < 0)
			return (int)n;
		if (n == 0 && !have)
			return SHARD_ENDED;
		if (n == 0)
			return pipeline_fail(p, EIO,
				"%s: ends inside a record, at %llu; the file is cut short",
				shard_name(s), (unsigned long long)s->off);
	}
}

/* The lane's next segment that this stream takes. False: there is none. */
static bool take_segment(struct stream *s)
{
	struct worker *w = s->w;
	const struct order *o = &w->p->order;
	uint32_t first = o->lane_first[w->gpu], n = o->lane_first[w->gpu + 1] - first;
	uint32_t i = atomic_fetch_add(&w->lane->next_segment, 1);

	/* Shards of unknown length go round for ever; a stream without one of its own rests. */
	if (!w->p->data->n_samples && (uint32_t)w->number < n)
		i %= n;
	if (i >= n)
		return false;
	s->seg = o->segments[first + i];
	return true;
}

/* Opens the segment's shard at its first record. */
static int open_segment(struct stream *s)
{
	const struct dataset *d = s->w->p->data;
	uint64_t at = d->n_samples ? d->samples[s->seg.first].off : 0;
	size_t skip = (size_t)(at % SLAB_ALIGN);
	int r = worker_open(s->w, s->seg.file, &s->f);

	if (r < 0)
		return r;
	s->open = true;
	s->off = at - skip;
	s->pos = s->end = align_up(s->end);
	while (skip && s->end - s->pos < skip) { /* once, unless reads are short */
		ssize_t n = read_chunk(s, skip);

		if (n == 0)
			return pipeline_fail(
				s->w->p, EIO, "%s: shorter than its manifest says", shard_name(s));
		if (n < 0)
			return (int)n;
	}
	s->pos += skip;
	return 0;
}

/* All records of a shard have been taken: like tf.data, learns from a read that it has ended. */
static int finish_segment(struct stream *s)
{
	const struct pipeline *p = s->w->p;
	const struct data_file *f = &p->data->files[s->seg.file];
	ssize_t n = 0;

	if (p->data->n_samples && s->off >= f->size)
		n = read_chunk(s, 0);
	if (n > 0)
		n = pipeline_fail(s->w->p, EIO, "%s: longer than its manifest says", f->path);
	stream_close(s);
	return (int)n;
}

/* Makes sure that there is a record to claim a slot for. 1: there is; 0: no more in this epoch. */
static int ready(struct stream *s)
{
	int r = 0;

	if (s->open && s->seg.n)
		return 1;
	if (s->open)
		r = finish_segment(s);
	if (r < 0 || !take_segment(s))
		return r;
	r = open_segment(s);
	return r < 0 ? r : 1;
}

/* A shard of unknown length has ended: on to the next. */
static int next_shard(struct stream *s)
{
	struct pipeline *p = s->w->p;

	if (p->data->n_samples)
		return pipeline_fail(
			p, EIO, "%s: fewer records than its manifest says", shard_name(s));
	if (++s->barren > p->data->n_files)
		return pipeline_fail(p, ENODATA,
			"%s and others: no records in them; give a folder "
			"of TFRecord files",
			shard_name(s));
	stream_close(s);
	take_segment(s);
	return open_segment(s);
}

/* The record must be the one that the manifest promises here. */
static int check_record(struct stream *s, const struct tfrecord *rec)
{
	struct pipeline *p = s->w->p;
	const struct data_sample *known;

	if (p->verify)
		atomic_fetch_add_explicit(&s->w->checked, 1, memory_order_relaxed);
	if (!p->data->n_samples)
		return 0;
	known = &p->data->samples[s->seg.first];
	if (rec->len == known->len && (!p->verify || rec->crc == known->crc))
		return 0;
	atomic_fetch_add(&p->crc_errors, 1);
	return pipeline_fail(p, EBADMSG,
		"%s: the record at %llu has not the length or CRC32C of the manifest; check the "
		"storage, or generate the data again",
		shard_name(s), (unsigned long long)known->off);
}

static int deliver_next(struct stream *s, uint64_t slot)
{
	bool known = s->w->p->data->n_samples != 0;
	struct tfrecord rec;
	struct sample sample;
	int r;

	while ((r = read_record(s, &rec)) == SHARD_ENDED)
		if ((r = next_shard(s)) < 0)
			break;
	if (!r)
		r = check_record(s, &rec);
	if (r < 0)
		return r;
	s->barren = 0;
	sample = (struct sample){
		rec.data, s->slab, (uint32_t)rec.len, known ? s->seg.first : SAMPLE_UNKNOWN};
	slab_ref(s->slab);
	s->pos += rec.len + TFRECORD_FRAME;
	if (known) {
		s->seg.first++;
		s->seg.n--;
	}
	return worker_deliver(s->w, slot, &sample);
}

static int tfrecord_work(struct worker *w)
{
	struct stream s = {.w = w};
	uint64_t slot;
	int r;

	while ((r = ready(&s)) > 0) {
		if (!worker_claim(w, &slot))
			break;
		r = deliver_next(&s, slot);
		if (r < 0)
			break;
	}
	stream_close(&s);
	slab_put(s.slab);
	return r;
}

const struct reader_ops reader_tfrecord = {.name = "tfrecord", .work = tfrecord_work};
