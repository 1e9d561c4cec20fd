/* SPDX-License-Identifier: Apache-2.0 */
/* A drawn picture with the statistics of a photograph: detail at all scales, edges, grain. */
#ifndef SYNTH_DRAWING_H
#define SYNTH_DRAWING_H

#include <stdint.h>

#define DRAWING_WIDTH_MAX 8192

/* Line y of the picture that key names, as width * 3 bytes of RGB. Integers only, so the same on
 * every machine. grain: amplitude of the finest noise, 0..127. */
void drawing_line(uint64_t key, uint32_t y, uint32_t width, int grain, uint8_t *ret_rgb);

#endif
