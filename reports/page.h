/* SPDX-License-Identifier: Apache-2.0 */
/* page - report.html from a model and its drawings. */
#ifndef REPORTS_PAGE_H
#define REPORTS_PAGE_H

#include "reports/model.h"
#include "reports/picture.h"

struct page {
	struct model *model;
	const struct drawing *drawings;       /* [n_pictures], in the order of pictures[] */
	const char *verdict, *care, *setting; /* words.h */
	const char *limits;                   /* limits.h */
};

/* The whole page as text; free() it. NULL without memory. */
char *page_text(const struct page *p);

/* Slots of the template that are tables of figures (page_table.c). */
void page_write_cards(FILE *out, const struct page *p);
void page_write_table(FILE *out, const struct page *p);

/* Slots that are commands (page_commands.c). */
void page_write_repeat(FILE *out, const struct page *p);
void page_write_mounts(FILE *out, const struct page *p);

#endif
