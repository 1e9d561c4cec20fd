/* SPDX-License-Identifier: Apache-2.0 */
/* Opening origins over HTTP and listing their folders, with servers that list well, badly, or not at
 * all. */
#include "tests/bad_origin.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"

/* ---- listings ---- */

static bool list_text(struct bad_origin *f, struct http_call *call)
{
	http_answer_text(call, "200 OK", f->text);
	return true;
}

static void lists(const char *text, int want, const char *names)
{
	struct bad_origin f;
	char got[256] = "";

	set_up(&f, "");
	f.text = text;
	play(&f, list_text, 99);
	assert_int_equal(store_list(f.st, "", STORE_WAIT, collect, got), want);
	assert_string_equal(got, names);
	tear_down(&f);
}

static void test_listing(void **state)
{
	lists(bad_origin_listing, 0, "f d/ ");
	lists("<ListBucketResult/>", 0, "");
}

static void test_garbage_is_no_listing(void **state)
{
	lists("<html><body>It works!</body></html>", -EIO, "");
	lists("It works!", -EIO, "");
	lists("", -EIO, "");
	lists("[]", -EIO, "");
	lists("<ListBucketResult><Contents><Key>f</Key><Size>1</Size></Contents>", -EIO, "");
}

static void test_hostile_names_are_left_out(void **state)
{
	struct bad_origin f;
	char got[256] = "";

	set_up(&f, "");
	f.text = "<ListBucketResult><EncodingType>url</EncodingType>"
		 "<Contents><Key>..</Key><Size>1</Size></Contents>"
		 "<Contents><Key>a/b</Key><Size>1</Size></Contents>"
		 "<Contents><Key>a%00b</Key><Size>1</Size></Contents>"
		 "<Contents><Key>%2e%2E</Key><Size>1</Size></Contents>"
		 "<Contents><Key>good</Key><Size>1</Size></Contents>"
		 "<CommonPrefixes><Prefix>../</Prefix></CommonPrefixes>"
		 "<CommonPrefixes><Prefix>/</Prefix></CommonPrefixes>"
		 "<CommonPrefixes><Prefix>x//</Prefix></CommonPrefixes></ListBucketResult>";
	play(&f, list_text, 99);
	assert_int_equal(store_list(f.st, "", STORE_WAIT, collect, got), 0);
	assert_string_equal(got, "good ");
	assert_int_equal(counter_get(f.st->counters, ORIGIN_errors), 7);
	tear_down(&f);
}

static bool list_too_much(struct bad_origin *f, struct http_call *call)
{
	static const char spaces[1 << 16];

	http_say(call, "HTTP/1.1 200 OK\nContent-Length: 99999999\n\n");
	for (int i = 0; i < 99999999 / (1 << 16); i++)
		http_send(call, spaces, sizeof(spaces));
	return false;
}

static void test_a_listing_has_a_bound(void **state)
{
	struct bad_origin f;
	char got[256] = "";

	set_up(&f, "");
	play(&f, list_too_much, 99);
	assert_int_equal(store_list(f.st, "", STORE_WAIT, collect, got), -EIO);
	assert_int_equal(f.n_seen, 1);
	tear_down(&f);
}

/* The same page, and another token each time. */
static bool list_for_ever(struct bad_origin *f, struct http_call *call)
{
	char body[512];

	snprintf(body, sizeof(body),
		"<ListBucketResult><IsTruncated>true</IsTruncated>"
		"<NextContinuationToken>%d</NextContinuationToken>"
		"<Contents><Key>f</Key><Size>1</Size></Contents></ListBucketResult>",
		call->number);
	http_answer_text(call, "200 OK", body);
	return true;
}

static void test_endless_listings_end(void **state)
{
	struct bad_origin f;
	char got[256] = "";

	set_up(&f, "");
	play(&f, list_for_ever, 100000);
	assert_int_equal(store_list(f.st, "", STORE_WAIT, collect, got), -EIO);
	assert_in_range(100000 - f.tricks, 2, 20);
	tear_down(&f);
}

/* Three pages; tokens with characters that need encoding. */
static bool list_in_pages(struct bad_origin *f, struct http_call *call)
{
	char token[64], body[512];

	http_call_argument(call, "continuation-token", token, sizeof(token));
	int page = *token ? token[2] - '0' : 0;

	snprintf(body, sizeof(body),
		"<ListBucketResult><Contents><Key>k%d</Key><Size>%d</Size></Contents>"
		"<IsTruncated>%s</IsTruncated>"
		"<NextContinuationToken>&amp;=%d+/?#</NextContinuationToken></ListBucketResult>",
		page, page, page < 2 ? "true" : "false", page + 1);
	http_answer_text(call, "200 OK", body);
	return true;
}

static void test_listing_in_pages(void **state)
{
	struct bad_origin f;
	char got[256] = "";

	set_up(&f, "");
	play(&f, list_in_pages, 99);
	assert_int_equal(store_list(f.st, "", STORE_WAIT, collect, got), 0);
	assert_string_equal(got, "k0 k1 k2 ");
	tear_down(&f);
}

/* A listing that breaks off is taken anew, not doubled. */
static bool break_listing(struct bad_origin *f, struct http_call *call)
{
	http_say(call, "HTTP/1.1 200 OK\nContent-Length: %zu\n\n", strlen(bad_origin_listing));
	http_send(call, bad_origin_listing, 100);
	return false;
}

static void test_a_broken_listing_is_taken_anew(void **state)
{
	struct bad_origin f;
	char got[256] = "";

	set_up(&f, "");
	play(&f, break_listing, 2);
	assert_int_equal(store_list(f.st, "", STORE_WAIT, collect, got), 0);
	assert_string_equal(got, "f d/ ");
	tear_down(&f);
}

/* ---- opening ---- */

static void opens_not(const char *url, const char *settings, const char *why)
{
	struct config *cfg = test_config(settings);
	struct err err = {0};
	struct store *st = test_origin(strncmp(url, "s3:", 3) ? "http" : "s3", cfg, url, &err);

	if (st)
		fail_msg("%s opened", url);
	if (!strstr(err.msg, why))
		fail_msg("%s: '%s' says nothing of '%s'", url, err.msg, why);
	config_free(cfg);
}

static void test_bad_addresses(void **state)
{
	static const char quick[] = "http.retries=0";

	opens_not("http://", quick, "no URL");
	opens_not("http://127.0.0.1:99999/", quick, "no URL");
	opens_not("http://127.0.0.1:1/x y", quick, "is the server up");
	opens_not("http://user:secret@127.0.0.1/", quick, "leave it out");
	opens_not("http://127.0.0.1/?a=b", quick, "leave it out");
	opens_not("s3://", quick, "no bucket");
	opens_not("s3://a b", quick, "no bucket");
	opens_not("s3://../x", quick, "no bucket");
	opens_not("s3://b/../x", quick, "no bucket");
	opens_not("s3://bucket", "http.retries=0 s3.endpoint=ftp://127.0.0.1", "s3.endpoint: ftp");
	opens_not(
		"s3://bucket", "http.retries=0 s3.endpoint=http://127.0.0.1:1", "is the server up");
	opens_not("s3://bucket", "http.retries=0 s3.region=a/b", "s3.region");
}

static bool serve_text(void *arg, struct http_call *call)
{
	http_answer_text(call, arg, "<html>hello</html>");
	return true;
}

static void server_opens_not(const char *status, const char *why)
{
	struct http_server *s = http_server_new(serve_text, (void *)(uintptr_t)status);
	char url[128];

	snprintf(url, sizeof(url), "%s/a/b", http_server_url(s));
	opens_not(url, "http.retries=1 http.backoff=1ms", why);
	http_server_free(s);
}

static void test_bad_servers(void **state)
{
	server_opens_not("404 Not Found", "answered 404; check the path");
	server_opens_not("500 Error", "answered 500");
	server_opens_not("301 Moved", "s3.region");
	server_opens_not("403 Forbidden",
		"open to everybody can be read; nginx answers 403 for a folder without autoindex");
	server_opens_not("200 OK", "autoindex_format json");
}

/* ---- nginx ---- */

static bool serve_autoindex(void *arg, struct http_call *call)
{
	uint64_t first, last;

	if (!strcmp(call->path, "/")) {
		http_answer_text(call, "200 OK",
			"[ {\"name\":\"f\",\"type\":\"file\",\"size\":300000,"
			"\"mtime\":\"Thu, 02 Jan 2025 03:04:05 GMT\"},\n"
			"{\"name\":\"d\",\"type\":\"directory\",\"mtime\":\"-\"},"
			"{\"name\":\"pipe\",\"type\":\"other\",\"mtime\":\"-\"} ]\n");
	} else if (!strcmp(call->path, "/d")) {
		http_say(call, "HTTP/1.1 301 Moved\nLocation: /d/\nContent-Length: 0\n\n");
	} else if (!strcmp(call->path, "/d/")) {
		http_answer_text(call, "200 OK", "[]");
	} else if (!strcmp(call->path, "/f")) {
		say_honest(call, &first, &last);
		send_bytes(call, first, (size_t)(last - first + 1));
	} else {
		http_answer_text(call, "404 Not Found", "gone");
	}
	return true;
}

static int find_f(void *arg, const struct object *entry)
{
	if (!strcmp(entry->name, "f"))
		*(struct object *)arg = *entry;
	return 0;
}

static void test_autoindex(void **state)
{
	struct http_server *s = http_server_new(serve_autoindex, NULL);
	struct config *cfg = test_config("");
	struct err err = {0};
	struct store *st = test_origin("http", cfg, http_server_url(s), &err);
	struct object obj, listed = {0};
	char got[256] = "", bytes[5];

	assert_non_null(st);
	assert_int_equal(store_list(st, "", STORE_WAIT, collect, got), 0);
	assert_string_equal(got, "f d/ ");
	assert_int_equal(store_stat(st, "d", STORE_WAIT, &obj), 0);
	assert_true(obj.is_dir);
	assert_int_equal(store_list(st, "d", STORE_WAIT, collect, got), 0);
	assert_int_equal(store_list(st, "f", STORE_WAIT, collect, got), -ENOTDIR);
	assert_int_equal(store_list(st, "x", STORE_WAIT, collect, got), -ENOENT);
	assert_int_equal(store_list(st, "", STORE_WAIT, find_f, &listed), 0);
	assert_int_equal(store_stat(st, "f", STORE_WAIT, &obj), 0);
	assert_int_equal(listed.version, obj.version);
	assert_int_equal(store_read(st, &obj, 299995, bytes, 5), 0);
	obj.mtime_ns += NSEC_PER_SEC;
	obj.version = store_version(NULL, obj.size, obj.mtime_ns);
	assert_int_equal(store_read(st, &obj, 299995, bytes, 5), -ESTALE);
	st->ops->close(st);
	http_server_free(s);
	config_free(cfg);
}

/* Without entity tags in the listing a change between two attempts still shows. */
static bool serve_changing(void *arg, struct http_call *call)
{
	_Atomic int *reads = arg;
	uint64_t first, last;

	if (!*call->range || !http_call_range(call, SIZE, &first, &last))
		return serve_autoindex(NULL, call);
	say_part(call, first, last, SIZE);
	http_say(call,
		"ETag: \"%d\"\nLast-Modified: Thu, 02 Jan 2025 03:04:05 GMT\n"
		"Content-Length: %" PRIu64 "\n\n",
		*reads, last - first + 1);
	send_bytes(call, first, (*reads)++ ? last - first + 1 : 5000);
	return false;
}

static void test_autoindex_changes_between_attempts(void **state)
{
	_Atomic int reads = 0;
	struct http_server *s = http_server_new(serve_changing, &reads);
	struct config *cfg = test_config("http.backoff=1ms");
	struct err err = {0};
	struct store *st = test_origin("http", cfg, http_server_url(s), &err);
	struct object obj;
	char bytes[10000];

	assert_non_null(st);
	assert_int_equal(store_stat(st, "f", STORE_WAIT, &obj), 0);
	assert_int_equal(store_read(st, &obj, 0, bytes, sizeof(bytes)), -ESTALE);
	assert_int_equal(reads, 2);
	st->ops->close(st);
	http_server_free(s);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listing),
		cmocka_unit_test(test_garbage_is_no_listing),
		cmocka_unit_test(test_hostile_names_are_left_out),
		cmocka_unit_test(test_a_listing_has_a_bound),
		cmocka_unit_test(test_endless_listings_end),
		cmocka_unit_test(test_listing_in_pages),
		cmocka_unit_test(test_a_broken_listing_is_taken_anew),
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_bad_servers),
		cmocka_unit_test(test_autoindex),
		cmocka_unit_test(test_autoindex_changes_between_attempts),
	};

	bad_origin_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
