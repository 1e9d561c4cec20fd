/* SPDX-License-Identifier: Apache-2.0 */
/* Rewriting of gnuplot's SVG: see svg.h. One pass over the text; whatever is not known is kept. */
#include "reports/svg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "reports/palette.h"

static const char *starts(const char *p, const char *with)
{
	size_t n = strlen(with);

	return strncmp(p, with, n) ? NULL : p + n;
}

/* Tooltips that only number the lines, the tool's signature, and filters for boxed text, which
 * pictures here have not. */
static const char *skip_element(const char *p)
{
	static const char *const ends[][2] = {
		{"<title>", "</title>"}, {"<desc>", "</desc>"}, {"<filter ", "</filter>"}};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		const char *end = starts(p, ends[i][0]) ? strstr(p, ends[i][1]) : NULL;

		if (end)
			return end + strlen(ends[i][1]);
	}
	return starts(p, "xlink:");
}

/* "rgb(  0, 103, 165)" or "rgb(0,103,165)". */
static const char *color(FILE *out, const char *p)
{
	int r, g, b, used = 0;
	const char *name;

	if (sscanf(p, "rgb(%d ,%d ,%d )%n", &r, &g, &b, &used) != 3 || !used)
		return NULL;
	name = palette_name(r, g, b);
	if (name)
		fprintf(out, "var(--%s)", name);
	else
		fwrite(p, 1, (size_t)used, out);
	return p + used;
}

/* Names of ids: each picture of a page has its own. Filters ("textbox") go unused and unnamed. */
static const char *identifier(FILE *out, const char *p, const char *prefix)
{
	static const char *const words[] = {"gnuplot_", "gp"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (starts(p + 1, words[i])) {
			fprintf(out, "%c%s_", *p, prefix);
			return p + 1 + strlen(words[i]);
		}
	return NULL;
}

static void rewrite(FILE *out, const char *p, const char *prefix)
{
	while (*p) {
		const char *next = NULL;

		if (*p == '<' || *p == 'x')
			next = skip_element(p);
		else if (*p == 'r')
			next = color(out, p);
		else if (*p == '\'' || *p == '"' || *p == '#')
			next = identifier(out, p, prefix);
		if (!next)
			fputc(*p++, out);
		else
			p = next;
	}
}

char *svg_for_page(const char *svg, const char *prefix, const char *class)
{
	const char *box = strstr(svg, "viewBox=\""), *end, *body;
	char *text = NULL;
	size_t len;
	FILE *out;

	end = box ? strchr(box + strlen("viewBox=\""), '"') : NULL;
	body = end ? strchr(end, '>') : NULL;
	if (!body || !strstr(body, "</svg>"))
		return NULL;
	out = open_memstream(&text, &len);
	if (!out)
		return NULL;
	fprintf(out, "<svg class=\"%s\" %.*s\" aria-hidden=\"true\" focusable=\"false\">", class,
		(int)(end - box), box);
	rewrite(out, body + 1, prefix);
	fclose(out);
	return text;
}
