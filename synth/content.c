/* SPDX-License-Identifier: Apache-2.0 */
/* Puts pictures together from rows. See content.h.
 *
 *   SOI APP0 | COM noise | DQT SOF DHT DRI SOS | row RST0 row RST1 row ... | EOI
 *              `- what is missing to the size drawn: tens of bytes
 *
 * The rows come first, at a fixed place of the canvas; how much is missing is known only then (the
 * number of 0xFF bytes to be stuffed depends on the noise), so what stands before them is written
 * backwards from there. */
#include "synth/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "synth/random.h"
#include "synth/size.h"
#include "synth/template.h"

#define APP0_END 20 /* SOI and the JFIF segment */
#define COM_HEADER 4
#define COM_MOST 65533
#define FRONT_MOST (4096 + COM_HEADER + COM_MOST)
#define EOI_LEN 2
#define RST_LEN 2

/* Words of a sample's stream; size_draw() takes the first ones. */
enum { WORD_SHAPE = 16, WORD_ROW, WORD_HEIGHT, WORD_NOISE };

/* From small pictures to a camera's: width, rows drawn, chroma, quality, grain. About as many
 * bits a pixel as ImageNet's 110 KB at 500 x 375. */
static const struct template_shape shapes[] = {
	{64, 48, 1, 92, 10},
	{96, 48, 2, 92, 24},
	{128, 48, 1, 92, 10},
	{200, 48, 1, 92, 10},
	{240, 48, 2, 94, 24},
	{320, 48, 1, 92, 10},
	{375, 64, 1, 93, 12},
	{400, 48, 2, 96, 30},
	{333, 56, 1, 94, 12},
	{500, 47, 1, 92, 10},
	{500, 48, 1, 93, 11},
	{480, 40, 2, 96, 30},
	{500, 40, 2, 95, 28},
	{640, 48, 1, 92, 10},
	{1024, 48, 1, 92, 10},
	{1600, 32, 1, 92, 10},
	{2592, 24, 2, 95, 26},
	{3648, 24, 1, 92, 10},
};

#define N_SHAPES ARRAY_SIZE(shapes)

struct content {
	struct template templates[N_SHAPES];
	size_t longest; /* words of the longest row */
};

struct canvas {
	uint64_t *row; /* one masked row, before stuffing */
	uint8_t *bytes;
};

struct content *content_new(struct err *err)
{
	struct content *c = calloc(1, sizeof(*c));

	if (!c) {
		err_set(err, ENOMEM, "no memory for templates");
		return NULL;
	}
	for (size_t i = 0; i < N_SHAPES; i++) {
		struct template *t = &c->templates[i];

		if (template_init(t, &shapes[i], random_key(i, 0), err) < 0) {
			content_free(c);
			return NULL;
		}
		size_t words = t->row[t->n - 1].blocks * ROW_BLOCK;

		c->longest = words > c->longest ? words : c->longest;
	}
	return c;
}

void content_free(struct content *c)
{
	for (size_t i = 0; c && i < N_SHAPES; i++)
		template_done(&c->templates[i]);
	free(c);
}

struct canvas *canvas_new(const struct content *c)
{
	struct canvas *canvas = calloc(1, sizeof(*canvas));

	if (!canvas)
		return NULL;
	/* A row is written before it is known to fit; stuffed, it is at most twice as long. */
	canvas->row = aligned_alloc(64, c->longest * sizeof(uint64_t));
	canvas->bytes = malloc(FRONT_MOST + SIZE_MOST + 2 * c->longest * sizeof(uint64_t));
	if (!canvas->row || !canvas->bytes) {
		canvas_free(canvas);
		return NULL;
	}
	return canvas;
}

void canvas_free(struct canvas *canvas)
{
	if (!canvas)
		return;
	free(canvas->row);
	free(canvas->bytes);
	free(canvas);
}

/* ---- which template, which row ---- */

/* Bytes of a picture of this template that is 3:4. */
static double natural_size(const struct template *t)
{
	return t->mean_len * t->shape.width * 0.75 / t->mcu_height;
}

/* One of those whose natural size is near; where none is, the nearest. */
static const struct template *choose_template(const struct content *c, uint32_t size, uint64_t word)
{
	const struct template *near[N_SHAPES] = {NULL}, *nearest = NULL;
	double least = 0;
	size_t n = 0;

	for (size_t i = 0; i < N_SHAPES; i++) {
		double natural = natural_size(&c->templates[i]);
		double ratio = size > natural ? size / natural : natural / size;

		if (ratio < 1.5)
			near[n++] = &c->templates[i];
		if (!nearest || ratio < least) {
			nearest = &c->templates[i];
			least = ratio;
		}
	}
	return n ? near[word % n] : nearest;
}

/* Room that a row takes: stuffing is a byte in about 200. A row that needs more is taken back. */
static size_t row_room(const struct template *t, int k)
{
	return t->row[k].len + t->row[k].len / 64 + RST_LEN + 4;
}

/* The longest row that takes at most room; -1: none does. */
static int longest_within(const struct template *t, size_t room)
{
	int low = -1, high = t->n;

	while (high - low > 1) {
		int middle = (low + high) / 2;

		if (row_room(t, middle) <= room)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* The next row in the picture's own order, but the last two are chosen to fill the room: the one
 * before the last takes half of it, so that there is a row for the other half. */
static int choose_row(const struct template *t, size_t room, uint64_t *next)
{
	size_t most = row_room(t, t->n - 1);
	int k;

	if (room > 2 * most)
		return t->order[(*next)++ % t->n];
	if (room <= most)
		return longest_within(t, room);
	k = longest_within(t, room / 2);
	return k < 0 ? 0 : k;
}

/* ---- writing ---- */

static void mask_row(const struct template_row *row, struct noise *noise, uint64_t *restrict out)
{
	const uint64_t *restrict bits = row->bits, *restrict mask = row->mask;
	struct noise n = *noise;

	for (size_t i = 0; i < row->blocks * ROW_BLOCK; i += ROW_BLOCK) {
		uint64_t random[NOISE_LANES];

		noise_next(&n, random);
		for (size_t k = 0; k < ROW_BLOCK; k++)
			out[i + k] = bits[i + k] ^ (random[k] & mask[i + k]);
	}
	*noise = n;
}

/* Copies with a zero after each 0xFF, as entropy-coded bytes demand; returns the end. */
static uint8_t *stuff(uint8_t *out, const uint8_t *in, size_t len)
{
	const uint8_t *end = in + len, *ff;

	while ((ff = memchr(in, 0xff, (size_t)(end - in)))) {
		out = mempcpy(out, in, (size_t)(ff - in) + 1);
		*out++ = 0;
		in = ff + 1;
	}
	return mempcpy(out, in, (size_t)(end - in));
}

/* Rows from `start` on, at most room bytes; returns the end and how many rows there are. */
static uint8_t *write_rows(const struct template *t, struct canvas *canvas, uint64_t key,
	size_t room, uint32_t *ret_rows)
{
	uint8_t *start = canvas->bytes + FRONT_MOST, *out = start;
	uint64_t next = random_word(key, WORD_ROW) % t->n;
	struct noise noise;
	size_t left = room;
	uint32_t rows = 0;
	int k;

	noise_init(&noise, key, WORD_NOISE);
	while ((k = choose_row(t, left, &next)) >= 0) {
		uint8_t *p = out;

		if (rows) {
			*p++ = 0xff;
			*p++ = (uint8_t)(0xd0 + (rows - 1) % 8);
		}
		mask_row(&t->row[k], &noise, canvas->row);
		p = stuff(p, (const uint8_t *)canvas->row, t->row[k].len);
		if ((size_t)(p - start) > room) {
			left = row_room(t, k) - 1;
			continue;
		}
		out = p;
		rows++;
		left = room - (size_t)(out - start);
	}
	*ret_rows = rows;
	return out;
}

static void put_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* A comment segment of `missing` + COM_HEADER bytes. */
static void write_comment(uint8_t *out, size_t missing, uint64_t key)
{
	out[0] = 0xff;
	out[1] = 0xfe;
	put_be16(out + 2, (uint32_t)missing + 2);
	for (size_t i = 0; i < missing; i += 8) {
		uint64_t noise = random_word(~key, i);

		memcpy(out + COM_HEADER + i, &noise, missing - i < 8 ? missing - i : 8);
	}
}

/* Everything before the rows, ending where they start; returns its first byte. */
static uint8_t *write_front(const struct template *t, struct canvas *canvas, uint64_t key,
	size_t missing, uint32_t height)
{
	uint8_t *tables = canvas->bytes + FRONT_MOST - (t->header_len - APP0_END);
	uint8_t *comment = tables - missing - COM_HEADER;

	memcpy(tables, t->header + APP0_END, t->header_len - APP0_END);
	put_be16(tables + t->sof_at - APP0_END, height);
	write_comment(comment, missing, key);
	return memcpy(comment - APP0_END, t->header, APP0_END);
}

void content_make(const struct content *c, struct canvas *canvas, uint64_t seed, uint64_t index,
	struct picture *ret)
{
	uint64_t key = random_key(seed, index);
	uint32_t size = size_draw(key), rows;
	const struct template *t = choose_template(c, size, random_word(key, WORD_SHAPE));
	size_t room = size - t->header_len - COM_HEADER - EOI_LEN;
	uint8_t *end = write_rows(t, canvas, key, room, &rows);
	size_t missing = room - (size_t)(end - (canvas->bytes + FRONT_MOST));

	ret->width = t->shape.width;
	ret->height = rows * t->mcu_height -
		      (uint32_t)(random_word(key, WORD_HEIGHT) % t->mcu_height);
	ret->len = size;
	ret->data = write_front(t, canvas, key, missing, ret->height);
	end[0] = 0xff;
	end[1] = 0xd9;
}
