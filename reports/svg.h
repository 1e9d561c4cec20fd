/* SPDX-License-Identifier: Apache-2.0 */
/* svg - a picture as gnuplot writes it, made fit to stand inside a page. */
#ifndef REPORTS_SVG_H
#define REPORTS_SVG_H

/* The <svg> element alone, with class, without size, tooltips and tool names, its ids made unique
 * by prefix, its colours turned into the page's variables (palette.h). free() it; NULL if svg is
 * not what gnuplot's svg terminal writes. */
char *svg_for_page(const char *svg, const char *prefix, const char *class);

#endif
