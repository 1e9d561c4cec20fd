/* SPDX-License-Identifier: Apache-2.0 */
/* Finds one bytes feature in a serialised tf.train.Example, without copying or allocating:
 *
 *   Example { Features features = 1; }     Features { map<string, Feature> feature = 1; }
 *   Feature { BytesList bytes_list = 1; }  BytesList { repeated bytes value = 1; }
 *
 * (tensorflow core/example/{example,feature}.proto; wire format: protobuf.dev, "Encoding"). A map
 * is a repeated message { key = 1; value = 2 }. Only length-delimited field 1s and 2s matter to us,
 * so one function that finds such a field does all levels. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "harness/decode.h"

struct span {
	const uint8_t *p, *end;
};

static bool varint(struct span *s, uint64_t *ret)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64 && s->p < s->end; shift += 7) {
		uint8_t b = *s->p++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static bool skip(struct span *s, uint64_t n)
{
	if (n > (uint64_t)(s->end - s->p))
		return false;
	s->p += n;
	return true;
}

/* The next field of s: 1 and its number and, if length-delimited, its content; 0 at the end. */
static int next_field(struct span *s, uint64_t *ret_number, struct span *ret)
{
	uint64_t tag, n = 0;

	if (s->p == s->end)
		return 0;
	*ret = (struct span){NULL, NULL};
	if (!varint(s, &tag))
		return -EBADMSG;
	*ret_number = tag >> 3;
	switch (tag & 7) {
	case 0:
		return varint(s, &n) ? 1 : -EBADMSG;
	case 1:
		return skip(s, 8) ? 1 : -EBADMSG;
	case 5:
		return skip(s, 4) ? 1 : -EBADMSG;
	case 2:
		if (!varint(s, &n) || n > (uint64_t)(s->end - s->p))
			return -EBADMSG;
		*ret = (struct span){s->p, s->p + n};
		s->p += n;
		return 1;
	default:
		return -EBADMSG;
	}
}

/* The first length-delimited field with this number. */
static int find_field(struct span s, uint64_t number, struct span *ret)
{
	uint64_t found;
	int r;

	while ((r = next_field(&s, &found, ret)) > 0)
		if (found == number && ret->p)
			return 0;
	return r < 0 ? r : -ENOENT;
}

static bool entry_has_key(struct span entry, const char *key)
{
	size_t n = strlen(key);
	struct span k;

	return find_field(entry, 1, &k) == 0 && (size_t)(k.end - k.p) == n && !memcmp(k.p, key, n);
}

int example_bytes(
	const uint8_t *data, size_t len, const char *key, const uint8_t **ret, size_t *ret_len)
{
	struct span features, entry, value;
	uint64_t number;
	int r = find_field((struct span){data, data + len}, 1, &features);

	if (r < 0)
		return r;
	while ((r = next_field(&features, &number, &entry)) > 0)
		if (number == 1 && entry.p && entry_has_key(entry, key))
			break;
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = find_field(entry, 2, &value);
	if (!r)
		r = find_field(value, 1, &value);
	if (!r)
		r = find_field(value, 1, &value);
	if (r < 0)
		return r;
	*ret = value.p;
	*ret_len = (size_t)(value.end - value.p);
	return 0;
}
