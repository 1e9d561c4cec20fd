/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes of pictures: small ones, a narrow body, a heavy tail. See size.h.
 *
 *   10%   uniform in 2,048..50,000           small pictures of the web
 *   89%   normal, 114,051 +- 30,000          the ~500 x 375 pictures of the collections
 *    1%   797,574 e^(0.75 z)                 straight from the camera
 *
 * A lognormal fitted to mean and deviation alone would put the median at 74 KB. Shares, widths and
 * sigma were chosen for a median near the body's centre; the two centres then follow exactly from
 * mean and deviation. z is the sum of twelve uniforms less 6: integers but for one exp(), bounded,
 * and with moments in closed form (E e^(tz) = (sinh(t/2) / (t/2))^12). */
#include "synth/size.h"

#include <math.h>

#include "synth/random.h"

#define SMALL_PERCENT 10
#define TAIL_PERCENT 1
#define SMALL_MOST 50000
#define BODY_CENTRE 114050.93
#define BODY_SD 30000.0
#define TAIL_CENTRE 797573.93
#define TAIL_SIGMA 0.75

/* Words of a sample's stream that sizes take; content takes those from 16 on. */
enum { WORD_KIND, WORD_SMALL, WORD_NORMAL, WORD_NORMAL_END = WORD_NORMAL + 3 };

/* Mean 0, deviation 1: twelve 16-bit uniforms, each at the middle of its step. */
static double normal(uint64_t key)
{
	int64_t sum = 0;

	for (uint64_t n = WORD_NORMAL; n < WORD_NORMAL_END; n++) {
		uint64_t w = random_word(key, n);

		for (int i = 0; i < 64; i += 16)
			sum += (int64_t)(w >> i & 0xffff);
	}
	return ((double)sum + 6) / 65536 - 6;
}

uint32_t size_draw(uint64_t key)
{
	uint64_t kind = random_word(key, WORD_KIND) % 100;
	double size;

	if (kind < SMALL_PERCENT)
		return SIZE_LEAST +
		       (uint32_t)(random_word(key, WORD_SMALL) % (SMALL_MOST - SIZE_LEAST + 1));
	if (kind < SMALL_PERCENT + TAIL_PERCENT)
		size = TAIL_CENTRE * exp(TAIL_SIGMA * normal(key));
	else
		size = BODY_CENTRE + BODY_SD * normal(key);
	if (size < SIZE_LEAST)
		return SIZE_LEAST;
	return size < SIZE_MOST ? (uint32_t)(size + 0.5) : SIZE_MOST;
}
