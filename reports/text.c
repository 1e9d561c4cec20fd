/* SPDX-License-Identifier: Apache-2.0 */
/* The report for a terminal: a table of medians, then the verdict. */
#include "reports/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "reports/html.h"
#include "reports/limits.h"
#include "reports/model.h"
#include "reports/words.h"

#define LINE_WIDTH 100

static const struct {
	const char *head;
	enum metric metric;
	int width;
} columns[] = {
	{"cold img/s", METRIC_COLD_RATE, 11},
	{"steady img/s", METRIC_STEADY_RATE, 13},
	{"job img/s", METRIC_JOB_RATE, 11},
	{"AU", METRIC_AU, 8},
	{"of synth.", METRIC_PCT, 10},
	{"origin", METRIC_ORIGIN_BYTES, 9},
	{"hits", METRIC_HIT_RATIO, 8},
};

static void write_row(FILE *out, const struct series *s, const struct cell *c)
{
	AUTO(free) char *label = strdup(s->label);
	char buf[WORDS_MAX];

	if (label)
		fprintf(out, "%-18.*s %4d", (int)text_cut(text_plain(label), 18), label, c->gpus);
	for (size_t i = 0; c->ok && i < ARRAY_SIZE(columns); i++)
		fprintf(out, "%*s", columns[i].width,
			words_metric(columns[i].metric, c->figure[columns[i].metric].median, buf));
	if (!c->ok) {
		AUTO(free) char *why = strdup(c->error ? c->error : "no reason recorded");

		if (why)
			fprintf(out, "  failed: %.*s", (int)text_cut(text_plain(why), 60), why);
	}
	fputc('\n', out);
}

static void write_table(FILE *out, const struct model *m)
{
	fprintf(out, "%-18s %4s", "source", "GPUs");
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		fprintf(out, "%*s", columns[i].width, columns[i].head);
	fputc('\n', out);
	for (size_t i = 0; i < m->n_series; i++)
		for (size_t k = 0; k < m->series[i].n_cells; k++)
			write_row(out, &m->series[i], &m->series[i].cells[k]);
	fputc('\n', out);
}

/* Breaks lines at blanks. */
static void write_wrapped(FILE *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (column && column + 1 + word > LINE_WIDTH) {
			fputc('\n', out);
			column = 0;
		} else if (column) {
			fputc(' ', out);
			column++;
		}
		fwrite(text, 1, word, out);
		column += word;
		text += word + strspn(text + word, " ");
	}
	fputc('\n', out);
}

/* Each stays one line, long as it may be. */
static void write_lines(FILE *out, char *text)
{
	char *save = NULL;

	for (char *s = strtok_r(text, "\n", &save); s; s = strtok_r(NULL, "\n", &save))
		fprintf(out, "%s\n", text_plain(s));
}

char *report_text(const char *dir, struct err *err)
{
	AUTO(model) struct model *m = model_load(dir, err);
	AUTO(free) char *verdict = NULL, *limits = NULL, *care = NULL, *setting = NULL;
	char *text = NULL;
	size_t len;

	if (!m)
		return NULL;
	verdict = words_verdict(m);
	limits = limits_text(m->records);
	care = words_care(m);
	setting = words_setting(m);
	FILE *out = open_memstream(&text, &len);

	if (!out || !verdict || !limits || !care || !setting) {
		err_set(err, ENOMEM, "%s: not enough memory for a table", dir);
		if (out)
			fclose(out);
		free(text);
		return NULL;
	}
	if (m->n_series)
		write_table(out, m);
	write_wrapped(out, verdict);
	write_lines(out, limits);
	if (*care)
		write_wrapped(out, care);
	if (*setting)
		write_wrapped(out, setting);
	fclose(out);
	return text;
}
