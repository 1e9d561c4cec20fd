/* SPDX-License-Identifier: Apache-2.0 */
/* template - a picture taken apart into rows from which others are put together.
 *
 * A natural-looking picture is drawn and encoded by libjpeg with the Huffman tables of T.81 annex K
 * and a restart marker after each row of MCUs. A restart resets prediction and starts a new byte,
 * so any row may stand anywhere in any picture of this width. Of each row two bit strings are kept:
 * what the encoder wrote (0xFF stuffing undone), and which of those bits are magnitude bits of AC
 * coefficients. Those may take any value: the Huffman codes before them, and so the syntax, the
 * length in bits and the work of a decoder, stay as they are. */
#ifndef SYNTH_TEMPLATE_H
#define SYNTH_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "synth/random.h"

#define ROW_BLOCK ((size_t)NOISE_LANES) /* 64-bit words; rows are padded to whole blocks */

struct template_shape {
	uint16_t width, rows; /* pixels; rows of MCUs that are drawn */
	uint8_t chroma;       /* 1: 4:4:4, 2: 4:2:0 */
	uint8_t quality;
	uint8_t grain; /* amplitude of the noise of the camera: bits a pixel are set by it */
};

struct template_row {
	uint64_t *bits, *mask; /* blocks * ROW_BLOCK words each */
	size_t blocks, len;    /* len: bytes, without stuffing */
};

struct template
{
	struct template_shape shape;
	struct template_row *row; /* sorted by len */
	uint16_t *order;          /* order[k]: where in row[] the picture's row k is */
	uint16_t n;
	uint8_t mcu_height;
	double mean_len;
	uint8_t *header;           /* SOI to SOS */
	size_t header_len, sof_at; /* sof_at: of the height in the header */
	uint64_t *words;
};

/* Draws, encodes and takes apart; key: what is drawn. */
int template_init(
	struct template *t, const struct template_shape *shape, uint64_t key, struct err *err);
void template_done(struct template *t);

#endif
