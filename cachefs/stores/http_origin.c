/* SPDX-License-Identifier: Apache-2.0 */
/* Names, listings and bytes over HTTP: see http_origin.h and docs/internals/origins.md. */
#include "cachefs/stores/http_origin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/stores/http_autoindex.h"
#include "cachefs/stores/http_client.h"
#include "cachefs/stores/http_fields.h"
#include "cachefs/stores/http_gate.h"
#include "cachefs/stores/http_heads.h"
#include "cachefs/stores/s3_list.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

#define LISTING_BYTES_MAX (64 << 20) /* of one answer */
#define PAGE_KEYS 1000
#define FRUITLESS_MAX 16      /* pages in a row that bring no new name */
#define AGAIN_NS NSEC_PER_SEC /* an origin that does not answer is not asked more often */

struct http_origin {
	struct store base;
	struct http_place place;
	struct http_client *client;
	enum list_style style;
	bool signs;
	uint64_t first_bytes; /* that come with attributes; 0: none */
	struct heads heads;
	_Atomic bool told_names; /* bad names were logged */
	/* place and style are settled by the first answer, and do not change any more. */
	_Atomic bool settled;
	pthread_mutex_t settling; /* below, and place and style until then */
	bool refused;
	int64_t ask_again_ns;
};

static struct http_origin *origin_of(struct store *st)
{
	return container_of(st, struct http_origin, base);
}

/* One line for what went wrong; absent names and old versions are answers. */
static int report(const char *what, const char *name, int r, const struct http_answer *a)
{
	if (r == -EIO || r == -EACCES)
		log_warn("origin: cannot %s %s: %s", what, *name ? name : "/", a->cause);
	return r;
}

/* ---- listings ---- */

/* A page of folder dir, or as much of it as one answer holds. */
struct listing_page {
	struct s3_page s3;
	const char *dir;
	int max; /* keys asked for */
	struct http_answer answer;
};

static int parse_page(struct http_origin *o, struct listing_page *page, const char *text,
	size_t len, struct http_gate *gate)
{
	AUTO(free) char *prefix = place_list_prefix(&o->place, page->dir);
	bool json = !*o->place.prefix && text[strspn(text, " \t\r\n")] == '[';

	if (!prefix)
		return -ENOMEM;
	if (o->style == LIST_AUTO)
		o->style = json ? LIST_AUTOINDEX : LIST_AUTO; /* nginx has no prefixes */
	if (o->style != LIST_AUTOINDEX)
		return s3_list_parse(text, len, prefix, gate, &page->s3);
	page->s3.truncated = false;
	int r = autoindex_parse(text, len, gate, &page->s3.why);

	page->s3.keys = gate->passed + gate->refused;
	return r;
}

static int no_listing(struct http_origin *o, struct listing_page *page, const char *why)
{
	counter_add(o->base.counters, ORIGIN_errors, 1);
	snprintf(page->answer.cause, sizeof(page->answer.cause), "answered no listing (%s)", why);
	return -EIO;
}

/* Asks for the page that page->s3.token begins. */
static int ask_page(struct http_origin *o, struct listing_page *page, struct http_gate *gate)
{
	AUTO(free) char *text = NULL;
	AUTO(free)
	char *url = o->style == LIST_AUTOINDEX
			    ? place_object_url(&o->place, page->dir, true)
			    : place_list_url(&o->place, page->dir, page->s3.token, page->max);
	size_t len;
	int r = url ? http_text(o->client, url, LISTING_BYTES_MAX, &text, &len, &page->answer)
		    : -ENOMEM;

	if (r == -EFBIG)
		return no_listing(o, page, "it is larger than 64 MiB");
	if (r)
		return r;
	r = parse_page(o, page, text, len, gate);
	return r == -EBADMSG ? no_listing(o, page, page->s3.why) : r;
}

/* All pages. A server that goes round in circles brings nothing new. */
static int ask_pages(struct http_origin *o, struct listing_page *page, struct http_gate *gate)
{
	int fruitless = 0, r;
	size_t before;

	do {
		before = gate->passed;
		r = ask_page(o, page, gate);
		fruitless = gate->passed > before ? 0 : fruitless + 1;
		if (!r && page->s3.truncated && fruitless == FRUITLESS_MAX)
			r = no_listing(o, page, "it goes on without anything new");
	} while (!r && page->s3.truncated);
	return r;
}

static void tell_refused(struct http_origin *o, const char *dir, const struct http_gate *gate)
{
	if (!gate->refused)
		return;
	counter_add(o->base.counters, ORIGIN_errors, (int64_t)gate->refused);
	if (!atomic_exchange(&o->told_names, true))
		log_warn("origin: %zu names in %s cannot stand in a folder and are left out, such "
			 "as '%s'",
			gate->refused, *dir ? dir : "/", gate->example);
}

static int ignore_entry(void *arg, const struct object *entry)
{
	return 0;
}

/* Whether there is anything in the folder: in a store it exists by what it holds. 0 or -ENOENT, as far
 * as the origin answers. */
static int ask_exists(struct http_origin *o, struct listing_page *page)
{
	struct http_gate gate;

	page->max = 1;
	gate_init(&gate, ignore_entry, NULL);
	int r = ask_page(o, page, &gate);

	gate_done(&gate);
	return !r && !page->s3.keys && !page->s3.truncated ? -ENOENT : r;
}

/* ---- where and how ---- */

static const char *remedy(const struct http_origin *o, int r, long status)
{
	if (!status)
		return "is the server up, and the address right?";
	if (r == -ENOENT)
		return "check the path";
	if (r == -EACCES && o->signs)
		return "see s3.credentials and s3.region";
	if (r == -EACCES && !o->place.guessed)
		return "it was not signed: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or s3.credentials";
	if (r == -EACCES)
		return "only what is open to everybody can be read; nginx answers 403 for a folder without autoindex on, too";
	if (status >= 300 && status < 400)
		return "a bucket may lie in another region or at another endpoint: see s3.region, s3.endpoint";
	if (status == 200)
		return "it has to list by S3's ListObjectsV2 or nginx's autoindex_format json";
	return "see the server's log";
}

/* Finds out where and how the root is listed; err tells of the first attempt. -EHOSTUNREACH: nobody
 * answers, or only to say that it cannot now. */
static int probe(struct http_origin *o, struct err *err)
{
	AUTO(free) struct listing_page *page = calloc(1, sizeof(*page));
	int r, first = 0;

	if (!page)
		return err_set(err, ENOMEM, "not enough memory for the origin");
	do {
		*page = (struct listing_page){.dir = ""};
		r = ask_exists(o, page);
		if (r == -ENOENT && !page->answer.cause[0]) {
			snprintf(
				page->answer.cause, sizeof(page->answer.cause), "nothing is there");
			if (!*o->place.prefix)
				r = 0; /* an empty bucket */
		}
		if (r < 0 && !first) {
			err_set(err, -r, "%s: %s; %s", o->place.url, page->answer.cause,
				remedy(o, r, page->answer.status));
			first = page->answer.status && page->answer.status < 500 ? r
										 : -EHOSTUNREACH;
		}
	} while (r < 0 && page->answer.status && page->answer.status < 500 &&
		 o->style != LIST_AUTOINDEX && !place_shorten(&o->place));
	if (!r && o->style == LIST_AUTO)
		o->style = LIST_S3;
	if (r && (!page->answer.status || page->answer.status >= 500))
		return -EHOSTUNREACH; /* the last one may yet be the right one */
	return r ? first : 0;
}

/* Locked. */
static int settle_now(struct http_origin *o, struct err *err)
{
	int r = o->refused ? -EIO : probe(o, err);

	o->settled = !r;
	o->refused = r && r != -EHOSTUNREACH; /* place and style may be half found out */
	o->ask_again_ns = clock_now_ns() + AGAIN_NS;
	return r;
}

int http_origin_check(struct store *st, struct err *err)
{
	struct http_origin *o = origin_of(st);

	HOLD(&o->settling);
	return o->settled ? 0 : settle_now(o, err);
}

/* Before the first request: where nobody answered when the stack was opened, this asks again. */
static int settle(struct http_origin *o)
{
	struct err err = {0};

	if (o->settled)
		return 0;
	HOLD(&o->settling);
	if (o->settled)
		return 0;
	if (clock_now_ns() < o->ask_again_ns || settle_now(o, &err) < 0) {
		if (err.msg[0])
			log_warn("origin: %s", err.msg);
		return -EIO;
	}
	return 0;
}

/* ---- stat ---- */

/* Listings of nginx have no entity tags, so there a version is made of size and time alone: one file
 * must not have two versions. */
static int file_object(struct http_origin *o, struct http_answer *a, struct object *ret)
{
	if (!a->sized) {
		snprintf(a->cause, sizeof(a->cause), "the server does not tell its size");
		return -EIO;
	}
	*ret = a->obj;
	if (o->style == LIST_AUTOINDEX)
		field_object(ret, NULL, a->obj.size, a->obj.mtime_ns);
	return 0;
}

/* The body of a lookup. */
struct first_bytes {
	char *data;
	size_t len;
};

static int add_bytes(void *arg, const void *data, size_t len)
{
	struct first_bytes *first = arg;

	memcpy(first->data + first->len, data, len);
	first->len += len;
	return 0;
}

/* Attributes together with the first bytes. -ESTALE: it has no bytes. */
static int ask_with_bytes(struct http_origin *o, const char *name, const char *url,
	struct http_answer *a, struct object *ret)
{
	struct first_bytes first = {.data = malloc(o->first_bytes)};
	struct http_request req = {.url = url,
		.len = o->first_bytes,
		.may_end = true,
		.each = add_bytes,
		.arg = &first};
	int r = first.data ? http_ask(o->client, &req, a) : -ENOMEM;

	if (!r)
		r = file_object(o, a, ret);
	if (r) {
		free(first.data);
		return r;
	}
	ret->name = name;
	heads_put(&o->heads, ret, first.data, first.len);
	return 0;
}

/* Attributes alone. */
static int ask_head(
	struct http_origin *o, const char *url, struct http_answer *a, struct object *ret)
{
	struct http_request req = {.url = url, .head = true};
	int r = http_ask(o->client, &req, a);

	if (!r && a->slash)
		*ret = (struct object){.is_dir = true};
	else if (!r)
		r = file_object(o, a, ret);
	return r;
}

/* bytes: they are likely to be read next. Never of nginx: its folders answer too, and a GET would make
 * it list them. */
static int ask_file(struct http_origin *o, const char *name, bool bytes, struct object *ret)
{
	AUTO(free) char *url = place_object_url(&o->place, name, false);
	struct http_answer a;
	int r = -ESTALE;

	if (!url)
		return -ENOMEM;
	if (bytes && o->first_bytes && o->style == LIST_S3)
		r = ask_with_bytes(o, name, url, &a, ret);
	if (r == -ESTALE)
		r = ask_head(o, url, &a, ret);
	return report("look up", name, r, &a);
}

int http_origin_stat(struct store *st, const char *name, enum store_wait wait, struct object *ret)
{
	struct http_origin *o = origin_of(st);

	if (wait == STORE_NOWAIT)
		return -EAGAIN;
	if (!*name) {
		*ret = (struct object){.is_dir = true};
		return 0;
	}
	int r = settle(o);

	if (!r)
		r = ask_file(o, name, wait == STORE_WAIT, ret);

	if (r != -ENOENT || o->style == LIST_AUTOINDEX)
		return r;
	AUTO(free) struct listing_page *page = calloc(1, sizeof(*page));

	if (!page)
		return -ENOMEM;
	page->dir = name;
	r = report("list", name, ask_exists(o, page), &page->answer);
	if (!r)
		*ret = (struct object){.is_dir = true};
	return r;
}

int http_origin_list(
	struct store *st, const char *dir, enum store_wait wait, list_fn *each, void *arg)
{
	struct http_origin *o = origin_of(st);
	AUTO(free) struct listing_page *page = calloc(1, sizeof(*page));
	struct http_gate gate;
	struct object obj;

	if (wait == STORE_NOWAIT)
		return -EAGAIN;
	if (!page)
		return -ENOMEM;
	int r = settle(o);

	if (r)
		return r;
	page->dir = dir;
	page->max = PAGE_KEYS;
	gate_init(&gate, each, arg);
	r = ask_pages(o, page, &gate);
	tell_refused(o, dir, &gate);
	if (!r && *dir && !gate.passed && !page->s3.keys && o->style == LIST_S3)
		r = -ENOENT;
	gate_done(&gate);
	if (r == -ENOENT && *dir && !ask_file(o, dir, false, &obj) && !obj.is_dir)
		return -ENOTDIR;
	return report("list", dir, r, &page->answer);
}

/* ---- fetch ---- */

/* Whether the answer is of the version that obj stands for: by entity tag where both have one, else
 * by size and time. */
static int check_version(void *arg, const struct http_answer *a)
{
	const struct object *obj = arg;

	if (a->obj.size != obj->size)
		return -ESTALE;
	if (a->obj.version == obj->version || (*obj->etag && !*a->obj.etag))
		return 0;
	if (store_version(NULL, obj->size, obj->mtime_ns) != obj->version)
		return -ESTALE;
	bool timed = a->obj.mtime_ns && obj->mtime_ns;

	return timed && a->obj.mtime_ns != obj->mtime_ns ? -ESTALE : 0;
}

/* Hands up what a lookup left at the front of [*off, *off+*len), and moves past it. */
static int fetch_head(struct http_origin *o, const struct object *obj, uint64_t *off, uint64_t *len,
	sink_fn *each, void *arg)
{
	size_t have = 0;
	AUTO(free) char *data = *off ? NULL : heads_take(&o->heads, obj, &have);
	size_t n = have < *len ? have : (size_t)*len;

	*off += n;
	*len -= n;
	return n ? each(arg, data, n) : 0;
}

int http_origin_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg)
{
	struct http_origin *o = origin_of(st);
	int r = settle(o);

	if (!r)
		r = fetch_head(o, obj, &off, &len, each, arg);
	if (r || !len)
		return r;
	AUTO(free) char *url = place_object_url(&o->place, obj->name, false);
	struct http_request req = {
		.url = url,
		.off = off,
		.len = len,
		.if_match = field_etag_strong(obj->etag) ? obj->etag : NULL,
		.accept = check_version,
		.accept_arg = (void *)(uintptr_t)obj,
		.each = each,
		.arg = arg,
	};
	struct http_answer a;

	if (!url)
		return -ENOMEM;
	r = report("read", obj->name, http_ask(o->client, &req, &a), &a);

	return r == -ENOENT ? -ESTALE : r; /* what was there is gone */
}

/* ---- life ---- */

void http_origin_interrupt(struct store *st)
{
	http_client_interrupt(origin_of(st)->client);
}

void http_origin_close(struct store *st)
{
	struct http_origin *o = origin_of(st);

	http_client_free(o->client);
	heads_done(&o->heads);
	place_done(&o->place);
	pthread_mutex_destroy(&o->settling);
	store_done(st);
	free(o);
}

void http_origin_describe(struct store *st, json_t *into)
{
	struct http_origin *o = origin_of(st);

	json_object_set_new(into, "url", json_string(o->place.url));
	json_object_set_new(into, "signed", json_boolean(o->signs));
	if (o->settled)
		json_object_set_new(
			into, "listing", json_string(o->style == LIST_S3 ? "s3" : "autoindex"));
}

struct store *http_origin_open(const struct config *cfg, const struct store_ops *ops,
	struct http_place *place, struct s3_credentials *keys, struct err *err)
{
	struct http_origin *o = calloc(1, sizeof(*o));

	if (!o || store_init(&o->base, ops, NULL) < 0) {
		free(o);
		place_done(place);
		s3_credentials_free(keys);
		err_set(err, ENOMEM, "not enough memory for the origin");
		return NULL;
	}
	heads_init(&o->heads);
	pthread_mutex_init(&o->settling, NULL);
	o->first_bytes = (uint64_t)cfg->http.first_bytes;
	o->place = *place;
	o->style = place->guessed ? (enum list_style)cfg->http.listing : LIST_S3;
	o->client = http_client_new(cfg, o->base.counters);
	o->signs = keys;
	int r = o->client ? http_client_sign(o->client, keys, place_region(cfg)) : -ENOMEM;

	if (!o->client)
		s3_credentials_free(keys);
	if (r < 0) {
		err_set(err, ENOMEM, "not enough memory for the origin");
		http_origin_close(&o->base);
		return NULL;
	}
	return &o->base;
}
