/* SPDX-License-Identifier: Apache-2.0 */
/* Command line and profile to configs: see settings.h. The command line is read once to find -p,
 * and again over every config that is made, so that options win over profile and variant. */
#include "harness/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/preset.h"

static const struct cli_option options[] = {
	{"profile", 'p', "NAME", NULL,
		"Profile: a file, or a name of ./profiles or the installed ones"},
	{"output", 'o', "DIR", NULL, "Folder of the results; default results/TIME-PROFILE"},
	{"dry-run", 0, NULL, NULL, "Print what would run, its time and bytes, and stop"},
	{"quiet", 'q', NULL, NULL, "Print errors and the result only"},
	{"json", 0, NULL, NULL, "Print each record as a line of JSON instead of text"},
	{"gpus", 0, "N,...", "bench.gpus", "Short for --bench.gpus"},
	{"gpu-rate", 0, "IMAGES", "bench.gpu_rate", "Short for --bench.gpu_rate"},
	{"batch", 0, "N", "bench.batch", "Short for --bench.batch"},
	{"sources", 0, "LIST", "bench.sources", "Short for --bench.sources"},
	{"origin", 0, "URL", "remote.origin", "Short for --remote.origin"},
	{NULL, 0, NULL, NULL, NULL},
};

AUTO_FREE(config, struct config, config_free);

static int set_text(char **field, const char *value, struct err *err)
{
	char *copy = strdup(value ? value : "");

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	free(*field);
	*field = copy;
	return 0;
}

static int seen(const char *name, const char *value, void *arg, struct err *err)
{
	struct settings *s = arg;

	if (!strcmp(name, "profile"))
		return set_text(&s->profile_name, value, err);
	if (!strcmp(name, "output"))
		return set_text(&s->output, value, err);
	if (!strcmp(name, "dry-run"))
		s->dry_run = true;
	else if (!strcmp(name, "quiet"))
		s->quiet = true;
	else
		s->json = true;
	return 0;
}

static int ignore_seen(const char *name, const char *value, void *arg, struct err *err)
{
	return 0;
}

static struct cli command_line(option_fn *each, void *arg)
{
	return (struct cli){.program = "run-bench",
		.usage =
			"run-bench [run] [-p PROFILE] [--KNOB=VALUE]... [-o DIR] [--dry-run]\n"
			"run-bench PATH [--gpus N] [--gpu-rate IMAGES_PER_S] [--batch B]\n"
			"run-bench report DIR\n"
			"run-bench clean\n"
			"run-bench list knobs|sources|layers|policies|accelerators|remotes|profiles",
		.summary = "Measures how far a storage is from feeding emulated GPUs: synthetic "
			   "data, a cache, a remote disk, or any mount, with the same work. "
			   "`run` does the runs of a profile, `PATH` a folder's within a minute. "
			   "`report` writes report.html of a folder of results anew. `clean` "
			   "removes what ended runs left (mounts, work folders) and unused data. "
			   "`list` names what there is.",
		.options = options,
		.owner = OWNER_ANY,
		.seen = each,
		.arg = arg};
}

/* Operands come to the front, over what stood there: so always on a copy. */
static int parse_over(const struct settings *s, const struct cli *cli, struct config *cfg,
	char ***ret_operands, int *ret_n, struct err *err)
{
	char **copy = calloc((size_t)s->argc + 1, sizeof(*copy));
	int r;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	memcpy(copy, s->argv, (size_t)s->argc * sizeof(*copy));
	r = cli_parse(cli, cfg, s->argc, copy, ret_n, err);
	*ret_operands = copy;
	return r;
}

int settings_parse(struct settings *s, int argc, char **argv, struct err *err)
{
	struct cli cli = command_line(seen, s);
	struct config *scratch = config_new();
	int r;

	*s = (struct settings){.argc = argc, .argv = argv};
	r = scratch ? parse_over(s, &cli, scratch, &s->operands, &s->n_operands, err)
		    : err_set(err, ENOMEM, "out of memory");
	config_free(scratch);
	return r;
}

int settings_apply(struct settings *s, struct err *err)
{
	struct config *cfg = settings_config(s, NULL, err);

	if (!cfg)
		return -EINVAL;
	config_free(s->cfg);
	s->cfg = cfg;
	return 0;
}

/* A profile of tables alone serves who picks from them. */
static int check_job(struct settings *s, struct err *err)
{
	int r = settings_apply(s, err);

	if (r || profile_is_job(&s->profile) || !settings_is_default(s->cfg, "bench.accelerator"))
		return r;
	return err_set(err, EINVAL,
		"%s: sets no knob, so there is nothing to run; see `run-bench list profiles`",
		s->profile.path);
}

int settings_load_profile(struct settings *s, const char *fallback, struct err *err)
{
	const char *name = s->profile_name ? s->profile_name : fallback;

	if (name) {
		AUTO(free) char *path = profile_find(name, err);
		int r = path ? profile_load(path, &s->profile, err) : -ENOENT;

		if (r)
			return r;
	}
	return name ? check_job(s, err) : settings_apply(s, err);
}

char *settings_profile_label(const char *name)
{
	const char *slash = strrchr(name, '/');
	char *label = strdup(slash ? slash + 1 : name), *dot = label ? strrchr(label, '.') : NULL;

	if (dot && dot != label && !strcmp(dot, ".ini"))
		*dot = '\0';
	return label;
}

void settings_done(struct settings *s)
{
	free(s->operands);
	free(s->profile_name);
	free(s->output);
	if (s->profile.path)
		profile_done(&s->profile);
	config_free(s->cfg);
	*s = (struct settings){0};
}

const char *settings_operand(const struct settings *s, int i)
{
	return i <= s->n_operands ? s->operands[i] : NULL;
}

/* The data that runs read are named by what bench.* asks for and by data.seed; the other values of
 * synth-data would go unheard. */
static int check_data(const struct config *cfg, struct err *err)
{
	AUTO(config) struct config *plain = config_new();

	if (!plain)
		return err_set(err, ENOMEM, "out of memory");
	for (const struct knob *k = knobs; k < knobs + KNOB_N; k++)
		if (!strcmp(k->section, "data") && strcmp(k->name, "seed") != 0 &&
			strcmp(config_text(cfg, k), config_text(plain, k)) != 0)
			return err_set(err, EINVAL,
				"data.%s: run-bench takes data.seed only, and makes what bench.format, "
				"bench.steps and bench.batch need; make other data with synth-data and "
				"give their folder by --external.path",
				k->name);
	return 0;
}

struct config *settings_config(const struct settings *s, const char *variant, struct err *err)
{
	struct cli cli = command_line(ignore_seen, NULL);
	struct config *cfg = config_new();
	AUTO(free) char **operands = NULL;
	int n, r = 0;

	if (!cfg) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (s->profile.path)
		r = profile_apply(&s->profile, variant, cfg, err);
	for (const struct settings_word *w = s->given; !r && w && w->knob; w++)
		r = config_set(cfg, w->knob, w->value, "option", err);
	if (!r)
		r = parse_over(s, &cli, cfg, &operands, &n, err);
	if (!r)
		r = preset_apply(cfg, err);
	if (!r)
		r = check_data(cfg, err);
	if (!r)
		return cfg;
	config_free(cfg);
	return NULL;
}

bool settings_is_default(const struct config *cfg, const char *dotted)
{
	const struct knob *k = knob_find(dotted, NULL);

	return k && !strcmp(cfg->origin[k - knobs].from, "default");
}

bool settings_from_option(const struct config *cfg, const char *dotted)
{
	const struct knob *k = knob_find(dotted, NULL);
	const char *from = k ? cfg->origin[k - knobs].from : NULL;

	return from && !strcmp(from, "option");
}

int settings_numbers(
	const char *knob, const char *text, int most, int **ret, size_t *ret_n, struct err *err)
{
	size_t n = 0, kept = 0, k;
	char **words = list_split(text, ',', &n);
	AUTO(free) int *numbers = calloc(n + 1, sizeof(*numbers));
	int r = words && numbers ? 0 : -ENOMEM;

	if (!r && !n)
		r = err_set(err, EINVAL, "%s is empty; give numbers, e.g. 1,2,4,8", knob);
	for (size_t i = 0; !r && i < n; i++) {
		char *end;
		long v = strtol(words[i], &end, 10);

		if (end == words[i] || *end || v < 1 || v > most)
			r = err_set(err, EINVAL,
				"%s=%s: \"%s\" is no number from 1 to %d; give e.g. 1,2,4,8", knob,
				text, words[i], most);
		for (k = 0; !r && k < kept && numbers[k] != (int)v;)
			k++;
		if (!r && k == kept)
			numbers[kept++] = (int)v;
	}
	list_free(words);
	if (r)
		return r;
	*ret = TAKE(numbers);
	*ret_n = kept;
	return 0;
}
