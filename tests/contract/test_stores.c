/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of every layer of the registry, each alone over an origin made of arithmetic, with
 * its defaults and with what it is there for; and of the origins over the same bytes: dir in files,
 * http and s3 from a server. */
#include "tests/test_stack.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/log.h"
#include "tests/null_http.h"

#define FILES 20

static uint64_t size_of(int file)
{
	return file == 19 ? 0 : 1 + (uint64_t)file * 190001;
}

struct fixture {
	const struct store_ops *ops;
	char dir[32];
	struct config *cfg;
	struct null_origin *origin;
	struct http_server *server; /* over origin, for those that need one */
	struct store *st;
};

/* What an origin is opened over. */
enum served { FILES_OF_DIR, BUCKET, TREE };

/* Replaces file number n of the folder by what the origin of arithmetic has. */
static void write_file(const struct fixture *f, int n)
{
	char name[32], path[128];
	struct object obj;

	null_origin_object(f->origin, n, name, &obj);
	AUTO(free) char *data = malloc(obj.size + 1);

	null_origin_bytes(&obj, 0, data, obj.size);
	snprintf(path, sizeof(path), "%s/d%d", f->dir, n / 10);
	assert_int_equal(file_make_dirs(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	unlink(path);
	AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_pwrite_all(fd, data, obj.size, 0), 0);
}

/* Object number n as the store knows it; its bytes are those of *ret_made. */
static void get_object(
	struct fixture *f, int n, char *name, struct object *ret, struct object *ret_made)
{
	null_origin_object(f->origin, n, name, ret_made);
	*ret = *ret_made;
	if (f->ops->origin)
		assert_int_equal(store_stat(f->st, name, STORE_WAIT, ret), 0);
}

/* The text that the user would give for the origin. */
static void serve_origin(struct fixture *f, enum served served, char *ret, size_t size)
{
	for (int i = 0; served == FILES_OF_DIR && i < FILES; i++)
		write_file(f, i);
	if (served != FILES_OF_DIR)
		f->server = null_http_new(f->origin, served == TREE);
	if (!strcmp(f->ops->name, "s3")) {
		struct err err = {0};

		assert_int_equal(
			config_set(f->cfg, "s3.endpoint", http_server_url(f->server), "test", &err),
			0);
		snprintf(ret, size, "s3://bucket");
	} else {
		snprintf(ret, size, "%s", f->server ? http_server_url(f->server) : f->dir);
	}
}

static void open_layer(struct fixture *f, const struct store_ops *ops, enum served served)
{
	char settings[256], origin[64] = "null";
	struct err err = {0};

	*f = (struct fixture){.ops = ops, .dir = "/tmp/store-XXXXXX"};
	assert_non_null(mkdtemp(f->dir));
	snprintf(settings, sizeof(settings),
		"disk.path=%s disk.capacity=16M mem.capacity=4M cache.block_size=256K "
		"throttle.bandwidth=1G delay.latency=1ms http.backoff=1ms",
		f->dir);
	f->cfg = test_config(settings);
	f->origin = null_origin_new(FILES, 10, size_of);
	if (ops->origin)
		serve_origin(f, served, origin, sizeof(origin));
	f->st = ops->open(f->cfg, origin, ops->origin ? NULL : &f->origin->base, &err);
	if (!f->st)
		fail_msg("%s: %s", ops->name, err.msg);
}

static void close_layer(struct fixture *f)
{
	if (f->st->ops->stop)
		f->st->ops->stop(f->st);
	f->st->ops->close(f->st);
	http_server_free(f->server);
	f->origin->base.ops->close(&f->origin->base);
	config_free(f->cfg);
	file_remove_tree(f->dir);
}

typedef void check_fn(struct fixture *f);

static void check_layer(check_fn *check, const struct store_ops *ops, enum served served)
{
	struct fixture f;

	open_layer(&f, ops, served);
	check(&f);
	close_layer(&f);
}

static void for_each_layer(check_fn *check)
{
	for (size_t i = 0; store_registry[i]; i++) {
		const char *name = store_registry[i]->name;
		bool remote = !strcmp(name, "http") || !strcmp(name, "s3");

		check_layer(check, store_registry[i], remote ? BUCKET : FILES_OF_DIR);
		if (!strcmp(name, "http"))
			check_layer(check, store_registry[i], TREE);
	}
}

static void reads_right(struct fixture *f)
{
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < FILES - 1; i++) {
			char name[32];
			struct object obj, made;

			get_object(f, i, name, &obj, &made);
			uint64_t off = obj.size / 3;
			size_t len = (size_t)(obj.size - off);
			char *buf = malloc(len);

			assert_int_equal(store_read(f->st, &obj, off, buf, len), 0);
			assert_true(null_origin_right(&made, off, buf, len));
			free(buf);
		}
}

static void refuses_bad_ranges(struct fixture *f)
{
	char name[32], buf[10];
	struct object obj, made;

	get_object(f, 1, name, &obj, &made);
	int before = f->origin->fetches; /* a lookup may bring bytes along */

	assert_int_equal(store_read(f->st, &obj, obj.size, buf, 1), -EINVAL);
	assert_int_equal(store_read(f->st, &obj, obj.size - 5, buf, 6), -EINVAL);
	assert_int_equal(store_read(f->st, &obj, UINT64_MAX, buf, 2), -EINVAL);
	assert_int_equal(store_read(f->st, &obj, 0, buf, 0), -EINVAL);
	assert_int_equal(f->origin->fetches, before);
}

static int abort_at_once(void *arg, const void *data, size_t len)
{
	++*(int *)arg;
	return -ECANCELED;
}

static void passes_the_abort_of_a_sink(struct fixture *f)
{
	char name[32];
	struct object obj, made;
	int calls = 0;

	get_object(f, 7, name, &obj, &made);
	assert_int_equal(store_fetch(f->st, &obj, 0, obj.size, abort_at_once, &calls), -ECANCELED);
	assert_int_equal(calls, 1);
}

static void passes_errors(struct fixture *f)
{
	char name[32], buf[10];
	struct object obj, made;

	get_object(f, 7, name, &obj, &made);
	if (f->server) /* what its lookup brought along */
		assert_int_equal(store_read(f->st, &obj, 0, buf, 10), 0);
	f->origin->down = true;
	if (!f->ops->origin || f->server)
		assert_int_equal(store_read(f->st, &obj, 0, buf, 10), -EIO);
	f->origin->down = false;
	assert_int_equal(store_read(f->st, &obj, 0, buf, 10), 0);
	get_object(f, 8, name, &obj, &made);
	obj.version++;
	assert_int_equal(store_read(f->st, &obj, 0, buf, 10), -ESTALE);
}

static int count_entry(void *arg, const struct object *entry)
{
	++*(int *)arg;
	return 0;
}

static void answers_names(struct fixture *f)
{
	struct object obj;
	int n = 0;

	assert_int_equal(store_stat(f->st, "d1/f12", STORE_WAIT, &obj), 0);
	assert_int_equal(obj.size, size_of(12));
	assert_int_equal(store_stat(f->st, "d1", STORE_WAIT, &obj), 0);
	assert_true(obj.is_dir);
	assert_int_equal(store_stat(f->st, "d1/f99", STORE_WAIT, &obj), -ENOENT);
	assert_int_equal(store_stat(f->st, "d1/f12/x", STORE_WAIT, &obj), -ENOENT);
	assert_int_equal(store_stat(f->st, "d1/../d1", STORE_WAIT, &obj), -ENOENT);
	assert_int_equal(store_list(f->st, "d1", STORE_WAIT, count_entry, &n), 0);
	assert_int_equal(n, 10);
	assert_int_equal(store_list(f->st, "d1/f12", STORE_WAIT, count_entry, &n), -ENOTDIR);
	assert_int_equal(store_list(f->st, "d9", STORE_WAIT, count_entry, &n), -ENOENT);
}

/* What is lent is right, checkable, and inside what was asked for. */
static void lends_right(struct fixture *f)
{
	char name[32], *whole = malloc(1 << 20);
	struct object obj, made;
	struct extent ext;

	get_object(f, 9, name, &obj, &made);
	for (uint64_t off = 0; off < obj.size; off += 99991) {
		if (store_lend(f->st, &obj, off, (size_t)(obj.size - off), &ext))
			continue;
		assert_in_range(ext.len, 1, obj.size - off);
		const char *from = ext.mem ? (const char *)ext.mem - ext.lead : whole;

		if (!ext.mem)
			assert_int_equal(extent_read(&ext, whole), 0);
		assert_int_equal(extent_check(&ext, from), 0);
		assert_true(null_origin_right(&made, off, from + ext.lead, ext.len));
		extent_put(&ext);
	}
	free(whole);
}

/* What is lent is held, and asking whether it is counts as no read. */
static void holds_what_it_lends(struct fixture *f)
{
	char name[32];
	struct object obj, made;
	struct extent ext;

	reads_right(f);
	for (int i = 0; i < FILES; i++) {
		get_object(f, i, name, &obj, &made);
		for (uint64_t off = 0; off < obj.size; off += 99991) {
			bool tier = f->ops->holds, lent = !store_lend(f->st, &obj, off, 1, &ext);
			int64_t hits = counter_get(f->st->counters, LAYER_hits);
			int64_t misses = counter_get(f->st->counters, LAYER_misses);

			if (lent)
				extent_put(&ext);
			assert_true(store_holds(f->st, &obj, off) == (lent && tier));
			assert_int_equal(counter_get(f->st->counters, LAYER_hits), hits);
			assert_int_equal(counter_get(f->st->counters, LAYER_misses), misses);
		}
	}
}

/* A layer whose file the kernel may read gives a whole one or none; others say so. */
static void backs_whole_files_or_none(struct fixture *f)
{
	bool disk = !strcmp(f->ops->name, "disk");
	int fd;

	reads_right(f);
	for (int i = 0; i < FILES; i++) {
		char name[32];
		struct object obj, made;

		get_object(f, i, name, &obj, &made);
		int r = store_backing(f->st, &obj, &fd);

		assert_true(r == -ENOTSUP || (disk && r == -EAGAIN));
	}
	if (!disk) {
		assert_int_equal(store_backing(f->st, NULL, &fd), -ENOTSUP);
		return;
	}
	assert_int_equal(store_backing(f->st, NULL, &fd), 0);
	close(fd);
}

static void lends_and_drops(struct fixture *f)
{
	reads_right(f);
	lends_right(f);
	assert_int_equal(store_drop(f->st, "d0"), 0);
	lends_right(f);
	assert_int_equal(store_drop(f->st, ""), 0);
	lends_right(f);
	reads_right(f);
}

static void names_itself(struct fixture *f)
{
	assert_ptr_equal(store_find(f->ops->name), f->ops);
	assert_true(*f->ops->summary);
	assert_null(store_find("nonsense"));
}

#define CONTRACT(check)                                                                            \
	static void test_##check(void **state)                                                     \
	{                                                                                          \
		for_each_layer(check);                                                             \
	}
CONTRACT(reads_right)
CONTRACT(refuses_bad_ranges)
CONTRACT(passes_the_abort_of_a_sink)
CONTRACT(passes_errors)
CONTRACT(answers_names)
CONTRACT(lends_and_drops)
CONTRACT(holds_what_it_lends)
CONTRACT(backs_whole_files_or_none)
CONTRACT(names_itself)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_right),
		cmocka_unit_test(test_refuses_bad_ranges),
		cmocka_unit_test(test_passes_the_abort_of_a_sink),
		cmocka_unit_test(test_passes_errors),
		cmocka_unit_test(test_answers_names),
		cmocka_unit_test(test_lends_and_drops),
		cmocka_unit_test(test_holds_what_it_lends),
		cmocka_unit_test(test_backs_whole_files_or_none),
		cmocka_unit_test(test_names_itself),
	};

	unsetenv("AWS_ENDPOINT_URL");
	setenv("no_proxy", "127.0.0.1", 1);
	log_open("test", LOG_ERROR, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
