/* SPDX-License-Identifier: Apache-2.0 */
/* A server for tests that is honest until told otherwise: see bad_origin.h. */
#include "tests/bad_origin.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/log.h"

static unsigned char byte_at(uint64_t off)
{
	return (unsigned char)(off * 7 + off / 251);
}

const char bad_origin_listing[] =
	"<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>"
	"<Contents><Key>f</Key><Size>300000</Size><ETag>&quot;v1&quot;</ETag>"
	"<LastModified>2025-01-02T03:04:05.678Z</LastModified></Contents>"
	"<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes></ListBucketResult>";

void send_bytes(struct http_call *call, uint64_t first, size_t len)
{
	static __thread unsigned char buf[SIZE];

	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(first + i);
	if (!call->head)
		http_send(call, buf, len);
}

void say_part(struct http_call *call, uint64_t first, uint64_t last, uint64_t total)
{
	http_say(call,
		"HTTP/1.1 206 Partial Content\nContent-Range: bytes %" PRIu64 "-%" PRIu64
		"/%" PRIu64 "\n",
		first, last, total);
}

void say_honest(struct http_call *call, uint64_t *ret_first, uint64_t *ret_last)
{
	*ret_first = 0;
	*ret_last = SIZE - 1;
	if (http_call_range(call, SIZE, ret_first, ret_last))
		say_part(call, *ret_first, *ret_last, SIZE);
	else
		http_say(call, "HTTP/1.1 200 OK\n");
	http_say(call,
		"ETag: " ETAG "\nLast-Modified: Thu, 02 Jan 2025 03:04:05 GMT\n"
		"Content-Length: %" PRIu64 "\n\n",
		*ret_last - *ret_first + 1);
}

bool serve_honest(struct http_call *call)
{
	uint64_t first, last;

	if (*call->query) {
		char prefix[64];

		http_call_argument(call, "prefix", prefix, sizeof(prefix));
		http_answer_text(
			call, "200 OK", *prefix ? "<ListBucketResult/>" : bad_origin_listing);
	} else if (strcmp(call->path, "/f") != 0) {
		http_answer_text(call, "404 Not Found", "gone");
	} else {
		say_honest(call, &first, &last);
		send_bytes(call, first, (size_t)(last - first + 1));
	}
	return true;
}

static bool serve(void *arg, struct http_call *call)
{
	struct bad_origin *f = arg;
	trick_fn *trick = f->trick;

	if (!trick)
		return serve_honest(call);
	if (f->n_seen < 8)
		strcpy(f->seen[f->n_seen++], call->range);
	if (f->tricks > 0) {
		f->tricks--;
		return trick(f, call);
	}
	return serve_honest(call);
}

void set_up(struct bad_origin *f, const char *settings)
{
	struct err err = {0};
	char text[256];

	*f = (struct bad_origin){0};
	snprintf(text, sizeof(text),
		"http.retries=2 http.backoff=1ms http.timeout=5s http.first_bytes=0 %s", settings);
	f->cfg = test_config(text);
	f->server = http_server_new(serve, f);
	f->st = test_origin("http", f->cfg, http_server_url(f->server), &err);
	if (!f->st)
		fail_msg("%s", err.msg);
	assert_int_equal(store_stat(f->st, "f", STORE_WAIT, &f->obj), 0);
}

void tear_down(struct bad_origin *f)
{
	f->st->ops->close(f->st);
	http_server_free(f->server);
	config_free(f->cfg);
}

void play(struct bad_origin *f, trick_fn *trick, int times)
{
	f->n_seen = 0;
	f->tricks = times;
	f->trick = trick;
}

struct got {
	uint64_t off;
	size_t n;
};

static int check_bytes(void *arg, const void *data, size_t len)
{
	struct got *g = arg;
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		if (p[i] != byte_at(g->off + g->n + i))
			fail_msg("wrong byte at %zu", (size_t)g->off + g->n + i);
	g->n += len;
	return 0;
}

int fetch(struct bad_origin *f, uint64_t off, size_t len, size_t *ret_got)
{
	struct got g = {.off = off};
	int r = store_fetch(f->st, &f->obj, off, len, check_bytes, &g);

	if (!r)
		assert_int_equal(g.n, len);
	if (ret_got)
		*ret_got = g.n;
	return r;
}

int collect(void *arg, const struct object *entry)
{
	char *names = arg;

	snprintf(names + strlen(names), 256 - strlen(names), "%s%s ", entry->name,
		entry->is_dir ? "/" : "");
	return 0;
}

void bad_origin_environment(void)
{
	unsetenv("AWS_ENDPOINT_URL");
	setenv("no_proxy", "127.0.0.1", 1);
	log_open("test", LOG_ERROR, NULL, NULL);
}
