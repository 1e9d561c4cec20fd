/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of meta share: a stack over a null origin of 100 files in 10 folders, asked for names. */
#ifndef TESTS_TEST_NAMES_H
#define TESTS_TEST_NAMES_H

#include "tests/test_stack.h"

static inline uint64_t size_of(int file)
{
	return 100 + (uint64_t)file;
}

struct fixture {
	struct config *cfg;
	struct null_origin *origin;
	struct stack *stack;
	struct store *top;
	struct object obj;
};

static inline void close_fixture(struct fixture *f)
{
	stack_close(f->stack);
	config_free(f->cfg);
}

static inline int count(void *arg, const struct object *entry)
{
	++*(int *)arg;
	return 0;
}

static inline int list(struct fixture *f, const char *dir)
{
	int n = 0, r = store_list(f->top, dir, STORE_WAIT, count, &n);

	return r < 0 ? r : n;
}

static inline int stat_now(struct fixture *f, const char *name)
{
	return store_stat(f->top, name, STORE_NOWAIT, &f->obj);
}

static inline int stat_wait(struct fixture *f, const char *name)
{
	return store_stat(f->top, name, STORE_WAIT, &f->obj);
}

#endif
