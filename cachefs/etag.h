/* SPDX-License-Identifier: Apache-2.0 */
/* etag - entity tags in few bytes, as there is one for every file that is known.
 *
 * Stores give hexadecimal digits in quotes, some with '-' between: those take 4 or 5 bits a
 * character and no quotes. Any other tag is kept as it is. A byte, its code, says how. */
#ifndef CACHEFS_ETAG_H
#define CACHEFS_ETAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cachefs/store.h"

uint8_t etag_code(const char *etag); /* etag: as in struct object */
bool etag_code_valid(uint8_t code);
size_t etag_packed(uint8_t code); /* bytes */
void etag_pack(const char *etag, uint8_t code, void *to);
void etag_unpack(const void *from, uint8_t code, char ret[ETAG_MAX]); /* code: valid */

#endif
