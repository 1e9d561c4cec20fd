/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations of many threads on a small stack with memory, disk and faults, against what
 * the bytes must be. Any wrong byte, hang or failed check of a tier's state is a failure. The seed
 * is printed; MODEL_SEED=N repeats it, MODEL_SECONDS=N runs longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "cachefs/stack.h"
#include "common/clock.h"
#include "common/file.h"
#include "tests/null_origin.h"

#define THREADS 8
#define FILES 120
#define PER_DIR 10
#define READ_MAX (1 << 20)

static uint64_t seed;

struct player {
	struct stack *stack;
	struct null_origin *origin;
	uint64_t state;
	int64_t until_ns;
	long now, later, cancelled, stale, errors;
	pthread_t thread;
	char *scratch;
};

static uint64_t size_of(int file)
{
	switch (file % 4) {
	case 0:
		return 1 + (uint64_t)file * 997 % 5000;
	case 1:
		return 100000 + (uint64_t)file * 1009;
	case 2:
		return 1 << 20;
	default:
		return (3 << 20) + 17 + (uint64_t)file;
	}
}

static uint64_t pick(struct player *p, uint64_t n)
{
	p->state ^= p->state << 13;
	p->state ^= p->state >> 7;
	p->state ^= p->state << 17;
	return p->state % n;
}

/* A file at its present version, and a range in it. */
static void pick_range(struct player *p, char *name, struct object *obj, uint64_t *off, size_t *len)
{
	null_origin_object(p->origin, (int)pick(p, FILES), name, obj);
	*off = pick(p, obj->size);
	*len = 1 + (size_t)pick(p, READ_MAX);
	if (pick(p, 2))
		*off = *off / CHUNK_SIZE * CHUNK_SIZE;
	if (*len > obj->size - *off)
		*len = (size_t)(obj->size - *off);
}

static void check_reply(const struct object *obj, uint64_t off, size_t len, const struct reply *r)
{
	for (int i = 0; i < r->n; i++) {
		if (!null_origin_right(obj, off, r->iov[i].iov_base, r->iov[i].iov_len)) {
			fprintf(stderr, "wrong bytes: %s at %llu, seed %llu\n", obj->name,
				(unsigned long long)off, (unsigned long long)seed);
			abort();
		}
		off += r->iov[i].iov_len;
		len -= r->iov[i].iov_len;
	}
	if (len)
		abort(); /* short */
}

static bool expected_error(int r)
{
	return r == -ESTALE || r == -EIO || r == -EINTR || r == -ETIMEDOUT;
}

struct waiter {
	struct parked parked;
	const struct object *obj;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int calls, status;
};

static void done(struct parked *parked, int status, struct reply *reply)
{
	struct waiter *w = (struct waiter *)parked;

	if (!status)
		check_reply(w->obj, parked->off, parked->len, reply);
	pthread_mutex_lock(&w->lock);
	w->calls++;
	w->status = status;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void play_later(struct player *p, const struct object *obj, uint64_t off, size_t len)
{
	struct waiter w = {.parked = {.done = done, .off = off, .len = len}, .obj = obj};
	int64_t patience_ns = pick(p, 8) ? 30 * NSEC_PER_SEC : (int64_t)pick(p, NSEC_PER_MSEC);

	w.parked.deadline_ns = clock_now_ns() + patience_ns;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.changed, NULL);
	if (stack_read_later(p->stack, obj, &w.parked) < 0)
		abort();
	if (!pick(p, 8))
		stack_cancel(p->stack, &w.parked);
	pthread_mutex_lock(&w.lock);
	while (!w.calls)
		pthread_cond_wait(&w.changed, &w.lock);
	if (w.calls != 1 || (w.status < 0 && !expected_error(w.status)))
		abort();
	p->later++;
	p->cancelled += w.status == -EINTR || w.status == -ETIMEDOUT;
	p->stale += w.status == -ESTALE;
	p->errors += w.status == -EIO;
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.changed);
	pthread_mutex_destroy(&w.lock);
}

static void play_read(struct player *p)
{
	struct reply reply = {.scratch = p->scratch, .scratch_len = REPLY_SCRATCH(READ_MAX)};
	char name[32];
	struct object obj;
	uint64_t off;
	size_t len;

	pick_range(p, name, &obj, &off, &len);
	int r = stack_read_now(p->stack, &obj, off, len, &reply);

	if (!r) {
		check_reply(&obj, off, len, &reply);
		reply_put(&reply);
		p->now++;
	} else if (r != -EAGAIN) {
		abort();
	} else {
		play_later(p, &obj, off, len);
	}
}

static int count_entry(void *arg, const struct object *entry)
{
	if (!store_component_valid(entry->name) || entry->is_dir)
		abort();
	++*(int *)arg;
	return 0;
}

static void play_other(struct player *p)
{
	char name[32];
	struct object obj, found;
	int n = (int)pick(p, FILES);

	null_origin_object(p->origin, n, name, &obj);
	switch (pick(p, 16)) {
	case 0:
		p->origin->generation[n]++;
		break;
	case 1:
		store_drop(stack_top(p->stack), "");
		break;
	case 2:
	case 3:
		*strchr(name, '/') = 0;
		store_drop(stack_top(p->stack), name);
		break;
	case 4:
	case 5:
		store_drop(stack_top(p->stack), name);
		break;
	case 7:
		*strchr(name, '/') = 0;
		int entries = 0;

		if (store_list(stack_top(p->stack), name, STORE_WAIT, count_entry, &entries) ||
			entries != PER_DIR)
			abort();
		break;
	case 6:
		json_decref(stack_stats(p->stack));
		break;
	default:
		if (!store_stat(stack_top(p->stack), name, STORE_WAIT, &found) &&
			found.size != obj.size)
			abort();
	}
}

static void *play(void *arg)
{
	struct player *p = arg;

	while (clock_now_ns() < p->until_ns)
		if (pick(p, 16))
			play_read(p);
		else
			play_other(p);
	return NULL;
}

static struct config *small_config(const char *stack, const char *dir)
{
	const char *const set[][2] = {{"cache.stack", stack}, {"cache.block_size", "256K"},
		{"mem.capacity", "3M"}, {"disk.path", dir}, {"disk.capacity", "12M"},
		{"http.streams", "6"}, {"cache.fill_threads", "2"}, {"cache.fill_queue", "8"},
		{"fault.corrupt_rate", "0.05"}, {"fault.error_rate", "0.01"}};
	struct config *cfg = config_new();

	for (size_t i = 0; i < sizeof(set) / sizeof(*set); i++)
		assert_int_equal(config_set(cfg, set[i][0], set[i][1], "test", NULL), 0);
	return cfg;
}

static void play_stack(const char *layers, double seconds)
{
	char dir[] = "/tmp/model-XXXXXX";
	struct player player[THREADS] = {0};
	struct err err = {0};

	assert_non_null(mkdtemp(dir));
	struct config *cfg = small_config(layers, dir);
	struct null_origin *origin = null_origin_new(FILES, PER_DIR, size_of);
	struct stack *stack = stack_open_over(cfg, &origin->base, "null", &err);

	assert_string_equal(err.msg, "");
	assert_non_null(stack);
	for (int i = 0; i < THREADS; i++) {
		player[i] = (struct player){.stack = stack, .origin = origin};
		player[i].state = (seed + 1) * 0x9e3779b97f4a7c15ull + (uint64_t)i * 77777;
		player[i].until_ns = clock_now_ns() + (int64_t)(seconds * 1e9);
		player[i].scratch = malloc(REPLY_SCRATCH(READ_MAX));
		pthread_create(&player[i].thread, NULL, play, &player[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(player[i].thread, NULL);
		free(player[i].scratch);
		if (i) {
			player[0].now += player[i].now;
			player[0].later += player[i].later;
			player[0].cancelled += player[i].cancelled;
			player[0].stale += player[i].stale;
			player[0].errors += player[i].errors;
		}
	}
	print_message(
		"%s: %ld reads now, %ld later (%ld cancelled or late, %ld stale, %ld errors)\n",
		layers, player[0].now, player[0].later, player[0].cancelled, player[0].stale,
		player[0].errors);
	json_t *stats = stack_stats(stack);
	char *text = json_dumps(stats, JSON_COMPACT);

	if (getenv("MODEL_STATS"))
		print_message("%s\n", text);
	free(text);
	json_decref(stats);
	stack_close(stack);
	config_free(cfg);
	file_remove_tree(dir);
	assert_true(player[0].now > 0 && player[0].later > 0);
}

static double seconds_each(void)
{
	const char *asked = getenv("MODEL_SECONDS");

	return asked ? atof(asked) : 1.2;
}

static void test_mem_and_faulty_disk(void **state)
{
	play_stack("meta,mem,fault,disk", seconds_each());
}

static void test_fault_over_mem(void **state)
{
	play_stack("fault,mem,disk", seconds_each());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mem_and_faulty_disk),
		cmocka_unit_test(test_fault_over_mem),
	};

	const char *asked = getenv("MODEL_SEED");

	seed = asked ? strtoull(asked, NULL, 10) : (uint64_t)clock_wall_ns() % 1000000;
	print_message("MODEL_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
