/* SPDX-License-Identifier: Apache-2.0 */
/* Packed entity tags: see etag.h. Characters become numbers, first one in the lowest bits.
 *
 *      code   0..95      as it is, so many bytes
 *             96+n       n <= 64 hexadecimal digits in quotes
 *             160+n      n <= 93 of them and dashes in quotes */
#include "cachefs/etag.h"

#include <string.h>

#define CODE_HEX ETAG_MAX
#define CODE_DASH (CODE_HEX + 64)
#define CODE_END (CODE_DASH + ETAG_MAX - 2)

static const char symbols[] = "0123456789abcdef-";

static unsigned bits_of(uint8_t code)
{
	return code < CODE_HEX ? 8 : code <= CODE_DASH ? 4 : 5;
}

static size_t len_of(uint8_t code)
{
	return code < CODE_HEX ? code : code <= CODE_DASH ? code - CODE_HEX : code - CODE_DASH;
}

/* The number of one of the symbols. */
static unsigned number_of(char c)
{
	return c == '-' ? 16 : c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

uint8_t etag_code(const char *etag)
{
	size_t len = strlen(etag), inner = len < 3 ? 0 : len - 2;

	if (!inner || etag[0] != '"' || etag[len - 1] != '"' || strspn(etag + 1, symbols) != inner)
		return (uint8_t)len;
	bool hex = inner <= CODE_DASH - CODE_HEX && !memchr(etag + 1, '-', inner);

	return (uint8_t)((hex ? CODE_HEX : CODE_DASH) + inner);
}

bool etag_code_valid(uint8_t code)
{
	return code < CODE_END;
}

size_t etag_packed(uint8_t code)
{
	return (len_of(code) * bits_of(code) + 7) / 8;
}

void etag_pack(const char *etag, uint8_t code, void *to)
{
	unsigned bits = bits_of(code), held = 0, word = 0;
	size_t len = len_of(code);
	unsigned char *out = to;

	if (bits == 8) {
		memcpy(to, etag, len);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		word |= number_of(etag[i + 1]) << held;
		held += bits;
		if (held >= 8) {
			*out++ = (unsigned char)word;
			word >>= 8;
			held -= 8;
		}
	}
	if (held)
		*out = (unsigned char)word;
}

void etag_unpack(const void *from, uint8_t code, char ret[ETAG_MAX])
{
	unsigned bits = bits_of(code), held = 0, word = 0;
	size_t len = len_of(code);
	const unsigned char *in = from;
	char *out = ret;

	if (bits == 8) {
		memcpy(ret, from, len);
		ret[len] = '\0';
		return;
	}
	*out++ = '"';
	for (size_t i = 0; i < len; i++) {
		if (held < bits) {
			word |= (unsigned)*in++ << held;
			held += 8;
		}
		unsigned n = word & ((1u << bits) - 1);

		*out++ = symbols[n < sizeof(symbols) - 1 ? n : 0];
		word >>= bits;
		held -= bits;
	}
	*out++ = '"';
	*out = '\0';
}
