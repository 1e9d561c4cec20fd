/* SPDX-License-Identifier: Apache-2.0 */
/* How fast stack_read_now() serves hot bytes on one thread, beside memcpy and pread of the same.
 *
 *      stack_rate [FOLDER]      FOLDER: for the disk tier's files (default /tmp)
 *
 * Rounds are interleaved; the figures are medians. The bytes of a reply are not copied further,
 * so `mem` is the price of finding, pinning and checking them; memcpy and pread are what a tier
 * without checks would have to do at least. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cachefs/stack.h"
#include "common/clock.h"
#include "common/crc32c.h"
#include "common/file.h"
#include "tests/null_origin.h"

#define FILES 64
#define FILE_SIZE (4 << 20)
#define ROUNDS 9
#define ROUND_NS (60 * NSEC_PER_MSEC)

enum { MEM, DISK, COPY, PREAD, CRC, WAYS };
static const char *const ways[] = {"mem", "disk", "memcpy", "pread", "crc32c"};

struct bench {
	struct stack *stack[2]; /* MEM, DISK */
	struct null_origin *origin;
	char *buf, *source;
	int fd;
};

static uint64_t size_of(int file)
{
	return FILE_SIZE;
}

static void must(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "stack_rate: %s: %s\n", what, strerror(-r));
		exit(1);
	}
}

static struct stack *open_stack(struct bench *b, const char *layers, const char *dir)
{
	struct config *cfg = config_new();
	struct err err = {0};

	must(config_set(cfg, "cache.stack", layers, "bench", &err), err.msg);
	must(config_set(cfg, "mem.capacity", *dir ? "0" : "512M", "bench", &err), err.msg);
	must(config_set(cfg, "disk.path", dir, "bench", &err), err.msg);
	b->origin = null_origin_new(FILES, FILES, size_of);
	struct stack *s = stack_open_over(cfg, &b->origin->base, "null", &err);

	must(s ? 0 : -EINVAL, err.msg);
	for (int i = 0; i < FILES; i++) {
		char name[32];
		struct object obj;

		null_origin_object(b->origin, i, name, &obj);
		must(stack_warm(s, &obj, NULL), "warm");
	}
	config_free(cfg);
	return s;
}

static void read_once(struct bench *b, int way, int file, uint64_t off, size_t len)
{
	char name[32];
	struct object obj;
	struct reply reply = {.scratch = b->buf, .scratch_len = REPLY_SCRATCH(len)};
	size_t at = (size_t)file * FILE_SIZE + (size_t)off;

	switch (way) {
	case COPY:
		memcpy(b->buf, b->source + at, len);
		break;
	case PREAD:
		must(file_pread_all(b->fd, b->buf, len, (off_t)at), "pread");
		break;
	case CRC:
		*(volatile uint32_t *)b->buf = crc32c(0, b->source + at, len);
		break;
	default:
		null_origin_object(b->origin, file, name, &obj);
		must(stack_read_now(b->stack[way], &obj, off, len, &reply), "read");
		reply_put(&reply);
	}
}

/* Bytes a second over one round. */
static double round_rate(struct bench *b, int way, size_t len)
{
	int64_t start_ns = clock_now_ns(), now_ns = start_ns;
	uint64_t bytes = 0, n = 0;

	for (; now_ns - start_ns < ROUND_NS; now_ns = clock_now_ns())
		for (int i = 0; i < 16; i++, n++, bytes += len)
			read_once(b, way, (int)(n * 7 % FILES),
				n / FILES * len % (FILE_SIZE - len + 1) / len * len, len);
	return (double)bytes * 1e9 / (double)(now_ns - start_ns);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct bench *b, size_t len)
{
	double rate[WAYS][ROUNDS];

	for (int r = 0; r < ROUNDS; r++)
		for (int way = 0; way < WAYS; way++)
			rate[way][r] = round_rate(b, way, len);
	for (int way = 0; way < WAYS; way++)
		qsort(rate[way], ROUNDS, sizeof(double), compare);
	for (int way = 0; way < WAYS; way++)
		printf("%7zu KiB  %-7s %6.2f GB/s  %5.2f of memcpy  %5.2f of pread\n", len >> 10,
			ways[way], rate[way][ROUNDS / 2] / 1e9,
			rate[way][ROUNDS / 2] / rate[COPY][ROUNDS / 2],
			rate[way][ROUNDS / 2] / rate[PREAD][ROUNDS / 2]);
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	char *dir;

	if (asprintf(&dir, "%s/stack-rate-XXXXXX", argc > 1 ? argv[1] : "/tmp") < 0 ||
		!mkdtemp(dir))
		must(-errno, "folder");
	b.source = malloc((size_t)FILES * FILE_SIZE);
	b.buf = malloc(REPLY_SCRATCH(1 << 20));
	must(b.source && b.buf ? 0 : -ENOMEM, "memory");
	b.stack[MEM] = open_stack(&b, "mem", "");
	b.stack[DISK] = open_stack(&b, "mem,disk", dir);
	for (int i = 0; i < FILES; i++) {
		char name[32];
		struct object obj;

		null_origin_object(b.origin, i, name, &obj);
		null_origin_bytes(&obj, 0, b.source + (size_t)i * FILE_SIZE, FILE_SIZE);
	}
	b.fd = open(dir, O_TMPFILE | O_RDWR, 0600);
	must(b.fd < 0 ? -errno : 0, "file");
	must(file_pwrite_all(b.fd, b.source, (size_t)FILES * FILE_SIZE, 0), "write");
	measure(&b, 128 << 10);
	measure(&b, 1 << 20);
	stack_close(b.stack[MEM]);
	stack_close(b.stack[DISK]);
	close(b.fd);
	file_remove_tree(dir);
	free(b.source);
	free(b.buf);
	free(dir);
	return 0;
}
