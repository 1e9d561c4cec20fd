/* SPDX-License-Identifier: Apache-2.0 */
/* An http origin over a server that is honest until a test has a trick for it. The server has the file
 * "f" and the folder "d"; bytes of "f" follow from their offset. Includes cmocka. */
#ifndef TESTS_BAD_ORIGIN_H
#define TESTS_BAD_ORIGIN_H

#include "tests/http_server.h"
#include "tests/test_stack.h"

#define SIZE 300000
#define ETAG "\"v1\""

struct bad_origin;
typedef bool trick_fn(struct bad_origin *f, struct http_call *call);

struct bad_origin {
	struct http_server *server;
	struct config *cfg;
	struct store *st;
	struct object obj;         /* the file, as it was when the store was opened */
	_Atomic(trick_fn *) trick; /* answers in place of the honest server */
	_Atomic int tricks;        /* times that it does */
	char seen[8][64];          /* ranges asked for since the trick was set */
	_Atomic int n_seen;
	const char *text; /* for tricks */
};

extern const char bad_origin_listing[]; /* what the honest server says of its root */

/* settings: over http.retries=2 http.backoff=1ms http.timeout=5s http.first_bytes=0. */
void set_up(struct bad_origin *f, const char *settings);
void tear_down(struct bad_origin *f);
void play(struct bad_origin *f, trick_fn *trick, int times);

/* Fetches [off, off+len) of "f"; a wrong byte fails the test. *ret_got: how many came. */
int fetch(struct bad_origin *f, uint64_t off, size_t len, size_t *ret_got);

/* ---- for tricks ---- */
void send_bytes(struct http_call *call, uint64_t first, size_t len);
void say_part(struct http_call *call, uint64_t first, uint64_t last, uint64_t total);

/* Up to the body of an honest answer; *ret_first, *ret_last are what it has to be. */
void say_honest(struct http_call *call, uint64_t *ret_first, uint64_t *ret_last);
bool serve_honest(struct http_call *call);

/* A list_fn: "f d/ " into a text of 256 bytes. */
int collect(void *arg, const struct object *entry);

/* Of every test program: no proxy for loopback, no endpoint from outside, a quiet log. */
void bad_origin_environment(void);

#endif
