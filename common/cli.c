/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: --section.name=VALUE for every knob of the program, short forms, letters, operands.
 *
 * Written over argv itself rather than getopt_long, whose tables would repeat every knob and whose
 * messages name no nearest word. */
#include "common/knob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "version.h"

struct parse {
	const struct cli *cli;
	struct config *cfg; /* NULL: only options without knob are looked at */
	int argc, next;     /* next: index of the next argument */
	char **argv;
	struct err *err;
};

static const struct cli_option *find_option(const struct cli *cli, const char *name, size_t len)
{
	for (const struct cli_option *o = cli->options; o && o->name; o++)
		if (strlen(o->name) == len && !strncmp(o->name, name, len))
			return o;
	return NULL;
}

static const struct cli_option *find_letter(const struct cli *cli, char letter)
{
	for (const struct cli_option *o = cli->options; o && o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	return NULL;
}

/* Whose knob k is, for a message to somebody who gave it to another program. */
static const char *owner_name(const struct knob *k)
{
	if (k->owner & OWNER_RUN_BENCH)
		return "run-bench";
	if (k->owner & OWNER_CACHEFS)
		return "cachefs";
	return k->owner & OWNER_SYNTH_REMOTE ? "synth-remote" : "synth-data";
}

static int unknown_option(struct parse *p, const char *name)
{
	const char *words[KNOB_N + 64];
	char dotted[KNOB_N][48];
	size_t n = 0;

	for (const struct cli_option *o = p->cli->options; o && o->name && n < 62; o++)
		words[n++] = o->name;
	words[n++] = "help";
	words[n++] = "version";
	for (size_t i = 0; i < KNOB_N; i++) {
		if (!(knobs[i].owner & p->cli->owner))
			continue;
		snprintf(dotted[i], sizeof(dotted[i]), "%s.%s", knobs[i].section, knobs[i].name);
		words[n++] = dotted[i];
	}
	const char *near = err_nearest(name, words, n);

	return err_set(p->err, EINVAL, "--%s: unknown option%s%s%s", name,
		near ? "; did you mean --" : "; see --help", near ? near : "", near ? "?" : "");
}

/* The knob of this program called name; NULL and a message otherwise. */
static const struct knob *own_knob(struct parse *p, const char *name)
{
	struct err ignored;
	const struct knob *k = strchr(name, '.') ? knob_find(name, &ignored) : NULL;

	if (!k) {
		unknown_option(p, name);
		return NULL;
	}
	if (!(k->owner & p->cli->owner)) {
		err_set(p->err, EINVAL, "--%s: a knob of %s, not of %s", name, owner_name(k),
			p->cli->program);
		return NULL;
	}
	return k;
}

static int set_knob(struct parse *p, const char *option, const char *dotted, const char *value)
{
	int r;

	if (!p->cfg)
		return 0;
	r = config_set(p->cfg, dotted, value, "option", p->err);
	return r < 0 && strcmp(option, dotted) != 0 ? err_prefix(p->err, r, "--%s", option) : r;
}

/* The value of an option: after '=', else the next argument unless that is an option itself. */
static const char *take_value(
	struct parse *p, const char *option, const char *given, const char *metavar)
{
	if (given)
		return given;
	if (p->next < p->argc && strncmp(p->argv[p->next], "--", 2) != 0)
		return p->argv[p->next++];
	err_set(p->err, EINVAL, "--%s: needs a value; give --%s=%s", option, option, metavar);
	return NULL;
}

/* Prints what was asked for: 1, the program is done. */
static int do_help(struct parse *p, const char *what)
{
	if (!what && p->next < p->argc && p->argv[p->next][0] != '-')
		what = p->argv[p->next++];
	if (!what)
		knob_print_help(stdout, p->cli);
	else if (!strcmp(what, "man"))
		knob_print_man(stdout, p->cli);
	else if (!strcmp(what, "ini"))
		knob_print_ini(stdout, p->cli->owner);
	else if (!strcmp(what, "completion"))
		knob_print_completion(stdout, p->cli);
	else {
		const struct cli_option *o = find_option(p->cli, what, strlen(what));
		const struct knob *k = knob_find(o && o->knob ? o->knob : what, p->err);

		if (!k)
			return -EINVAL;
		knob_print_depth(stdout, k);
	}
	return 1;
}

static int seen_option(struct parse *p, const struct cli_option *o, const char *value)
{
	if (o->knob)
		return set_knob(p, o->name, o->knob, value);
	return p->cli->seen(o->name, value, p->cli->arg, p->err);
}

static int long_option(struct parse *p, const char *arg)
{
	const char *equals = strchr(arg, '='), *value = equals ? equals + 1 : NULL;
	size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
	const struct cli_option *o = find_option(p->cli, arg, len);
	AUTO(free) char *name = strndup(arg, len);

	if (!name)
		return -ENOMEM;
	if (!strcmp(name, "help"))
		return do_help(p, value);
	if (!strcmp(name, "version")) {
		printf("%s (feedrate) %s\n", p->cli->program, FEEDRATE_VERSION);
		return 1;
	}
	if (o && !o->metavar)
		return value ? err_set(p->err, EINVAL, "--%s: takes no value", name)
			     : seen_option(p, o, NULL);
	const struct knob *k = o ? NULL : own_knob(p, name);

	if (!o && !k)
		return -EINVAL;
	if (k && k->type == KNOB_BOOL && !value)
		return err_set(p->err, EINVAL, "--%s: give --%s=yes or --%s=no", name, name, name);
	value = take_value(p, name, value, o ? o->metavar : "VALUE");
	if (!value)
		return -EINVAL;
	return o ? seen_option(p, o, value) : set_knob(p, name, name, value);
}

/* -p X, -pX; letters do not combine. */
static int short_option(struct parse *p, const char *arg)
{
	const struct cli_option *o = find_letter(p->cli, arg[0]);
	const char *value = arg[1] ? arg + 1 : NULL;

	if (arg[0] == 'h' && !o)
		return do_help(p, value);
	if (arg[0] == 'V' && !o)
		return long_option(p, "version");
	if (!o)
		return err_set(p->err, EINVAL, "-%c: unknown option; see --help", arg[0]);
	if (!o->metavar)
		return value ? err_set(p->err, EINVAL, "-%s: unknown option; see --help", arg)
			     : seen_option(p, o, NULL);
	value = take_value(p, o->name, value, o->metavar);
	return value ? seen_option(p, o, value) : -EINVAL;
}

int cli_parse(const struct cli *cli, struct config *cfg, int argc, char **argv, int *ret_operands,
	struct err *err)
{
	struct parse p = {cli, cfg, argc, 1, argv, err};
	bool options = true;
	int operands = 0;

	while (p.next < argc) {
		char *arg = argv[p.next++];
		int r = 0;

		if (options && !strcmp(arg, "--"))
			options = false;
		else if (options && !strncmp(arg, "--", 2))
			r = long_option(&p, arg + 2);
		else if (options && arg[0] == '-' && arg[1])
			r = short_option(&p, arg + 1);
		else if (++operands && cfg)
			argv[operands] = arg;
		if (r)
			return r;
	}
	*ret_operands = operands;
	return 0;
}

/* Cuts the first option off *in, in place: "\," becomes a comma of its value. */
static char *next_mount_option(char **in)
{
	char *start = *in, *out = start, *p = start;

	for (; *p && *p != ','; p++) {
		if (p[0] == '\\' && p[1] == ',')
			p++;
		*out++ = *p;
	}
	*in = *p ? p + 1 : p;
	*out = '\0';
	return start;
}

static int set_mount_knob(
	struct config *cfg, const char *name, const char *value, unsigned owner, struct err *err)
{
	const struct knob *k = knob_find(name, err);

	if (!k)
		return err_prefix(err, -EINVAL, "-o");
	if (!(k->owner & owner))
		return err_set(err, EINVAL, "-o %s: a knob of %s", name, owner_name(k));
	if (!value)
		return err_set(err, EINVAL, "-o %s: needs a value; give -o %s=VALUE", name, name);
	return config_set(cfg, name, value, "option", err);
}

int config_set_mount_options(struct config *cfg, const char *options, unsigned owner,
	option_fn *other, void *arg, struct err *err)
{
	AUTO(free) char *copy = strdup(options);
	char *in = copy;
	int r = 0;

	if (!copy)
		return err_set(err, ENOMEM, "out of memory");
	while (!r && *in) {
		char *name = next_mount_option(&in), *value = strchr(name, '=');

		if (!*name)
			continue;
		if (value)
			*value++ = '\0';
		if (!*name)
			return err_set(err, EINVAL, "-o =%s: a value without a name", value);
		/* mount(8) passes "x-..." on to whoever knows it, dots or not. */
		if (strchr(name, '.') && strncmp(name, "x-", 2) != 0)
			r = set_mount_knob(cfg, name, value, owner, err);
		else
			r = other(name, value, arg, err);
	}
	return r;
}
