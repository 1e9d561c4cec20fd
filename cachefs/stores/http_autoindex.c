/* SPDX-License-Identifier: Apache-2.0 */
/* nginx's JSON listings: see http_autoindex.h. Entries are read one by one, so that a folder of a
 * million files is no tree of a million objects in memory.
 *
 *   [ { "name":"x.jpg", "type":"file", "mtime":"Wed, 01 Jan 2025 00:00:00 GMT", "size":123 }, ... ] */
#include "cachefs/stores/http_autoindex.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "cachefs/stores/http_fields.h"
#include "common/cleanup.h"

AUTO_FREE(json, json_t, json_decref);

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* nginx gives no entity tags here, so none may count elsewhere: see docs/internals/origins.md. */
static int pass_entry(json_t *entry, struct http_gate *gate, const char **ret_why)
{
	json_t *name = json_object_get(entry, "name"), *size = json_object_get(entry, "size");
	const char *type = json_string_value(json_object_get(entry, "type"));
	const char *mtime = json_string_value(json_object_get(entry, "mtime"));
	struct object obj = {.is_dir = type && !strcmp(type, "directory")};

	if (!json_is_string(name) || !type) {
		*ret_why = "an entry without name or type";
		return -EBADMSG;
	}
	if (!obj.is_dir && strcmp(type, "file") != 0)
		return 0;
	if (!obj.is_dir && (!json_is_integer(size) || json_integer_value(size) < 0)) {
		*ret_why = "a file without a size";
		return -EBADMSG;
	}
	if (!obj.is_dir)
		field_object(&obj, NULL, (uint64_t)json_integer_value(size),
			mtime ? field_date(mtime) : 0);
	return gate_pass(gate, json_string_value(name), json_string_length(name), &obj);
}

/* One entry at *p, moved past. */
static int take_entry(const char **p, const char *end, struct http_gate *gate, const char **ret_why)
{
	json_error_t error;
	AUTO(json)
	json_t *entry = json_loadb(
		*p, (size_t)(end - *p), JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &error);

	if (!json_is_object(entry)) {
		*ret_why = "no JSON, or JSON cut short";
		return -EBADMSG;
	}
	*p = skip_space(*p + error.position, end);
	return pass_entry(entry, gate, ret_why);
}

int autoindex_parse(const char *json, size_t len, struct http_gate *gate, const char **ret_why)
{
	const char *end = json + len, *p = skip_space(json, end);
	bool first = true;

	*ret_why = "no JSON listing";
	if (p == end || *p != '[')
		return -EBADMSG;
	for (p = skip_space(p + 1, end); p < end && *p != ']'; first = false) {
		if (!first && *p++ != ',')
			return -EBADMSG;
		int r = take_entry(&p, end, gate, ret_why);

		if (r)
			return r;
	}
	if (p == end || skip_space(p + 1, end) != end) {
		*ret_why = "JSON cut short, or followed by something else";
		return -EBADMSG;
	}
	return 0;
}
