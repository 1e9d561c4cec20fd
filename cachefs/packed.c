/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in few bytes: see packed.h. */
#include "cachefs/packed.h"

#include <string.h>

#include "cachefs/etag.h"

static size_t bytes_of(size_t name_len, uint8_t code)
{
	size_t n = offsetof(struct packed, text) + name_len + 1 + etag_packed(code);

	return (n + PACKED_ALIGN - 1) & ~(size_t)(PACKED_ALIGN - 1);
}

size_t packed_bytes(const struct object *obj, const char *name)
{
	return bytes_of(strlen(name), etag_code(obj->etag));
}

void packed_put(struct packed *to, const struct object *obj, const char *name)
{
	size_t name_len = strlen(name);
	uint8_t code = etag_code(obj->etag);
	size_t bytes = bytes_of(name_len, code);

	memset((char *)to + bytes - PACKED_ALIGN, 0, PACKED_ALIGN);
	to->version = obj->version;
	to->size = obj->size;
	to->mtime_ns = obj->mtime_ns;
	to->is_dir = obj->is_dir;
	to->name_len = (uint8_t)name_len;
	to->etag_code = code;
	memcpy(to->text, name, name_len + 1);
	etag_pack(obj->etag, code, to->text + name_len + 1);
}

size_t packed_size(const struct packed *p)
{
	return bytes_of(p->name_len, p->etag_code);
}

void packed_object(const struct packed *p, struct object *ret)
{
	ret->name = p->text;
	ret->version = p->version;
	ret->size = p->size;
	ret->mtime_ns = p->mtime_ns;
	ret->is_dir = p->is_dir;
	etag_unpack(p->text + p->name_len + 1, p->etag_code, ret->etag);
}

bool packed_valid(const void *at, size_t room, bool nameless)
{
	const struct packed *p = at;

	if (room < offsetof(struct packed, text) + 1 || !etag_code_valid(p->etag_code) ||
		packed_size(p) > room)
		return false;
	if (strnlen(p->text, p->name_len + 1u) != p->name_len)
		return false;
	if (p->is_dir > 1 || (p->is_dir ? p->size != 0 : p->version == 0) || p->size > INT64_MAX)
		return false;
	return (nameless && !p->name_len) || store_component_valid(p->text);
}
