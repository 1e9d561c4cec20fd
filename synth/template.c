/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: drawn, encoded by libjpeg, taken apart. See template.h; section numbers are those of
 * ITU-T T.81. What is parsed here was written by libjpeg a moment ago, never by a stranger: a
 * surprise ends the program's start with a message, nothing more. */
#include "synth/template.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "common/cleanup.h"
#include "synth/drawing.h"

#define MARKER_SOF0 0xc0
#define MARKER_DHT 0xc4
#define MARKER_RST0 0xd0
#define MARKER_EOI 0xd9
#define MARKER_SOS 0xda

/* ---- encoding ---- */

struct thrower {
	struct jpeg_error_mgr mgr;
	jmp_buf out;
	char text[JMSG_LENGTH_MAX];
};

static void throw_error(j_common_ptr cinfo)
{
	struct thrower *t = container_of(cinfo->err, struct thrower, mgr);

	t->mgr.format_message(cinfo, t->text);
	longjmp(t->out, 1);
}

static void set_up(struct jpeg_compress_struct *c, const struct template_shape *s)
{
	c->image_width = s->width;
	c->image_height = (JDIMENSION)s->rows * 8 * s->chroma;
	c->input_components = 3;
	c->in_color_space = JCS_RGB;
	jpeg_set_defaults(c);
	jpeg_set_quality(c, s->quality, TRUE);
	c->comp_info[0].h_samp_factor = s->chroma;
	c->comp_info[0].v_samp_factor = s->chroma;
	c->dct_method = JDCT_ISLOW; /* the same on every machine */
	c->restart_in_rows = 1;
}

/* Draws and encodes into *jpeg, which the caller frees. */
static int encode(const struct template_shape *s, uint64_t key, uint8_t **jpeg, unsigned long *len,
	struct err *err)
{
	uint8_t rgb[DRAWING_WIDTH_MAX * 3];
	JSAMPROW line = rgb;
	struct thrower thrower;
	struct jpeg_compress_struct c;

	c.err = jpeg_std_error(&thrower.mgr);
	thrower.mgr.error_exit = throw_error;
	if (setjmp(thrower.out)) {
		jpeg_destroy_compress(&c);
		return err_set(err, EIO, "libjpeg: %s", thrower.text);
	}
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, jpeg, len);
	set_up(&c, s);
	jpeg_start_compress(&c, TRUE);
	while (c.next_scanline < c.image_height) {
		drawing_line(key, c.next_scanline, s->width, s->grain, rgb);
		jpeg_write_scanlines(&c, &line, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	return 0;
}

/* ---- Huffman codes: canonical decoding, F.2.2.3 ---- */

struct huffman {
	int last[17];   /* greatest code of each length, -1: none */
	int offset[17]; /* from a code of this length to its place in symbols */
	uint8_t symbols[256];
};

struct reader { /* of one row */
	const uint8_t *data;
	size_t bit, bits;
};

static int read_bit(struct reader *r)
{
	int v = r->data[r->bit / 8] >> (7 - r->bit % 8) & 1;

	r->bit++;
	return v;
}

static int read_symbol(const struct huffman *h, struct reader *r)
{
	int code = 0;

	for (int len = 1; len <= 16 && r->bit < r->bits; len++) {
		code = code << 1 | read_bit(r);
		if (code <= h->last[len])
			return h->symbols[code + h->offset[len]];
	}
	return -EBADMSG;
}

/* One table of a DHT segment; returns what it took. */
static size_t read_table(struct huffman tables[2][2], const uint8_t *p)
{
	struct huffman *h = &tables[p[0] >> 4][p[0] & 1];
	int code = 0, n = 0;

	for (int len = 1; len <= 16; len++, code <<= 1) {
		h->offset[len] = n - code;
		n += p[len];
		code += p[len];
		h->last[len] = p[len] ? code - 1 : -1;
	}
	memcpy(h->symbols, p + 17, (size_t)n);
	return 17 + (size_t)n;
}

/* ---- taking a row apart ---- */

struct surgery {
	struct template *t;
	struct huffman tables[2][2]; /* DC and AC, luma and chroma */
	size_t mcus;                 /* in a row */
	size_t words;                /* of t->words given to rows so far */
};

static void mark_bits(struct template_row *row, size_t bit, int n)
{
	uint8_t *mask = (uint8_t *)row->mask;

	for (; n > 0; n--, bit++)
		mask[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

/* Walks one block of 8x8 coefficients, F.2.2.1 and F.2.2.2. */
static int walk_block(
	const struct surgery *s, int chroma, struct reader *r, struct template_row *row)
{
	int size = read_symbol(&s->tables[0][chroma], r);

	if (size < 0)
		return size;
	r->bit += (size_t)size;
	for (int k = 1; k < 64; k++) {
		int symbol = read_symbol(&s->tables[1][chroma], r);

		if (symbol < 0)
			return symbol;
		size = symbol & 15;
		if (!size && symbol != 0xf0)
			break;
		k += symbol >> 4;
		mark_bits(row, r->bit, size);
		r->bit += (size_t)size;
	}
	return 0;
}

static int walk_row(const struct surgery *s, struct template_row *row)
{
	struct reader r = {(const uint8_t *)row->bits, 0, row->len * 8};
	int luma = s->t->shape.chroma * s->t->shape.chroma, e = 0;

	for (size_t mcu = 0; mcu < s->mcus; mcu++)
		for (int block = 0; block < luma + 2 && !e; block++)
			e = walk_block(s, block >= luma, &r, row);
	return e || r.bit > r.bits || r.bits - r.bit >= 8 ? -EBADMSG : 0;
}

/* Takes the row that starts at p; *ret_next: the marker behind it. */
static int take_row(
	struct surgery *s, const uint8_t *p, const uint8_t *end, const uint8_t **ret_next)
{
	struct template *t = s->t;
	struct template_row *row = &t->row[t->n];
	uint8_t *out;

	*row = (struct template_row){.bits = t->words + s->words};
	out = (uint8_t *)row->bits;
	for (; p + 1 < end && (p[0] != 0xff || p[1] == 0); p += p[0] == 0xff ? 2 : 1)
		out[row->len++] = *p;
	row->blocks = (row->len + 8 * ROW_BLOCK - 1) / (8 * ROW_BLOCK);
	row->mask = row->bits + row->blocks * ROW_BLOCK;
	s->words += 2 * row->blocks * ROW_BLOCK;
	t->n++;
	*ret_next = p;
	return walk_row(s, row);
}

/* ---- taking a file apart ---- */

static int read_header(struct surgery *s, const uint8_t *jpeg, size_t len)
{
	struct template *t = s->t;

	for (size_t at = 2; at + 4 < len;) {
		const uint8_t *segment = jpeg + at;
		size_t size = (size_t)segment[2] << 8 | segment[3];

		if (segment[1] == MARKER_SOF0)
			t->sof_at = at + 5;
		for (size_t in = 2; segment[1] == MARKER_DHT && in < size;)
			in += read_table(s->tables, segment + 2 + in);
		at += 2 + size;
		if (segment[1] != MARKER_SOS)
			continue;
		t->header_len = at;
		t->header = malloc(at);
		if (!t->header)
			return -ENOMEM;
		memcpy(t->header, jpeg, at);
		return t->sof_at ? 0 : -EBADMSG;
	}
	return -EBADMSG;
}

static int by_length(const void *a, const void *b)
{
	const struct template_row *x = *(struct template_row *const *)a;
	const struct template_row *y = *(struct template_row *const *)b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return (x > y) - (x < y);
}

/* Sorts rows by length and remembers where each went. */
static int sort_rows(struct template *t)
{
	AUTO(free) struct template_row **sorted = calloc(t->n, sizeof(struct template_row *));
	AUTO(free) struct template_row *row = calloc(t->n, sizeof(struct template_row));
	size_t total = 0;

	if (!sorted || !row)
		return -ENOMEM;
	for (uint16_t i = 0; i < t->n; i++)
		sorted[i] = &t->row[i];
	qsort(sorted, t->n, sizeof(struct template_row *), by_length);
	for (uint16_t i = 0; i < t->n; i++) {
		t->order[sorted[i] - t->row] = i;
		row[i] = *sorted[i];
		total += row[i].len;
	}
	free(t->row);
	t->row = TAKE(row);
	t->mean_len = (double)total / t->n;
	return 0;
}

static int take_apart(struct surgery *s, const uint8_t *jpeg, size_t len)
{
	struct template *t = s->t;
	const uint8_t *p = jpeg, *end = jpeg + len;
	int r = read_header(s, jpeg, len);

	/* Each row is kept twice (bits and mask), and padded. */
	size_t words = 2 * (len / 8 + (size_t)t->shape.rows * (ROW_BLOCK + 1));

	if (r < 0)
		return r;
	t->words = aligned_alloc(64, (words * 8 + 63) / 64 * 64);
	t->row = calloc(t->shape.rows, sizeof(*t->row));
	t->order = calloc(t->shape.rows, sizeof(*t->order));
	if (!t->words || !t->row || !t->order)
		return -ENOMEM;
	memset(t->words, 0, words * 8);
	for (p += t->header_len; !r && t->n < t->shape.rows; p += 2)
		r = take_row(s, p, end, &p);
	return r < 0 || p != end ? -EBADMSG : sort_rows(t);
}

int template_init(
	struct template *t, const struct template_shape *shape, uint64_t key, struct err *err)
{
	struct surgery s = {.t = t};
	AUTO(free) uint8_t *jpeg = NULL;
	unsigned long len = 0;
	int r;

	*t = (struct template){.shape = *shape, .mcu_height = (uint8_t)(8 * shape->chroma)};
	s.mcus = ((size_t)shape->width + t->mcu_height - 1) / t->mcu_height;
	r = encode(shape, key, &jpeg, &len, err);
	if (r < 0)
		return r;
	r = take_apart(&s, jpeg, len);
	if (r < 0) {
		template_done(t);
		return err_set(err, -r, "libjpeg encodes in a way that is not understood (%ux%u)",
			shape->width, (unsigned)shape->rows * t->mcu_height);
	}
	return 0;
}

void template_done(struct template *t)
{
	free(t->header);
	free(t->row);
	free(t->order);
	free(t->words);
	*t = (struct template){.n = 0};
}
