/* SPDX-License-Identifier: Apache-2.0 */
/* content - decodable JPEGs at the speed of memory, each of its own random bytes and exact size.
 *
 * Rows of a template (synth/template.h) are put under one another, their magnitude bits XORed with
 * the sample's own noise, until the size drawn for the sample is met; a comment segment of noise
 * makes up for the last bytes. A picture depends on (seed, index) alone. */
#ifndef SYNTH_CONTENT_H
#define SYNTH_CONTENT_H

#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

struct content; /* templates; never changes, so any number of threads may use one */

struct content *content_new(struct err *err);
void content_free(struct content *c);
AUTO_FREE(content_free, struct content, content_free);

/* A thread's own memory for one picture. */
struct canvas;
struct canvas *canvas_new(const struct content *c);
void canvas_free(struct canvas *canvas);
AUTO_FREE(canvas_free, struct canvas, canvas_free);

struct picture {
	const uint8_t *data; /* in the canvas, until the next picture is made in it */
	uint32_t len;
	uint32_t width, height;
};

/* Makes picture `index` of `seed`: size_draw(random_key(seed, index)) bytes. */
void content_make(const struct content *c, struct canvas *canvas, uint64_t seed, uint64_t index,
	struct picture *ret);

#endif
