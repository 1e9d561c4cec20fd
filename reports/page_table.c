/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of the page: a card a source at the largest number of GPUs, and the full table. */
#include "reports/page.h"

#include <math.h>

#include "reports/html.h"
#include "reports/palette.h"
#include "reports/words.h"

static const struct {
	const char *head, *means;
	enum metric metric;
} columns[] = {
	{"Cold", "images/s in the first epoch, caches empty", METRIC_COLD_RATE},
	{"Steady", "images/s in later epochs", METRIC_STEADY_RATE},
	{"Job", "images/s over the whole job, start included", METRIC_JOB_RATE},
	{"AU", "accelerator utilization", METRIC_AU},
	{"% of synthetic", "of the same GPUs fed from memory", METRIC_PCT},
	{"Origin bytes", "fetched from the origin by the whole job", METRIC_ORIGIN_BYTES},
	{"Hit ratio", "share of bytes that came from the cache", METRIC_HIT_RATIO},
	{"p99 wait", "99th percentile of a step's wait for data", METRIC_WAIT_P99_MS},
};

static void write_card_body(FILE *out, const struct series *s, const struct cell *c)
{
	const struct figure *pct = &c->figure[METRIC_PCT], *cold = &c->figure[METRIC_COLD_PCT];
	char rate[WORDS_MAX], au[WORDS_MAX], big[WORDS_MAX];

	words_metric(METRIC_RATE, c->figure[METRIC_RATE].median, rate);
	words_metric(METRIC_AU, c->figure[METRIC_AU].median, au);
	if (s->reference || !pct->n) {
		fprintf(out, "<p class=\"big\">%s</p><p>images/s%s &#183; AU %s</p>", rate,
			s->reference ? ", the upper limit" : "", au);
		return;
	}
	fprintf(out, "<p class=\"big\">%s</p><p>of synthetic &#183; %s images/s &#183; AU %s</p>",
		words_metric(METRIC_PCT, pct->median, big), rate, au);
	if (cold->n)
		fprintf(out, "<p>first epoch, cold: %s</p>",
			words_metric(METRIC_COLD_PCT, cold->median, big));
	fprintf(out,
		"<div class=\"meter\" aria-hidden=\"true\"><i style=\"width:%.1f%%\"></i></div>",
		fmin(pct->median, 100));
}

void page_write_cards(FILE *out, const struct page *p)
{
	const struct model *m = p->model;

	for (size_t i = 0; i < m->n_series; i++) {
		const struct series *s = &m->series[i];
		const struct cell *c = series_cell(s, model_most_gpus(m));

		fprintf(out, "<li style=\"--c:var(--%s)\"><h3>", palette_series_name(s->color));
		html_text(out, s->label);
		fputs("</h3>", out);
		if (c && c->ok)
			write_card_body(out, s, c);
		else
			fprintf(out, "<p class=\"big\">%s</p>", c ? "failed" : "not run");
		fputs("</li>\n", out);
	}
}

static void write_figure(FILE *out, size_t column, const struct figure *f)
{
	char buf[WORDS_MAX];

	fprintf(out, "<td data-label=\"%s\">%s", columns[column].head,
		f->n ? words_metric(columns[column].metric, f->median, buf) : "&#8211;");
	if (f->n > 1 && f->min < f->max)
		fprintf(out, "<small>%s</small>", words_spread(columns[column].metric, f, buf));
	fputs("</td>", out);
}

static void write_row(FILE *out, const struct series *s, const struct cell *c)
{
	fprintf(out, "<tr><th scope=\"row\"><span class=\"key\" style=\"--c:var(--%s)\"></span>",
		palette_series_name(s->color));
	html_text(out, s->label);
	fprintf(out, "</th><td data-label=\"GPUs\">%d</td>", c->gpus);
	for (size_t i = 0; c->ok && i < ARRAY_SIZE(columns); i++)
		write_figure(out, i, &c->figure[columns[i].metric]);
	if (!c->ok) {
		fprintf(out, "<td class=\"failed\" colspan=\"%zu\" data-label=\"Failed\">",
			ARRAY_SIZE(columns));
		html_text(out, c->error ? c->error : "failed, no reason recorded");
		fputs("</td>", out);
	}
	fprintf(out, "<td data-label=\"Runs\">%d", c->ok);
	if (c->failed)
		fprintf(out, "<small>%d failed</small>", c->failed);
	fputs("</td></tr>\n", out);
}

void page_write_table(FILE *out, const struct page *p)
{
	const struct model *m = p->model;

	fputs("<thead><tr><th scope=\"col\">Source</th><th scope=\"col\">GPUs</th>", out);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		fprintf(out, "<th scope=\"col\" title=\"%s\">%s</th>", columns[i].means,
			columns[i].head);
	fputs("<th scope=\"col\">Runs</th></tr></thead>\n<tbody>\n", out);
	for (size_t i = 0; i < m->n_series; i++)
		for (size_t k = 0; k < m->series[i].n_cells; k++)
			write_row(out, &m->series[i], &m->series[i].cells[k]);
	fputs("</tbody>", out);
}
