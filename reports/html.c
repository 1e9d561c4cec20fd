/* SPDX-License-Identifier: Apache-2.0 */
/* Escaping and templates: see html.h. */
#include "reports/html.h"

#include <string.h>
#include <jansson.h>

void html_text(FILE *out, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		case '\'':
			fputs("&#39;", out);
			break;
		default:
			fputc(*s, out);
		}
	}
}

void html_expand(FILE *out, const char *template, html_fill_fn *fill, void *arg)
{
	char name[32];
	int used;

	for (const char *p = template; *p;) {
		const char *slot = strstr(p, "{{");

		if (!slot) {
			fputs(p, out);
			return;
		}
		fwrite(p, 1, (size_t)(slot - p), out);
		used = 0;
		if (sscanf(slot, "{{%31[a-z_]}}%n", name, &used) == 1 && used) {
			fill(out, name, arg);
			p = slot + used;
		} else {
			fputc('{', out);
			p = slot + 1;
		}
	}
}

char *text_valid(char *s)
{
	json_t *valid = json_string(s);

	for (unsigned char *p = (unsigned char *)s; !valid && *p; p++)
		if (*p >= 0x80)
			*p = '?';
	json_decref(valid);
	return s;
}

char *text_plain(char *s)
{
	for (unsigned char *p = (unsigned char *)text_valid(s); *p; p++) {
		if (*p < ' ' || *p == 0x7f)
			*p = ' ';
		else if (p[0] == 0xc2 && p[1] < 0xa0) /* C1 controls */
			p[0] = p[1] = ' ';
	}
	return s;
}

size_t text_cut(const char *s, size_t most)
{
	size_t n = strnlen(s, most + 1);

	if (n <= most)
		return n;
	for (n = most; n && ((unsigned char)s[n] & 0xc0) == 0x80;)
		n--;
	return n;
}
