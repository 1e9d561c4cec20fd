/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on the page, ready to be pasted: how to repeat the run, how to measure other storage. */
#include "reports/page.h"

#include <math.h>
#include <string.h>

#include "common/record.h"
#include "reports/html.h"

/* A word as a shell takes it, quoted where it must be. */
static void write_shell_word(FILE *out, const char *word)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789@%+=:,./_-";

	if (*word && strspn(word, safe) == strlen(word)) {
		fputs(word, out);
		return;
	}
	html_text(out, "'");
	for (const char *c = word; *c; c++)
		html_text(out, *c == '\'' ? "'\\''" : (char[]){*c, '\0'});
	html_text(out, "'");
}

void page_write_repeat(FILE *out, const struct page *p)
{
	const json_t *command = json_object_get(p->model->environment, "command");
	json_t *word;
	size_t i;

	if (json_is_string(command)) {
		html_text(out, json_string_value(command));
		return;
	}
	if (!json_array_size(command)) {
		fputs("run-bench -p ", out);
		write_shell_word(out, p->model->profile ? "profile.ini" : "PROFILE");
		return;
	}
	json_array_foreach(command, i, word)
	{
		if (i)
			fputc(' ', out);
		write_shell_word(out, json_is_string(word) ? json_string_value(word) : "");
	}
}

/* run-bench PATH with the GPUs of this report; path NULL: a place for the reader's. */
static void write_path_command(FILE *out, const struct model *m, const char *path)
{
	double rate = m->n_series ? m->series[0].nominal : NAN;

	fputs("<pre tabindex=\"0\">run-bench ", out);
	if (path)
		write_shell_word(out, path);
	else
		fputs("PATH", out);
	fprintf(out, " --gpus %d", model_most_gpus(m) > 0 ? model_most_gpus(m) : 1);
	if (rate > 0)
		fprintf(out, " --gpu-rate %.0f", rate);
	fputs("</pre>", out);
}

static void write_mount(FILE *out, const struct page *p, const json_t *mount)
{
	const char *path = record_text(mount, "path"), *type = record_text(mount, "type");
	const char *source = record_text(mount, "source");

	if (!path)
		return;
	fputs("<li>", out);
	write_path_command(out, p->model, path);
	fputs("<small>", out);
	html_text(out, type ? type : "mount");
	if (source) {
		fputs(" of ", out);
		html_text(out, source);
	}
	fputs("</small></li>\n", out);
}

void page_write_mounts(FILE *out, const struct page *p)
{
	const json_t *mounts = json_object_get(p->model->environment, "mounts");
	json_t *mount;
	size_t i;

	if (!json_array_size(mounts)) {
		fprintf(out,
			"<p>Any folder or mount, within a minute, and nothing is written there.%s"
			"</p>",
			json_is_array(mounts) ? " This machine has no network or FUSE mount." : "");
		write_path_command(out, p->model, NULL);
		return;
	}
	fputs("<p>The network and FUSE mounts of this machine. Each is answered within a minute, "
	      "and nothing is written there.</p><ul class=\"plain\">\n",
		out);
	json_array_foreach(mounts, i, mount)
	{
		write_mount(out, p, mount);
	}
	fputs("</ul>\n", out);
}
