/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching from a server that misbehaves: whatever it does, bytes are right or there is an error, in
 * bounded time. */
#include "tests/bad_origin.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"

/* Fetches a range in the middle with the trick played so many times; the result must be `want`. */
static void fetch_against(trick_fn *trick, int times, int want)
{
	struct bad_origin f;

	set_up(&f, "");
	play(&f, trick, times);
	assert_int_equal(fetch(&f, 1000, 200000, NULL), want);
	tear_down(&f);
}

/* ---- honest ---- */

static void test_reads_any_range(void **state)
{
	static const uint64_t offs[] = {0, 1, 1000, SIZE - 1, 0};
	static const size_t lens[] = {SIZE, 1, 200000, 1, 1};
	struct bad_origin f;

	set_up(&f, "");
	for (int i = 0; i < 5; i++)
		assert_int_equal(fetch(&f, offs[i], lens[i], NULL), 0);
	assert_int_equal(http_server_connections(f.server), 1);
	assert_int_equal(f.obj.size, SIZE);
	assert_int_equal(f.obj.mtime_ns, 1735787045 * NSEC_PER_SEC);
	assert_string_equal(f.obj.etag, ETAG);
	tear_down(&f);
}

static void test_absent_names(void **state)
{
	struct bad_origin f;
	struct object obj;

	set_up(&f, "");
	assert_int_equal(store_stat(f.st, "nothing", STORE_WAIT, &obj), -ENOENT);
	f.obj.name = "nothing";
	assert_int_equal(fetch(&f, 0, 10, NULL), -ESTALE);
	tear_down(&f);
}

/* ---- statuses ---- */

static bool answer_text(struct bad_origin *f, struct http_call *call)
{
	http_answer_text(call, f->text, "no");
	return true;
}

static void status_gives(const char *status, int times, int want, int requests)
{
	struct bad_origin f;
	struct object obj;

	set_up(&f, "");
	f.text = status;
	play(&f, answer_text, times);
	assert_int_equal(fetch(&f, 1000, 5000, NULL), want);
	assert_int_equal(f.n_seen, requests);
	play(&f, answer_text, times);
	assert_int_equal(store_stat(f.st, "f", STORE_WAIT, &obj), want);
	tear_down(&f);
}

static void test_denied_is_not_sent_again(void **state)
{
	status_gives("403 Forbidden", 1, -EACCES, 1);
	status_gives("401 Unauthorized", 1, -EACCES, 1);
}

/* A body that does not end is not read to its end. */
static bool deny_at_length(struct bad_origin *f, struct http_call *call)
{
	http_say(call, "HTTP/1.1 403 Forbidden\nContent-Length: 90000000\n\n");
	for (int i = 0; i < 300; i++)
		send_bytes(call, 0, SIZE);
	return false;
}

static void test_denied_at_length(void **state)
{
	struct bad_origin f;

	set_up(&f, "");
	play(&f, deny_at_length, 99);
	assert_int_equal(fetch(&f, 1000, 5000, NULL), -EACCES);
	assert_true(counter_get(f.st->counters, ORIGIN_bytes) < 1000000);
	tear_down(&f);
}

static void test_changed_is_stale(void **state)
{
	status_gives("412 Precondition Failed", 1, -ESTALE, 1);
}

static void test_other_statuses_are_not_sent_again(void **state)
{
	status_gives("400 Bad Request", 1, -EIO, 1);
	status_gives("301 Moved", 1, -EIO, 1);
	status_gives("204 No Content", 1, -EIO, 1);
}

static void test_server_errors_are_sent_again(void **state)
{
	status_gives("500 Internal Server Error", 1, 0, 2);
	status_gives("503 Slow Down", 2, 0, 3);
	status_gives("429 Too Many Requests", 2, 0, 3);
	status_gives("500 Internal Server Error", 3, -EIO, 3);
}

static bool ask_patience(struct bad_origin *f, struct http_call *call)
{
	http_say(call, "HTTP/1.1 429 Too Many Requests\nRetry-After: %s\nContent-Length: 0\n\n",
		f->text);
	return true;
}

static void test_retry_after_is_waited_for(void **state)
{
	struct bad_origin f;
	int64_t start_ns = clock_now_ns();

	set_up(&f, "");
	f.text = "1";
	play(&f, ask_patience, 1);
	assert_int_equal(fetch(&f, 0, 10, NULL), 0);
	assert_in_range(clock_now_ns() - start_ns, NSEC_PER_SEC, 4 * NSEC_PER_SEC);
	tear_down(&f);
}

static void test_retry_after_beyond_the_deadline_fails_now(void **state)
{
	struct bad_origin f;
	int64_t start_ns = clock_now_ns();

	set_up(&f, "");
	f.text = "3600";
	play(&f, ask_patience, 1);
	assert_int_equal(fetch(&f, 0, 10, NULL), -EIO);
	assert_true(clock_now_ns() - start_ns < 2 * NSEC_PER_SEC);
	tear_down(&f);
}

/* ---- broken on the way ---- */

static bool reset_in_body(struct bad_origin *f, struct http_call *call)
{
	uint64_t first, last;

	say_honest(call, &first, &last);
	send_bytes(call, first, 70000);
	clock_sleep_until(
		clock_now_ns() + 20 * NSEC_PER_MSEC); /* a reset overtakes what was sent */
	http_reset(call);
	return false;
}

static bool close_in_body(struct bad_origin *f, struct http_call *call)
{
	uint64_t first, last;

	say_honest(call, &first, &last);
	send_bytes(call, first, 70000);
	return false;
}

static bool close_at_once(struct bad_origin *f, struct http_call *call)
{
	return false;
}

/* Ends the chunked body early, properly. */
static bool end_chunks_early(struct bad_origin *f, struct http_call *call)
{
	uint64_t first, last;

	if (!http_call_range(call, SIZE, &first, &last))
		return false;
	say_part(call, first, last, SIZE);
	http_say(call, "ETag: " ETAG "\nTransfer-Encoding: chunked\n\n%x\n", 5000);
	send_bytes(call, first, 5000);
	http_say(call, "\n0\n\n");
	return true;
}

static void goes_on_after(trick_fn *trick, const char *second_range)
{
	struct bad_origin f;

	set_up(&f, "");
	play(&f, trick, 1);
	assert_int_equal(fetch(&f, 1000, 200000, NULL), 0);
	assert_int_equal(f.n_seen, 2);
	assert_string_equal(f.seen[0], "bytes=1000-200999");
	assert_string_equal(f.seen[1], second_range);
	tear_down(&f);
}

static void test_goes_on_where_it_broke(void **state)
{
	goes_on_after(reset_in_body, "bytes=71000-200999");
	goes_on_after(close_in_body, "bytes=71000-200999");
	goes_on_after(end_chunks_early, "bytes=6000-200999");
	goes_on_after(close_at_once, "bytes=1000-200999");
}

static void test_broken_for_good_is_an_error(void **state)
{
	fetch_against(close_in_body, 99, 0); /* 70,000 bytes each time: the third brings the last */
	fetch_against(end_chunks_early, 99, -EIO);
	fetch_against(close_at_once, 99, -EIO);
}

static bool stall(struct bad_origin *f, struct http_call *call)
{
	http_hang(call);
	return false;
}

static bool stall_in_body(struct bad_origin *f, struct http_call *call)
{
	uint64_t first, last;

	say_honest(call, &first, &last);
	send_bytes(call, first, 70000);
	http_hang(call);
	return false;
}

static void stalls(trick_fn *trick, int times, int want, int64_t min_ms, int64_t max_ms)
{
	struct bad_origin f;

	set_up(&f, "http.timeout=500ms");
	play(&f, trick, times);
	int64_t start_ns = clock_now_ns();

	assert_int_equal(fetch(&f, 1000, 200000, NULL), want);
	assert_in_range((clock_now_ns() - start_ns) / NSEC_PER_MSEC, min_ms, max_ms);
	tear_down(&f);
}

static void test_stalls_end(void **state)
{
	stalls(stall, 1, 0, 500, 5000);
	stalls(stall_in_body, 1, 0, 500, 5000);
	stalls(stall, 99, -EIO, 900, 5000);
}

static bool drip(struct bad_origin *f, struct http_call *call)
{
	uint64_t first, last;

	say_honest(call, &first, &last);
	for (int i = 0; i < 40; i++) {
		send_bytes(call, first + (uint64_t)i, 1);
		clock_sleep_until(clock_now_ns() + 50 * NSEC_PER_MSEC);
	}
	return false;
}

static void test_a_drip_ends(void **state)
{
	stalls(drip, 99, -EIO, 900, 1900);
}

/* Slower than the deadline of a byte, faster than that of the whole. */
static bool steady(struct bad_origin *f, struct http_call *call)
{
	uint64_t first, last;

	say_honest(call, &first, &last);
	for (int i = 0; i < 5; i++) {
		clock_sleep_until(clock_now_ns() + 150 * NSEC_PER_MSEC);
		send_bytes(call, first + 40000 * (uint64_t)i, 40000);
	}
	return true;
}

/* All bytes, but not the end of the body. */
static bool leave_open(struct bad_origin *f, struct http_call *call)
{
	uint64_t first, last;

	if (!http_call_range(call, SIZE, &first, &last))
		return false;
	say_part(call, first, last, SIZE);
	http_say(call, "ETag: " ETAG "\nTransfer-Encoding: chunked\n\n%" PRIx64 "\n",
		last - first + 1);
	send_bytes(call, first, last - first + 1);
	http_hang(call);
	return false;
}

static void test_slow_is_not_stalled(void **state)
{
	stalls(steady, 1, 0, 700, 5000);
	stalls(leave_open, 1, 0, 0, 5000);
}

static void *interrupt_soon(void *arg)
{
	struct bad_origin *f = arg;

	clock_sleep_until(clock_now_ns() + 100 * NSEC_PER_MSEC);
	f->st->ops->interrupt(f->st);
	return NULL;
}

static void interrupted(trick_fn *trick, const char *text, const char *settings)
{
	struct bad_origin f;
	pthread_t thread;

	set_up(&f, settings);
	f.text = text;
	play(&f, trick, 99);
	int64_t start_ns = clock_now_ns();

	pthread_create(&thread, NULL, interrupt_soon, &f);
	assert_int_equal(fetch(&f, 0, 10, NULL), -ESHUTDOWN);
	assert_in_range((clock_now_ns() - start_ns) / NSEC_PER_MSEC, 50, 1000);
	assert_int_equal(fetch(&f, 0, 10, NULL), -ESHUTDOWN);
	pthread_join(thread, NULL);
	tear_down(&f);
}

static void test_interrupt_ends_waits(void **state)
{
	interrupted(stall, "", "");
	interrupted(ask_patience, "4", "");
	interrupted(answer_text, "500 Error", "http.backoff=5s");
}

/* ---- wrong bytes ---- */

static bool oversized(struct bad_origin *f, struct http_call *call)
{
	uint64_t first, last;

	if (!http_call_range(call, SIZE, &first, &last))
		return false;
	say_part(call, first, last, SIZE);
	http_say(call, "ETag: " ETAG "\nTransfer-Encoding: chunked\n\n%" PRIx64 "\n",
		last - first + 1 + 50000);
	send_bytes(call, first, (size_t)(last - first + 1 + 50000));
	http_say(call, "\n0\n\n");
	return true;
}

static void test_more_than_asked_for_is_cut(void **state)
{
	fetch_against(oversized, 99, 0);
}

static bool say_range(struct bad_origin *f, struct http_call *call)
{
	http_say(call,
		"HTTP/1.1 206 Partial Content\n%s\nETag: " ETAG "\nContent-Length: 200000\n\n",
		f->text);
	send_bytes(call, 77, 200000);
	return true;
}

static void test_wrong_ranges(void **state)
{
	static const char *const fields[] = {
		"Content-Range: bytes 1001-201000/300000",
		"Content-Range: bytes 1000-200998/300000",
		"Content-Range: bytes 1000-201000/300000",
		"Content-Range: bytes 0-199999/300000",
		"Content-Range: bytes 999-200999/300000",
		"Content-Range: bytes 1000-200999/*",
		"Content-Range: bytes 200999-1000/300000",
		"Content-Range: octets 1000-200999/300000",
		"Content-Range: bytes 1000-200999/100",
		"Content-Range: bytes 1000-200999/300000x",
		"Content-Range: bytes 18446744073709551616-200999/300000",
		"Content-Range:",
		"X-Nothing: 1",
		"Content-Type: multipart/byteranges; boundary=x",
	};
	struct bad_origin f;
	size_t got;

	set_up(&f, "");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		f.text = fields[i];
		play(&f, say_range, 99);
		assert_int_equal(fetch(&f, 1000, 200000, &got), -EIO);
		assert_int_equal(got, 0);
		assert_int_equal(f.n_seen, 1);
	}
	f.text = "Content-Range: bytes 1000-200999/300001"; /* another size is another version */
	assert_int_equal(fetch(&f, 1000, 200000, &got), -ESTALE);
	tear_down(&f);
}

static bool ignore_range(struct bad_origin *f, struct http_call *call)
{
	*call->range = '\0';
	return serve_honest(call);
}

static void test_a_server_without_ranges(void **state)
{
	struct bad_origin f;

	set_up(&f, "");
	play(&f, ignore_range, 99);
	assert_int_equal(fetch(&f, 0, SIZE, NULL), 0);
	assert_int_equal(fetch(&f, 0, 100, NULL), 0);
	assert_int_equal(fetch(&f, 1, 100, NULL), -EIO);
	tear_down(&f);
}

static bool whole_without_length(struct bad_origin *f, struct http_call *call)
{
	http_say(call, "HTTP/1.1 200 OK\nETag: " ETAG "\n\n");
	send_bytes(call, 0, SIZE);
	return false;
}

static bool whole_shorter(struct bad_origin *f, struct http_call *call)
{
	http_answer_text(call, "200 OK", "<html>log in first</html>");
	return true;
}

static void test_a_whole_of_another_size(void **state)
{
	struct bad_origin f;

	set_up(&f, "");
	play(&f, whole_without_length, 99);
	assert_int_equal(fetch(&f, 0, 100, NULL), -ESTALE);
	play(&f, whole_shorter, 99);
	assert_int_equal(fetch(&f, 0, 10, NULL), -ESTALE);
	tear_down(&f);
}

/* ---- versions ---- */

static bool other_etag(struct bad_origin *f, struct http_call *call)
{
	uint64_t first, last;

	if (!http_call_range(call, SIZE, &first, &last))
		return false;
	say_part(call, first, last, SIZE);
	http_say(call, "ETag: \"v2\"\nContent-Length: %" PRIu64 "\n\n", last - first + 1);
	send_bytes(call, 5, (size_t)(last - first + 1));
	return true;
}

static void test_another_etag_is_stale(void **state)
{
	struct bad_origin f;
	size_t got;

	set_up(&f, "");
	play(&f, other_etag, 1);
	assert_int_equal(fetch(&f, 1000, 5000, &got), -ESTALE);
	assert_int_equal(got, 0);
	tear_down(&f);
}

static bool break_then_change(struct bad_origin *f, struct http_call *call)
{
	return (f->tricks == 1 ? close_in_body : other_etag)(f, call);
}

static void test_a_change_between_attempts_is_stale(void **state)
{
	fetch_against(break_then_change, 2, -ESTALE);
}

static bool check_if_match(struct bad_origin *f, struct http_call *call)
{
	if (strcmp(call->if_match, ETAG) != 0)
		http_answer_text(call, "500 Error", call->if_match);
	else
		serve_honest(call);
	return true;
}

static void test_if_match_is_sent(void **state)
{
	fetch_against(check_if_match, 99, 0);
}

/* ---- redirects ---- */

static bool redirect(struct bad_origin *f, struct http_call *call)
{
	http_say(call, "HTTP/1.1 302 Found\nLocation: %s\nContent-Length: 4\n\ngone", f->text);
	return true;
}

static void redirected(const char *to, int times, int want)
{
	struct bad_origin f;

	set_up(&f, "");
	f.text = to;
	play(&f, redirect, times);
	assert_int_equal(fetch(&f, 1000, 5000, NULL), want);
	tear_down(&f);
}

static void test_redirects(void **state)
{
	struct bad_origin other;
	char url[64];

	set_up(&other, "");
	snprintf(url, sizeof(url), "%s/f", http_server_url(other.server));
	int before = http_server_requests(other.server);

	redirected(url, 1, 0);
	assert_int_equal(http_server_requests(other.server), before + 1);
	redirected("/f", 3, 0);
	redirected("/f", 99, -EIO);
	redirected("file:///etc/passwd", 99, -EIO);
	redirected("ftp://127.0.0.1/f", 99, -EIO);
	redirected("gopher://127.0.0.1:1/f", 99, -EIO);
	tear_down(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_any_range),
		cmocka_unit_test(test_absent_names),
		cmocka_unit_test(test_denied_is_not_sent_again),
		cmocka_unit_test(test_denied_at_length),
		cmocka_unit_test(test_changed_is_stale),
		cmocka_unit_test(test_other_statuses_are_not_sent_again),
		cmocka_unit_test(test_server_errors_are_sent_again),
		cmocka_unit_test(test_retry_after_is_waited_for),
		cmocka_unit_test(test_retry_after_beyond_the_deadline_fails_now),
		cmocka_unit_test(test_goes_on_where_it_broke),
		cmocka_unit_test(test_broken_for_good_is_an_error),
		cmocka_unit_test(test_stalls_end),
		cmocka_unit_test(test_a_drip_ends),
		cmocka_unit_test(test_slow_is_not_stalled),
		cmocka_unit_test(test_interrupt_ends_waits),
		cmocka_unit_test(test_more_than_asked_for_is_cut),
		cmocka_unit_test(test_wrong_ranges),
		cmocka_unit_test(test_a_server_without_ranges),
		cmocka_unit_test(test_a_whole_of_another_size),
		cmocka_unit_test(test_another_etag_is_stale),
		cmocka_unit_test(test_a_change_between_attempts_is_stale),
		cmocka_unit_test(test_if_match_is_sent),
		cmocka_unit_test(test_redirects),
	};

	bad_origin_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
