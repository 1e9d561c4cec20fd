/* SPDX-License-Identifier: Apache-2.0 */
/* What servers say in text: header fields, dates, entity tags, names in URLs, listings. */
#include "tests/unit/test.h"

#include <errno.h>

#include "cachefs/stores/http_autoindex.h"
#include "cachefs/stores/http_fields.h"
#include "cachefs/stores/s3_list.h"
#include "common/cleanup.h"
#include "common/clock.h"

static void test_content_range(void **state)
{
	static const char *const bad[] = {"", "bytes", "bytes ", "bytes 0-1", "bytes 0-1/",
		"bytes 0-1/*", "bytes */2", "bytes 1-0/2", "bytes 0-2/2", "bytes 0-1/2 ",
		"bytes -1-1/2", "bytes 0 -1/2", "bytes=0-1/2", "items 0-1/2",
		"bytes 0-1/99999999999999999999", "bytes 0-1/9223372036854775808", "bytes 0x0-1/2"};
	struct content_range r = {7, 7, 7};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(field_content_range(bad[i], &r), -EINVAL);
	assert_int_equal(r.first, 7);
	assert_int_equal(field_content_range("bytes 5-9/10", &r), 0);
	assert_true(r.first == 5 && r.last == 9 && r.total == 10);
	assert_int_equal(field_content_range("Bytes 0-0/1", &r), 0);
	assert_int_equal(field_content_range("bytes 0-0/9223372036854775807", &r), 0);
}

static void test_retry_after(void **state)
{
	int64_t ns = -1;

	assert_int_equal(field_retry_after("120", 0, &ns), 0);
	assert_int_equal(ns, 120 * NSEC_PER_SEC);
	assert_int_equal(field_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111770, &ns), 0);
	assert_int_equal(ns, 7 * NSEC_PER_SEC);
	assert_int_equal(field_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111999, &ns), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(field_retry_after("9223372036854775807", 0, &ns), 0);
	assert_true(ns > 0);
	assert_int_equal(field_retry_after("soon", 0, &ns), -EINVAL);
	assert_int_equal(field_retry_after("-5", 0, &ns), -EINVAL);
	assert_int_equal(field_retry_after("", 0, &ns), -EINVAL);
}

static void test_dates(void **state)
{
	assert_int_equal(field_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777 * NSEC_PER_SEC);
	assert_int_equal(field_date("1994-11-06T08:49:37.999Z"), 784111777 * NSEC_PER_SEC);
	assert_int_equal(field_date("1994-11-06T08:49:37Z"), 784111777 * NSEC_PER_SEC);
	assert_int_equal(field_date("yesterday"), 0);
	assert_int_equal(field_date(""), 0);
	assert_int_equal(field_date("Sun, 06 Nov 1894 08:49:37 GMT"), 0);
	assert_int_equal(field_date("9999-12-31T23:59:59Z"), 0); /* beyond what nanoseconds hold */
}

static void test_etags(void **state)
{
	struct object a = {0}, b = {0};
	char longer[200];

	field_object(&a, "\"x\"", 5, 0);
	field_object(&b, "x", 9, 9);
	assert_string_equal(a.etag, "\"x\"");
	assert_string_equal(b.etag, "\"x\"");
	assert_int_equal(a.version, b.version);
	field_object(&b, "W/\"x\"", 5, 0);
	assert_int_not_equal(a.version, b.version);
	assert_true(field_etag_strong(a.etag));
	assert_false(field_etag_strong(b.etag));

	/* no tag: the version is of size and time */
	static const char *const none[] = {
		"", "\"", "\"x", "x\"", "\"a\"b\"", "\"a b\"", "\"a\r\nX: y\"", "a\r\nX", "\"x\" "};

	field_object(&a, NULL, 5, 7);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		field_object(&b, none[i], 5, 7);
		assert_string_equal(b.etag, "");
		assert_int_equal(a.version, b.version);
	}

	/* too long to keep, but still what the version is of */
	memset(longer, 'x', sizeof(longer));
	longer[0] = longer[198] = '"';
	longer[199] = '\0';
	field_object(&a, longer, 5, 7);
	longer[5] = 'y';
	field_object(&b, longer, 5, 7);
	assert_string_equal(a.etag, "");
	assert_int_not_equal(a.version, b.version);
}

static void test_url_text(void **state)
{
	char text[] = "a%20b+c%2Bd%00e%4", all[256];
	AUTO(free) char *encoded = url_encode("a b/c%+\xc3\xa9~", true);
	AUTO(free) char *whole = url_encode("a/b", false);

	assert_string_equal(encoded, "a%20b/c%25%2B%C3%A9~");
	assert_string_equal(whole, "a%2Fb");
	assert_int_equal(url_decode(text, true), 11);
	assert_memory_equal(text, "a b c+d\0e%4", 12);
	for (int i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	AUTO(free) char *there = url_encode(all, false);

	assert_int_equal(url_decode(there, true), 255);
	assert_memory_equal(there, all, 256);
}

/* ---- listings ---- */

static int collect(void *arg, const struct object *entry)
{
	char *names = arg;

	snprintf(names + strlen(names), 512 - strlen(names), "%s%s:%d ", entry->name,
		entry->is_dir ? "/" : "", (int)entry->size);
	return 0;
}

/* What is listed, or why not. */
static const char *s3(const char *xml, const char *prefix)
{
	static char got[512];
	static struct s3_page page;
	struct http_gate gate;

	*got = '\0';
	gate_init(&gate, collect, got);
	int r = s3_list_parse(xml, strlen(xml), prefix, &gate, &page);

	gate_done(&gate);
	assert_true(!r || (r == -EBADMSG && page.why));
	return r ? page.why : got;
}

#define LIST(inside) "<ListBucketResult>" inside "</ListBucketResult>"
#define KEY(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"

static void test_s3_names(void **state)
{
	assert_string_equal(s3(LIST(KEY("a/b") KEY("a/") KEY("a/c")), "a/"), "b:1 c:1 ");
	assert_string_equal(s3(LIST(KEY("x") KEY("x")), ""), "x:1 ");
	assert_string_equal(
		s3(LIST(KEY("x") "<CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes>"), ""),
		"x:1 ");
	assert_string_equal(s3(LIST(KEY("a+b%20c")), ""), "a+b%20c:1 ");
	assert_string_equal(
		s3(LIST(KEY("a+b%20c") "<EncodingType>url</EncodingType>"), ""), "a b c:1 ");
	assert_string_equal(s3(LIST(KEY("b/x") KEY("other/x") KEY("") KEY("<b/>")), "a/"), "");
	assert_string_equal(s3(LIST("<Contents><Size>1</Size></Contents>" KEY("x")), ""), "x:1 ");
	assert_string_equal(s3(LIST("<Owner><Key>x</Key></Owner>"), ""), "");
	assert_string_equal(
		s3(LIST("<Contents><Size>5</Size><Key>x</Key><Owner><Key>y</Key></Owner></Contents>"),
			""),
		"x:5 ");
}

static void test_s3_refuses(void **state)
{
	assert_string_equal(s3("", ""), "no element found");
	assert_string_equal(s3("<ListBucketResult>", ""), "no element found");
	assert_string_equal(
		s3("<Error><Code>NoSuchBucket</Code></Error>", ""), "XML, but no listing");
	assert_string_equal(s3("<!DOCTYPE html><p>", ""), "an HTML page");
	assert_string_equal(s3("<HTML><body><br></html>", ""), "an HTML page");
	assert_string_equal(
		s3(LIST("<Contents><Key>x</Key></Contents>"), ""), "a key without a size");
	assert_string_equal(s3(LIST("<Contents><Key>x</Key><Size>-1</Size></Contents>"), ""),
		"a key without a size");
	assert_string_equal(s3(LIST("<IsTruncated>true</IsTruncated>"), ""),
		"a truncated page without a token to go on");
	assert_string_equal(s3(LIST("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"), ""),
		"elements nested too deep");
}

static void test_s3_refuses_entities(void **state)
{
	static const char why[] = "a document type, which listings do not have";

	assert_string_equal(
		s3("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>" LIST(KEY("&b;")),
			""),
		why);
	assert_string_equal(
		s3("<!DOCTYPE x SYSTEM \"file:///etc/passwd\">" LIST(KEY("x")), ""), why);
}

static void test_s3_bounds_text(void **state)
{
	size_t len = 1 << 20;
	AUTO(free) char *xml = malloc(len + 100);
	char *end = stpcpy(xml, "<ListBucketResult><Contents><Key>");

	memset(end, 'x', len / 2);
	strcpy(end + len / 2, "</Key><Size>1</Size></Contents></ListBucketResult>");
	assert_string_equal(s3(xml, ""), "");
	AUTO(free) char *many = malloc(8 << 20);

	end = stpcpy(many, "<ListBucketResult>");
	for (int i = 0; i < 100001; i++)
		end = stpcpy(end, "<CommonPrefixes></CommonPrefixes>");
	assert_string_equal(s3(many, ""), "too many keys in a page");
}

static const char *autoindex(const char *json)
{
	static char got[512];
	const char *why = NULL;
	struct http_gate gate;

	*got = '\0';
	gate_init(&gate, collect, got);
	int r = autoindex_parse(json, strlen(json), &gate, &why);

	gate_done(&gate);
	assert_true(!r || r == -EBADMSG);
	return r ? why : got;
}

#define ENTRY(name) "{\"name\":\"" name "\",\"type\":\"file\",\"size\":1}"

static void test_autoindex(void **state)
{
	assert_string_equal(autoindex("[]"), "");
	assert_string_equal(
		autoindex(" [\r\n" ENTRY("a b") ",\n" ENTRY("\\u00e9") "]\n"), "a b:1 \xc3\xa9:1 ");
	assert_string_equal(autoindex("[" ENTRY("..") "," ENTRY("a/b") "," ENTRY(
				    "a\\u0000b") "," ENTRY("") "]"),
		"");
	assert_string_equal(autoindex("[{\"name\":\"d\",\"type\":\"directory\"}]"), "d/:0 ");
	assert_string_equal(autoindex("[{\"name\":\"s\",\"type\":\"other\"}]"), "");
}

static void test_autoindex_refuses(void **state)
{
	static const char cut[] = "JSON cut short, or followed by something else";
	static const char none[] = "no JSON, or JSON cut short";

	assert_string_equal(autoindex(""), "no JSON listing");
	assert_string_equal(autoindex("<html>"), "no JSON listing");
	assert_string_equal(autoindex("{}"), "no JSON listing");
	assert_string_equal(autoindex("["), cut);
	assert_string_equal(autoindex("[" ENTRY("a")), cut);
	assert_string_equal(autoindex("[" ENTRY("a") "]x"), cut);
	assert_string_equal(autoindex("[" ENTRY("a") ","), none);
	assert_string_equal(autoindex("[1]"), none);
	assert_string_equal(autoindex("[{\"name\":\"a\",\"type\":\"fi"), none);
	assert_string_equal(
		autoindex("[{\"name\":\"a\",\"type\":\"file\"}]"), "a file without a size");
	assert_string_equal(autoindex("[{\"name\":\"a\",\"type\":\"file\",\"size\":-1}]"),
		"a file without a size");
	assert_string_equal(
		autoindex("[{\"type\":\"file\",\"size\":1}]"), "an entry without name or type");
}

static int stop_at_second(void *arg, const struct object *entry)
{
	return ++*(int *)arg == 2 ? -ECANCELED : 0;
}

static void test_gate(void **state)
{
	struct http_gate gate;
	struct object obj = {0};
	char name[32];
	int n = 0, r = 0;

	gate_init(&gate, stop_at_second, &n);
	assert_int_equal(gate_pass(&gate, "a", 1, &obj), 0);
	assert_int_equal(gate_pass(&gate, "a", 1, &obj), 0);
	assert_int_equal(gate_pass(&gate, "b", 1, &obj), -ECANCELED);
	for (int i = 0; i < 20000 && !r; i++)
		r = gate_pass(
			&gate, name, (size_t)snprintf(name, sizeof(name), "%d", i % 10000), &obj);
	assert_int_equal(r, 0);
	assert_int_equal(n, 10002);
	assert_int_equal(gate.passed, 10002);
	gate_done(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content_range),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_etags),
		cmocka_unit_test(test_url_text),
		cmocka_unit_test(test_s3_names),
		cmocka_unit_test(test_s3_refuses),
		cmocka_unit_test(test_s3_refuses_entities),
		cmocka_unit_test(test_s3_bounds_text),
		cmocka_unit_test(test_autoindex),
		cmocka_unit_test(test_autoindex_refuses),
		cmocka_unit_test(test_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
