/* SPDX-License-Identifier: Apache-2.0 */
/* Who is read ahead of, how far, and what that may cost, with an origin that counts. */
#include "tests/test_stack.h"

#define MIB (1 << 20)
#define FILE_MIB 32
#define LONG_NS (30 * NSEC_PER_SEC)

static uint64_t size_of(int file)
{
	return file ? (uint64_t)FILE_MIB * MIB + 77 : MIB;
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
	f->origin = null_origin_new(40, 40, size_of);
	f->stack = test_stack(f->cfg, f->origin);
	null_origin_object(f->origin, 3, f->name, &f->obj);
}

static void close_fixture(struct fixture *f)
{
	stack_close(f->stack);
	config_free(f->cfg);
}

static int64_t stat_of(struct fixture *f, const char *name)
{
	json_t *stats = stack_stats(f->stack);
	json_int_t n = json_integer_value(
		json_object_get(json_object_get(stats, "readahead"), name));

	json_decref(stats);
	return n;
}

static void read_in_sequence(struct fixture *f, size_t len)
{
	for (uint64_t off = 0; off < f->obj.size; off += len) {
		uint64_t left = f->obj.size - off;

		assert_int_equal(
			test_read(f->stack, &f->obj, off, left < len ? (size_t)left : len), 0);
	}
}

static void test_a_sequence_is_read_ahead_of(void **state)
{
	static const size_t lens[] = {MIB, 128 << 10, 3 * MIB, 100000};

	for (int i = 0; i < 4; i++) {
		struct fixture f;

		open_fixture(&f, "http.streams=8");
		read_in_sequence(&f, lens[i]);
		assert_int_equal(f.origin->fetches, FILE_MIB + 1); /* no block twice */
		assert_in_range(stat_of(&f, "fetched_bytes"), 8 * MIB, f.obj.size);
		assert_int_equal(stat_of(&f, "fetched_bytes"), stat_of(&f, "read_bytes"));
		assert_int_equal(stat_of(&f, "credit_bytes"), 64 * MIB);
		read_in_sequence(&f, lens[i]); /* all of it is held */
		assert_int_equal(f.origin->fetches, FILE_MIB + 1);
		close_fixture(&f);
	}
}

/* With a read at the front, or the second of two in sequence, blocks that nobody asked for are on their way;
 * with a read elsewhere none is. */
static void test_it_starts_early(void **state)
{
	static const uint64_t offs[] = {20 * MIB, 20 * MIB + 1000, 0};
	static const int64_t fetched[] = {0, 4 * MIB, 8 * MIB};
	struct test_read read[3];
	struct fixture f;

	open_fixture(&f, "http.streams=16");
	null_origin_gate(f.origin, 0);
	for (int i = 0; i < 3; i++) {
		test_read_start(&read[i], f.stack, &f.obj, offs[i], 1000, LONG_NS);
		assert_int_equal(stat_of(&f, "fetched_bytes"), fetched[i]);
	}
	null_origin_await(f.origin, 2 + 8);
	null_origin_gate(f.origin, UINT64_MAX);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(test_read_wait(&read[i]), 0);
		test_read_free(&read[i]);
	}
	close_fixture(&f);
}

/* A large first read at the front opens half of readahead.max at once. */
static void test_a_large_first_read_opens_wide(void **state)
{
	struct test_read read;
	struct fixture f;

	open_fixture(&f, "http.streams=32 readahead.max=24M");
	null_origin_gate(f.origin, 0);
	test_read_start(&read, f.stack, &f.obj, 0, 128 << 10, LONG_NS);
	assert_int_equal(stat_of(&f, "fetched_bytes"), 12 * MIB);
	null_origin_gate(f.origin, UINT64_MAX);
	assert_int_equal(test_read_wait(&read), 0);
	test_read_free(&read);
	close_fixture(&f);
}

/* More streams than memory can be read ahead of by their windows, at uneven paces: nothing is pushed
 * out before it is read. */
static void test_nothing_is_fetched_twice(void **state)
{
	struct object obj[8];
	char name[8][32];
	uint64_t at[8] = {0}, left = 8 * (FILE_MIB - 1);
	struct fixture f;

	open_fixture(&f, "http.streams=8 mem.capacity=48M");
	for (int i = 0; i < 8; i++)
		null_origin_object(f.origin, 1 + i, name[i], &obj[i]);
	for (int round = 0; left; round++)
		for (int i = 0; i < 8; i++) {
			if (at[i] == (FILE_MIB - 1) * MIB || round % (1 + i) != 0)
				continue;
			assert_int_equal(test_read(f.stack, &obj[i], at[i], MIB), 0);
			at[i] += MIB;
			left--;
		}
	assert_in_range(f.origin->fetches, 8 * (FILE_MIB - 1), 8 * (FILE_MIB + 1));
	assert_in_range(stat_of(&f, "unread_bytes"), 0, 12 * MIB);
	close_fixture(&f);
}

/* What a reader left lying does not keep others from being read ahead of for long. */
static void test_who_pauses_is_written_off(void **state)
{
	struct object other;
	char name[32];
	struct fixture f;

	open_fixture(&f, "http.streams=64 mem.capacity=32M");
	assert_int_equal(test_read(f.stack, &f.obj, 0, MIB), 0);
	assert_int_equal(stat_of(&f, "unread_bytes"), 4 * MIB);
	null_origin_object(f.origin, 4, name, &other);
	for (int i = 0; i < 30; i++)
		assert_int_equal(test_read(f.stack, &other, (uint64_t)i * MIB, MIB), 0);
	clock_sleep_until(clock_now_ns() + NSEC_PER_SEC + 100 * NSEC_PER_MSEC);
	int64_t before = stat_of(&f, "fetched_bytes");

	for (int i = 5; i < 35; i++) {
		null_origin_object(f.origin, i, name, &other);
		for (int k = 0; k < 4; k++)
			assert_int_equal(test_read(f.stack, &other, (uint64_t)k * MIB, MIB), 0);
	}
	assert_in_range(stat_of(&f, "unread_bytes"), 1, 8 * MIB);
	assert_in_range(stat_of(&f, "fetched_bytes") - before, 12 * MIB, 120 * MIB);
	close_fixture(&f);
}

/* A quarter of the threads is left for who waits. */
static void test_streams_are_left_for_others(void **state)
{
	struct test_read read[3], other;
	struct object obj;
	struct fixture f;
	char name[32];

	open_fixture(&f, "http.streams=8");
	null_origin_object(f.origin, 9, name, &obj);
	null_origin_gate(f.origin, 0);
	for (int i = 0; i < 3; i++)
		test_read_start(&read[i], f.stack, &f.obj, (uint64_t)i * MIB, MIB, LONG_NS);
	null_origin_await(f.origin, 1 + 6);
	assert_int_equal(stat_of(&f, "fetched_bytes"), 6 * MIB);
	test_read_start(&other, f.stack, &obj, 5 * MIB, 100, LONG_NS);
	null_origin_await(f.origin, 1 + 6 + 1);
	null_origin_gate(f.origin, UINT64_MAX);
	assert_int_equal(test_read_wait(&other), 0);
	test_read_free(&other);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(test_read_wait(&read[i]), 0);
		test_read_free(&read[i]);
	}
	close_fixture(&f);
}

static void test_random_reads_fetch_little(void **state)
{
	struct fixture f;
	uint64_t seed = 1, read = 0;
	char name[32];

	open_fixture(&f, "mem.capacity=16M readahead.waste=25%");
	for (int i = 0; i < 1500; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		null_origin_object(f.origin, 1 + (int)(seed >> 40) % 39, name, &f.obj);
		uint64_t off = (seed >> 20) % (f.obj.size - 70000);

		assert_int_equal(test_read(f.stack, &f.obj, off, 70000), 0);
		read += 70000;
	}
	int64_t wasted = stat_of(&f, "fetched_bytes") - stat_of(&f, "read_bytes");

	assert_in_range(wasted, 0, 4 * MIB + read / 4);
	close_fixture(&f);
}

/* Each file is begun and left: the first quarter of mem.capacity may be wasted, then a share of what is read. */
static void test_waste_has_a_bound(void **state)
{
	struct fixture f;
	char name[32];

	open_fixture(&f, "mem.capacity=64M readahead.waste=0");
	for (int round = 0; round < 4; round++)
		for (int i = 1; i < 40; i++) {
			null_origin_object(f.origin, i, name, &f.obj);
			f.origin->generation[i]++;
			null_origin_object(f.origin, i, name, &f.obj);
			for (uint64_t off = 0; off < 2 * MIB; off += 100000)
				assert_int_equal(test_read(f.stack, &f.obj, off, 100000), 0);
		}
	assert_in_range(stat_of(&f, "fetched_bytes") - stat_of(&f, "read_bytes"), 1, 16 * MIB);
	assert_in_range(stat_of(&f, "credit_bytes"), 0, MIB);
	close_fixture(&f);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 20;
}

/* Small reads here and there in files that no tier could hold: what is fetched has a bound, and what is within it is kept. */
static void test_random_reads_are_not_amplified(void **state)
{
	static const char *const settings[] = {"cache.amplification=1 readahead.max=0",
		"cache.amplification=10 readahead.max=0",
		"cache.amplification=10 cache.block_size=8M readahead.max=0",
		"cache.amplification=10 mem.capacity=0"};
	static const int64_t limit[] = {1, 10, 10, 1}, first[] = {0, 64 * MIB, 64 * MIB, 0};

	for (int i = 0; i < 4; i++) {
		struct fixture f;
		uint64_t seed = 1, read = 0;
		char name[32];

		open_fixture(&f, settings[i]);
		for (int k = 0; k < 3000; k++) {
			null_origin_object(
				f.origin, 1 + (int)(next_random(&seed) % 39), name, &f.obj);
			uint64_t off = next_random(&seed) % (f.obj.size - 9000);

			assert_int_equal(test_read(f.stack, &f.obj, off, 9000), 0);
			read += 9000;
		}
		int64_t fetched = test_counter(f.stack, "null", "read_bytes");

		if (first[i]) /* and it is made use of */
			assert_in_range(fetched, first[i], limit[i] * (int64_t)read + first[i]);
		else
			assert_int_equal(fetched, limit[i] * (int64_t)read);
		close_fixture(&f);
	}
}

/* What fits is held after a while, and nothing is fetched any more. */
static void test_random_reads_fill_the_tier(void **state)
{
	struct fixture f;
	uint64_t seed = 1;

	open_fixture(&f, "cache.amplification=4");
	for (int k = 0; k < 2000; k++)
		assert_int_equal(
			test_read(f.stack, &f.obj, next_random(&seed) % (f.obj.size - 9000), 9000),
			0);
	int before = f.origin->fetches;

	for (int k = 0; k < 200; k++)
		assert_int_equal(
			test_read(f.stack, &f.obj, next_random(&seed) % (f.obj.size - 9000), 9000),
			0);
	assert_int_equal(f.origin->fetches, before);
	close_fixture(&f);
}

/* Without memory, blocks on their way to the disk tier are joined, not fetched again. */
static void test_nothing_twice_on_the_way_to_disk(void **state)
{
	char dir[] = "/tmp/test_readahead.XXXXXX", settings[160];
	struct fixture f;

	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < 2; i++) {
		snprintf(settings, sizeof(settings),
			"disk.path=%s mem.capacity=0 cache.fill_threads=1 cache.fill=%s", dir,
			i ? "sync" : "async");
		open_fixture(&f, settings);
		f.origin->generation[3] += i;
		null_origin_object(f.origin, 3, f.name, &f.obj);
		read_in_sequence(&f, 128 << 10);
		assert_in_range(f.origin->fetches, FILE_MIB + 1, FILE_MIB + 1);
		close_fixture(&f);
	}
	file_remove_tree(dir);
}

/* Several streams in one file, turn about. */
static void test_streams_side_by_side(void **state)
{
	struct fixture f;

	open_fixture(&f, "http.streams=8");
	for (uint64_t off = 0; off < 8 * MIB; off += 200000)
		for (int part = 0; part < 4; part++)
			assert_int_equal(test_read(f.stack, &f.obj, (uint64_t)part * 8 * MIB + off,
						 off + 200000 > 8 * MIB ? 8 * MIB - off : 200000),
				0);
	assert_in_range(f.origin->fetches, FILE_MIB, FILE_MIB + 1);
	assert_in_range(stat_of(&f, "fetched_bytes"), 16 * MIB, f.obj.size);
	close_fixture(&f);
}

static void test_who_is_not_read_ahead_of(void **state)
{
	static const char *const settings[] = {"readahead.max=0", "mem.capacity=0"};
	struct fixture f;

	for (int i = 0; i < 2; i++) {
		open_fixture(&f, settings[i]);
		read_in_sequence(&f, MIB);
		assert_int_equal(stat_of(&f, "fetched_bytes"), 0);
		assert_int_equal(f.origin->fetches, FILE_MIB + 1);
		close_fixture(&f);
	}
	open_fixture(
		&f, "mem.capacity=64M"); /* a file of one block; the same bytes again and again */
	null_origin_object(f.origin, 0, f.name, &f.obj);
	read_in_sequence(&f, 1000);
	null_origin_object(f.origin, 1, f.name, &f.obj);
	for (int i = 0; i < 100; i++)
		assert_int_equal(test_read(f.stack, &f.obj, 5 * MIB, 1000), 0);
	assert_int_equal(stat_of(&f, "fetched_bytes"), 0);
	close_fixture(&f);
}

/* What the disk tier has is not fetched into memory. */
static void test_held_on_disk(void **state)
{
	char dir[] = "/tmp/test_readahead.XXXXXX", settings[160];
	struct fixture f;

	assert_non_null(mkdtemp(dir));
	snprintf(
		settings, sizeof(settings), "disk.path=%s disk.capacity=100M mem.capacity=8M", dir);
	open_fixture(&f, settings);
	assert_int_equal(stack_warm(f.stack, &f.obj, NULL), 0);
	int before = f.origin->fetches;

	read_in_sequence(&f, MIB);
	assert_int_equal(f.origin->fetches, before);
	assert_int_equal(stat_of(&f, "fetched_bytes"), 0);
	close_fixture(&f);
	file_remove_tree(dir);
}

/* An origin that fails: nobody asked, so nobody is told, and reads ask again. */
static void test_failures(void **state)
{
	struct fixture f;

	open_fixture(&f, "http.streams=8");
	for (uint64_t off = 0; off < 4 * MIB; off += MIB)
		assert_int_equal(test_read(f.stack, &f.obj, off, MIB), 0);
	f.origin->down = true;
	test_read(f.stack, &f.obj, 4 * MIB, MIB);
	test_read(f.stack, &f.obj, 5 * MIB, MIB);
	f.origin->down = false;
	read_in_sequence(&f, MIB);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sequence_is_read_ahead_of),
		cmocka_unit_test(test_it_starts_early),
		cmocka_unit_test(test_a_large_first_read_opens_wide),
		cmocka_unit_test(test_nothing_is_fetched_twice),
		cmocka_unit_test(test_who_pauses_is_written_off),
		cmocka_unit_test(test_streams_are_left_for_others),
		cmocka_unit_test(test_random_reads_fetch_little),
		cmocka_unit_test(test_waste_has_a_bound),
		cmocka_unit_test(test_random_reads_are_not_amplified),
		cmocka_unit_test(test_random_reads_fill_the_tier),
		cmocka_unit_test(test_nothing_twice_on_the_way_to_disk),
		cmocka_unit_test(test_streams_side_by_side),
		cmocka_unit_test(test_who_is_not_read_ahead_of),
		cmocka_unit_test(test_held_on_disk),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
