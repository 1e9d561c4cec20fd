/* SPDX-License-Identifier: Apache-2.0 */
/* run-bench: how far a storage is from feeding emulated GPUs.
 *
 * This file knows the subcommands; what each does lies in campaign.c (run), path_mode.c (PATH),
 * list.c, clean.c and reports/. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "harness/campaign.h"
#include "harness/clean.h"
#include "harness/list.h"
#include "harness/path_mode.h"
#include "reports/report.h"

/* Returns an enum exit_code; a message in err is printed. */
struct command {
	const char *name;
	int (*run)(struct settings *s, struct err *err);
	int operands; /* after the name */
};

static int refuse_operand(const char *operand, struct err *err)
{
	err_set(err, EINVAL, "%s: what is this? give options as --NAME=VALUE; see --help", operand);
	return EXIT_USAGE;
}

static int command_run(struct settings *s, struct err *err)
{
	const char *name = s->profile_name ? s->profile_name : DEFAULT_PROFILE;
	AUTO(free) char *label = settings_profile_label(name);

	if (settings_load_profile(s, DEFAULT_PROFILE, err))
		return EXIT_USAGE;
	return campaign_run(s, label ? label : name, NULL);
}

static int command_report(struct settings *s, struct err *err)
{
	const char *dir = settings_operand(s, 2);
	AUTO(free) char *text = NULL;

	if (!dir) {
		err_set(err, EINVAL, "report: give the folder of a run, e.g. results/latest");
		return EXIT_USAGE;
	}
	if (report_write(dir, err))
		return EXIT_FAILED;
	if (err->msg[0])
		fprintf(stderr, "run-bench: %s\n", err->msg);
	text = report_text(dir, err);
	if (!text)
		return EXIT_FAILED;
	if (!s->quiet)
		fputs(text, stdout);
	printf("Report: %s/report.html\n", dir);
	return EXIT_DONE;
}

static const struct command commands[] = {
	{"run", command_run, 0},
	{"report", command_report, 1},
	{"list", list_run, 1},
	{"clean", clean_run, 0},
};

static const struct command *unknown_command(const char *name, struct err *err)
{
	const char *names[ARRAY_SIZE(commands)], *near;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	near = err_nearest(name, names, ARRAY_SIZE(commands));
	err_set(err, EINVAL, "%s: no such command%s%s%s; a path needs a slash: ./%s", name,
		near ? "; did you mean " : " (there are run, report, list, clean)",
		near ? near : "", near ? "?" : "", name);
	return NULL;
}

static const struct command *find_command(const struct settings *s, struct err *err)
{
	static const struct command path = {"PATH", path_mode_run, 0};
	const char *name = settings_operand(s, 1), *more;
	const struct command *found = NULL;

	if (!name)
		return &commands[0];
	if (strchr(name, '/'))
		found = &path;
	for (size_t i = 0; !found && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			found = &commands[i];
	if (!found)
		return unknown_command(name, err);
	more = settings_operand(s, found->operands + 2);
	return more && refuse_operand(more, err) ? NULL : found;
}

int main(int argc, char **argv)
{
	const struct command *command = NULL;
	struct err err = {""};
	struct settings s;
	int code = EXIT_USAGE, r = settings_parse(&s, argc, argv, &err);

	if (!r)
		command = find_command(&s, &err);
	if (command)
		code = command->run(&s, &err);
	else if (r > 0)
		code = EXIT_DONE;
	if (code && err.msg[0])
		fprintf(stderr, "run-bench: %s\n", err.msg);
	settings_done(&s);
	return code;
}
