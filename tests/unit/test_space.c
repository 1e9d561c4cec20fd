/* SPDX-License-Identifier: Apache-2.0 */
/* Free ranges against a map of pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "cachefs/space.h"

#define PAGES 64
#define STEPS 50000

static uint64_t state = 88172645463325252ull;

static uint32_t pick(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state % n);
}

static uint32_t longest_run(const bool *used)
{
	uint32_t run = 0, longest = 0;

	for (uint32_t i = 0; i < PAGES; i++) {
		run = used[i] ? 0 : run + 1;
		longest = run > longest ? run : longest;
	}
	return longest;
}

static bool run_free(const bool *used, uint32_t at, uint32_t n)
{
	for (uint32_t i = at; i < at + n; i++)
		if (i >= PAGES || used[i])
			return false;
	return true;
}

static void check(const struct space *s, const bool *used)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n; i++) {
		sum += s->range[i].len;
		if (i) /* sorted, and neighbours are joined */
			assert_true(s->range[i - 1].off + s->range[i - 1].len < s->range[i].off);
		assert_true(run_free(used, (uint32_t)(s->range[i].off / SPACE_ALIGN),
			(uint32_t)(s->range[i].len / SPACE_ALIGN)));
	}
	assert_int_equal(sum, s->unused);
}

static void test_against_a_map(void **unused)
{
	struct space s;
	bool used[PAGES] = {0};
	uint32_t len[PAGES] = {0}; /* of the allocation that begins there */

	assert_int_equal(space_init(&s, PAGES * SPACE_ALIGN), 0);
	for (int k = 0; k < STEPS; k++) {
		uint32_t n = 1 + pick(6), at = pick(PAGES);
		uint64_t off = (uint64_t)at * SPACE_ALIGN;
		int r = -1;

		if (len[at]) {
			space_free(&s, off, (uint64_t)len[at] * SPACE_ALIGN);
			memset(&used[at], 0, len[at]);
			len[at] = 0;
		} else if (pick(4)) {
			r = space_alloc(&s, (uint64_t)n * SPACE_ALIGN, &off);
			assert_int_equal(r, longest_run(used) >= n ? 0 : -ENOSPC);
		} else {
			bool fits = run_free(used, at, n);

			r = space_take(&s, off, (uint64_t)n * SPACE_ALIGN);
			assert_int_equal(r, fits ? 0 : -EBUSY);
		}
		if (!r) {
			at = (uint32_t)(off / SPACE_ALIGN);
			assert_true(run_free(used, at, n));
			memset(&used[at], 1, n);
			len[at] = n;
		}
		check(&s, used);
	}
	space_done(&s);
}

static void test_nothing_fits_in_nothing(void **unused)
{
	struct space s;
	uint64_t off;

	assert_int_equal(space_init(&s, 0), 0);
	assert_int_equal(space_alloc(&s, SPACE_ALIGN, &off), -ENOSPC);
	space_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_map),
		cmocka_unit_test(test_nothing_fits_in_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
