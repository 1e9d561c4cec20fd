/* SPDX-License-Identifier: Apache-2.0 */
/* FNV-1a in 64 bits, from any start (http://www.isthe.com/chongo/tech/comp/fnv: HASH_START is its own). Its low bits are the
 * better ones of short names; whoever takes others mixes. Versions are made of it, so it never changes. */
#ifndef CACHEFS_HASH_H
#define CACHEFS_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START 0xcbf29ce484222325ull
#define HASH_PRIME 0x100000001b3ull

static inline uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--)
		h = (h ^ *p++) * HASH_PRIME;
	return h;
}

/* The same up to a NUL. */
static inline uint64_t hash_text(uint64_t h, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		h = (h ^ *p) * HASH_PRIME;
	return h;
}

#endif
