/* SPDX-License-Identifier: Apache-2.0 */
/* What is fetched because a plan says so: all of it, once, in its order, and no more than may lie
 * unread in the tier. */
#include "tests/test_stack.h"

#include "cachefs/prefetch.h"

#define FILES 200
#define SMALL 100000
#define MIB (1 << 20)

static char path[] = "/tmp/test_prefetch.XXXXXX";

/* The last one is large. */
static uint64_t size_of(int file)
{
	return file == FILES - 1 ? 10 * MIB + 77 : SMALL;
}

struct fixture {
	struct config *cfg;
	struct null_origin *origin;
	struct stack *stack;
	struct counter_set counters;
	struct prefetch *prefetch;
	pthread_t thread;
	_Atomic bool stop;
	int result;
	struct err err;
};

static void open_fixture(struct fixture *f, const char *settings, int most)
{
	memset(f, 0, sizeof(*f));
	f->cfg = test_config(settings);
	f->origin = null_origin_new(FILES, 50, size_of);
	f->stack = test_stack(f->cfg, f->origin);
	f->prefetch = prefetch_new(f->stack, f->cfg, most, &f->counters);
	assert_non_null(f->prefetch);
}

static void close_fixture(struct fixture *f)
{
	stack_close(f->stack);
	prefetch_free(f->prefetch);
	config_free(f->cfg);
}

static void *run_follow(void *arg)
{
	struct fixture *f = arg;

	f->result = prefetch_follow(f->prefetch, path, &f->stop, &f->err);
	return NULL;
}

static void follow(struct fixture *f)
{
	assert_int_equal(pthread_create(&f->thread, NULL, run_follow, f), 0);
}

static int end_follow(struct fixture *f)
{
	pthread_join(f->thread, NULL);
	return f->result;
}

static struct object object(struct fixture *f, int n)
{
	static char name[32];
	struct object obj;

	null_origin_object(f->origin, n, name, &obj);
	return obj;
}

/* File number of line n: all but the large one, each once an epoch. */
static int shuffled(int n)
{
	return n * 77 % (FILES - 1);
}

static void write_plan(const char *text)
{
	FILE *out = fopen(path, "w");

	fputs(text, out);
	fclose(out);
}

static void write_epochs(int epochs)
{
	FILE *out = fopen(path, "w");

	for (int e = 0; e < epochs; e++) {
		fprintf(out, "# epoch %d\n", e);
		for (int n = 0; n < FILES - 1; n++)
			fprintf(out, "d%d/f%d\n", shuffled(n) / 50, shuffled(n));
	}
	fclose(out);
}

static bool held(struct fixture *f, int n)
{
	struct object obj = object(f, n);

	return test_held(f->stack, &obj, 0, (size_t)obj.size);
}

static struct prefetch_progress progress(struct fixture *f)
{
	struct prefetch_progress p;

	prefetch_progress(f->prefetch, &p);
	return p;
}

static void await_pacing(struct fixture *f)
{
	while (!progress(f).pacing)
		clock_sleep_until(clock_now_ns() + NSEC_PER_MSEC);
}

#define COUNT(f, name) counter_get(&(f)->counters, PLAN_##name)

static void each_file_is_fetched_once(void **state)
{
	struct fixture f;

	open_fixture(&f, "mem.capacity=64M", 16);
	write_epochs(3);
	follow(&f);
	assert_int_equal(end_follow(&f), 0);
	assert_int_equal(f.origin->fetches, FILES - 1);
	assert_in_range(f.origin->stats, FILES - 1, FILES - 1 + 16); /* again while under way */
	for (int n = 0; n < FILES - 1; n++)
		assert_true(held(&f, n));
	assert_in_range(COUNT(&f, fetched), FILES - 1, FILES - 1 + 16);
	assert_int_equal(COUNT(&f, fetched_bytes), COUNT(&f, fetched) * SMALL);
	assert_int_equal(COUNT(&f, fetched) + COUNT(&f, present), 3 * (FILES - 1));
	assert_int_equal(progress(&f).lines, 3 * (FILES - 1));
	assert_int_equal(progress(&f).lines_done, 3 * (FILES - 1));
	assert_int_equal(progress(&f).epoch, 2);
	close_fixture(&f);
}

static void many_are_under_way(void **state)
{
	struct fixture f;

	open_fixture(&f, "mem.capacity=64M http.streams=64", 56);
	null_origin_gate(f.origin, 0);
	write_epochs(1);
	follow(&f);
	null_origin_await(f.origin, 56);
	clock_sleep_until(clock_now_ns() + 20 * NSEC_PER_MSEC);
	assert_int_equal(f.origin->fetches, 56);
	null_origin_gate(f.origin, UINT64_MAX);
	assert_int_equal(end_follow(&f), 0);
	assert_int_equal(f.origin->fetches, FILES - 1);
	close_fixture(&f);
}

/* The tier holds 40 files, the plan has 199: fetched is what comes first, and the rest as it is read, each
 * file once though the tier is much too small. */
static void a_plan_larger_than_the_tier_is_paced(void **state)
{
	struct fixture f;
	int first = 0;

	open_fixture(&f, "mem.capacity=4M", 4);
	write_epochs(1);
	follow(&f);
	await_pacing(&f);
	while (held(&f, shuffled(first)))
		first++;
	assert_in_range(first, 12, 40);
	assert_int_equal(f.origin->fetches, first);
	for (int n = first; n < FILES - 1; n++)
		assert_false(held(&f, shuffled(n)));
	for (int n = 0; n < FILES - 1; n++) {
		struct object obj = object(&f, shuffled(n));

		prefetch_note(f.prefetch, obj.name, 0);
		assert_int_equal(test_read(f.stack, &obj, 0, SMALL), 0);
		/* as a reader who computes: else it overtakes */
		for (int i = 0; i < 100 && !progress(&f).pacing; i++)
			clock_sleep_until(clock_now_ns() + NSEC_PER_MSEC / 10);
	}
	assert_int_equal(end_follow(&f), 0);
	assert_int_equal(f.origin->fetches, FILES - 1);
	assert_in_range(COUNT(&f, hits), (FILES - 1) * 3 / 4, FILES - 1);
	assert_in_range(COUNT(&f, hits) + COUNT(&f, late), (FILES - 1) * 3 / 4, FILES - 1);
	close_fixture(&f);
}

/* Reads lines [from, to) as somebody who follows no plan. */
static void read_lines(struct fixture *f, int from, int to)
{
	for (int n = from; n < to; n++) {
		struct object obj = object(f, shuffled(n));

		assert_int_equal(test_read(f->stack, &obj, 0, SMALL), 0);
	}
}

static void learn_sizes(struct fixture *f)
{
	for (int n = 0; n < FILES; n++) {
		struct object obj = object(f, n);

		assert_int_equal(store_stat(stack_top(f->stack), obj.name, STORE_WAIT, &obj), 0);
	}
}

static void note_lines(struct fixture *f, int from, int to)
{
	for (int n = from; n < to; n++)
		prefetch_note(f->prefetch, object(f, shuffled(n)).name, 0);
}

/* The window takes 13 files. The next one is there already, and has gone when there is room for it. */
static void what_goes_while_there_is_no_room_is_fetched(void **state)
{
	struct fixture f;

	open_fixture(&f, "mem.capacity=4M", 1);
	write_epochs(1);
	learn_sizes(&f);
	read_lines(&f, 13, 33);
	follow(&f);
	await_pacing(&f);
	read_lines(&f, 100, 150);
	assert_false(held(&f, shuffled(13)));
	note_lines(&f, 0, 1);
	for (int i = 0; i < 2000 && !held(&f, shuffled(13)); i++)
		clock_sleep_until(clock_now_ns() + NSEC_PER_MSEC);
	assert_true(held(&f, shuffled(13)));
	f.stop = true;
	prefetch_wake(f.prefetch);
	assert_int_equal(end_follow(&f), 0);
	close_fixture(&f);
}

/* What was fetched far ahead and went before its readers came is fetched again, but not all at once. */
static void what_is_fetched_again_is_fetched_as_the_rest(void **state)
{
	struct fixture f;
	struct object large;

	open_fixture(&f, "mem.capacity=16M http.streams=64 readahead.max=0", 2);
	write_epochs(1);
	learn_sizes(&f);
	follow(&f);
	await_pacing(&f);
	assert_true(held(&f, shuffled(120)));
	read_lines(&f, 160, FILES - 1);
	large = object(&f, FILES - 1);
	assert_int_equal(test_read(f.stack, &large, 0, 10 * MIB), 0);
	assert_false(held(&f, shuffled(60)));
	int before = f.origin->fetches;

	null_origin_gate(f.origin, 0);
	note_lines(&f, 0, 40);
	null_origin_await(f.origin, 2);
	clock_sleep_until(clock_now_ns() + 50 * NSEC_PER_MSEC);
	assert_int_equal(f.origin->fetches, before + 2);
	null_origin_gate(f.origin, UINT64_MAX);
	f.stop = true;
	prefetch_wake(f.prefetch);
	assert_int_equal(end_follow(&f), 0);
	close_fixture(&f);
}

static void it_stops_when_told(void **state)
{
	struct fixture f;

	open_fixture(&f, "mem.capacity=4M", 4);
	write_epochs(1);
	follow(&f);
	await_pacing(&f);
	f.stop = true;
	prefetch_wake(f.prefetch);
	assert_int_equal(end_follow(&f), 0);
	assert_int_equal(progress(&f).errors, 0);
	int before = f.origin->fetches;

	f.stop = false;
	write_plan("d0/f1\nd0/f2\n"); /* another takes its place */
	follow(&f);
	assert_int_equal(end_follow(&f), 0);
	assert_in_range(f.origin->fetches, before, before + 2);
	assert_int_equal(progress(&f).lines_done, 2);
	close_fixture(&f);
}

static void parts_of_a_large_file(void **state)
{
	struct fixture f;
	struct object obj;

	open_fixture(&f, "mem.capacity=64M readahead.max=0", 4);
	obj = object(&f, FILES - 1);
	/* Blocks 2 and 3, 0, and the last, which ends before the range does. */
	write_plan("d3/f199\t2097162\t1048576\nd3/f199\t5\t1\nd3/f199\t2097162\t9\n"
		   "d3/f199\t10485760\t99999\n");
	follow(&f);
	assert_int_equal(end_follow(&f), 0);
	assert_int_equal(f.origin->fetches, 4);
	assert_true(test_held(f.stack, &obj, 2 * MIB, 2 * MIB));
	assert_true(test_held(f.stack, &obj, 0, MIB));
	assert_true(test_held(f.stack, &obj, 10 * MIB, 77));
	assert_false(test_held(f.stack, &obj, MIB, 1));
	assert_int_equal(progress(&f).errors, 0);
	close_fixture(&f);
}

/* Its size is known only when its first block is there. */
static void a_whole_large_file(void **state)
{
	struct fixture f;
	struct object obj;

	open_fixture(&f, "mem.capacity=64M", 4);
	obj = object(&f, FILES - 1);
	write_plan("d3/f199\nd0/f0\n");
	follow(&f);
	assert_int_equal(end_follow(&f), 0);
	assert_true(test_held(f.stack, &obj, 0, (size_t)obj.size));
	assert_int_equal(f.origin->fetches, 11 + 1);
	assert_int_equal(progress(&f).lines_done, 2);
	close_fixture(&f);
}

static void what_is_not_there_is_told(void **state)
{
	struct fixture f;

	open_fixture(&f, "mem.capacity=64M", 1);
	write_plan("d0/none\nd0/f0\nd0\nd3/f199\t99999999\t1\nd0/f1\n");
	follow(&f);
	assert_int_equal(end_follow(&f), 0);
	assert_true(held(&f, 0));
	assert_true(held(&f, 1));
	assert_int_equal(progress(&f).errors, 3);
	assert_string_equal(progress(&f).error, "d0/none: No such file or directory");
	assert_int_equal(progress(&f).lines_done, 5);
	assert_int_equal(COUNT(&f, failed), 3);
	close_fixture(&f);
}

static void a_file_that_changed_comes_as_it_is_now(void **state)
{
	struct fixture f;
	struct object obj;

	open_fixture(&f, "mem.capacity=64M", 1);
	assert_int_equal(store_stat(stack_top(f.stack), "d0/f0", STORE_WAIT, &obj), 0);
	f.origin->generation[0]++;
	write_plan("d0/f0\n");
	follow(&f);
	assert_int_equal(end_follow(&f), 0);
	assert_true(held(&f, 0));
	assert_int_equal(progress(&f).errors, 0);
	close_fixture(&f);
}

static void a_tier_that_keeps_nothing_ends_it(void **state)
{
	struct fixture f;

	open_fixture(&f, "mem.capacity=2M cache.policy=none", 1);
	write_epochs(1);
	follow(&f);
	await_pacing(&f); /* the window is half of what it keeps */
	f.stop = true;
	prefetch_wake(f.prefetch);
	assert_int_equal(end_follow(&f), 0);
	close_fixture(&f);
	open_fixture(&f, "mem.capacity=0", 1);
	write_epochs(1);
	follow(&f);
	assert_int_equal(end_follow(&f), 0);
	assert_true(progress(&f).full);
	assert_in_range(f.origin->fetches, 0, 40);
	close_fixture(&f);
}

static void a_broken_plan_is_told(void **state)
{
	struct fixture f;

	open_fixture(&f, "mem.capacity=64M", 1);
	write_plan("d0/f0\n/x\n");
	follow(&f);
	assert_int_equal(end_follow(&f), -EINVAL);
	assert_non_null(strstr(f.err.msg, ":2: "));
	assert_int_equal(f.origin->fetches, 0);
	write_plan("d0/f0\n");
	follow(&f);
	assert_int_equal(end_follow(&f), 0);
	write_plan("/x\n");
	follow(&f);
	assert_int_equal(end_follow(&f), -EINVAL);
	assert_int_equal(progress(&f).lines_done, 0); /* not that of the one before */
	f.stop = true;
	follow(&f);
	assert_int_equal(end_follow(&f), 0); /* not even read through */
	close_fixture(&f);
}

static int make_plan(void **state)
{
	int fd = mkstemp(path);

	close(fd);
	return fd < 0;
}

static int remove_plan(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_file_is_fetched_once),
		cmocka_unit_test(many_are_under_way),
		cmocka_unit_test(a_plan_larger_than_the_tier_is_paced),
		cmocka_unit_test(what_goes_while_there_is_no_room_is_fetched),
		cmocka_unit_test(what_is_fetched_again_is_fetched_as_the_rest),
		cmocka_unit_test(it_stops_when_told),
		cmocka_unit_test(parts_of_a_large_file),
		cmocka_unit_test(a_whole_large_file),
		cmocka_unit_test(what_is_not_there_is_told),
		cmocka_unit_test(a_file_that_changed_comes_as_it_is_now),
		cmocka_unit_test(a_tier_that_keeps_nothing_ends_it),
		cmocka_unit_test(a_broken_plan_is_told),
	};

	return cmocka_run_group_tests(tests, make_plan, remove_plan);
}
