/* SPDX-License-Identifier: Apache-2.0 */
/* Errors of S3 by expat: see s3_error.h. */
#include "cachefs/stores/s3_error.h"

#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/cleanup.h"

struct parse {
	XML_Parser parser;
	struct s3_error *error;
	int depth;
	char *into; /* the element that is being read */
	size_t len, room;
};

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *p = arg;

	p->into = NULL;
	p->len = 0;
	if (++p->depth == 1 && strcmp(name, "Error") != 0)
		XML_StopParser(p->parser, XML_FALSE);
	if (p->depth != 2)
		return;
	if (!strcmp(name, "Code")) {
		p->into = p->error->code;
		p->room = sizeof(p->error->code);
	} else if (!strcmp(name, "Region")) {
		p->into = p->error->region;
		p->room = sizeof(p->error->region);
	}
}

static bool plain(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-' || c == '_';
}

/* What does not fit or is not plain makes the whole element unknown. */
static void on_text(void *arg, const XML_Char *text, int len)
{
	struct parse *p = arg;

	for (int i = 0; i < len && p->into; i++) {
		if (!plain(text[i]) || p->len + 1 == p->room) {
			*p->into = '\0';
			p->into = NULL;
			return;
		}
		p->into[p->len++] = text[i];
		p->into[p->len] = '\0';
	}
}

static void on_end(void *arg, const XML_Char *name)
{
	struct parse *p = arg;

	p->depth--;
	p->into = NULL;
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
	const XML_Char *public, int internal)
{
	struct parse *p = arg;

	XML_StopParser(p->parser, XML_FALSE);
}

int s3_error_parse(const char *xml, size_t len, struct s3_error *ret)
{
	struct parse p = {.error = ret, .parser = XML_ParserCreate(NULL)};

	*ret = (struct s3_error){0};
	if (!p.parser)
		return -ENOMEM;
	XML_SetUserData(p.parser, &p);
	XML_SetElementHandler(p.parser, on_start, on_end);
	XML_SetCharacterDataHandler(p.parser, on_text);
	XML_SetStartDoctypeDeclHandler(p.parser, on_doctype);
	if (len <= INT32_MAX)
		XML_Parse(p.parser, xml, (int)len, 0); /* a body cut short is fine */
	XML_ParserFree(p.parser);
	if (p.into) /* cut in the middle */
		*p.into = '\0';
	return *ret->code ? 0 : -EINVAL;
}

static const struct s3_trouble troubles[] = {
	{"AuthorizationHeaderMalformed", EACCES, "the region is another; see s3.region"},
	{"ExpiredToken", EACCES, "the credentials have expired"},
	{"InvalidAccessKeyId", EACCES, "the access key is not known there"},
	{"InvalidToken", EACCES, "the session token is not that of the access key"},
	{"RequestTimeTooSkewed", EACCES, "the clocks differ; set this machine's clock"},
	{"SignatureDoesNotMatch", EACCES, "the secret key is not that of the access key"},
	{"TokenRefreshRequired", EACCES, "the credentials have expired"},
};

const struct s3_trouble *s3_trouble_find(const char *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(troubles); i++)
		if (!strcmp(troubles[i].code, code))
			return &troubles[i];
	return NULL;
}
