/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the disk tier share: a stack over files of arithmetic with a tier of its own, opened again
 * and again over the same folder. */
#ifndef TESTS_TEST_DISK_H
#define TESTS_TEST_DISK_H

#include "tests/test_stack.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define FILES 40

static inline uint64_t size_of(int file)
{
	return file % 4 == 3 ? (3 << 20) + 5 : 1000 + (uint64_t)file * 5000;
}

struct fixture {
	char dir[32];
	const char *settings;
	struct config *cfg;
	struct null_origin *origin;
	struct stack *stack;
};

static inline void open_again(struct fixture *f)
{
	char settings[512];

	snprintf(settings, sizeof(settings),
		"cache.stack=mem,disk mem.capacity=0 cache.fill=sync disk.path=%s disk.capacity=64M %s",
		f->dir, f->settings);
	f->cfg = test_config(settings);
	f->origin = null_origin_new(FILES, 10, size_of);
	f->stack = test_stack(f->cfg, f->origin);
}

static inline void open_first(struct fixture *f, const char *settings)
{
	*f = (struct fixture){.dir = "/tmp/disk-XXXXXX", .settings = settings};
	assert_non_null(mkdtemp(f->dir));
	open_again(f);
}

static inline void close_stack(struct fixture *f)
{
	stack_close(f->stack);
	config_free(f->cfg);
}

static inline void close_last(struct fixture *f)
{
	close_stack(f);
	file_remove_tree(f->dir);
}

static inline void read_all(struct fixture *f)
{
	for (int i = 0; i < FILES; i++) {
		char name[32];
		struct object obj;

		null_origin_object(f->origin, i, name, &obj);
		assert_int_equal(test_read(f->stack, &obj, 0, (size_t)obj.size), 0);
	}
}

/* Until the tier holds it all: a read is answered before its block is written. */
static inline void warm_all(struct fixture *f)
{
	for (int i = 0; i < FILES; i++) {
		char name[32];
		struct object obj;

		null_origin_object(f->origin, i, name, &obj);
		assert_int_equal(stack_warm(f->stack, &obj, NULL), 0);
	}
}

static inline int count_held(struct fixture *f)
{
	int held = 0;

	for (int i = 0; i < FILES; i++) {
		char name[32];
		struct object obj;

		null_origin_object(f->origin, i, name, &obj);
		held += test_held(f->stack, &obj, 0, (size_t)obj.size);
	}
	return held;
}

/* "disk.path/cachefs-HASH/NAME". */
static inline void tier_path(struct fixture *f, const char *name, char path[128])
{
	snprintf(path, 128, "%s/cachefs-%016llx/%s", f->dir,
		(unsigned long long)store_version("null", 0, 0), name);
}

static inline void damage(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static inline int64_t usage(struct fixture *f)
{
	char command[128];
	long long bytes = 0;

	snprintf(command, sizeof(command), "du -s --block-size=1 %s", f->dir);
	FILE *p = popen(command, "r");

	assert_int_equal(fscanf(p, "%lld", &bytes), 1);
	pclose(p);
	return bytes;
}

#endif
