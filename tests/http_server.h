/* SPDX-License-Identifier: Apache-2.0 */
/* A web server inside a test, on a free port of 127.0.0.1. What it answers, well or badly, the test
 * writes itself. One thread a connection; a connection that is closed badly harms no other. */
#ifndef TESTS_HTTP_SERVER_H
#define TESTS_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_call {
	int fd;     /* to write the answer to */
	int number; /* of the request, from 0 */
	bool head;
	char path[4096];               /* decoded, with the '/' at the front */
	char query[4096];              /* as it came, "" if there was none */
	char range[64], if_match[128]; /* headers; "" if there was none */
	char authorization[512], token[128];
};

/* Answers; false closes the connection. */
typedef bool serve_fn(void *arg, struct http_call *call);

struct http_server;

struct http_server *http_server_new(serve_fn *serve, void *arg);
void http_server_free(struct http_server *s); /* breaks all connections; NULL is accepted */
const char *http_server_url(const struct http_server *s); /* "http://127.0.0.1:PORT" */
int http_server_requests(const struct http_server *s);    /* so far */
int http_server_connections(const struct http_server *s);

/* Sends text, with "\r\n" for each '\n' of it. */
void http_say(struct http_call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void http_send(struct http_call *call, const void *data, size_t len);

/* Status, headers and body; HEAD gets no body. */
void http_answer_text(struct http_call *call, const char *status, const char *body);

/* Closes the connection so that the other side sees a reset. */
void http_reset(struct http_call *call);

/* Waits until the other side has hung up, or the server is being freed. */
void http_hang(struct http_call *call);

/* The first and last byte of a range "bytes=A-B" in size bytes; false: none. */
bool http_call_range(
	const struct http_call *call, uint64_t size, uint64_t *ret_first, uint64_t *ret_last);

/* The decoded value of a query's member into ret (size bytes), "" if there is none. */
void http_call_argument(const struct http_call *call, const char *name, char *ret, size_t size);

#endif
