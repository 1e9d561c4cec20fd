/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: libjpeg decodes them without one warning, sizes are exact up to the extremes and follow
 * the fit, and nothing but seed and index decides. */
#include "tests/unit/test.h"

#include <math.h>
#include <stdbool.h>

#include <jpeglib.h>

#include "common/cleanup.h"
#include "synth/content.h"
#include "synth/random.h"
#include "synth/size.h"

#define DRAWS 2000000

/* ---- libjpeg, which counts what it has to warn of ---- */

static void give_up(j_common_ptr c)
{
	char text[JMSG_LENGTH_MAX];

	c->err->format_message(c, text);
	fail_msg("libjpeg: %s", text);
}

/* Warnings of a full decode; *ret_contrast: difference between its lightest and darkest byte. */
static long decode(const struct picture *p, int *ret_contrast)
{
	struct jpeg_decompress_struct c;
	struct jpeg_error_mgr mgr;
	int least = 255, most = 0;

	c.err = jpeg_std_error(&mgr);
	mgr.error_exit = give_up;
	jpeg_create_decompress(&c);
	jpeg_mem_src(&c, p->data, p->len);
	assert_int_equal(jpeg_read_header(&c, TRUE), JPEG_HEADER_OK);
	assert_int_equal(c.image_width, p->width);
	assert_int_equal(c.image_height, p->height);
	jpeg_start_decompress(&c);
	uint8_t *line = malloc(3 * (size_t)p->width);

	while (c.output_scanline < c.output_height) {
		jpeg_read_scanlines(&c, &line, 1);
		for (size_t i = 0; i < 3 * (size_t)p->width; i++) {
			least = line[i] < least ? line[i] : least;
			most = line[i] > most ? line[i] : most;
		}
	}
	free(line);
	jpeg_finish_decompress(&c);
	long warnings = mgr.num_warnings;

	jpeg_destroy_decompress(&c);
	*ret_contrast = most - least;
	return warnings;
}

static void check_picture(const struct content *c, struct canvas *canvas, uint64_t index)
{
	struct picture p;
	int contrast;

	content_make(c, canvas, 1, index, &p);
	assert_int_equal(p.len, size_draw(random_key(1, index)));
	assert_int_equal(decode(&p, &contrast), 0);
	assert_true(contrast > 100);
}

static void test_decodes(void **state)
{
	struct err err;
	AUTO(content_free) struct content *c = content_new(&err);
	AUTO(canvas_free) struct canvas *canvas = canvas_new(c);
	uint64_t least = 0, most = 0;

	for (uint64_t i = 0; i < 200; i++)
		check_picture(c, canvas, i);
	for (uint64_t i = 0; i < DRAWS; i++) {
		if (size_draw(random_key(1, i)) < size_draw(random_key(1, least)))
			least = i;
		if (size_draw(random_key(1, i)) > size_draw(random_key(1, most)))
			most = i;
	}
	assert_true(size_draw(random_key(1, least)) < SIZE_LEAST + 20);
	assert_true(size_draw(random_key(1, most)) > 10 << 20);
	check_picture(c, canvas, least);
	check_picture(c, canvas, most);
}

/* Another content, another canvas, another order: the same bytes; another seed: others. */
static void test_depends_on_seed_and_index(void **state)
{
	struct err err;
	AUTO(content_free) struct content *a = content_new(&err), *b = content_new(&err);
	AUTO(canvas_free) struct canvas *one = canvas_new(a), *two = canvas_new(b);
	struct picture p, q, other;

	content_make(b, two, 9, 3, &q);
	for (uint64_t i = 0; i < 20; i++) {
		content_make(a, one, 1, i, &p);
		content_make(b, two, 1, i, &q);
		assert_int_equal(p.len, q.len);
		assert_memory_equal(p.data, q.data, p.len);
		content_make(b, two, 2, i, &other);
		assert_true(p.len != other.len || memcmp(p.data, other.data, p.len) != 0);
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Quantiles of the mixture in docs/internals/synth.md, computed from its formula; the mean and the
 * deviation are those published. */
static void test_sizes(void **state)
{
	static const struct {
		double share, size;
	} quantiles[] = {{.05, 25360}, {.10, 45315}, {.25, 85250}, {.50, 110235}, {.75, 132457},
		{.90, 152280}, {.95, 164868}, {.99, 213753}, {.995, 797574}, {.999, 2085447}};
	uint32_t *size = malloc(DRAWS * sizeof(*size));
	double sum = 0, squares = 0;

	for (uint64_t i = 0; i < DRAWS; i++) {
		size[i] = size_draw(random_key(7, i));
		assert_true(size[i] >= SIZE_LEAST && size[i] <= SIZE_MOST);
		sum += size[i];
		squares += (double)size[i] * size[i];
	}
	double mean = sum / DRAWS, deviation = sqrt(squares / DRAWS - mean * mean);

	assert_true(fabs(mean / 114660.07 - 1) < 0.003);
	assert_true(fabs(deviation / 136075.82 - 1) < 0.02);
	qsort(size, DRAWS, sizeof(*size), compare);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles); i++)
		assert_true(fabs(size[(size_t)(quantiles[i].share * DRAWS)] / quantiles[i].size -
				    1) < 0.025);
	free(size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decodes),
		cmocka_unit_test(test_depends_on_seed_and_index),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
