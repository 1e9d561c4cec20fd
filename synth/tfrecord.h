/* SPDX-License-Identifier: Apache-2.0 */
/* TFRecord files of tf.train.Examples, with the keys of ImageNet's usual conversion
 * (tensorflow/models research/slim/datasets/build_imagenet_data.py).
 *
 *   record   uint64 length, uint32 masked CRC32C of it, Example, uint32 masked CRC32C of Example
 *   shard s  samples s*N/shards to (s+1)*N/shards, so a prefix of a set is whole shards */
#ifndef SYNTH_TFRECORD_H
#define SYNTH_TFRECORD_H

#include <stddef.h>
#include <stdint.h>

#include "synth/content.h"

#define TFRECORD_HEADER 12
#define TFRECORD_FOOTER 4
#define TFRECORD_FRONT_MAX 1024

/* The start of a record: its header, and its Example up to the JPEG, with which it ends (fields of
 * a map have no order). Returns the length. Labels are class + 1: 0 is the background. */
size_t tfrecord_front(
	const struct picture *p, uint64_t index, uint32_t class, uint8_t out[TFRECORD_FRONT_MAX]);

#endif
