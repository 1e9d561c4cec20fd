/* SPDX-License-Identifier: Apache-2.0 */
/* synthetic - samples from memory: the most that any storage could deliver.
 *
 * A pool of four times the L3 cache (at least 64 MiB) is filled with noise once; a sample is a copy
 * out of it, from a place that its index decides, so it comes from memory as a page cache's would,
 * not from the CPU's caches. What is copied is summed too: work like that of a real reader, which
 * checks its records, and it keeps the copy from being optimised away.
 *
 * With bench.decode=jpeg the pool holds real JPEGs instead (decode.h makes them). */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/cleanup.h"
#include "common/topology.h"
#include "harness/decode.h"
#include "harness/order.h"
#include "harness/source.h"

#define POOL_MIN (64u << 20)
#define HUGE_PAGE ((size_t)2 << 20)

struct synthetic {
	struct source base;
	size_t size;   /* of the pool */
	size_t *jpegs; /* [n_jpegs + 1] starts of pictures in the pool, NULL: noise */
	size_t n_jpegs;
	uint8_t *pool;
	_Atomic uint64_t sum; /* of all that was copied; one addition a sample */
};

extern const struct source_ops source_synthetic;

static struct synthetic *to_synthetic(struct source *src)
{
	return container_of(src, struct synthetic, base);
}

static void synthetic_close(struct source *src)
{
	struct synthetic *s = to_synthetic(src);

	free(s->jpegs);
	free(s->pool);
	free(s);
}

static size_t pool_size(void)
{
	struct topology t;

	if (topology_read("", &t, NULL) < 0 || t.l3_bytes * 4 < (int64_t)POOL_MIN)
		return POOL_MIN;
	return (size_t)t.l3_bytes * 4;
}

static void fill_with_noise(struct synthetic *s)
{
	for (size_t i = 0; i + 8 <= s->size; i += 8) {
		uint64_t v = order_mix(i);

		memcpy(s->pool + i, &v, 8);
	}
}

static struct source *synthetic_open(const struct source_spec *spec, struct err *err)
{
	struct synthetic *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		goto no_memory;
	s->base.ops = &source_synthetic;
	s->base.spec = spec;
	s->size = pool_size() / HUGE_PAGE * HUGE_PAGE;
	s->pool = aligned_alloc(HUGE_PAGE, s->size);
	if (!s->pool)
		goto no_memory;
	/* Samples lie anywhere in the pool: small pages would measure the TLB (wish only). */
	madvise(s->pool, s->size, MADV_HUGEPAGE);
	if (spec->cfg->bench.decode == BENCH_DECODE_JPEG)
		r = decode_make_pool(s->pool, s->size, &s->jpegs, &s->n_jpegs);
	else
		fill_with_noise(s);
	if (!r)
		return &s->base;
no_memory:
	err_set(err, ENOMEM, "synthetic: no memory for a pool of %zu MiB", pool_size() >> 20);
	if (s)
		synthetic_close(&s->base);
	return NULL;
}

/* One pass, out of registers: copying by memcpy() and summing what it left in the caches took 1.3 to
 * 1.6 times as long. Stores go past the caches, which read(2)'s copy does too: the old bytes of batch
 * memory are not fetched first (tests/bench/harness_cpu.c: a fifth less CPU). */
static uint64_t copy_and_sum(uint8_t *restrict to, const uint8_t *restrict from, size_t len)
{
	uint64_t sum[2] = {0};
	size_t i = 0;

#ifdef __SSE2__
	size_t odd = -(uintptr_t)to & 15;

	if (odd < len) {
		__m128i total = _mm_setzero_si128();

		memcpy(to, from, odd);
		for (i = odd; i + 64 <= len; i += 64) {
			__m128i v[4];

			memcpy(v, from + i, sizeof(v));
			for (int j = 0; j < 4; j++) {
				_mm_stream_si128((__m128i *)(to + i) + j, v[j]);
				total = _mm_add_epi64(total, v[j]);
			}
		}
		_mm_sfence();
		memcpy(sum, &total, sizeof(sum));
	}
#endif
	for (; i + sizeof(sum) <= len; i += sizeof(sum)) {
		uint64_t v[2];

		memcpy(v, from + i, sizeof(v));
		memcpy(to + i, v, sizeof(v));
		sum[0] += v[0];
		sum[1] += v[1];
	}
	memcpy(to + i, from + i, len - i);
	return sum[0] + sum[1];
}

static int synthetic_sample(struct source *src, uint64_t index, void *buf, size_t len)
{
	struct synthetic *s = to_synthetic(src);
	uint64_t sum = 0;
	size_t at = 0;

	if (s->jpegs) {
		size_t j = order_mix(index) % s->n_jpegs, n = s->jpegs[j + 1] - s->jpegs[j];

		/* A decoder stops at the end of the picture; what follows is only copied. */
		at = s->jpegs[j];
		if (n < len && s->size - at < len)
			at = s->jpegs[0];
	} else if (s->size > len) {
		at = order_mix(index) % (s->size - len) & ~(size_t)63;
	}
	for (size_t done = 0; done < len;) {
		size_t n = len - done < s->size - at ? len - done : s->size - at;

		sum += copy_and_sum((uint8_t *)buf + done, s->pool + at, n);
		done += n;
		at = 0;
	}
	atomic_fetch_add_explicit(&s->sum, sum, memory_order_relaxed);
	return 0;
}

static json_t *synthetic_counters(struct source *src)
{
	return json_pack("{s:n,s:{},s:{}}", "origin_bytes", "counters", "cpu_s");
}

const struct source_ops source_synthetic = {
	.name = "synthetic",
	.summary = "samples copied from memory: the upper limit, no files",
	.label = "synthetic data",
	.flags = SOURCE_NO_FILES,
	.open = synthetic_open,
	.close = synthetic_close,
	.sample = synthetic_sample,
	.counters = synthetic_counters,
};
