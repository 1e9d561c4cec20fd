/* SPDX-License-Identifier: Apache-2.0 */
/* Source stack: the layers of cachefs in this process, over the same synth-remote as source
 * `cached`, without FUSE. What `cached` is slower by is the price of FUSE; and where /dev/fuse is
 * missing this still measures the cache. Bytes are checked and copied as a FUSE reply would be.
 *
 * The user's own origin needs a listing, which the harness takes from a mount, so remote.origin
 * wants source `cached`. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/stack.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "harness/cache_mount.h"
#include "harness/remote_server.h"
#include "harness/source.h"

extern const struct source_ops source_stack;

struct stack_source {
	struct source base;
	struct remote_server remote;
	struct config *cfg; /* with the tier's knobs */
	char *tier;
	struct stack *stack; /* NULL while closed */
	_Atomic int inside;  /* readers in the stack; counted down last, as s may be gone then */
};

/* An open file: the object, and the scratch memory of the one thread that reads it. */
struct stack_file {
	struct object obj;
	char *name;
	void *scratch;
	size_t scratch_len;
};

/* A read that waits for a pool thread. */
struct waiting {
	struct parked parked;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool ready; /* under lock */
	int status; /* under lock */
	void *buf;
};

static struct stack_source *stack_of(struct source *src)
{
	return container_of(src, struct stack_source, base);
}

static int open_stack(struct stack_source *s, struct err *err)
{
	int r = cache_tier_config(s->cfg, s->tier, s->base.spec->capacity_bytes, err);

	if (r)
		return r;
	s->stack = stack_open(s->cfg, s->remote.url, err);
	return s->stack ? 0 : -EIO;
}

static void close_stack(struct stack_source *s)
{
	if (s->stack)
		stack_close(s->stack);
	s->stack = NULL;
}

static void stack_source_close(struct source *src)
{
	struct stack_source *s = stack_of(src);

	/* A reader that is stuck in the stack keeps it, and what it was made of. */
	if (atomic_load(&s->inside)) {
		remote_server_stop(&s->remote);
		return;
	}
	close_stack(s);
	remote_server_stop(&s->remote);
	config_free(s->cfg);
	free(s->tier);
	free(s);
}

static int stack_start(struct stack_source *s, struct err *err)
{
	const struct source_spec *spec = s->base.spec;
	int r;

	s->cfg = config_copy(spec->cfg);
	if (!s->cfg || asprintf(&s->tier, "%s/tier", spec->work_dir) < 0) {
		s->tier = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	s->cfg->fuse.open_mode = OPEN_DIRECT; /* no page cache of a mount lies before the tiers */
	r = remote_server_start(&s->remote, spec, err);
	return r ? r : open_stack(s, err);
}

static struct source *stack_source_open(const struct source_spec *spec, struct err *err)
{
	struct stack_source *s = calloc(1, sizeof(*s));

	if (!s) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	s->base = (struct source){.ops = &source_stack, .spec = spec};
	s->remote.out_fd = -1;
	if (stack_start(s, err)) {
		stack_source_close(&s->base);
		return NULL;
	}
	return &s->base;
}

static int stack_chill(struct source *src, struct err *err)
{
	struct stack_source *s = stack_of(src);
	int r, warm;

	close_stack(s);
	r = file_remove_tree(s->tier);
	if (r && r != -ENOENT)
		return err_set(err, -r, "%s: cannot be deleted: %s", s->tier, strerror(-r));
	warm = remote_server_chill(src->spec, err);
	r = open_stack(s, err);
	return r ? r : warm;
}

static void stack_file_free(struct stack_file *f)
{
	if (!f)
		return;
	free(f->name);
	free(f->scratch);
	free(f);
}

AUTO_FREE(stack_file, struct stack_file, stack_file_free);

static int stack_file_open(struct source *src, const char *path, struct source_file *ret)
{
	AUTO(stack_file) struct stack_file *f = calloc(1, sizeof(*f));
	struct stack_source *s = stack_of(src);
	int r;

	if (!f || !(f->name = strdup(path)))
		return -ENOMEM;
	atomic_fetch_add(&s->inside, 1);
	r = store_stat(stack_top(s->stack), f->name, STORE_WAIT, &f->obj);
	atomic_fetch_sub(&s->inside, 1);
	if (r)
		return r;
	f->obj.name = f->name;
	*ret = (struct source_file){.fd = -1, .size = f->obj.size, .handle = f};
	TAKE(f);
	return 0;
}

static void stack_file_close(struct source *src, struct source_file *f)
{
	(void)src;
	stack_file_free(f->handle);
}

static void copy_reply(const struct reply *reply, void *buf)
{
	char *to = buf;

	for (int i = 0; i < reply->n; i++) {
		memcpy(to, reply->iov[i].iov_base, reply->iov[i].iov_len);
		to += reply->iov[i].iov_len;
	}
}

static void read_done(struct parked *p, int status, struct reply *reply)
{
	struct waiting *w = container_of(p, struct waiting, parked);

	if (!status)
		copy_reply(reply, w->buf);
	HOLD(&w->lock);
	w->status = status;
	w->ready = true;
	pthread_cond_signal(&w->done);
}

/* The stack answers by parked.deadline_ns, so this wait has one, too. */
static int read_parked(struct stack_source *s, const struct object *obj, struct waiting *w)
{
	int r = stack_read_later(s->stack, obj, &w->parked);

	if (r)
		return r;
	HOLD(&w->lock);
	while (!w->ready)
		pthread_cond_wait(&w->done, &w->lock);
	return w->status;
}

static int read_waiting(
	struct stack_source *s, const struct object *obj, void *buf, size_t len, uint64_t off)
{
	int64_t patience = 2 * s->base.spec->cfg->http.timeout;
	struct waiting w = {.parked = {.done = read_done,
				    .off = off,
				    .len = len,
				    .deadline_ns = clock_now_ns() + patience},
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.done = PTHREAD_COND_INITIALIZER,
		.buf = buf};
	int r = read_parked(s, obj, &w);

	pthread_cond_destroy(&w.done);
	pthread_mutex_destroy(&w.lock);
	return r;
}

static int need_scratch(struct stack_file *f, size_t len)
{
	if (f->scratch_len >= REPLY_SCRATCH(len))
		return 0;
	free(f->scratch);
	f->scratch_len = 0;
	if (posix_memalign(&f->scratch, 4096, REPLY_SCRATCH(len)))
		return -ENOMEM;
	f->scratch_len = REPLY_SCRATCH(len);
	return 0;
}

static ssize_t stack_file_pread(
	struct source *src, struct source_file *file, void *buf, size_t len, uint64_t off)
{
	struct stack_source *s = stack_of(src);
	struct stack_file *f = file->handle;
	struct reply reply = {0};
	int r;

	if (off >= f->obj.size || !len)
		return 0;
	if (len > f->obj.size - off)
		len = f->obj.size - off;
	r = need_scratch(f, len);
	if (r)
		return r;
	reply.scratch = f->scratch;
	reply.scratch_len = f->scratch_len;
	atomic_fetch_add(&s->inside, 1);
	r = stack_read_now(s->stack, &f->obj, off, len, &reply);
	if (!r) {
		copy_reply(&reply, buf);
		reply_put(&reply);
	} else if (r == -EAGAIN) {
		r = read_waiting(s, &f->obj, buf, len, off);
	}
	atomic_fetch_sub(&s->inside, 1);
	return r ? r : (ssize_t)len;
}

static json_t *stack_counters(struct source *src)
{
	struct stack_source *s = stack_of(src);
	json_t *remote = remote_server_stats(&s->remote);
	int64_t resident = cache_tier_resident(s->tier);

	return json_pack("{s:O?, s:i, s:o?, s:{s:o*, s:o*}, s:{s:f}}", "origin_bytes",
		json_object_get(remote, "bytes"), "page_cache_bytes", 0, "tier_page_cache_bytes",
		resident < 0 ? NULL : json_integer(resident), "counters", "stack",
		stack_stats(s->stack), "remote", remote, "cpu_s", "remote",
		child_cpu_s(&s->remote.child));
}

const struct source_ops source_stack = {
	.name = "stack",
	.summary = "the layers of cachefs in this process, without FUSE",
	.label = "the cache without FUSE",
	.flags = SOURCE_PAGE_CACHE | SOURCE_KEEPS,
	.open = stack_source_open,
	.close = stack_source_close,
	.chill = stack_chill,
	.file_open = stack_file_open,
	.file_pread = stack_file_pread,
	.file_close = stack_file_close,
	.counters = stack_counters,
};
