/* SPDX-License-Identifier: Apache-2.0 */
/* Texts generated from the knob table: help, manual page, INI template, bash completion. */
#include "common/knob.h"

#include <string.h>

#include "common/cleanup.h"
#include "version.h"

static bool owns(const struct cli *cli, const struct knob *k)
{
	return (k->owner & cli->owner) != 0;
}

static const char *type_name(const struct knob *k)
{
	static const char *const names[] = {
		[KNOB_BOOL] = "yes|no",
		[KNOB_COUNT] = "COUNT",
		[KNOB_SIZE] = "SIZE",
		[KNOB_RATE] = "RATE",
		[KNOB_TIME] = "TIME",
		[KNOB_RATIO] = "RATIO",
		[KNOB_CHOICE] = "WORD",
		[KNOB_STRING] = "TEXT",
	};

	return k->type == KNOB_CHOICE ? k->words : names[k->type];
}

/* Text folded at spaces, each line after prefix. */
static void print_folded(FILE *out, const char *prefix, const char *text, size_t width)
{
	while (*text) {
		size_t n = strlen(text);

		if (n > width) {
			for (n = width; n > 1 && text[n] != ' ';)
				n--;
			if (n == 1) /* one long word */
				n = strcspn(text, " ");
		}
		fprintf(out, "%s%.*s\n", prefix, (int)n, text);
		text += n + strspn(text + n, " ");
	}
}

/* "help." folded. */
static void print_sentence(FILE *out, const char *prefix, const char *help)
{
	char text[512];

	snprintf(text, sizeof(text), "%s.", help);
	print_folded(out, prefix, text, 78 - strlen(prefix));
}

/* The words of a row without their values: "auto, never". */
static void print_words(FILE *out, const struct knob *k, const char *separator)
{
	bool value = false;

	for (const char *p = k->words; *p; p++) {
		if (*p == '=')
			value = true;
		else if (*p == ',')
			value = false;
		if (*p == ',')
			fputs(separator, out);
		else if (!value)
			fputc(*p, out);
	}
}

static void print_option(FILE *out, const struct cli_option *o)
{
	char left[64];
	int n = 0;

	if (o->letter)
		n = snprintf(left, sizeof(left), "-%c, ", o->letter);
	snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s", o->name, o->metavar ? " " : "",
		o->metavar ? o->metavar : "");
	fprintf(out, "  %-28s %s\n", left, o->help ? o->help : "");
}

/* One line a section: its knobs' names, folded at 78 columns. */
static void print_section(FILE *out, const struct cli *cli, const struct knob_section *s)
{
	size_t column = 0;

	for (size_t i = 0; i < KNOB_N; i++) {
		const struct knob *k = &knobs[i];
		size_t len = strlen(k->name) + 1;

		if (!owns(cli, k) || strcmp(k->section, s->name) != 0)
			continue;
		if (!column)
			fprintf(out, "  %-10s", s->name);
		else if (column + len > 66)
			fprintf(out, "\n  %-10s", "");
		column = column + len > 66 || !column ? len : column + len;
		fprintf(out, " %s", k->name);
	}
	if (column)
		fputc('\n', out);
}

void knob_print_help(FILE *out, const struct cli *cli)
{
	fprintf(out, "%s: %s\n\nUsage: ", cli->program, cli->summary);
	for (const char *p = cli->usage; *p; p++) {
		fputc(*p, out);
		if (*p == '\n')
			fputs("       ", out);
	}
	fputs("\n\n", out);
	for (const struct cli_option *o = cli->options; o && o->name; o++)
		print_option(out, o);
	fprintf(out, "  %-28s %s\n", cli->owner ? "-h, --help [KNOB]" : "-h, --help",
		cli->owner ? "this, or all about one knob" : "this");
	fprintf(out, "  %-28s %s\n", "-V, --version", "the version");
	if (!cli->owner)
		return;
	fprintf(out, "\nKnobs, given as --SECTION.NAME=VALUE:\n");
	for (const struct knob_section *s = knob_sections; s->name; s++)
		print_section(out, cli, s);
}

void knob_print_depth(FILE *out, const struct knob *k)
{
	fprintf(out, "%s.%s = %s\n\n", k->section, k->name,
		k->type == KNOB_CHOICE ? "WORD" : type_name(k));
	print_sentence(out, "  ", k->help);
	fprintf(out, "\n  default     %s\n", *k->def ? k->def : "(empty)");
	if (*k->min || *k->max)
		fprintf(out, "  range       %s%s%s\n", *k->min ? k->min : "at most ",
			*k->max && *k->min ? " to "
			: *k->max          ? ""
					   : " or more",
			k->max);
	if (*k->words) {
		fprintf(out, "  %-12s", k->type == KNOB_CHOICE ? "one of" : "or");
		print_words(out, k, ", ");
		fputc('\n', out);
	}
	if (*k->sweep)
		fprintf(out, "  swept over  %s\n", k->sweep);
	if (*k->elsewhere)
		fprintf(out, "  elsewhere   %s\n", k->elsewhere);
	fprintf(out, "  takes hold  %s\n", k->when == KNOB_LIVE ? "at once" : "at start");
}

/* roff: a leading dot or apostrophe would be a request, a backslash an escape. */
static void print_roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '-' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void print_man_options(FILE *out, const struct cli *cli)
{
	fprintf(out, ".SH OPTIONS\n");
	for (const struct cli_option *o = cli->options; o && o->name; o++) {
		fprintf(out, ".TP\n.B ");
		if (o->letter)
			fprintf(out, "\\-%c, ", o->letter);
		fprintf(out, "\\-\\-%s%s%s\n", o->name, o->metavar ? " " : "",
			o->metavar ? o->metavar : "");
		print_roff(out, o->help ? o->help : "");
		fputc('\n', out);
	}
}

static void print_man_knob(FILE *out, const struct knob *k)
{
	fprintf(out, ".TP\n.BI \\-\\-%s.%s= %s\n", k->section, k->name,
		k->type == KNOB_CHOICE ? "WORD" : type_name(k));
	print_roff(out, k->help);
	fprintf(out, ".\n");
	if (*k->words) {
		fprintf(out, "Words: ");
		print_words(out, k, ", ");
		fprintf(out, ".\n");
	}
	fprintf(out, "Default: ");
	print_roff(out, *k->def ? k->def : "empty");
	fprintf(out, ".\n");
	if (*k->elsewhere) {
		fprintf(out, "Elsewhere: ");
		print_roff(out, k->elsewhere);
		fprintf(out, ".\n");
	}
}

void knob_print_man(FILE *out, const struct cli *cli)
{
	fprintf(out, ".TH %s 1 \"\" \"feedrate %s\"\n.SH NAME\n%s \\- ", cli->program,
		FEEDRATE_VERSION, cli->program);
	print_roff(out, cli->summary);
	fprintf(out, "\n.SH SYNOPSIS\n.nf\n");
	print_roff(out, cli->usage);
	fprintf(out, "\n.fi\n");
	print_man_options(out, cli);
	for (const struct knob_section *s = knob_sections; s->name; s++) {
		bool headed = false;

		for (size_t i = 0; i < KNOB_N; i++) {
			if (!owns(cli, &knobs[i]) || strcmp(knobs[i].section, s->name) != 0)
				continue;
			if (!headed)
				fprintf(out, ".SH KNOBS: %s\n%s.\n", s->name, s->help);
			headed = true;
			print_man_knob(out, &knobs[i]);
		}
	}
	if (cli->examples) {
		fprintf(out, ".SH EXAMPLES\n.nf\n");
		print_roff(out, cli->examples);
		fprintf(out, "\n.fi\n");
	}
}

void knob_print_ini(FILE *out, unsigned owner)
{
	for (const struct knob_section *s = knob_sections; s->name; s++) {
		bool headed = false;

		for (size_t i = 0; i < KNOB_N; i++) {
			const struct knob *k = &knobs[i];

			if (!(k->owner & owner) || strcmp(k->section, s->name) != 0)
				continue;
			if (!headed)
				fprintf(out, "# %s\n[%s]\n", s->help, s->name);
			headed = true;
			print_sentence(out, "# ", k->help);
			fprintf(out, "#%s = %s\n", k->name, k->def);
		}
		if (headed)
			fputc('\n', out);
	}
}

/* The words that a value may be, a case of the shell each. */
static void print_value_cases(FILE *out, const struct cli *cli)
{
	for (size_t i = 0; i < KNOB_N; i++) {
		const struct knob *k = &knobs[i];

		if (!owns(cli, k) || (!*k->words && k->type != KNOB_BOOL))
			continue;
		fprintf(out, "\t\t--%s.%s) words=\"", k->section, k->name);
		if (k->type == KNOB_BOOL)
			fputs("yes no", out);
		else
			print_words(out, k, " ");
		fputs("\" ;;\n", out);
	}
}

static void print_option_words(FILE *out, const struct cli *cli)
{
	for (const struct cli_option *o = cli->options; o && o->name; o++)
		fprintf(out, "--%s ", o->name);
	for (size_t i = 0; i < KNOB_N; i++)
		if (owns(cli, &knobs[i]))
			fprintf(out, "--%s.%s= ", knobs[i].section, knobs[i].name);
	fputs("--help --version", out);
}

/* Bash splits words at '=': an option's value is the second word after it, or '=' itself while
 * nothing is typed yet. */
void knob_print_completion(FILE *out, const struct cli *cli)
{
	char function[64];
	size_t n = 0;

	for (const char *p = cli->program; *p && n < sizeof(function) - 1; p++)
		function[n++] = *p == '-' ? '_' : *p;
	function[n] = '\0';
	fprintf(out,
		"# bash completion for %s\n_%s()\n{\n"
		"\tlocal words i=$COMP_CWORD\n\tlocal word=${COMP_WORDS[i]}\n\n"
		"\tif [[ $word == \"=\" ]]; then\n\t\tword=\n\t\ti=$((i + 1))\n\tfi\n"
		"\tif ((i >= 2)) && [[ ${COMP_WORDS[i - 1]} == \"=\" ]]; then\n"
		"\t\tcase ${COMP_WORDS[i - 2]} in\n",
		cli->program, function);
	print_value_cases(out, cli);
	fprintf(out, "\t\t*)\n\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
		     "\t\t\treturn\n\t\t\t;;\n\t\tesac\n"
		     "\telif [[ $word == -* ]]; then\n\t\twords=\"");
	print_option_words(out, cli);
	fprintf(out,
		"\"\n\telse\n\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n\t\treturn\n\tfi\n"
		"\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
		"\t[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace\n}\n"
		"complete -F _%s %s\n",
		function, cli->program);
}
