/* SPDX-License-Identifier: Apache-2.0 */
/* What a lookup and the first read after it cost in requests, through a whole stack. */
#include "tests/null_http.h"
#include "tests/test_stack.h"

#include <stdio.h>

#define KIB 1024

static uint64_t size_of(int file)
{
	static const uint64_t sizes[] = {0, 1, 110 * KIB, 128 * KIB, 128 * KIB + 1, 3000 * KIB};

	return sizes[file % 6];
}

enum { EMPTY, TINY, SMALL, EXACT, OVER, LARGE };

struct fixture {
	struct config *cfg;
	struct null_origin *origin;
	struct http_server *server;
	struct stack *stack;
	struct store *top;
	int before; /* requests */
};

static void open_fixture(struct fixture *f, const char *settings, bool autoindex)
{
	struct err err = {0};

	f->cfg = test_config(settings);
	f->origin = null_origin_new(20, 10, size_of);
	f->server = null_http_new(f->origin, autoindex);
	f->stack = stack_open(f->cfg, http_server_url(f->server), &err);
	if (!f->stack)
		fail_msg("%s", err.msg);
	f->top = stack_top(f->stack);
	f->before = http_server_requests(f->server);
}

static void close_fixture(struct fixture *f)
{
	stack_close(f->stack);
	http_server_free(f->server);
	f->origin->base.ops->close(&f->origin->base);
	config_free(f->cfg);
}

static int requests(struct fixture *f)
{
	int now = http_server_requests(f->server), n = now - f->before;

	f->before = now;
	return n;
}

/* Looks file number n of folder d0 up and reads all of it; returns the requests that took. */
static int cost(struct fixture *f, int n)
{
	char name[32];
	struct object obj, made;

	snprintf(name, sizeof(name), "d0/f%d", n);
	assert_int_equal(store_stat(f->top, name, STORE_WAIT, &obj), 0);
	assert_int_equal(obj.size, size_of(n));
	null_origin_object(f->origin, n, name, &made);
	char *buf = malloc(obj.size + 1);

	if (obj.size) {
		assert_int_equal(store_read(f->top, &obj, 0, buf, obj.size), 0);
		assert_true(null_origin_right(&made, 0, buf, obj.size));
	}
	free(buf);
	return requests(f);
}

static void test_small_files_are_one_request(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.block_size=1M", false);
	assert_int_equal(cost(&f, TINY), 1);
	assert_int_equal(cost(&f, SMALL), 1);
	assert_int_equal(cost(&f, EXACT), 1);
	assert_int_equal(cost(&f, EMPTY), 1); /* this server answers 200 to ranges of nothing */
	assert_int_equal(cost(&f, SMALL), 0);
	close_fixture(&f);
}

static void test_large_files_are_not_read_twice(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.block_size=1M", false);
	assert_int_equal(cost(&f, OVER), 2);
	assert_int_equal(cost(&f, LARGE), 1 + 3);
	json_t *stats = stack_stats(f.stack);
	json_int_t bytes = json_integer_value(
		json_object_get(json_object_get(stats, "origin"), "bytes"));

	assert_in_range(bytes, 3128 * KIB + 1, 3128 * KIB + 1000); /* and a listing */
	json_decref(stats);
	close_fixture(&f);
}

static int count_entry(void *arg, const struct object *entry)
{
	++*(int *)arg;
	return 0;
}

static void test_what_a_listing_told_is_not_asked(void **state)
{
	struct fixture f;
	int n = 0;

	open_fixture(&f, "cache.block_size=1M", false);
	assert_int_equal(store_list(f.top, "d0", STORE_WAIT, count_entry, &n), 0);
	assert_int_equal(requests(&f), 1);
	assert_int_equal(cost(&f, SMALL), 1);
	assert_int_equal(cost(&f, EMPTY), 0);
	close_fixture(&f);
}

static void test_folders_and_absent_names(void **state)
{
	struct fixture f;
	struct object obj;

	open_fixture(&f, "cache.block_size=1M", false);
	assert_int_equal(store_stat(f.top, "d1", STORE_WAIT, &obj), 0);
	assert_true(obj.is_dir);
	assert_int_equal(requests(&f), 2);
	assert_int_equal(store_stat(f.top, "d1/none", STORE_WAIT, &obj), -ENOENT);
	assert_int_equal(requests(&f), 2);
	assert_int_equal(store_stat(f.top, "d1/none", STORE_WAIT, &obj), -ENOENT);
	assert_int_equal(requests(&f), 0);
	close_fixture(&f);
}

/* Known names are asked for again without bytes, and so is everything of nginx. */
static void test_attributes_alone(void **state)
{
	struct fixture f;
	struct object obj;

	open_fixture(&f, "cache.block_size=1M", false);
	assert_int_equal(store_stat(f.top, "d0/f2", STORE_FRESH, &obj), 0);
	assert_int_equal(f.origin->fetches, 0);
	close_fixture(&f);

	open_fixture(&f, "cache.block_size=1M http.first_bytes=0", false);
	assert_int_equal(cost(&f, SMALL), 2);
	close_fixture(&f);

	open_fixture(&f, "cache.block_size=1M", true);
	assert_int_equal(cost(&f, SMALL), 2);
	close_fixture(&f);
}

/* Another version is read, not what a lookup brought of the old one. */
static void test_a_changed_file(void **state)
{
	struct fixture f;
	struct object old, obj, made;
	char name[32], byte;

	open_fixture(&f, "mem.capacity=0", false);
	assert_int_equal(store_stat(f.top, "d0/f2", STORE_WAIT, &old), 0);
	f.origin->generation[SMALL]++;
	assert_int_equal(store_stat(f.top, "d0/f2", STORE_FRESH, &obj), 0);
	assert_true(obj.version != old.version);
	null_origin_object(f.origin, SMALL, name, &made);
	assert_int_equal(store_read(f.top, &obj, 0, &byte, 1), 0);
	assert_true(null_origin_right(&made, 0, &byte, 1));
	close_fixture(&f);
}

/* More lookups than first bytes are kept for, and nobody reads. */
static void test_heads_are_bounded(void **state)
{
	struct fixture f;
	struct object obj;

	open_fixture(&f, "meta.enabled=no", false);
	for (int i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d%d/f%d", i % 20 / 10, i % 20);
		assert_int_equal(store_stat(f.top, name, STORE_WAIT, &obj), 0);
		f.origin->generation[i % 20]++;
	}
	assert_int_equal(requests(&f), 500);
	assert_int_equal(cost(&f, SMALL), 1);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_files_are_one_request),
		cmocka_unit_test(test_large_files_are_not_read_twice),
		cmocka_unit_test(test_what_a_listing_told_is_not_asked),
		cmocka_unit_test(test_folders_and_absent_names),
		cmocka_unit_test(test_attributes_alone),
		cmocka_unit_test(test_a_changed_file),
		cmocka_unit_test(test_heads_are_bounded),
	};

	setenv("no_proxy", "127.0.0.1", 1);
	unsetenv("AWS_ENDPOINT_URL");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
