/* SPDX-License-Identifier: Apache-2.0 */
/* Writes TFRecord shards; see tfrecord.h.
 *
 * Protobuf is written by hand (protobuf.dev, "Encoding"): the messages nest five deep, but all
 * lengths are known beforehand, and the JPEG need not be copied into a message first.
 *
 *   Example { Features features = 1; }         Feature  { BytesList bytes_list = 1;
 *   Features { map<string, Feature> feature = 1; }        Int64List int64_list = 3; }
 *   a map is a repeated { key = 1; value = 2; }   lists  { repeated value = 1; } */
#include "synth/tfrecord.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/crc32c.h"
#include "synth/direct.h"
#include "synth/layout.h"
#include "synth/random.h"
#include "synth/size.h"

/* ---- protobuf ---- */

struct wire {
	uint8_t *p;
};

static size_t varint_len(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static void put_varint(struct wire *w, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*w->p++ = (uint8_t)(v | 0x80);
	*w->p++ = (uint8_t)v;
}

/* Starts a length-delimited field. */
static void put_head(struct wire *w, int number, uint64_t len)
{
	*w->p++ = (uint8_t)(number << 3 | 2);
	put_varint(w, len);
}

/* What such a field takes. */
static uint64_t field_len(uint64_t len)
{
	return 1 + varint_len(len) + len;
}

static void put_data(struct wire *w, const void *data, size_t len)
{
	memcpy(w->p, data, len);
	w->p += len;
}

/* A map's entry up to the `len` bytes of its list: list_field is 1 for bytes, 3 for integers. */
static void put_entry(struct wire *w, const char *key, int list_field, uint64_t len)
{
	uint64_t list = field_len(len), feature = field_len(list);

	put_head(w, 1, field_len(strlen(key)) + field_len(feature));
	put_head(w, 1, strlen(key));
	put_data(w, key, strlen(key));
	put_head(w, 2, feature);
	put_head(w, list_field, list);
	put_head(w, 1, len);
}

static void put_text(struct wire *w, const char *key, const char *value)
{
	put_entry(w, key, 1, strlen(value));
	put_data(w, value, strlen(value));
}

static void put_integer(struct wire *w, const char *key, uint64_t value)
{
	put_entry(w, key, 3, varint_len(value)); /* packed: one varint */
	put_varint(w, value);
}

static void put_little(struct wire *w, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*w->p++ = (uint8_t)(v >> 8 * i);
}

static void put_features(struct wire *w, const struct picture *p, uint64_t index, uint32_t class)
{
	char name[FILE_NAME_MAX], synset[CLASS_NAME_MAX], text[40];

	snprintf(text, sizeof(text), "synthetic class %u", class);
	put_text(w, "image/class/synset", layout_class_name(class, synset));
	put_text(w, "image/class/text", text);
	put_integer(w, "image/class/label", (uint64_t) class + 1);
	put_text(w, "image/filename", layout_file_name(class, index, name));
	put_text(w, "image/format", "JPEG");
	put_text(w, "image/colorspace", "RGB");
	put_integer(w, "image/channels", 3);
	put_integer(w, "image/height", p->height);
	put_integer(w, "image/width", p->width);
	put_entry(w, "image/encoded", 1, p->len);
}

size_t tfrecord_front(
	const struct picture *p, uint64_t index, uint32_t class, uint8_t out[TFRECORD_FRONT_MAX])
{
	uint8_t features[TFRECORD_FRONT_MAX / 2];
	struct wire body = {features}, w = {out + TFRECORD_HEADER};
	size_t len, front;

	put_features(&body, p, index, class);
	len = (size_t)(body.p - features);
	put_head(&w, 1, len + p->len);
	put_data(&w, features, len);
	front = (size_t)(w.p - out);
	w.p = out;
	put_little(&w, front - TFRECORD_HEADER + p->len, 8);
	put_little(&w, crc32c_mask(crc32c(0, out, 8)), 4);
	return front;
}

/* ---- shards ---- */

static uint64_t shard_start(const struct set *set, uint64_t shard)
{
	return shard * set->samples / set->shards; /* both are small enough: GENERATE_SAMPLES_MAX */
}

static uint64_t count_shards(const struct set *set)
{
	return set->shards;
}

static int put_record(struct maker *m, struct direct *d, uint64_t index, FILE *lines)
{
	uint8_t front[TFRECORD_FRONT_MAX], footer[TFRECORD_FOOTER];
	uint32_t class = layout_class(m->set, index), crc;
	uint64_t at = direct_size(d);
	struct wire w = {footer};
	struct picture p;
	size_t n;
	int r;

	content_make(m->content, m->canvas, m->set->seed, index, &p);
	n = tfrecord_front(&p, index, class, front);
	crc = crc32c(0, front + TFRECORD_HEADER, n - TFRECORD_HEADER);
	crc = crc32c(crc, p.data, p.len);
	put_little(&w, crc32c_mask(crc), TFRECORD_FOOTER);
	r = direct_put(d, front, n);
	if (!r)
		r = direct_put(d, p.data, p.len);
	if (!r)
		r = direct_put(d, footer, TFRECORD_FOOTER);
	if (!r && fprintf(lines, "S\t%" PRIu64 "\t%zu\t%08x\t%u\n", at, n - TFRECORD_HEADER + p.len,
			  crc, class) < 0)
		r = -ENOMEM;
	*m->bytes += p.len;
	return r;
}

static int put_records(struct maker *m, struct direct *d, uint64_t shard, FILE *lines)
{
	uint64_t end = shard_start(m->set, shard + 1);
	int r = 0;

	for (uint64_t i = shard_start(m->set, shard); i < end && !r; i++)
		r = atomic_load(m->stop) ? -EINTR : put_record(m, d, i, lines);
	return r;
}

static uint64_t expected_size(const struct set *set, uint64_t shard)
{
	uint64_t end = shard_start(set, shard + 1), sum = 0;

	for (uint64_t i = shard_start(set, shard); i < end; i++)
		sum += size_draw(random_key(set->seed, i)) + layout_tfrecord.overhead;
	return sum;
}

static int make_shard(struct maker *m, uint64_t shard, FILE *lines, uint64_t *ret_bytes)
{
	uint64_t first = shard_start(m->set, shard), end = shard_start(m->set, shard + 1);
	AUTO(free) char *samples = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&samples, &len);
	struct direct d;
	char name[64];
	int r;

	if (!out)
		return -ENOMEM;
	snprintf(name, sizeof(name), "train-%05u-of-%05u", (unsigned)shard, m->set->shards);
	r = direct_open(&d, m->dirfd, name, expected_size(m->set, shard), m->buffer);
	if (!r) {
		r = put_records(m, &d, shard, out);
		if (r < 0)
			direct_abort(&d);
		else
			r = direct_commit(&d);
	}
	if (fclose(out) && !r)
		r = -ENOMEM;
	if (!r && (fprintf(lines, "F\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", name,
			   direct_size(&d), first, end - first) < 0 ||
			  fwrite(samples, 1, len, lines) != len))
		r = -ENOMEM;
	if (!r && fsync(m->dirfd) < 0)
		r = -errno;
	*ret_bytes = r ? 0 : direct_size(&d);
	return r;
}

const struct layout layout_tfrecord = {
	.format = FORMAT_TFRECORD,
	.overhead = 512,
	.units = count_shards,
	.make = make_shard,
};
