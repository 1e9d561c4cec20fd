/* SPDX-License-Identifier: Apache-2.0 */
/* How many bytes a picture has: ImageNet's distribution, as far as it is published.
 *
 * Mean 114,660.07 and standard deviation 136,075.82 are those of DLIO's ResNet-50 configuration
 * (argonne-lcf/dlio_benchmark, resnet50_*.yaml); the median of about 112 KB is from Chien et al.,
 * arXiv 1810.03035. docs/internals/synth.md has the fit. */
#ifndef SYNTH_SIZE_H
#define SYNTH_SIZE_H

#include <stdint.h>

#define SIZE_LEAST 2048
#define SIZE_MOST (16 << 20)
#define SIZE_MEAN 114660

/* Bytes of a picture; key: random_key(seed, index). */
uint32_t size_draw(uint64_t key);

#endif
