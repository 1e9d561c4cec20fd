/* SPDX-License-Identifier: Apache-2.0 */
/* What synth-remote decides itself of HTTP, and how it waits: pure functions and draws. */
#include "tests/unit/test.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>

#include "common/clock.h"
#include "synth/synth_remote_http.h"
#include "synth/synth_remote_shape.h"

#define ALL UINT64_MAX

static void test_ranges(void **state)
{
	static const struct {
		const char *header;
		uint64_t size;
		enum range_kind kind;
		uint64_t off, len;
	} cases[] = {
		{NULL, 100, RANGE_WHOLE, 0, 100},
		{"bytes=0-0", 100, RANGE_PART, 0, 1},
		{"bytes=10-19", 100, RANGE_PART, 10, 10},
		{"BYTES=10-19", 100, RANGE_PART, 10, 10},
		{"bytes= 10-19 ", 100, RANGE_PART, 10, 10},
		{"bytes=99-99", 100, RANGE_PART, 99, 1},
		{"bytes=0-", 100, RANGE_PART, 0, 100},
		{"bytes=40-", 100, RANGE_PART, 40, 60},
		{"bytes=40-1000", 100, RANGE_PART, 40, 60},
		{"bytes=40-18446744073709551615", 100, RANGE_PART, 40, 60},
		{"bytes=-10", 100, RANGE_PART, 90, 10},
		{"bytes=-100", 100, RANGE_PART, 0, 100},
		{"bytes=-1000", 100, RANGE_PART, 0, 100},
		{"bytes=100-", 100, RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=100-200", 100, RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=18446744073709551615-", 100, RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-0", 100, RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-5", 0, RANGE_UNSATISFIABLE, 0, 0},
		/* malformed, several, other units: as if there were none */
		{"bytes=20-10", 100, RANGE_WHOLE, 0, 100},
		{"bytes=", 100, RANGE_WHOLE, 0, 100},
		{"bytes=-", 100, RANGE_WHOLE, 0, 100},
		{"bytes=a-b", 100, RANGE_WHOLE, 0, 100},
		{"bytes=1-2x", 100, RANGE_WHOLE, 0, 100},
		{"bytes=+1-2", 100, RANGE_WHOLE, 0, 100},
		{"bytes=1", 100, RANGE_WHOLE, 0, 100},
		{"bytes=0-1,5-9", 100, RANGE_WHOLE, 0, 100},
		{"bytes=18446744073709551616-", 100, RANGE_WHOLE, 0, 100},
		{"items=0-1", 100, RANGE_WHOLE, 0, 100},
		{"", 100, RANGE_WHOLE, 0, 100},
		/* the largest object there can be */
		{"bytes=18446744073709551614-", ALL, RANGE_PART, ALL - 1, 1},
		{"bytes=0-18446744073709551615", ALL, RANGE_PART, 0, ALL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t off, len;

		assert_int_equal(
			http_range(cases[i].header, cases[i].size, &off, &len), cases[i].kind);
		if (cases[i].kind == RANGE_UNSATISFIABLE)
			continue;
		assert_int_equal(off, cases[i].off);
		assert_int_equal(len, cases[i].len);
	}
}

static void expect_status(const char *if_match, const char *if_none_match, int status)
{
	struct http_conditions c = {.if_match = if_match, .if_none_match = if_none_match};

	assert_int_equal(http_condition_status(&c, "\"a-1\""), status);
}

static void test_conditions(void **state)
{
	expect_status(NULL, NULL, 200);
	expect_status("\"a-1\"", NULL, 200);
	expect_status("\"b\", \"a-1\"", NULL, 200);
	expect_status("*", NULL, 200);
	expect_status("\"b\"", NULL, 412);
	expect_status("\"a-1", NULL, 412);
	expect_status("a-1", NULL, 412);
	expect_status("", NULL, 412);
	expect_status("\"x \"a-1\"", NULL, 412); /* a quote inside is no start of a tag */
	expect_status("W/\"a-1\"", NULL, 412);   /* weak: never equal in strong comparison */
	expect_status(NULL, "\"a-1\"", 304);
	expect_status(NULL, "W/\"a-1\"", 304);
	expect_status(NULL, "\"b\",W/\"c\" , \"a-1\"", 304);
	expect_status(NULL, "*", 304);
	expect_status(NULL, "\"b\"", 200);
	expect_status("\"b\"", "\"a-1\"", 412); /* If-Match comes first */
}

static void test_if_range(void **state)
{
	const char *etag = "\"a\"", *date = "Thu, 01 Jan 1970 00:00:00 GMT";
	struct http_conditions c = {0};

	assert_true(http_range_applies(&c, etag, date));
	c.if_range = "\"a\"";
	assert_true(http_range_applies(&c, etag, date));
	c.if_range = date;
	assert_true(http_range_applies(&c, etag, date));
	c.if_range = "\"b\"";
	assert_false(http_range_applies(&c, etag, date));
	c.if_range = "W/\"a\"";
	assert_false(http_range_applies(&c, etag, date));
}

static void test_dates(void **state)
{
	char date[HTTP_DATE_MAX];

	http_date(0, date);
	assert_string_equal(date, "Thu, 01 Jan 1970 00:00:00 GMT");
	http_date(784111777, date);
	assert_string_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110's example */
	http_date(-1, date);
	assert_string_equal(date, "Wed, 31 Dec 1969 23:59:59 GMT");
	http_date(INT64_MAX, date);
	assert_int_equal(strlen(date), strlen("Thu, 01 Jan 1970 00:00:00 GMT"));
}

static void test_etags(void **state)
{
	struct stat a = {.st_ino = 1, .st_size = 2}, b = a;
	char x[HTTP_ETAG_MAX], y[HTTP_ETAG_MAX];

	http_etag(&a, x);
	http_etag(&b, y);
	assert_string_equal(x, y);
	assert_true(x[0] == '"' && x[strlen(x) - 1] == '"');
	b.st_mtim.tv_nsec++;
	http_etag(&b, y);
	assert_string_not_equal(x, y);
	b = a;
	b.st_size++;
	http_etag(&b, y);
	assert_string_not_equal(x, y);
	b = a;
	b.st_ino++;
	http_etag(&b, y);
	assert_string_not_equal(x, y);
}

/* ---- shaping ---- */

static struct config *shape_config(int64_t latency_ns, double jitter, int64_t bandwidth)
{
	struct config *cfg = config_new();

	assert_non_null(cfg);
	cfg->remote.latency = latency_ns;
	cfg->remote.jitter = jitter;
	cfg->remote.bandwidth = bandwidth;
	return cfg;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* That the median of n draws is 10 ms, and the deviation of their logarithm 0.3. */
static void expect_lognormal(int64_t *draw, int n, double tolerance)
{
	double sum = 0, squares = 0;

	for (int i = 0; i < n; i++) {
		assert_true(draw[i] > 0);
		double x = log((double)draw[i]);

		sum += x;
		squares += x * x;
	}
	qsort(draw, (size_t)n, sizeof(*draw), compare);
	int64_t median = draw[n / 2], p99 = draw[n * 99 / 100];

	assert_true(fabs((double)median / 1e7 - 1) < tolerance);
	assert_true(fabs(sqrt(squares / n - sum / n * (sum / n)) / 0.3 - 1) < tolerance);
	/* the 99th percentile: e^(2.326 x 0.3) */
	assert_true(fabs((double)p99 / 1e7 / 2.0096 - 1) < 3 * tolerance);
}

static void test_latency_is_lognormal(void **state)
{
	enum { N = 100000 };
	static int64_t draw[N];
	struct config *cfg = shape_config(10 * NSEC_PER_MSEC, 0.3, 0);
	struct shape s;

	shape_init(&s, cfg, -1);
	for (int i = 0; i < N; i++)
		draw[i] = shape_draw_latency(&s);
	expect_lognormal(draw, N, 0.01);
	config_free(cfg);
}

struct first_draw {
	const struct shape *shape;
	int64_t latency;
};

static void *draw_once(void *arg)
{
	struct first_draw *d = arg;

	d->latency = shape_draw_latency(d->shape);
	return NULL;
}

/* Clients that connect for each request see one draw of each thread's generator. */
static void test_first_draws_of_threads(void **state)
{
	enum { N = 3000 };
	static int64_t draw[N];
	struct config *cfg = shape_config(10 * NSEC_PER_MSEC, 0.3, 0);
	struct shape s;

	shape_init(&s, cfg, -1);
	for (int i = 0; i < N; i++) {
		struct first_draw d = {&s, 0};
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, draw_once, &d), 0);
		pthread_join(thread, NULL);
		draw[i] = d.latency;
	}
	expect_lognormal(draw, N, 0.05);
	config_free(cfg);
}

static void test_no_jitter_is_exact(void **state)
{
	struct config *cfg = shape_config(10 * NSEC_PER_MSEC, 0, 0);
	struct shape s;

	shape_init(&s, cfg, -1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(shape_draw_latency(&s), 10 * NSEC_PER_MSEC);
	config_free(cfg);
}

/* Who stops the server does not wait for a debt of minutes. */
static void test_stop_ends_waits(void **state)
{
	struct config *cfg = shape_config(60 * NSEC_PER_SEC, 0, 1000);
	int fd = eventfd(1, 0);
	int64_t start = clock_now_ns();
	struct shape s;

	shape_init(&s, cfg, fd);
	shape_request(&s);
	shape_bytes(&s, 1000000);
	assert_true(clock_now_ns() - start < 5 * NSEC_PER_SEC);
	close(fd);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_if_range),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_etags),
		cmocka_unit_test(test_latency_is_lognormal),
		cmocka_unit_test(test_first_draws_of_threads),
		cmocka_unit_test(test_no_jitter_is_exact),
		cmocka_unit_test(test_stop_ends_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
