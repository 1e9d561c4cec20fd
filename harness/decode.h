/* SPDX-License-Identifier: Apache-2.0 */
/* decode - bench.decode: the CPU work that follows a read, on the reader's thread.
 *
 * none; a time, really spun; or jpeg: libjpeg-turbo decodes the picture to RGB, row by row into one
 * buffer, as a loader would before it crops and resizes (which we leave out). Of a TFRecord the
 * picture is the feature image/encoded of its tf.train.Example. */
#ifndef HARNESS_DECODE_H
#define HARNESS_DECODE_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_DECODE_JPEG (-3) /* the word "jpeg" of knob bench.decode */

struct decoder; /* one a thread */

struct decoder *decoder_new(void);
void decoder_free(struct decoder *d);

/* A whole JPEG. -EBADMSG: not one; decoder_why() then says what libjpeg said. A picture cut short
 * counts as decoded, as libjpeg itself sees it. */
int decoder_jpeg(struct decoder *d, const uint8_t *data, size_t len);
const char *decoder_why(const struct decoder *d);

/* Keeps this thread's CPU busy for ns of its own CPU time. */
void decode_spin(int64_t ns);

/* The one bytes value of feature KEY in a serialised tf.train.Example. -ENOENT: no such feature;
 * -EBADMSG: not an Example. Nothing is copied. */
int example_bytes(
	const uint8_t *data, size_t len, const char *key, const uint8_t **ret, size_t *ret_len);

/* Fills memory with JPEGs of about ImageNet's size, end to end. *ret_starts: malloc'ed array of
 * *ret_n + 1 offsets. Returns 0, -ENOMEM. */
int decode_make_pool(uint8_t *mem, size_t size, size_t **ret_starts, size_t *ret_n);

#endif
