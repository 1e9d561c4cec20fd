/* SPDX-License-Identifier: Apache-2.0 */
/* A page of ListObjectsV2 by expat: see s3_list.h. Whether names are URL-encoded stands anywhere in
 * the page, so entries are kept until its end. */
#include "cachefs/stores/s3_list.h"

#include <errno.h>
#include <expat.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cachefs/stores/http_fields.h"
#include "common/cleanup.h"

#define DEPTH_MAX 16
#define TEXT_MAX (3 * 4096) /* an encoded key of 4 KiB; S3 allows 1 KiB */
#define KEYS_MAX 100000     /* a page; S3 and its likes give 1,000 */

/* The elements that count, by their path. */
enum field {
	NOTHING,
	TRUNCATED,
	TOKEN,
	ENCODING,
	CONTENTS,
	KEY,
	SIZE,
	MTIME,
	ETAG,
	COMMON,
	PREFIX
};

static const struct {
	enum field in;
	const char *name;
	enum field is;
} paths[] = {
	{NOTHING, "IsTruncated", TRUNCATED},
	{NOTHING, "NextContinuationToken", TOKEN},
	{NOTHING, "EncodingType", ENCODING},
	{NOTHING, "Contents", CONTENTS},
	{NOTHING, "CommonPrefixes", COMMON},
	{CONTENTS, "Key", KEY},
	{CONTENTS, "Size", SIZE},
	{CONTENTS, "LastModified", MTIME},
	{CONTENTS, "ETag", ETAG},
	{COMMON, "Prefix", PREFIX},
};

struct entry {
	char *key; /* as it stands in the page; NULL: there was none, or it was too long */
	bool is_dir;
	uint64_t size;
	int64_t mtime_ns;
	char *etag;
};

struct parse {
	XML_Parser parser;
	struct s3_page *page;
	struct entry *entry;
	size_t n, room;
	int depth;
	enum field outer, inner; /* at depth 2 and 3 */
	bool sized, encoded, is_list;
	bool cut; /* text is incomplete */
	size_t text_len;
	char text[TEXT_MAX + 1];
};

static void refuse(struct parse *p, const char *why)
{
	if (!p->page->why)
		p->page->why = why;
	XML_StopParser(p->parser, XML_FALSE);
}

static struct entry *new_entry(struct parse *p)
{
	if (p->n == KEYS_MAX)
		return NULL;
	if (p->n == p->room) {
		size_t room = p->room ? 2 * p->room : 256;
		struct entry *more = realloc(p->entry, room * sizeof(*more));

		if (!more)
			return NULL;
		p->entry = more;
		p->room = room;
	}
	p->entry[p->n] = (struct entry){0};
	return &p->entry[p->n++];
}

static enum field find_field(enum field in, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (paths[i].in == in && !strcmp(paths[i].name, name))
			return paths[i].is;
	return NOTHING;
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *p = arg;

	p->depth++;
	p->text_len = 0;
	p->cut = false;
	if (p->depth > DEPTH_MAX)
		refuse(p, "elements nested too deep");
	if (p->depth == 1)
		p->is_list = !strcmp(name, "ListBucketResult");
	if (p->depth == 1 && !p->is_list)
		refuse(p, strcasecmp(name, "html") ? "XML, but no listing" : "an HTML page");
	if (p->depth == 3)
		p->inner = p->outer ? find_field(p->outer, name) : NOTHING;
	if (p->depth != 2)
		return;
	p->outer = find_field(NOTHING, name);
	p->sized = false;
	if (p->outer == CONTENTS || p->outer == COMMON) {
		struct entry *e = new_entry(p);

		if (e)
			e->is_dir = p->outer == COMMON;
		else
			refuse(p, "too many keys in a page");
	}
}

static void on_text(void *arg, const XML_Char *text, int len)
{
	struct parse *p = arg;
	size_t room = TEXT_MAX - p->text_len, n = (size_t)len < room ? (size_t)len : room;

	memcpy(p->text + p->text_len, text, n);
	p->text_len += n;
	p->cut |= n < (size_t)len;
}

/* The end of an element of an entry; p->text is its content. */
static void end_inner(struct parse *p)
{
	struct entry *e = &p->entry[p->n - 1];

	switch (p->inner) {
	case KEY:
	case PREFIX:
		if (!e->key && !p->cut)
			e->key = strdup(p->text);
		break;
	case SIZE:
		p->sized = !field_number(p->text, &e->size);
		break;
	case MTIME:
		e->mtime_ns = field_date(p->text);
		break;
	case ETAG:
		if (!e->etag && !p->cut)
			e->etag = strdup(p->text);
		break;
	default:
		break;
	}
	p->inner = NOTHING;
}

static void end_outer(struct parse *p)
{
	struct s3_page *page = p->page;

	switch (p->outer) {
	case TRUNCATED:
		page->truncated = !strcmp(p->text, "true");
		break;
	case ENCODING:
		p->encoded = !strcmp(p->text, "url");
		break;
	case TOKEN:
		if (p->text_len < sizeof(page->token))
			memcpy(page->token, p->text, p->text_len + 1);
		break;
	case CONTENTS:
		if (!p->sized)
			refuse(p, "a key without a size");
		break;
	default:
		break;
	}
	p->outer = NOTHING;
}

static void on_end(void *arg, const XML_Char *name)
{
	struct parse *p = arg;

	p->text[p->text_len] = '\0';
	if (p->depth == 3 && p->inner)
		end_inner(p);
	else if (p->depth == 2)
		end_outer(p);
	p->text_len = 0;
	p->depth--;
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
	const XML_Char *public, int internal)
{
	refuse(arg, strcasecmp(name, "html") ? "a document type, which listings do not have"
					     : "an HTML page");
}

/* ---- the page as a whole ---- */

static int parse_xml(struct parse *p, const char *xml, size_t len)
{
	struct s3_page *page = p->page;

	p->parser = XML_ParserCreate(NULL);
	if (!p->parser)
		return -ENOMEM;
	XML_SetUserData(p->parser, p);
	XML_SetElementHandler(p->parser, on_start, on_end);
	XML_SetCharacterDataHandler(p->parser, on_text);
	XML_SetStartDoctypeDeclHandler(p->parser, on_doctype);
	bool good = len <= INT32_MAX && XML_Parse(p->parser, xml, (int)len, 1) == XML_STATUS_OK;

	if (!good && !page->why)
		page->why = XML_ErrorString(XML_GetErrorCode(p->parser));
	if (good && page->truncated && !*page->token)
		page->why = "a truncated page without a token to go on";
	XML_ParserFree(p->parser);
	return page->why ? -EBADMSG : 0;
}

/* The name of an entry inside the folder; NULL: none, or the folder's own marker. */
static const char *name_inside(
	struct parse *p, struct entry *e, const char *prefix, size_t *ret_len)
{
	size_t skip = strlen(prefix), len = e->key ? strlen(e->key) : 0;

	if (e->key && p->encoded)
		len = url_decode(e->key, true);
	if (len <= skip || memcmp(e->key, prefix, skip) != 0)
		return NULL;
	if (e->is_dir && e->key[len - 1] == '/')
		e->key[--len] = '\0';
	*ret_len = len - skip;
	return e->key + skip;
}

static int pass_entries(struct parse *p, const char *prefix, struct http_gate *gate)
{
	int r = 0;

	for (size_t i = 0; i < p->n && !r; i++) {
		struct entry *e = &p->entry[i];
		struct object obj = {.is_dir = e->is_dir};
		size_t len = 0;
		const char *name = name_inside(p, e, prefix, &len);
		bool marker = e->key && !strcmp(e->key, prefix);

		if (!e->is_dir)
			field_object(&obj, e->etag, e->size, e->mtime_ns);
		if (name || !marker)
			r = gate_pass(gate, name ? name : "", len, &obj);
	}
	return r;
}

int s3_list_parse(const char *xml, size_t len, const char *prefix, struct http_gate *gate,
	struct s3_page *ret)
{
	AUTO(free) struct parse *p = calloc(1, sizeof(*p));
	int r;

	*ret = (struct s3_page){0};
	if (!p)
		return -ENOMEM;
	p->page = ret;
	r = parse_xml(p, xml, len);
	ret->keys = p->n;
	if (!r)
		r = pass_entries(p, prefix, gate);
	for (size_t i = 0; i < p->n; i++) {
		free(p->entry[i].key);
		free(p->entry[i].etag);
	}
	free(p->entry);
	return r;
}
