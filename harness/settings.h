/* SPDX-License-Identifier: Apache-2.0 */
/* settings - what the command line and the profile ask for. */
#ifndef HARNESS_SETTINGS_H
#define HARNESS_SETTINGS_H

#include <stdbool.h>

#include "common/profile.h"

/* The profile that runs when none is named. */
#define DEFAULT_PROFILE "quick"

/* A knob that a short form sets: stronger than the profile, weaker than the user's options. */
struct settings_word {
	const char *knob, *value;
};

struct settings {
	int argc;
	char **argv;     /* main()'s */
	char **operands; /* [1..n_operands]; element 0 is unused */
	int n_operands;
	char *profile_name; /* -p; NULL if not given */
	char *output;       /* -o; NULL if not given */
	bool dry_run, quiet, json;
	const struct settings_word *given; /* ends with .knob NULL; NULL: none. Borrowed */
	struct profile profile;            /* .path NULL: none */
	struct config *cfg;                /* profile and options, no variant */
};

/* Reads the command line, and the profile if there is one: -p NAME, else fallback (may be NULL).
 * 0; 1 after --help or --version; -errno and err. settings_done() is owed in any case. */
int settings_parse(struct settings *s, int argc, char **argv, struct err *err);
int settings_load_profile(struct settings *s, const char *fallback, struct err *err);

/* Makes s->cfg anew, after a change of s->given. */
int settings_apply(struct settings *s, struct err *err);

/* "quick" of "quick" and of "dir/quick.ini": names the results folder. free() it. */
char *settings_profile_label(const char *name);
void settings_done(struct settings *s);

/* The operand (1..), or NULL. */
const char *settings_operand(const struct settings *s, int i);

/* Defaults, profile, variant of it (may be NULL), s->given, options, preset: a new config, or NULL and err. */
struct config *settings_config(const struct settings *s, const char *variant, struct err *err);

/* Whether the user gave this knob on the command line. */
bool settings_from_option(const struct config *cfg, const char *dotted);

/* Whether nobody gave it. */
bool settings_is_default(const struct config *cfg, const char *dotted);

/* Comma list of whole numbers 1..most, as bench.gpus has: each once. *ret is malloc'ed. */
int settings_numbers(
	const char *knob, const char *text, int most, int **ret, size_t *ret_n, struct err *err);

#endif
