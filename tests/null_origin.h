/* SPDX-License-Identifier: Apache-2.0 */
/* An origin made of arithmetic, for tests: files "dD/fN" whose bytes follow from name and version,
 * so that any range read through a stack can be checked without keeping a copy. Requests can be
 * counted, held at a gate, and made to fail. */
#ifndef TESTS_NULL_ORIGIN_H
#define TESTS_NULL_ORIGIN_H

#include <pthread.h>

#include "cachefs/store.h"

#define NULL_FILES_MAX 4096

struct null_origin {
	struct store base;
	int files, per_dir;
	uint64_t (*size_of)(int file);
	_Atomic uint32_t generation[NULL_FILES_MAX]; /* of a file: another is another version */
	_Atomic int stats, lists, fetches;           /* requests that arrived */
	_Atomic bool down;                           /* everything fails with EIO */
	pthread_mutex_t lock;                        /* below */
	pthread_cond_t changed;
	uint64_t gate; /* bytes of a fetch handed up before it waits; UINT64_MAX: no gate */
	int waiting;   /* fetches at the gate */
};

extern const struct store_ops null_ops;

struct null_origin *null_origin_new(int files, int per_dir, uint64_t (*size_of)(int file));

/* Fetches wait after `bytes` until the gate is opened with UINT64_MAX. */
void null_origin_gate(struct null_origin *o, uint64_t bytes);
void null_origin_await(struct null_origin *o, int fetches); /* until so many are at the gate */

/* The object of file number n as it is now. name has room for 32 bytes. */
void null_origin_object(struct null_origin *o, int n, char *name, struct object *ret);

/* The bytes [off, off+len) of an object. */
void null_origin_bytes(const struct object *obj, uint64_t off, void *buf, size_t len);
bool null_origin_right(const struct object *obj, uint64_t off, const void *buf, size_t len);

#endif
