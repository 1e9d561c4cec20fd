/* SPDX-License-Identifier: Apache-2.0 */
/* picture - the pictures of a report: data to CSV, gnuplot to SVG and PNG, and the alt text.
 *
 * A picture is a row of pictures[]: what it shows of the model, and the script that draws it. */
#ifndef REPORTS_PICTURE_H
#define REPORTS_PICTURE_H

#include "reports/model.h"

struct picture {
	const char *name;  /* of its files: NAME.csv, NAME.png */
	const char *title; /* heading on the page */
	const char *axis;  /* what y is, with its unit */
	const char *script;
	enum metric metric;
	bool curve; /* over the numbers of GPUs, so it needs two; the reference is a line of its own */
};

extern const struct picture pictures[];
extern const size_t n_pictures;

struct drawing {
	char *wide, *narrow; /* inline SVG for wide screens and for phones; NULL: not drawn */
	char *alt;
	bool png;
};

/* Writes DIR/NAME.csv and .png and fills ret, which drawing_done() empties. What could not be made
 * is a note of the model. Returns -ENODATA if the model has nothing to show in it. */
int picture_draw(struct model *m, const struct picture *p, const char *dir, struct drawing *ret);
void drawing_done(struct drawing *d);

#endif
