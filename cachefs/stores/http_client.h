/* SPDX-License-Identifier: Apache-2.0 */
/* http_client - requests that come to an end: with a checked answer, or an error and its cause.
 *
 * Each thread that asks takes a handle (a curl easy handle with connections of its own) and puts
 * it back on top, so that the same few connections stay warm; nothing is shared while bytes
 * flow. Deadlines: http.timeout without a byte ends an attempt, and so does a connection that takes
 * longer; twice that ends the request with all its retries.
 *
 * Sent again, http.retries times: what failed on the way (refused, reset, stalled, cut short), 5xx,
 * 408, 429. A range goes on behind the bytes that were handed up. */
#ifndef CACHEFS_STORES_HTTP_CLIENT_H
#define CACHEFS_STORES_HTTP_CLIENT_H

#include "cachefs/stores/s3_credentials.h"
#include "cachefs/store.h"

struct http_client;

/* What the server said. */
struct http_answer {
	struct object obj; /* of the whole resource; name is not set */
	long status;       /* 0: there was no answer */
	bool sized;        /* obj.size is known */
	bool slash;        /* redirects led to a URL that ends in '/' */
	char cause[256];   /* of a failure, for people */
};

struct http_request {
	const char *url;
	bool head;
	uint64_t off, len; /* len 0: no range */
	bool may_end;      /* the resource may end inside the range: then all of it up to there */
	const char *if_match; /* an entity tag; NULL or "": none */
	/* Called before bytes of an attempt are handed up. Non-zero (-errno) ends the request. A request
	 * without a range begins anew with each call. May be NULL. */
	int (*accept)(void *accept_arg, const struct http_answer *a);
	void *accept_arg;
	sink_fn *each; /* NULL: the body is of no interest */
	void *arg;
};

struct http_client *http_client_new(const struct config *cfg, struct counter_set *count);

/* Requests are signed from now on (AWS Signature V4, service s3), and follow no redirect, since keys are
 * for one host. Keys that are refused are read again, and the request is sent once more if there are
 * newer ones. Takes keys over; NULL: unsigned. -ENOMEM. */
int http_client_sign(struct http_client *c, struct s3_credentials *keys, const char *region);
void http_client_free(struct http_client *c); /* no request is under way; NULL is accepted */

/* Requests under way and later ones end with -ESHUTDOWN soon. */
void http_client_interrupt(struct http_client *c);

/* 0: answered, and all bytes asked for were handed up (nothing is asked for of an empty resource:
 * that is 416). What each() or accept() returned. -ENOENT (404,
 * 410), -EACCES (401, 403), -ESTALE (412, 416), -ESHUTDOWN; else -EIO. ret->cause is set then. */
int http_ask(struct http_client *c, const struct http_request *req, struct http_answer *ret);

/* The whole body as text with a NUL behind it, malloc'ed; -EFBIG if it is over max. */
int http_text(struct http_client *c, const char *url, size_t max, char **ret_text, size_t *ret_len,
	struct http_answer *ret);

#endif
