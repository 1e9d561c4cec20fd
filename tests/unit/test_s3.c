/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets: where they are, which keys requests are signed with, and what is made of refusals. Whether
 * a signature is right, system/origin_s3.sh finds out. */
#include "tests/bad_origin.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "cachefs/stores/http_place.h"
#include "cachefs/stores/s3_credentials.h"
#include "cachefs/stores/s3_error.h"
#include "common/cleanup.h"

#define FILE_OF(id) "[default]\naws_access_key_id = " id "\naws_secret_access_key = secret" id "\n"

/* ---- where ---- */

static void bucket_is(const char *settings, const char *bucket, const char *url)
{
	struct config *cfg = test_config(settings);
	struct http_place place;
	struct err err = {0};

	if (place_from_bucket(cfg, bucket, &place, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(place.url, url);
	place_done(&place);
	config_free(cfg);
}

static void test_styles(void **state)
{
	bucket_is("s3.region=eu-west-1", "s3://b/c", "https://b.s3.eu-west-1.amazonaws.com/c");
	bucket_is("s3.region=eu-west-1", "s3://b.d", "https://s3.eu-west-1.amazonaws.com/b.d");
	bucket_is("s3.region=cn-north-1", "s3://b", "https://b.s3.cn-north-1.amazonaws.com.cn");
	bucket_is("s3.style=path", "s3://b", "https://s3.us-east-1.amazonaws.com/b");
	bucket_is("s3.endpoint=http://h:9000/", "s3://b/c d", "http://h:9000/b/c%20d");
	bucket_is("s3.endpoint=http://h:9000 s3.style=host", "s3://b", "http://b.h:9000");
	setenv("AWS_REGION", "eu-west-3", 1);
	bucket_is("s3.style=auto", "s3://b", "https://b.s3.eu-west-3.amazonaws.com");
	unsetenv("AWS_REGION");
}

static void test_bad_regions(void **state)
{
	struct config *cfg = test_config("s3.region=a:b s3.endpoint=http://h");
	struct http_place place;
	struct err err = {0};

	assert_int_equal(place_from_bucket(cfg, "s3://b", &place, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "'a:b' is no region"));
	config_free(cfg);
}

/* ---- keys as text ---- */

static void keys_are(const char *text, const char *profile, const char *id, const char *token)
{
	struct s3_keys keys;
	const char *why;

	assert_int_equal(s3_keys_parse(text, profile, &keys, &why), 0);
	assert_string_equal(keys.id, id);
	assert_string_equal(keys.secret, "s/+=");
	assert_string_equal(keys.token, token);
}

static void no_keys(const char *text, const char *pattern)
{
	struct s3_keys keys;
	const char *why = "";

	assert_int_equal(s3_keys_parse(text, "default", &keys, &why), -EINVAL);
	assert_non_null(strstr(why, pattern));
	assert_string_equal(keys.secret, "");
}

static void test_keys_in_a_file(void **state)
{
	const char *text = "# ours\n[a]\naws_access_key_id=A\naws_secret_access_key = s/+=\n\n"
			   "[ default ]\r\n aws_access_key_id = D \r\nregion = x\n"
			   ";aws_access_key_id = no\n"
			   "aws_secret_access_key\t=\ts/+=\naws_session_token = T==";

	keys_are(text, "a", "A", "");
	keys_are(text, "default", "D", "T==");
	no_keys("", "no such profile");
	no_keys("[a]\naws_access_key_id=A\naws_secret_access_key=S\n", "no such profile");
	no_keys("[default]\naws_access_key_id=A\n", "lacks");
	no_keys("[default]\naws_access_key_id=A B\naws_secret_access_key=S\n", "odd characters");
	no_keys("[default]\naws_access_key_id=A\naws_secret_access_key=\n", "empty");
}

static void error_is(const char *xml, int want, const char *code, const char *region)
{
	struct s3_error error;

	assert_int_equal(s3_error_parse(xml, strlen(xml), &error), want);
	assert_string_equal(error.code, code);
	assert_string_equal(error.region, region);
}

static void test_errors(void **state)
{
	error_is("<?xml version=\"1.0\"?><Error><Code>A</Code><Region>eu-1</Region></Error>", 0,
		"A", "eu-1");
	error_is("<Error><Code>A</Code><Message>cut of", 0, "A", "");
	error_is("<Error><Code>A", -EINVAL, "", "");
	error_is("<Error><Code>A\nB</Code></Error>", -EINVAL, "", "");
	error_is("<Error><Resource><Code>A</Code></Resource></Error>", -EINVAL, "", "");
	error_is("<html><Code>A</Code></html>", -EINVAL, "", "");
	error_is("<!DOCTYPE Error><Error><Code>A</Code></Error>", -EINVAL, "", "");
	error_is("", -EINVAL, "", "");
}

/* ---- a bucket ---- */

struct bucket {
	struct http_server *server;
	struct config *cfg;
	struct store *st;
	struct object obj;
	const char *good;         /* the only key that is let in; NULL: what follows is said */
	const char *status, *say; /* of refusals */
	char authorization[512], token[128];
};

static bool serve_bucket(void *arg, struct http_call *call)
{
	struct bucket *b = arg;
	char want[64];

	strcpy(b->authorization, call->authorization);
	strcpy(b->token, call->token);
	snprintf(want, sizeof(want), "AWS4-HMAC-SHA256 Credential=%s/", b->good ? b->good : "?");
	if (strncmp(call->authorization, want, strlen(want)) != 0) {
		http_answer_text(call, b->status, b->say);
		return true;
	}
	if (!strncmp(call->path, "/b/", 3))
		memmove(call->path, call->path + 2, strlen(call->path) - 1);
	return serve_honest(call);
}

static int open_bucket(struct bucket *b, const char *settings, struct err *err)
{
	char text[512];

	if (!b->server)
		b->server = http_server_new(serve_bucket, b);
	b->status = b->status ? b->status : "403 Forbidden";
	b->say = b->say ? b->say : "<Error><Code>InvalidAccessKeyId</Code></Error>";
	snprintf(text, sizeof(text),
		"s3.endpoint=%s http.retries=2 http.backoff=1ms http.first_bytes=0 %s",
		http_server_url(b->server), settings);
	b->cfg = test_config(text);
	b->st = test_origin("s3", b->cfg, "s3://b", err);
	prctl(PR_SET_DUMPABLE, 1); /* for the leak checker */
	return b->st ? store_stat(b->st, "f", STORE_WAIT, &b->obj) : -EINVAL;
}

static void close_bucket(struct bucket *b)
{
	if (b->st)
		b->st->ops->close(b->st);
	http_server_free(b->server);
	config_free(b->cfg);
}

static void set_keys(const char *id, const char *secret, const char *token)
{
	id ? setenv("AWS_ACCESS_KEY_ID", id, 1) : unsetenv("AWS_ACCESS_KEY_ID");
	secret ? setenv("AWS_SECRET_ACCESS_KEY", secret, 1) : unsetenv("AWS_SECRET_ACCESS_KEY");
	token ? setenv("AWS_SESSION_TOKEN", token, 1) : unsetenv("AWS_SESSION_TOKEN");
}

static void test_requests_are_signed(void **state)
{
	struct bucket b = {.good = "ID"};
	struct err err = {0};

	set_keys("ID", "SECRET", "TOKEN");
	assert_int_equal(open_bucket(&b, "s3.region=eu-1", &err), 0);
	assert_non_null(strstr(b.authorization, "/eu-1/s3/aws4_request"));
	assert_non_null(strstr(
		b.authorization, "=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"));
	assert_string_equal(b.token, "TOKEN");
	close_bucket(&b);
	set_keys(NULL, NULL, NULL);
}

static void test_unsigned_without_keys(void **state)
{
	struct bucket b = {0};
	struct err err = {0};

	assert_int_equal(open_bucket(&b, "s3.region=eu-1", &err), -EINVAL);
	assert_string_equal(b.authorization, "");
	assert_non_null(strstr(err.msg, "403 InvalidAccessKeyId"));
	assert_non_null(strstr(err.msg, "it was not signed"));
	close_bucket(&b);

	b = (struct bucket){0};
	set_keys("ID", "SECRET", NULL);
	assert_int_equal(open_bucket(&b, "s3.credentials=none", &err), -EINVAL);
	assert_string_equal(b.authorization, "");
	close_bucket(&b);

	b = (struct bucket){0};
	set_keys("ID", NULL, NULL);
	assert_int_equal(open_bucket(&b, "s3.credentials=auto", &err), -EINVAL);
	assert_non_null(strstr(err.msg, "AWS_SECRET_ACCESS_KEY is not"));
	assert_int_equal(http_server_requests(b.server), 0);
	close_bucket(&b);
	set_keys(NULL, NULL, NULL);
}

static void refused(const char *status, const char *say, const char *pattern)
{
	struct bucket b = {.status = status, .say = say};
	struct err err = {0};

	set_keys("THEID", "THESECRET", "THETOKEN");
	assert_int_equal(open_bucket(&b, "s3.region=eu-1", &err), -EINVAL);
	if (!strstr(err.msg, pattern) || strstr(err.msg, "THE") || strchr(err.msg, '\n'))
		fail_msg("%s", err.msg);
	assert_int_equal(http_server_requests(b.server), 1);
	close_bucket(&b);
	set_keys(NULL, NULL, NULL);
}

static void test_refusals_are_explained(void **state)
{
	refused("403 Forbidden",
		"<Error><Code>SignatureDoesNotMatch</Code><Message>THE</Message></Error>",
		"answered 403 SignatureDoesNotMatch: the secret key");
	refused("400 Bad", "<Error><Code>ExpiredToken</Code></Error>",
		"answered 400 ExpiredToken: the credentials have expired; see s3.credentials");
	refused("400 Bad",
		"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-2</Region></Error>",
		"the bucket lies in region eu-2: the region is another; see s3.region");
	refused("403 Forbidden\nDate: Thu, 01 Jan 2015 00:00:00 GMT",
		"<Error><Code>RequestTimeTooSkewed</Code></Error>", " ahead; see");
	refused("301 Moved\nx-amz-bucket-region: eu-3", "",
		"answered 301, the bucket lies in region eu-3");
	refused("403 Forbidden", "go away", "answered 403; see s3.credentials");
}

/* Keys are for one host: no redirect is followed with them. */
static void test_redirects_get_no_keys(void **state)
{
	struct bucket other = {0}, b = {.good = "ID"};
	struct err err = {0};
	char status[128], buf[10];

	other.server = http_server_new(serve_bucket, &other);
	set_keys("ID", "SECRET", "TOKEN");
	assert_int_equal(open_bucket(&b, "s3.region=eu-1", &err), 0);
	snprintf(
		status, sizeof(status), "307 Moved\nLocation: %s/f", http_server_url(other.server));
	b.good = NULL;
	b.status = status;
	b.say = "";
	assert_int_equal(store_read(b.st, &b.obj, 0, buf, sizeof(buf)), -EIO);
	assert_int_equal(http_server_requests(other.server), 0);
	close_bucket(&b);
	http_server_free(other.server);
	set_keys(NULL, NULL, NULL);
}

static void write_keys(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static void test_newer_keys_are_read(void **state)
{
	char path[] = "/tmp/test_s3.XXXXXX", settings[128], buf[100];
	struct bucket b = {.good = "ONE"};
	struct err err = {0};

	close(mkstemp(path));
	snprintf(settings, sizeof(settings), "s3.credentials=%s", path);
	write_keys(path, FILE_OF("ONE"), 0600);
	assert_int_equal(open_bucket(&b, settings, &err), 0);
	assert_int_equal(store_read(b.st, &b.obj, 0, buf, sizeof(buf)), 0);

	b.good = "THREE"; /* refused, and nothing newer, or nothing good: asked once */
	int before = http_server_requests(b.server);

	assert_int_equal(store_read(b.st, &b.obj, 0, buf, sizeof(buf)), -EACCES);
	write_keys(path, FILE_OF("THREE"), 0644);
	assert_int_equal(store_read(b.st, &b.obj, 0, buf, sizeof(buf)), -EACCES);
	write_keys(path, "[default]\n", 0600);
	assert_int_equal(store_read(b.st, &b.obj, 0, buf, sizeof(buf)), -EACCES);
	unlink(path);
	assert_int_equal(store_read(b.st, &b.obj, 0, buf, sizeof(buf)), -EACCES);
	assert_int_equal(http_server_requests(b.server) - before, 4);

	write_keys(path, FILE_OF("THREE"), 0600);
	assert_int_equal(store_read(b.st, &b.obj, 0, buf, sizeof(buf)), 0);
	assert_int_equal(http_server_requests(b.server) - before, 6);
	close_bucket(&b);
	unlink(path);
}

static void test_files_of_others(void **state)
{
	char path[] = "/tmp/test_s3.XXXXXX", settings[128];
	struct bucket b = {.good = "ONE"};
	struct err err = {0};

	close(mkstemp(path));
	write_keys(path, FILE_OF("ONE"), 0640);
	snprintf(settings, sizeof(settings), "s3.credentials=%s", path);
	assert_int_equal(open_bucket(&b, settings, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "mode 0640); chmod 600 it"));
	close_bucket(&b);

	b = (struct bucket){.good = "ONE"};
	assert_int_equal(open_bucket(&b, "s3.credentials=/tmp", &err), -EINVAL);
	assert_non_null(strstr(err.msg, "no file with keys"));
	close_bucket(&b);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_styles),
		cmocka_unit_test(test_bad_regions),
		cmocka_unit_test(test_keys_in_a_file),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_requests_are_signed),
		cmocka_unit_test(test_unsigned_without_keys),
		cmocka_unit_test(test_refusals_are_explained),
		cmocka_unit_test(test_redirects_get_no_keys),
		cmocka_unit_test(test_newer_keys_are_read),
		cmocka_unit_test(test_files_of_others),
	};

	bad_origin_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
