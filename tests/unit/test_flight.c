/* SPDX-License-Identifier: Apache-2.0 */
/* Single flight and parked reads, with an origin that waits at a gate. */
#include <errno.h>

#include "tests/test_stack.h"

#define READERS 32
#define LONG_NS (30 * NSEC_PER_SEC)

static uint64_t size_of(int file)
{
	return (8 << 20) + 100;
}

static uint64_t huge(int file)
{
	return 128 << 20;
}

struct fixture {
	struct config *cfg;
	struct null_origin *origin;
	struct stack *stack;
	char name[32];
	struct object obj;
};

static void open_fixture(struct fixture *f, const char *settings)
{
	f->cfg = test_config(settings);
	f->cfg->readahead.max = 0; /* what is counted here was asked for */
	f->origin = null_origin_new(10, 10, size_of);
	f->stack = test_stack(f->cfg, f->origin);
	null_origin_object(f->origin, 3, f->name, &f->obj);
}

static void close_fixture(struct fixture *f)
{
	stack_close(f->stack);
	config_free(f->cfg);
}

static void test_many_readers_one_request(void **state)
{
	struct test_read read[READERS];
	struct fixture f;

	open_fixture(&f, "cache.stack=mem http.streams=4");
	null_origin_gate(f.origin, 0);
	for (int i = 0; i < READERS; i++)
		test_read_start(&read[i], f.stack, &f.obj, (uint64_t)i * 30000, 30000, LONG_NS);
	null_origin_await(f.origin, 1);
	null_origin_gate(f.origin, UINT64_MAX);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(test_read_wait(&read[i]), 0);
		assert_true(null_origin_right(&f.obj, (uint64_t)i * 30000, read[i].buf, 30000));
		test_read_free(&read[i]);
	}
	assert_int_equal(f.origin->fetches, 1);
	assert_int_equal(test_counter(f.stack, "mem", "joined"), READERS - 1);
	close_fixture(&f);
}

static void test_answered_before_the_block_is_complete(void **state)
{
	struct test_read first, last;
	struct fixture f;

	open_fixture(&f, "cache.stack=mem cache.block_size=1M");
	null_origin_gate(f.origin, 256 << 10);
	test_read_start(&last, f.stack, &f.obj, (1 << 20) - 10, 10, LONG_NS);
	test_read_start(&first, f.stack, &f.obj, 100000, 100000, LONG_NS);
	assert_int_equal(test_read_wait(&first), 0);
	assert_true(null_origin_right(&f.obj, 100000, first.buf, 100000));
	pthread_mutex_lock(&last.lock);
	assert_int_equal(last.calls, 0); /* its bytes are behind the gate */
	pthread_mutex_unlock(&last.lock);
	null_origin_gate(f.origin, UINT64_MAX);
	assert_int_equal(test_read_wait(&last), 0);
	test_read_free(&first);
	test_read_free(&last);
	close_fixture(&f);
}

static void test_late_reader_of_what_has_arrived(void **state)
{
	struct test_read late, last;
	struct fixture f;
	char buf[100];

	open_fixture(&f, "cache.stack=mem cache.block_size=1M");
	null_origin_gate(f.origin, 256 << 10);
	test_read_start(&last, f.stack, &f.obj, (1 << 20) - 10, 10, LONG_NS);
	null_origin_await(f.origin, 1);
	test_read_start(&late, f.stack, &f.obj, 100000, 100000, LONG_NS);
	assert_int_equal(test_read_wait(&late), 0);
	assert_true(null_origin_right(&f.obj, 100000, late.buf, 100000));
	assert_int_equal(store_read(stack_top(f.stack), &f.obj, 5, buf, 100), 0);
	null_origin_gate(f.origin, UINT64_MAX);
	assert_int_equal(test_read_wait(&last), 0);
	test_read_free(&late);
	test_read_free(&last);
	close_fixture(&f);
}

static void test_read_over_many_blocks(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=mem cache.block_size=128K mem.capacity=256K readahead.max=0");
	assert_int_equal(test_read(f.stack, &f.obj, 12345, 3 << 20), 0);
	assert_int_equal(f.origin->fetches, 25);
	close_fixture(&f);
}

static void test_deadline_answers(void **state)
{
	struct test_read t;
	struct fixture f;
	int64_t start_ns = clock_now_ns();

	open_fixture(&f, "cache.stack=mem");
	null_origin_gate(f.origin, 0);
	test_read_start(&t, f.stack, &f.obj, 0, 100, 50 * NSEC_PER_MSEC);
	assert_int_equal(test_read_wait(&t), -ETIMEDOUT);
	assert_in_range(clock_now_ns() - start_ns, 50 * NSEC_PER_MSEC, 5 * NSEC_PER_SEC);
	null_origin_gate(f.origin, UINT64_MAX);
	test_read_free(&t);
	close_fixture(&f);
}

static void test_cancel_answers_once(void **state)
{
	struct test_read t;
	struct fixture f;

	open_fixture(&f, "cache.stack=mem cache.block_size=256K");
	null_origin_gate(f.origin, 0);
	test_read_start(&t, f.stack, &f.obj, 0, 1 << 20, LONG_NS);
	stack_cancel(f.stack, &t.parked);
	assert_int_equal(test_read_wait(&t), -EINTR);
	stack_cancel(f.stack, &t.parked);
	null_origin_gate(f.origin, UINT64_MAX);
	assert_int_equal(test_read(f.stack, &f.obj, 0, 1 << 20), 0);
	assert_int_equal(t.calls, 1);
	test_read_free(&t);
	close_fixture(&f);
}

static void *open_gate_later(void *arg)
{
	clock_sleep_until(clock_now_ns() + 100 * NSEC_PER_MSEC);
	null_origin_gate(arg, UINT64_MAX);
	return NULL;
}

static void test_close_answers_what_is_parked(void **state)
{
	struct test_read t;
	struct fixture f;
	pthread_t opener;

	open_fixture(&f, "cache.stack=mem");
	null_origin_gate(f.origin, 0);
	test_read_start(&t, f.stack, &f.obj, 0, 100, LONG_NS);
	null_origin_await(f.origin, 1);
	pthread_create(&opener, NULL, open_gate_later, f.origin);
	close_fixture(&f);
	pthread_join(opener, NULL);
	assert_int_equal(test_read_wait(&t), -ESHUTDOWN);
	test_read_free(&t);
}

static void test_failed_fetch_fails_its_readers(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=mem");
	f.origin->down = true;
	assert_int_equal(test_read(f.stack, &f.obj, 0, 100), -EIO);
	f.origin->down = false;
	assert_int_equal(test_read(f.stack, &f.obj, 0, 100), 0);
	close_fixture(&f);
}

static void test_old_version_is_stale(void **state)
{
	struct fixture f;

	open_fixture(&f, "cache.stack=mem");
	assert_int_equal(test_read(f.stack, &f.obj, 0, 100), 0);
	f.origin->generation[3]++;
	assert_int_equal(test_read(f.stack, &f.obj, 0, 100), 0); /* held: the old bytes */
	assert_int_equal(test_read(f.stack, &f.obj, 5 << 20, 100), -ESTALE);
	close_fixture(&f);
}

struct occupant {
	pthread_mutex_t lock;
	bool started;
};

static void occupy(void *arg)
{
	struct occupant *o = arg;

	__atomic_store_n(&o->started, true, __ATOMIC_RELEASE);
	pthread_mutex_lock(&o->lock);
	pthread_mutex_unlock(&o->lock);
}

/* The only pool thread is busy; who may wait fills the queued flight, and its reader is served. */
static void test_queued_flight_is_filled_by_who_waits(void **state)
{
	struct occupant o = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct test_read t;
	struct fixture f;
	char buf[100];

	open_fixture(&f, "cache.stack=mem http.streams=1 http.timeout=1s");
	pthread_mutex_lock(&o.lock);
	assert_int_equal(stack_submit(f.stack, occupy, &o), 0);
	while (!__atomic_load_n(&o.started, __ATOMIC_ACQUIRE))
		usleep(100);
	test_read_start(&t, f.stack, &f.obj, 5000, 100, LONG_NS);
	assert_int_equal(store_read(stack_top(f.stack), &f.obj, 0, buf, 100), 0);
	assert_int_equal(test_read_wait(&t), 0);
	assert_true(null_origin_right(&f.obj, 5000, t.buf, 100));
	assert_int_equal(f.origin->fetches, 1);
	pthread_mutex_unlock(&o.lock);
	test_read_free(&t);
	close_fixture(&f);
}

/* A tier that takes blocks and never comes to writing them. */
struct slow_tier {
	struct store base;
	struct null_origin *origin;
	pthread_mutex_t lock;
	struct extent kept[256];
	int n;
};

static int slow_keep(struct store *st, const struct object *obj, uint64_t off, struct extent *ext)
{
	struct slow_tier *t = container_of(st, struct slow_tier, base);

	HOLD(&t->lock);
	t->kept[t->n++] = *ext;
	return 0;
}

static void slow_stop(struct store *st)
{
	struct slow_tier *t = container_of(st, struct slow_tier, base);

	for (int i = 0; i < t->n; i++)
		extent_put(&t->kept[i]);
}

static void slow_close(struct store *st)
{
	struct slow_tier *t = container_of(st, struct slow_tier, base);

	t->origin->base.ops->close(&t->origin->base);
	store_done(st);
}

/* Half of the memory stays for what comes: each block is fetched once, ahead of its reader too. */
static void test_a_slow_tier_pins_half_of_memory(void **state)
{
	static const struct store_ops ops = {
		.name = "slow", .keep = slow_keep, .stop = slow_stop, .close = slow_close};
	struct slow_tier tier = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct config *cfg = test_config("cache.stack=mem mem.capacity=32M http.streams=8");
	struct err err = {0};
	struct object obj;
	char name[32];

	tier.origin = null_origin_new(10, 10, huge);
	null_origin_object(tier.origin, 3, name, &obj);
	assert_int_equal(store_init(&tier.base, &ops, &tier.origin->base), 0);
	struct stack *s = stack_open_over(cfg, &tier.base, "slow", &err);

	assert_non_null(s);
	for (uint64_t off = 0; off < 128 << 20; off += 128 << 10)
		assert_int_equal(test_read(s, &obj, off, 128 << 10), 0);
	assert_int_equal(tier.n, 16);
	assert_int_equal(tier.origin->fetches, 128);
	stack_close(s);
	config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_readers_one_request),
		cmocka_unit_test(test_answered_before_the_block_is_complete),
		cmocka_unit_test(test_late_reader_of_what_has_arrived),
		cmocka_unit_test(test_read_over_many_blocks),
		cmocka_unit_test(test_deadline_answers),
		cmocka_unit_test(test_cancel_answers_once),
		cmocka_unit_test(test_close_answers_what_is_parked),
		cmocka_unit_test(test_failed_fetch_fails_its_readers),
		cmocka_unit_test(test_old_version_is_stale),
		cmocka_unit_test(test_queued_flight_is_filled_by_who_waits),
		cmocka_unit_test(test_a_slow_tier_pins_half_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
