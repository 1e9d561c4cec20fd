/* SPDX-License-Identifier: Apache-2.0 */
/* The fetch pool: who runs what, in which order, and how it ends. */
#include "tests/test_stack.h"

#include "cachefs/pool.h"

#define MANY 200

struct board {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open; /* gated work may go on */
	int gated, done;
	pthread_t by[MANY];
	int order[MANY];
};

struct task {
	struct board *board;
	int number;
};

static void board_init(struct board *b)
{
	*b = (struct board){.open = false};
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
}

static void note(void *arg)
{
	struct task *t = arg;

	HOLD(&t->board->lock);
	t->board->order[t->board->done] = t->number;
	t->board->by[t->board->done++] = pthread_self();
	pthread_cond_broadcast(&t->board->changed);
}

static void wait_at_gate(void *arg)
{
	struct board *b = arg;

	HOLD(&b->lock);
	b->gated++;
	pthread_cond_broadcast(&b->changed);
	while (!b->open)
		pthread_cond_wait(&b->changed, &b->lock);
}

static void await(struct board *b, const int *what, int n)
{
	HOLD(&b->lock);
	while (*what < n)
		pthread_cond_wait(&b->changed, &b->lock);
}

static void open_gate(struct board *b)
{
	HOLD(&b->lock);
	b->open = true;
	pthread_cond_broadcast(&b->changed);
}

/* Busy threads: more start, up to the limit; then work waits, in its order, up to the bound. */
static void test_it_grows_and_has_a_bound(void **state)
{
	struct pool *p = pool_new(3, MANY);
	struct task task[MANY];
	struct board b;

	board_init(&b);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pool_submit(p, wait_at_gate, &b), 0);
	await(&b, &b.gated, 3);
	assert_int_equal(pool_threads(p), 3);
	for (int i = 0; i < MANY; i++) {
		task[i] = (struct task){&b, i};
		assert_int_equal(pool_submit(p, note, &task[i]), 0);
	}
	assert_int_equal(pool_queued(p), MANY);
	assert_int_equal(pool_submit(p, note, &task[0]), -EAGAIN);
	assert_int_equal(b.done, 0);
	open_gate(&b);
	pool_free(p); /* runs what is queued */
	assert_int_equal(b.done, MANY);
}

static void test_work_starts_in_its_order(void **state)
{
	struct pool *p = pool_new(1, MANY + 1);
	struct task task[MANY];
	struct board b;

	board_init(&b);
	assert_int_equal(pool_submit(p, wait_at_gate, &b), 0);
	for (int i = 0; i < MANY; i++) {
		task[i] = (struct task){&b, i};
		assert_int_equal(pool_submit(p, note, &task[i]), 0);
	}
	open_gate(&b);
	await(&b, &b.done, MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(b.order[i], i);
	pool_free(p);
}

/* The thread that became idle last is the next: the same one, if it had the time to become idle. */
static void test_the_warmest_thread_is_taken(void **state)
{
	struct pool *p = pool_new(4, 100);
	struct task task[MANY];
	struct board b;
	int same = 0;

	board_init(&b);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pool_submit(p, wait_at_gate, &b), 0);
	await(&b, &b.gated, 4);
	open_gate(&b);
	for (int i = 0; i < MANY && !same; i++) {
		clock_sleep_until(clock_now_ns() + 10 * NSEC_PER_MSEC);
		task[i] = (struct task){&b, i};
		assert_int_equal(pool_submit(p, note, &task[i]), 0);
		await(&b, &b.done, i + 1);
		same += i && pthread_equal(b.by[i], b.by[i - 1]);
	}
	assert_true(same);
	pool_free(p);
	pool_free(pool_new(4, 100)); /* never used */
	pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_grows_and_has_a_bound),
		cmocka_unit_test(test_work_starts_in_its_order),
		cmocka_unit_test(test_the_warmest_thread_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
