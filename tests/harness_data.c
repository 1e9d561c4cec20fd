/* SPDX-License-Identifier: Apache-2.0 */
/* See harness_data.h. */
#include "tests/harness_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/file.h"

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

/* xorshift64, by George Marsaglia. */
static uint64_t noise(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void put_le(FILE *out, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		fputc((int)(v >> 8 * i & 0xff), out);
}

static void put_record(FILE *out, const uint8_t *data, uint32_t len)
{
	uint8_t head[8] = {
		(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24)};

	fwrite(head, 1, 8, out);
	put_le(out, crc32c_mask(crc32c(0, head, 8)), 4);
	fwrite(data, 1, len, out);
	put_le(out, crc32c_mask(crc32c(0, data, len)), 4);
}

struct writer {
	struct test_data *t;
	FILE *manifest;
	uint64_t seed;
	uint32_t mean;
	uint8_t *data;
};

static uint32_t make_sample(struct writer *w)
{
	uint32_t len = w->mean / 2 + (uint32_t)(noise(&w->seed) % w->mean);

	for (uint32_t i = 0; i < len; i += 8) {
		uint64_t v = noise(&w->seed);

		memcpy(w->data + i, &v, 8);
	}
	return len;
}

static FILE *create(const struct writer *w, const char *name)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", w->t->dir, name);
	f = fopen(path, "we");
	must(f != NULL, path);
	return f;
}

static void make_shard(struct writer *w, uint32_t number, uint32_t first, uint32_t n)
{
	struct line {
		uint64_t off;
		uint32_t len, crc;
	} *lines = calloc(n, sizeof(*lines));
	char name[64];
	FILE *f;

	snprintf(name, sizeof(name), "train-%05u.tfrecord", number);
	f = create(w, name);
	for (uint32_t i = 0; i < n; i++) {
		lines[i].off = (uint64_t)ftell(f);
		lines[i].len = make_sample(w);
		lines[i].crc = crc32c(0, w->data, lines[i].len);
		put_record(f, w->data, lines[i].len);
	}
	fprintf(w->manifest, "F\t%s\t%ld\t%u\t%u\n", name, ftell(f), first, n);
	for (uint32_t i = 0; i < n; i++)
		fprintf(w->manifest, "S\t%llu\t%u\t%08x\t7\n", (unsigned long long)lines[i].off,
			lines[i].len, lines[i].crc);
	fclose(f);
	free(lines);
}

static void make_picture(struct writer *w, uint32_t number, uint32_t class)
{
	char name[64];
	uint32_t len = make_sample(w);
	FILE *f;

	snprintf(name, sizeof(name), "n%04u/%06u.JPEG", class, number);
	f = create(w, name);
	fwrite(w->data, 1, len, f);
	fclose(f);
	fprintf(w->manifest, "F\t%s\t%u\t%u\t1\nS\t0\t%u\t%08x\t%u\n", name, len, number, len,
		crc32c(0, w->data, len), class);
}

static void make_pictures(struct writer *w, uint32_t n, uint32_t classes)
{
	char path[128];

	must(classes > 0, "classes");
	for (uint32_t i = 0; i < classes; i++) {
		snprintf(path, sizeof(path), "%s/n%04u", w->t->dir, i);
		must(mkdir(path, 0755) == 0, path);
	}
	for (uint32_t i = 0; i < n; i++)
		make_picture(w, i, i % classes);
}

void test_data_make(
	struct test_data *t, enum data_format format, uint32_t n, uint32_t files, uint32_t mean)
{
	struct writer w = {.t = t, .seed = 88172645463325252ull, .mean = mean};
	struct err err = {{0}};
	uint32_t done = 0;

	strcpy(t->dir, "/tmp/feedrate-test-XXXXXX");
	must(mkdtemp(t->dir) != NULL, t->dir);
	w.data = malloc(mean * 2 + 8);
	w.manifest = create(&w, "manifest.txt");
	fprintf(w.manifest,
		"feedrate-manifest/1 format=%s seed=1 samples=%u bytes=0 shards=%u classes=8\n",
		format == FORMAT_TFRECORD ? "tfrecord" : "imagefolder", n, files);
	if (format == FORMAT_IMAGEFOLDER)
		make_pictures(&w, n, files);
	for (uint32_t i = 0; format == FORMAT_TFRECORD && i < files; i++) {
		uint32_t some = (n - done) / (files - i);

		make_shard(&w, i, done, some);
		done += some;
	}
	fclose(w.manifest);
	free(w.data);
	if (dataset_load(t->dir, 0, &t->set, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
}

void test_data_remove(struct test_data *t)
{
	dataset_done(&t->set);
	file_remove_tree(t->dir);
}

void test_data_damage(const struct test_data *t, uint32_t file, uint64_t off)
{
	char path[256];
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "%s/%s", t->dir, t->set.files[file].path);
	f = fopen(path, "r+e");
	must(f != NULL, path);
	fseek(f, (long)off, SEEK_SET);
	c = fgetc(f);
	fseek(f, (long)off, SEEK_SET);
	fputc(c ^ 1, f);
	fclose(f);
}

struct run_spec test_run(const struct test_data *t, const struct config *cfg,
	const struct source_ops *source, int gpus, int batch)
{
	struct run_spec spec = {.cfg = cfg,
		.source = source,
		.data = &t->set,
		.data_dir = t->dir,
		.work_dir = t->dir,
		.gpus = gpus,
		.batch = batch,
		.prefetch = 2,
		.readers = 4,
		.steps = (int)t->set.n_samples / (gpus * batch),
		.epochs = 1,
		.step_ns = 1000000,
		.images_per_s = batch * 1000.0,
		.seed = 1};

	return spec;
}
