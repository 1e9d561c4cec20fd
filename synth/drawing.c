/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing by value noise: random heights on lattices of several scales, interpolated and added, as
 * the spectra of photographs fall with frequency (Field 1987, J. Opt. Soc. Am. A 4, 2379). Regions
 * with borders come from thresholds on the coarsest scales, colour from three coarse fields of its
 * own. */
#include "synth/drawing.h"

#include <stdlib.h>
#include <string.h>

#include "synth/random.h"

struct octave {
	int shift; /* log2 of the lattice's cell */
	int amplitude;
};

static const struct octave luma[] = {{7, 70}, {6, 50}, {5, 36}, {4, 26}, {3, 18}, {2, 12}, {1, 8}};
static const struct octave tint[] = {{7, 36}, {5, 18}, {3, 8}, {1, 4}};

/* -128..127 at a point of a lattice. */
static int height_at(uint64_t key, uint32_t x, uint32_t y)
{
	return (int)(random_mix(key + ((uint64_t)y << 32 | x)) >> 56) - 128;
}

/* The same at line y, between two lattice points above one another, times the cell's size. */
static int height_between(uint64_t key, uint32_t x, uint32_t y, int shift)
{
	int below = (int)(y & ((1u << shift) - 1));

	return height_at(key, x, y >> shift) * ((1 << shift) - below) +
	       height_at(key, x, (y >> shift) + 1) * below;
}

static void add_octave(int *line, uint32_t width, uint32_t y, uint64_t key, struct octave o)
{
	uint32_t cell = 1u << o.shift;
	int left = height_between(key, 0, y, o.shift);

	for (uint32_t x = 0; x < width; x += cell) {
		int right = height_between(key, (x >> o.shift) + 1, y, o.shift);
		int value = left * (int)cell;
		uint32_t end = width - x < cell ? width - x : cell;

		for (uint32_t i = 0; i < end; i++, value += right - left)
			line[x + i] += value * o.amplitude >> (7 + 2 * o.shift);
		left = right;
	}
}

static void add_octaves(
	int *line, uint32_t width, uint32_t y, uint64_t key, const struct octave *o, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_octave(line, width, y, random_mix(key + i), o[i]);
}

/* Objects before a background: one side of a threshold is brighter. */
static void add_edges(int *line, uint32_t width)
{
	for (uint32_t x = 0; x < width; x++)
		line[x] += line[x] > 24 ? 128 + 26 : (line[x] < -30 ? 128 - 26 : 128);
}

/* Calm lines and busy ones, as sky and leaves: a tenth to nearly twice the mean. */
static int grain_at(uint64_t key, uint32_t y, int grain)
{
	return grain + grain * height_between(key, 0, y, 4) * 9 / (128 * 16 * 10);
}

static uint8_t clamp(int v)
{
	return (uint8_t)(v < 0 ? 0 : (v > 255 ? 255 : v));
}

void drawing_line(uint64_t key, uint32_t y, uint32_t width, int grain, uint8_t *ret_rgb)
{
	int line[DRAWING_WIDTH_MAX], colour[DRAWING_WIDTH_MAX];

	grain = grain_at(random_mix(~key), y, grain);
	memset(line, 0, width * sizeof(*line));
	add_octaves(line, width, y, random_mix(key), luma, sizeof(luma) / sizeof(*luma));
	add_edges(line, width);
	for (uint32_t c = 0; c < 3; c++) {
		uint64_t own = random_mix(key + 1 + c);

		memset(colour, 0, width * sizeof(*colour));
		add_octaves(colour, width, y, own, tint, sizeof(tint) / sizeof(*tint));
		for (uint32_t x = 0; x < width; x++)
			ret_rgb[3 * x + c] = clamp(
				line[x] + colour[x] + height_at(~own, x, y) * grain / 128);
	}
}
