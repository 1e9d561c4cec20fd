/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures: see picture.h. Scripts get numbers and quoted names as variables; see plots/style.gp
 * for the list. */
#include "reports/picture.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "reports/gnuplot.h"
#include "reports/html.h"
#include "reports/palette.h"
#include "reports/svg.h"
#include "reports/templates.h"
#include "reports/words.h"

#define DEADLINE_S 30 /* for one drawing; they take 0.1 to 0.3 s */

const struct picture pictures[] = {
	{"throughput", "Images/s by number of GPUs", "images/s", template_throughput, METRIC_RATE,
		true},
	{"percent", "Share of the synthetic rate", "% of synthetic", template_percent, METRIC_PCT,
		false},
};
const size_t n_pictures = ARRAY_SIZE(pictures);

static const struct format {
	const char *terminal;
	int narrow;
} formats[] = {
	{"svg size 860,430 dynamic noenhanced font 'sans-serif,15'", 0},
	{"svg size 360,330 dynamic noenhanced font 'sans-serif,13'", 1},
	{"pngcairo size 1720,860 noenhanced font 'sans-serif,15' fontscale 2 linewidth 2 pointscale 2"
	 " background '#ffffff'",
		0},
};
enum { FORMAT_WIDE, FORMAT_NARROW, FORMAT_PNG };

static bool shows(const struct picture *p, const struct series *s)
{
	if (s->reference && !p->curve)
		return false;
	for (size_t i = 0; i < s->n_cells; i++)
		if (s->cells[i].figure[p->metric].n)
			return true;
	return false;
}

/* text between quotes, quotes inside doubled: as CSV and gnuplot's own strings want it. */
static void write_quoted(FILE *out, const char *text, char quote)
{
	AUTO(free) char *plain = strdup(text);

	fputc(quote, out);
	for (const char *c = plain ? text_plain(plain) : ""; *c; c++) {
		if (*c == quote)
			fputc(quote, out);
		fputc(*c, out);
	}
	fputc(quote, out);
}

static void write_csv_series(FILE *out, const struct series *s, size_t number, enum metric metric)
{
	for (size_t k = 0; k < s->n_cells; k++) {
		const struct figure *f = &s->cells[k].figure[metric];

		if (!f->n)
			continue;
		fprintf(out, "%zu,", number);
		write_quoted(out, s->label, '"');
		fprintf(out, ",%d,%.6g,%.6g,%.6g,%d\n", s->cells[k].gpus, f->median, f->min, f->max,
			f->n);
	}
}

/* Numbers and names of the series shown; numbers are those of the CSV's first column. */
struct shown {
	const struct series *series;
	double last_gpus, last, label_y; /* its line's end, and where its name goes */
};

static size_t find_shown(const struct model *m, const struct picture *p, struct shown *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_series; i++) {
		const struct series *s = &m->series[i];

		if (!shows(p, s))
			continue;
		ret[n] = (struct shown){.series = s, .label_y = NAN};
		for (size_t k = 0; k < s->n_cells; k++) {
			if (!s->cells[k].figure[p->metric].n)
				continue;
			ret[n].last_gpus = s->cells[k].gpus;
			ret[n].last = s->cells[k].figure[p->metric].median;
		}
		n++;
	}
	return n;
}

static double highest(const struct shown *shown, size_t n, enum metric metric)
{
	double top = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < shown[i].series->n_cells; k++)
			top = fmax(top, shown[i].series->cells[k].figure[metric].max);
	return top > 0 ? top : 1;
}

/* Of equals the reference is the upper. */
static bool is_below(const struct shown *a, const struct shown *b)
{
	return a->last < b->last || (a->last <= b->last && b->series->reference);
}

/* Names stand at the ends of their lines, moved up where they would lie on one another. */
static void place_labels(struct shown *shown, size_t n, double gap)
{
	double below = -gap;

	for (size_t placed = 0; placed < n; placed++) {
		struct shown *lowest = NULL;

		for (size_t i = 0; i < n; i++)
			if (isnan(shown[i].label_y) && (!lowest || is_below(&shown[i], lowest)))
				lowest = &shown[i];
		if (!lowest)
			return;
		lowest->label_y = fmax(lowest->last, below + gap);
		below = lowest->label_y;
	}
}

static void write_series_variables(FILE *out, const struct shown *shown, size_t n)
{
	fprintf(out,
		"n = %zu\narray color[n]\narray name[n]\narray dashes[n]\narray last[n]\n"
		"array last_gpus[n]\narray label_y[n]\n",
		n);
	for (size_t i = 0; i < n; i++) {
		fprintf(out,
			"color[%zu] = '%s'; dashes[%zu] = %d; last[%zu] = %.6g; "
			"last_gpus[%zu] = %.6g; label_y[%zu] = %.6g; name[%zu] = ",
			i + 1, palette_series(shown[i].series->color), i + 1,
			shown[i].series->reference ? 2 : 1, i + 1, shown[i].last, i + 1,
			shown[i].last_gpus, i + 1, shown[i].label_y, i + 1);
		write_quoted(out, shown[i].series->label, '\'');
		fputc('\n', out);
	}
}

static void write_gpus(FILE *out, const struct model *m)
{
	fprintf(out, "array gpus[%zu]\n", m->n_gpus);
	for (size_t i = 0; i < m->n_gpus; i++)
		fprintf(out, "gpus[%zu] = %d\n", i + 1, m->gpus[i]);
}

static char *script_of(const struct model *m, const struct picture *p, const struct format *f)
{
	AUTO(free) struct shown *shown = calloc(m->n_series + 1, sizeof(*shown));
	char *text = NULL;
	size_t n, len;
	FILE *out = open_memstream(&text, &len);
	double top;

	if (!out)
		return NULL;
	if (shown) {
		n = find_shown(m, p, shown);
		top = highest(shown, n, p->metric);
		place_labels(shown, n, top * (f->narrow ? 0.09 : 0.07));
		fprintf(out,
			"set terminal %s\nnarrow = %d\ncsv = '%s.csv'\naxis = '%s'\ntop = %.6g\n",
			f->terminal, f->narrow, p->name, p->axis, top);
		palette_write_gnuplot(out);
		write_series_variables(out, shown, n);
		write_gpus(out, m);
		fprintf(out, "%s%s", template_style, p->script);
	}
	fclose(out);
	return text;
}

static int write_csv(const struct model *m, const struct picture *p, const char *dir)
{
	AUTO(free) struct shown *shown = calloc(m->n_series + 1, sizeof(*shown));
	AUTO(free) char *path = NULL, *text = NULL;
	size_t len, n;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return -ENOMEM;
	fputs("series,source,gpus,median,min,max,repeats\n", out);
	n = shown ? find_shown(m, p, shown) : 0;
	for (size_t i = 0; i < n; i++)
		write_csv_series(out, shown[i].series, i + 1, p->metric);
	fclose(out);
	if (!n)
		return -ENODATA;
	if (asprintf(&path, "%s/%s.csv", dir, p->name) < 0)
		return -ENOMEM;
	return file_write_atomic(path, text, len, 0644, NULL);
}

static char *draw(struct model *m, const struct picture *p, const struct format *f, const char *dir,
	size_t *ret_len, struct err *err)
{
	AUTO(free) char *script = script_of(m, p, f);
	char *data = NULL;

	if (!script || gnuplot_run(dir, script, DEADLINE_S, &data, ret_len, err))
		return NULL;
	return data;
}

static char *draw_svg(
	struct model *m, const struct picture *p, bool narrow, const char *dir, struct err *err)
{
	size_t len;
	char prefix[64];
	AUTO(free)
	char *svg = draw(m, p, &formats[narrow ? FORMAT_NARROW : FORMAT_WIDE], dir, &len, err);

	if (!svg)
		return NULL;
	snprintf(prefix, sizeof(prefix), "%s_%c", p->name, narrow ? 'n' : 'w');
	return svg_for_page(svg, prefix, narrow ? "narrow" : "wide");
}

static bool draw_png(struct model *m, const struct picture *p, const char *dir, struct err *err)
{
	size_t len;
	AUTO(free) char *png = draw(m, p, &formats[FORMAT_PNG], dir, &len, err);
	AUTO(free) char *path = NULL;

	if (!png || asprintf(&path, "%s/%s.png", dir, p->name) < 0)
		return false;
	return !file_write_atomic(path, png, len, 0644, err);
}

static char *alt_text(const struct model *m, const struct picture *p)
{
	char buf[WORDS_MAX];
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out, "%s, in %s.", p->title, p->axis);
	for (size_t i = 0; i < m->n_series; i++) {
		const struct series *s = &m->series[i];

		if (!shows(p, s))
			continue;
		fprintf(out, " %s:", s->label);
		for (size_t k = 0, said = 0; k < s->n_cells; k++)
			if (s->cells[k].figure[p->metric].n)
				fprintf(out, "%s %s at %d", said++ ? "," : "",
					words_metric(p->metric,
						s->cells[k].figure[p->metric].median, buf),
					s->cells[k].gpus);
		fputc('.', out);
	}
	fclose(out);
	return text;
}

int picture_draw(struct model *m, const struct picture *p, const char *dir, struct drawing *ret)
{
	struct err err = {0};
	struct drawing d = {0};
	int r = p->curve && m->n_gpus < 2 ? -ENODATA : write_csv(m, p, dir);

	if (r)
		return r;
	d.alt = alt_text(m, p);
	d.wide = draw_svg(m, p, false, dir, &err);
	if (d.wide) {
		d.narrow = draw_svg(m, p, true, dir, &err);
		d.png = draw_png(m, p, dir, &err);
	}
	if (!d.wide || !d.narrow || !d.png)
		model_note(m, "%s of %s (%s)", d.wide ? "a form" : "the picture", p->name,
			err.msg[0] ? err.msg : "gnuplot wrote something else than a picture");
	*ret = d;
	return 0;
}

void drawing_done(struct drawing *d)
{
	free(d->wide);
	free(d->narrow);
	free(d->alt);
}
