/* SPDX-License-Identifier: Apache-2.0 */
/* palette - the colours of pages and pictures, each with its twin for dark pages.
 *
 * Series colours follow Okabe and Ito (safe for the colour-blind), darkened or lightened until
 * text in them has a contrast of at least 4.5:1 on its paper. gnuplot draws in the light colours;
 * inline SVG then refers to the CSS variables, so pictures follow the page. */
#ifndef REPORTS_PALETTE_H
#define REPORTS_PALETTE_H

#include <stdio.h>

struct palette_color {
	const char *name; /* of the CSS variable, without dashes */
	const char *light, *dark;
};

enum { PALETTE_SERIES = 7 }; /* s0 (the reference) to s6 */

/* "#0067a5" for series number n; numbers past the palette start again at 1. */
const char *palette_series(int n);

/* Name of the CSS variable of series n: "s1". */
const char *palette_series_name(int n);

/* Name of the variable whose light colour is r, g, b; NULL if none. */
const char *palette_name(int r, int g, int b);

/* "--ink:#1d2329;..." of the light or dark colours. */
void palette_write_css(FILE *out, int dark);

/* "ink = '#1d2329'" lines for gnuplot. */
void palette_write_gnuplot(FILE *out);

#endif
