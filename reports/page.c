/* SPDX-License-Identifier: Apache-2.0 */
/* The page: page.html.in decides what stands where; slots[] says who writes what. A new part of
 * the report is a slot in the template and a row here. */
#include "reports/page.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/record.h"
#include "common/units.h"
#include "version.h"
#include "reports/doubts.h"
#include "reports/html.h"
#include "reports/palette.h"
#include "reports/templates.h"
#include "reports/words.h"

static const char *first_text(const struct page *p, const char *key, const char *otherwise)
{
	const json_t *first = json_array_get(p->model->records, 0);
	const char *text = json_string_value(json_object_get(first, key));

	return text ? text : otherwise;
}

static void write_version(FILE *out, const struct page *p)
{
	fputs(FEEDRATE_VERSION, out);
}

static void write_profile_name(FILE *out, const struct page *p)
{
	html_text(out, first_text(p, "profile", "report"));
}

static void write_host(FILE *out, const struct page *p)
{
	const char *host = json_string_value(json_object_get(p->model->environment, "host"));
	const char *started = json_string_value(json_object_get(p->model->environment, "started"));
	int t[5];

	if (host) {
		fputs(" &#183; ", out);
		html_text(out, host);
	}
	if (started && sscanf(started, "%4d%2d%2dT%2d%2d", &t[0], &t[1], &t[2], &t[3], &t[4]) == 5)
		fprintf(out, " &#183; %04d-%02d-%02d %02d:%02d", t[0], t[1], t[2], t[3], t[4]);
}

static void write_light(FILE *out, const struct page *p)
{
	palette_write_css(out, 0);
}

static void write_dark(FILE *out, const struct page *p)
{
	palette_write_css(out, 1);
}

/* A number stays on the line of its unit. */
static void write_verdict(FILE *out, const struct page *p)
{
	for (const char *c = p->verdict; *c; c++) {
		bool unit = *c == ' ' && c > p->verdict && isdigit((unsigned char)c[-1]) &&
			    isalpha((unsigned char)c[1]);

		if (unit)
			fputs("&#160;", out);
		else
			html_text(out, (char[]){*c, '\0'});
	}
}

/* A paragraph for each line. */
static void write_limits(FILE *out, const struct page *p)
{
	for (const char *s = p->limits; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		AUTO(free) char *line = strndup(s, strcspn(s, "\n"));

		fputs("<p class=\"limit\">", out);
		html_text(out, line ? text_plain(line) : "");
		fputs("</p>\n", out);
	}
}

static void write_care(FILE *out, const struct page *p)
{
	if (!*p->care)
		return;
	fputs("<p class=\"care\">", out);
	html_text(out, p->care);
	fputs("</p>\n", out);
}

static void write_setting(FILE *out, const struct page *p)
{
	if (!*p->setting)
		return;
	fputs("<p class=\"setting\">", out);
	html_text(out, p->setting);
	fputs("</p>\n", out);
}

static void write_gpus(FILE *out, const struct page *p)
{
	fprintf(out, "%d GPU%s", model_most_gpus(p->model),
		model_most_gpus(p->model) == 1 ? "" : "s");
}

static void write_picture(FILE *out, const struct picture *kind, const struct drawing *d)
{
	if (!d->alt)
		return;
	fprintf(out, "<section><h2>%s</h2>\n<figure>", kind->title);
	if (d->wide && d->narrow) {
		fputs("<div class=\"picture\" role=\"img\" aria-label=\"", out);
		html_text(out, d->alt);
		fprintf(out, "\">%s%s</div>\n<figcaption>", d->wide, d->narrow);
	} else {
		fputs("<p>The picture could not be drawn. ", out);
		html_text(out, d->alt);
		fputs("</p>\n<figcaption>", out);
	}
	fprintf(out, "Medians%s. Data: <a href=\"%s.csv\">%s.csv</a>",
		kind->curve ? "; bars span least to most of the repeats" : "", kind->name,
		kind->name);
	if (d->png)
		fprintf(out, ", for slides: <a href=\"%s.png\">%s.png</a>", kind->name, kind->name);
	fputs("</figcaption></figure></section>\n", out);
}

static void write_pictures(FILE *out, const struct page *p)
{
	for (size_t i = 0; i < n_pictures; i++)
		write_picture(out, &pictures[i], &p->drawings[i]);
}

/* "cached at 1, 2 GPUs; remote at 8 GPUs" */
static void write_where(FILE *out, json_t *where)
{
	const char *label, *before = "";
	json_t *numbers, *number;
	size_t i;

	json_object_foreach(where, label, numbers)
	{
		json_int_t last = json_integer_value(
			json_array_get(numbers, json_array_size(numbers) - 1));

		fputs(before, out);
		html_text(out, label);
		json_array_foreach(numbers, i, number)
		{
			fprintf(out, "%s%" JSON_INTEGER_FORMAT, i ? ", " : " at ",
				json_integer_value(number));
		}
		fputs(last == 1 ? " GPU" : " GPUs", out);
		before = "; ";
	}
}

static void write_doubts(FILE *out, const struct page *p)
{
	json_t *doubts = doubts_collect(p->model, 0), *where;
	const char *name;

	if (!json_object_size(doubts))
		fputs("<p>None was raised.</p>", out);
	else
		fputs("<dl class=\"doubts\">\n", out);
	json_object_foreach(doubts, name, where)
	{
		struct doubt_text text = doubt_explain(p->model, name);

		fputs("<div><dt>", out);
		html_text(out, name);
		fprintf(out, "</dt><dd>%s <b>%s</b> <small>", text.means, text.remedy);
		write_where(out, where);
		fputs("</small></dd></div>\n", out);
	}
	if (json_object_size(doubts))
		fputs("</dl>", out);
	json_decref(doubts);
}

static void write_failures(FILE *out, const struct page *p)
{
	json_t *record;
	size_t i, n = 0;

	json_array_foreach(p->model->records, i, record)
	{
		const char *why = record_text(record, "error");

		if (record_ok(record))
			continue;
		fputs(n++ ? "<li>" : "<section><h2>Runs that failed</h2>\n<ul><li>", out);
		html_text(out, record_text(record, "source"));
		fprintf(out, " at %.0f GPU%s: ", record_number(record, "gpus"),
			record_number(record, "gpus") == 1 ? "" : "s");
		html_text(out, why ? why : "no reason recorded");
		fputs("</li>\n", out);
	}
	if (n)
		fputs("</ul></section>\n", out);
}

static void write_left_out(FILE *out, const struct page *p)
{
	json_t *note;
	size_t i;

	if (!json_array_size(p->model->notes))
		return;
	fputs("<section><h2>Left out of this report</h2>\n<ul>", out);
	json_array_foreach(p->model->notes, i, note)
	{
		fputs("<li>", out);
		html_text(out, json_string_value(note));
		fputs("</li>\n", out);
	}
	fputs("</ul></section>\n", out);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && !strcmp(s + n - k, end);
}

static void write_value(FILE *out, const char *key, const json_t *value)
{
	char human[UNITS_MAX];

	if (json_is_string(value)) {
		html_text(out, json_string_value(value));
	} else if (json_is_null(value)) {
		fputs("none", out);
	} else if (json_is_number(value) && ends_with(key, "_bytes")) {
		fputs(units_human_bytes(json_number_value(value), human), out);
	} else {
		AUTO(free) char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));

		html_text(out, text ? text : "");
	}
}

/* "ram_bytes" as "ram": the value says its unit. */
static void write_key(FILE *out, const char *key)
{
	AUTO(free) char *words = strdup(key);

	if (!words)
		return;
	if (ends_with(words, "_bytes"))
		words[strlen(words) - strlen("_bytes")] = '\0';
	for (char *c = words; *c; c++)
		if (*c == '_')
			*c = ' ';
	html_text(out, words);
}

static void write_environment(FILE *out, const struct page *p)
{
	json_t *value;
	const char *key;

	if (!p->model->environment)
		fputs("<div><dt>environment.json</dt><dd>missing</dd></div>", out);
	json_object_foreach(p->model->environment, key, value)
	{
		if (!strcmp(key, "command") || !strcmp(key, "mounts") || json_is_null(value))
			continue;
		fputs("<div><dt>", out);
		write_key(out, key);
		fputs("</dt><dd>", out);
		write_value(out, key, value);
		fputs("</dd></div>\n", out);
	}
}

/* One value of a knob over all records, or "A, B" where runs differ. */
static void collect_knobs(const struct model *m, json_t *all)
{
	json_t *record, *knob;
	const char *name;
	size_t i;

	json_array_foreach(m->records, i, record)
	{
		json_object_foreach(json_object_get(record, "knobs"), name, knob)
		{
			const char *value = json_string_value(json_object_get(knob, "value"));
			const char *from = json_string_value(json_object_get(knob, "from"));

			if (!value || !from || !strcmp(from, "default"))
				continue;
			if (!json_object_get(all, name))
				json_object_set_new(all, name, json_object());
			json_object_set_new(json_object_get(all, name), value, json_string(from));
		}
	}
}

static void write_knobs(FILE *out, const struct page *p)
{
	json_t *all = json_object(), *values, *from;
	const char *name, *value;

	collect_knobs(p->model, all);
	if (!json_object_size(all))
		fputs("<p>Every setting is at its default.</p>", out);
	else
		fputs("<p>Those that are not at their defaults, and where they come from.</p>\n"
		      "<dl class=\"knobs\">\n",
			out);
	json_object_foreach(all, name, values)
	{
		const char *before = "";

		fputs("<div><dt>", out);
		html_text(out, name);
		fputs("</dt><dd>", out);
		json_object_foreach(values, value, from)
		{
			fprintf(out, "%s<code>", before);
			html_text(out, *value ? value : "(empty)");
			fputs("</code> <small>", out);
			html_text(out, json_string_value(from));
			fputs("</small>", out);
			before = ", ";
		}
		fputs("</dd></div>\n", out);
	}
	if (json_object_size(all))
		fputs("</dl>", out);
	json_decref(all);
}

static void write_profile(FILE *out, const struct page *p)
{
	if (!p->model->profile)
		return;
	fputs("<details><summary>The whole effective profile (profile.ini)</summary><pre tabindex=\"0\">",
		out);
	html_text(out, p->model->profile);
	fputs("</pre></details>", out);
}

static void write_count(FILE *out, const struct page *p)
{
	fprintf(out, "%zu run%s", json_array_size(p->model->records),
		json_array_size(p->model->records) == 1 ? "" : "s");
}

static const struct slot {
	const char *name;
	void (*write)(FILE *out, const struct page *p);
} slots[] = {
	{"profile_name", write_profile_name},
	{"host", write_host},
	{"light", write_light},
	{"dark", write_dark},
	{"verdict", write_verdict},
	{"limits", write_limits},
	{"care", write_care},
	{"gpus", write_gpus},
	{"setting", write_setting},
	{"cards", page_write_cards},
	{"pictures", write_pictures},
	{"table", page_write_table},
	{"doubts", write_doubts},
	{"failures", write_failures},
	{"left_out", write_left_out},
	{"environment", write_environment},
	{"knobs", write_knobs},
	{"profile", write_profile},
	{"repeat", page_write_repeat},
	{"mounts", page_write_mounts},
	{"count", write_count},
	{"version", write_version},
};

static void fill_slot(FILE *out, const char *name, void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		if (!strcmp(slots[i].name, name))
			slots[i].write(out, arg);
}

char *page_text(const struct page *p)
{
	struct page copy = *p;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	html_expand(out, template_page, fill_slot, &copy);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
