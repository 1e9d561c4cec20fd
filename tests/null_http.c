/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic over HTTP: see null_http.h. */
#include "tests/null_http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define BUCKET "/bucket/" /* what stands before keys, or nothing */

struct folder {
	FILE *out;
	const char *prefix; /* of keys */
	const char *comma;
};

static int add_key(void *arg, const struct object *entry)
{
	struct folder *f = arg;

	if (entry->is_dir)
		fprintf(f->out, "<CommonPrefixes><Prefix>%s%s/</Prefix></CommonPrefixes>",
			f->prefix, entry->name);
	else
		fprintf(f->out,
			"<Contents><Key>%s%s</Key><Size>%" PRIu64
			"</Size><ETag>%s</ETag></Contents>",
			f->prefix, entry->name, entry->size, entry->etag);
	return 0;
}

static int add_json(void *arg, const struct object *entry)
{
	struct folder *f = arg;

	fprintf(f->out, "%s{\"name\":\"%s\",\"type\":\"%s\",\"mtime\":\"-\",\"size\":%" PRIu64 "}",
		f->comma, entry->name, entry->is_dir ? "directory" : "file", entry->size);
	f->comma = ",\n";
	return 0;
}

static void answer_keys(struct null_origin *o, struct http_call *call)
{
	AUTO(free) char *body = NULL;
	char prefix[64], dir[64];
	size_t len;

	http_call_argument(call, "prefix", prefix, sizeof(prefix));
	snprintf(dir, sizeof(dir), "%.*s", (int)(strlen(prefix) - (*prefix ? 1 : 0)), prefix);
	FILE *out = open_memstream(&body, &len);
	struct folder f = {out, prefix, ""};

	fputs("<ListBucketResult>", out);
	store_list(&o->base, dir, STORE_WAIT, add_key, &f);
	fputs("</ListBucketResult>", out);
	fclose(out);
	http_answer_text(call, "200 OK", body);
}

static void answer_index(struct null_origin *o, struct http_call *call)
{
	AUTO(free) char *body = NULL;
	size_t len = strlen(call->path);
	FILE *out = open_memstream(&body, &len);
	struct folder f = {out, "", ""};

	call->path[strlen(call->path) - 1] = '\0';
	fputs("[", out);
	int r = store_list(&o->base, *call->path ? call->path + 1 : "", STORE_WAIT, add_json, &f);

	fputs("]", out);
	fclose(out);
	http_answer_text(call, r ? "404 Not Found" : "200 OK", body);
}

static int send_piece(void *arg, const void *data, size_t len)
{
	http_send(arg, data, len);
	return 0;
}

static void answer_object(struct null_origin *o, struct http_call *call, const struct object *obj)
{
	uint64_t first = 0, last = obj->size - 1;

	if (*call->if_match && strcmp(call->if_match, obj->etag) != 0) {
		http_answer_text(call, "412 Precondition Failed", "");
		return;
	}
	if (http_call_range(call, obj->size, &first, &last))
		http_say(call,
			"HTTP/1.1 206 Partial Content\nContent-Range: bytes %" PRIu64 "-%" PRIu64
			"/%" PRIu64 "\n",
			first, last, obj->size);
	else
		http_say(call, "HTTP/1.1 200 OK\n");
	http_say(call, "ETag: %s\nContent-Length: %" PRIu64 "\n\n", obj->etag,
		obj->size ? last - first + 1 : 0);
	if (obj->size && !call->head)
		store_fetch(&o->base, obj, first, last - first + 1, send_piece, call);
}

static bool serve(struct null_origin *o, struct http_call *call, bool autoindex)
{
	size_t bucket = strncmp(call->path, BUCKET, strlen(BUCKET)) ? 0 : strlen(BUCKET) - 1;
	struct object obj;

	memmove(call->path, call->path + bucket, strlen(call->path + bucket) + 1);
	bool folder = call->path[strlen(call->path) - 1] == '/';

	if (o->down) {
		http_answer_text(call, "500 Down", "");
	} else if (folder && autoindex) {
		answer_index(o, call);
	} else if (folder && *call->query) {
		answer_keys(o, call);
	} else if (store_stat(&o->base, call->path + 1, STORE_WAIT, &obj) ||
		   (obj.is_dir && !autoindex)) {
		http_answer_text(call, "404 Not Found", "");
	} else if (obj.is_dir) {
		http_say(call, "HTTP/1.1 301 Moved\nLocation: %s/\nContent-Length: 0\n\n",
			call->path);
	} else {
		answer_object(o, call, &obj);
	}
	return true;
}

static bool serve_bucket(void *arg, struct http_call *call)
{
	return serve(arg, call, false);
}

static bool serve_tree(void *arg, struct http_call *call)
{
	return serve(arg, call, true);
}

struct http_server *null_http_new(struct null_origin *o, bool autoindex)
{
	return http_server_new(autoindex ? serve_tree : serve_bucket, o);
}
