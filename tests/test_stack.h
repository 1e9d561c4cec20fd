/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the stack share: configurations in one line, reads that wait, folders of their own.
 * Includes cmocka and what that needs. */
#ifndef TESTS_TEST_STACK_H
#define TESTS_TEST_STACK_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cachefs/stack.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "tests/null_origin.h"

/* "knob=value knob=value" over the defaults. */
static inline struct config *test_config(const char *settings)
{
	struct config *cfg = config_new();
	char *text = strdup(settings), *rest = NULL;

	for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
		struct err err = {0};
		char *value = strchr(w, '=');

		*value++ = 0;
		if (config_set(cfg, w, value, "test", &err) < 0)
			fail_msg("%s", err.msg);
	}
	free(text);
	return cfg;
}

static inline struct stack *test_stack(struct config *cfg, struct null_origin *origin)
{
	struct err err = {0};
	struct stack *s = stack_open_over(cfg, &origin->base, "null", &err);

	if (!s)
		fail_msg("%s", err.msg);
	return s;
}

/* An origin that has been asked, as stack_open() does; NULL and err when that failed. */
static inline struct store *test_origin(
	const char *scheme, const struct config *cfg, const char *text, struct err *err)
{
	struct store *st = store_find(scheme)->open(cfg, text, NULL, err);

	if (!st || !st->ops->check || st->ops->check(st, err) >= 0)
		return st;
	st->ops->close(st);
	return NULL;
}

struct test_read {
	struct parked parked;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int calls, status;
	char *buf;
};

static inline void test_read_done(struct parked *parked, int status, struct reply *reply)
{
	struct test_read *t = (struct test_read *)parked;
	size_t at = 0;

	pthread_mutex_lock(&t->lock);
	for (int i = 0; !status && i < reply->n; i++) {
		memcpy(t->buf + at, reply->iov[i].iov_base, reply->iov[i].iov_len);
		at += reply->iov[i].iov_len;
	}
	t->calls++;
	t->status = status ? status : at == parked->len ? 0 : -EPROTO;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static inline void test_read_start(struct test_read *t, struct stack *s, const struct object *obj,
	uint64_t off, size_t len, int64_t patience_ns)
{
	*t = (struct test_read){.parked = {.done = test_read_done, .off = off, .len = len}};
	t->parked.deadline_ns = clock_now_ns() + patience_ns;
	t->buf = malloc(len);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	assert_int_equal(stack_read_later(s, obj, &t->parked), 0);
}

/* Its status; the buffer stays until test_read_free(). */
static inline int test_read_wait(struct test_read *t)
{
	pthread_mutex_lock(&t->lock);
	while (!t->calls)
		pthread_cond_wait(&t->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
	return t->status;
}

static inline void test_read_free(struct test_read *t)
{
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->changed);
	free(t->buf);
}

/* As a FUSE thread's own: reads may go past the page cache. */
static inline void *test_scratch(size_t len)
{
	return aligned_alloc(EXTENT_ALIGN, (len + EXTENT_ALIGN - 1) & ~(size_t)(EXTENT_ALIGN - 1));
}

/* Reads as the mount does: now, else later. Returns the status; the bytes are checked. */
static inline int test_read(struct stack *s, const struct object *obj, uint64_t off, size_t len)
{
	struct reply reply = {.scratch_len = REPLY_SCRATCH(len)};
	struct test_read t;
	int r;

	reply.scratch = test_scratch(reply.scratch_len);
	r = stack_read_now(s, obj, off, len, &reply);
	for (int i = 0; !r && i < reply.n; off += reply.iov[i++].iov_len)
		assert_true(
			null_origin_right(obj, off, reply.iov[i].iov_base, reply.iov[i].iov_len));
	if (!r)
		reply_put(&reply);
	free(reply.scratch);
	if (r != -EAGAIN)
		return r;
	test_read_start(&t, s, obj, off, len, 30 * NSEC_PER_SEC);
	r = test_read_wait(&t);
	if (!r)
		assert_true(null_origin_right(obj, off, t.buf, len));
	test_read_free(&t);
	return r;
}

/* Whether the tiers hold all of it now, with right bytes. */
static inline bool test_held(struct stack *s, const struct object *obj, uint64_t off, size_t len)
{
	struct reply reply = {.scratch_len = REPLY_SCRATCH(len)};

	reply.scratch = test_scratch(reply.scratch_len);
	int r = stack_read_now(s, obj, off, len, &reply);

	for (int i = 0; !r && i < reply.n; off += reply.iov[i++].iov_len)
		assert_true(
			null_origin_right(obj, off, reply.iov[i].iov_base, reply.iov[i].iov_len));
	if (!r)
		reply_put(&reply);
	free(reply.scratch);
	return !r;
}

/* A counter of a layer, from the statistics; -1 when it is not there. */
static inline int64_t test_counter(struct stack *s, const char *layer, const char *name)
{
	json_t *stats = stack_stats(s);
	json_t *value = json_object_get(
		json_object_get(json_object_get(stats, "layers"), layer), name);
	int64_t ret = value ? json_integer_value(value) : -1;

	json_decref(stats);
	return ret;
}

#endif
