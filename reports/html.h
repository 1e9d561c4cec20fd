/* SPDX-License-Identifier: Apache-2.0 */
/* html - text into pages. Whatever came from a file goes through html_text(). */
#ifndef REPORTS_HTML_H
#define REPORTS_HTML_H

#include <stddef.h>
#include <stdio.h>

/* Escapes & < > " ' so that s is safe between tags and inside quoted attributes. */
void html_text(FILE *out, const char *s);

/* Copies a template, calling fill(out, NAME, arg) for each {{NAME}}. */
typedef void html_fill_fn(FILE *out, const char *name, void *arg);
void html_expand(FILE *out, const char *template, html_fill_fn *fill, void *arg);

/* Both change s in place and return it. text_valid: if s is no UTF-8, its bytes beyond ASCII become
 * '?'. text_plain: also one printable line: control characters, which could drive a terminal or
 * break a line, become spaces. */
char *text_valid(char *s);
char *text_plain(char *s);

/* Bytes of s up to most, without the half of a character at the end. */
size_t text_cut(const char *s, size_t most);

#endif
