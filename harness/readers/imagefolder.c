/* SPDX-License-Identifier: Apache-2.0 */
/* imagefolder - reads files as PyTorch's ImageFolder with Pillow does (traced by strace, CPython
 * 3.11, Pillow 9.4): openat, fstat, ioctl(TCGETS), two lseeks, a read of st_blksize bytes, one that
 * fills up to 65,536, reads of 65,536 until one is short, a read that returns 0, close.
 *
 * Batch i belongs to worker i mod W, who reads its files one after another, as the DataLoader
 * does: so W reads are under way for a GPU. Latencies are those of a file, from open to close. */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "common/clock.h"
#include "harness/dataset.h"
#include "harness/page_cache.h"
#include "harness/pipeline.h"

#define BUFFER 65536u /* Pillow reads in pieces of this size */
#define BLOCK 4096u   /* st_blksize where there is no descriptor to ask */
#define FILE_MAX (1u << 30)

/* What the loader's runtime asks before it reads; the answers' cost is the point. */
static int ask(const struct source_file *f, uint64_t *ret_size, uint32_t *ret_block)
{
	struct termios tty;
	struct stat st;

	*ret_size = f->size;
	*ret_block = BLOCK;
	if (f->fd < 0)
		return 0;
	if (fstat(f->fd, &st) < 0)
		return -errno;
	ioctl(f->fd, TCGETS, &tty); /* is it a terminal? Python before 3.14 asks of every file */
	lseek(f->fd, 0, SEEK_CUR);
	lseek(f->fd, 0, SEEK_SET);
	*ret_size = (uint64_t)st.st_size;
	if (st.st_blksize > 0 && (uint32_t)st.st_blksize < BUFFER)
		*ret_block = (uint32_t)st.st_blksize;
	return 0;
}

/* All of the file into mem, which has room for size and one read more. Returns its length. */
static ssize_t read_whole(struct worker *w, struct source_file *f, uint32_t file, uint8_t *mem,
	uint32_t block, size_t room)
{
	size_t done = 0, want = block;

	for (;;) {
		ssize_t n;

		if (room - done < want)
			return pipeline_fail(w->p, EIO,
				"%s: grew while it was read; use data that "
				"nobody changes",
				w->p->data->files[file].path);
		n = worker_pread(w, f, file, mem + done, want, done);
		if (n <= 0)
			return n < 0 ? n : (ssize_t)done;
		done += (size_t)n;
		want = done < BUFFER ? BUFFER - done : BUFFER;
	}
}

static int read_open_file(
	struct worker *w, struct source_file *f, uint32_t file, struct sample *ret)
{
	uint64_t size;
	uint32_t block;
	ssize_t n;
	int r = ask(f, &size, &block);

	if (r < 0)
		return pipeline_fail(w->p, -r, "%s: cannot stat it", w->p->data->files[file].path);
	if (size > FILE_MAX)
		return pipeline_fail(
			w->p, EFBIG, "%s: over 1 GiB; not a picture", w->p->data->files[file].path);
	size_t room = (size_t)size + BUFFER;
	uint8_t *mem = worker_alloc(w, room, ret);

	if (!mem)
		return -ENOMEM;
	n = read_whole(w, f, file, mem, block, room);
	if (n >= 0 && (uint64_t)n < size)
		n = pipeline_fail(w->p, EIO, "%s: only %zd of %llu bytes came; check the storage",
			w->p->data->files[file].path, n, (unsigned long long)size);
	if (n < 0) {
		slab_put(ret->slab);
		return (int)n;
	}
	if (!f->own_cache)
		page_cache_note(w->p->page_cache, f->fd, 0, (uint64_t)n);
	worker_trim(w, ret, (size_t)n);
	return 0;
}

static int read_file(struct worker *w, uint32_t file, struct sample *ret)
{
	int64_t start = clock_now_ns();
	struct source_file f;
	int r = worker_open(w, file, &f);

	if (r < 0)
		return r;
	r = read_open_file(w, &f, file, ret);
	worker_close(w, &f);
	hist_add(&w->reads, clock_now_ns() - start);
	return r;
}

static int read_batch(struct worker *w, uint64_t batch)
{
	struct pipeline *p = w->p;
	int r = 0;

	for (uint32_t i = 0; !r && i < p->batch; i++) {
		uint64_t slot = batch * p->batch + i;
		struct sample s = {.index = order_sample(&p->order, p->gpus, w->gpu, slot)};

		r = read_file(w, p->data->samples[s.index].file, &s);
		r = r ? r : worker_deliver(w, slot, &s);
	}
	return r;
}

static int imagefolder_work(struct worker *w)
{
	struct pipeline *p = w->p;
	int r = 0;

	for (uint64_t k = (uint64_t)w->number; !r && k < p->steps; k += (uint64_t)p->readers) {
		if (!worker_wait_space(w, k))
			break;
		r = read_batch(w, k);
	}
	return r;
}

const struct reader_ops reader_imagefolder = {.name = "imagefolder", .work = imagefolder_work};
