/* SPDX-License-Identifier: Apache-2.0 */
/* Knobs: every setting of every program, from one table.
 *
 * common/knobs.def has one row a knob. From it come the typed field in struct config, the option
 * --section.name=VALUE, the profile entry "[section] name = VALUE", the mount option
 * -o section.name=VALUE, --help, manual page, commented INI template, completion, sweep values and
 * the captions of records and reports. Nothing else repeats a knob's name but the code that uses
 * it. Defaults are text and go through the user's parser; each value remembers where it came from.
 *
 * Order of precedence, weakest first: default, preset, profile (later lines win), option.
 * A struct config is written by one thread while a program starts; readers need no lock. LIVE
 * knobs are changed in cachefs by session code that copies them into atomics. */
#ifndef FEEDRATE_KNOB_H
#define FEEDRATE_KNOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#include "common/err.h"

/* Type of a knob: how its text is parsed (common/units.h) and what its field is. */
enum knob_type {
	KNOB_BOOL,   /* yes|no                                    bool */
	KNOB_COUNT,  /* integer                                   int64_t */
	KNOB_SIZE,   /* bytes                                     int64_t */
	KNOB_RATE,   /* bytes/s                                   int64_t */
	KNOB_TIME,   /* nanoseconds                               int64_t */
	KNOB_RATIO,  /* 0.95 or 95%                               double */
	KNOB_CHOICE, /* one of `words`; its value, else its index int */
	KNOB_STRING  /* any text, also comma lists                const char *, never NULL */
};

/* Whose knob: a program accepts the knobs of its own bit; run-bench accepts all and passes
 * cachefs and synth-remote theirs. */
enum knob_owner {
	OWNER_CACHEFS = 1,
	OWNER_RUN_BENCH = 2,
	OWNER_SYNTH_REMOTE = 4,
	OWNER_SYNTH_DATA = 8,
	OWNER_ANY = 15
};

enum knob_when { KNOB_START, KNOB_LIVE }; /* START: a change means a new mount */

/* Values of CHOICE knobs, in the order of their `words`; a unit test compares the two. */
enum open_mode { OPEN_DIRECT, OPEN_PAGE, OPEN_NOOPEN, OPEN_PASSTHROUGH, OPEN_AUTO };
enum fuse_dispatch { DISPATCH_POOL, DISPATCH_INLINE };
enum cpu_bind { BIND_NONE, BIND_COMPACT, BIND_SPREAD };
enum fill_mode { FILL_SYNC, FILL_ASYNC };
enum promote_mode { PROMOTE_AUTO, PROMOTE_YES, PROMOTE_NO };
enum page_cache_mode { PAGE_CACHE_AUTO, PAGE_CACHE_KEEP, PAGE_CACHE_DROP };
enum data_format { FORMAT_TFRECORD, FORMAT_IMAGEFOLDER };
enum http_version { HTTP_VERSION_AUTO, HTTP_VERSION_1_1, HTTP_VERSION_2 };
enum list_style { LIST_AUTO, LIST_S3, LIST_AUTOINDEX };
enum s3_style { S3_STYLE_AUTO, S3_STYLE_PATH, S3_STYLE_HOST };
enum bench_sync { SYNC_STEP, SYNC_NONE };

/* Special words of numeric knobs stand for negative values: see `words` of the row. A word that ends
 * in a colon goes before a number: with "cpu:=1000", "cpu:250" is 250,000, and "cpu:1ms" is what
 * "1ms" is. */
#define KNOB_VALUE_AUTO (-1)
#define KNOB_VALUE_NEVER (-1)
#define CPU_COUNT_CEIL (-2)
#define CPU_COUNT_FLOOR (-3)
#define PAGE_CACHE_ANY (-1) /* bench.page_cache=any: no limit */
#define BENCH_DECODE_NONE (-2)

struct knob {
	const char *section, *name;
	enum knob_type type;
	const char *def, *min, *max; /* text; "" for no bound */
	const char *words;           /* "auto=-1,never=-2" or, for CHOICE, "direct,page" */
	unsigned owner;              /* bits of enum knob_owner */
	enum knob_when when;
	const char *sweep;     /* values a sweep tries, comma-separated; "" for none */
	const char *elsewhere; /* whose setting this mirrors, with its default; "" for none */
	const char *help;      /* one sentence, units and source of the default included */
	size_t offset;         /* of the field in struct config */
};

/* clang-format off */
enum knob_id {
#define SECTION(name, help)
#define KNOB(section, name, ...) KNOB_ID_##section##_##name,
#define SECTION_END(name)
#include "common/knobs.def"
	KNOB_N
};
/* clang-format on */

extern const struct knob knobs[KNOB_N];

struct knob_section {
	const char *name, *help;
};

extern const struct knob_section knob_sections[]; /* ends with .name == NULL */
bool knob_is_section(const char *name);
const char *knob_nearest_section(const char *name); /* NULL: none is near */

/* Where a value came from: text is "default", "preset:oss", "profile:quick.ini:12" or "option". */
struct knob_origin {
	char *text; /* the value as the user wrote it */
	char *from;
};

#define FIELD_BOOL bool
#define FIELD_COUNT int64_t
#define FIELD_SIZE int64_t
#define FIELD_RATE int64_t
#define FIELD_TIME int64_t
#define FIELD_RATIO double
#define FIELD_CHOICE int
#define FIELD_STRING const char *

/* clang-format off */
struct config {
#define SECTION(name, help) struct {
#define KNOB(section, name, type, ...) FIELD_##type name;
#define SECTION_END(name) } name;
#include "common/knobs.def"
	struct knob_origin origin[KNOB_N];
};
/* clang-format on */

/* All defaults; NULL only without memory. */
struct config *config_new(void);
struct config *config_copy(const struct config *cfg);
void config_free(struct config *cfg);

/* "fuse.max_threads" to its knob; NULL if there is none, and err then says which sections or
 * names are nearest. */
const struct knob *knob_find(const char *dotted, struct err *err);

/* Parses and checks text; on failure cfg is unchanged and err names knob, value, range and remedy.
 * from: see struct knob_origin. Returns 0, -ENOENT (no such knob), -EINVAL, -ERANGE. */
int config_set(struct config *cfg, const char *dotted, const char *text, const char *from,
	struct err *err);

/* The value as text that config_set() reads back to the same value. */
const char *config_text(const struct config *cfg, const struct knob *k);

/* "section.a=1,section.b=2" as mount options give them; "\," stands for a comma inside a value.
 * Options that are no knobs go to other(name, value or NULL), which returns 0 or -errno. */
typedef int option_fn(const char *name, const char *value, void *arg, struct err *err);
int config_set_mount_options(struct config *cfg, const char *options, unsigned owner,
	option_fn *other, void *arg, struct err *err);

/* Whether a is not at its default. */
bool config_is_set(const struct config *cfg, const struct knob *k);

/* Knobs of owner whose value differs from the default as "--section.name=value" strings, for a
 * child's command line; NULL-terminated, each and the array malloc'ed. Never credentials. */
char **config_to_args(const struct config *cfg, unsigned owner);

/* {"fuse.max_threads":{"value":"10","from":"default"},...}: knobs of owner. */
json_t *config_to_json(const struct config *cfg, unsigned owner);

/* The effective profile: values off their default first, the rest as comments. */
void config_to_ini(const struct config *cfg, unsigned owner, FILE *out);

/* A value after "KEY = ", and a newline, as profiles read it back: a long one goes on in indented
 * lines, each cut at a backslash and starting with mark ("" or "# "); never at a space, which would
 * be lost. text has no newline. */
void ini_print_value(const char *text, const char *mark, FILE *out);

/* ---- comma lists inside STRING knobs ---- */
char **list_split(
	const char *text, char separator, size_t *ret_n); /* trimmed; free with list_free */
void list_free(char **list);

/* ---- command lines ---- */
struct cli_option {
	const char *name;    /* long name without dashes */
	char letter;         /* short form, 0 for none */
	const char *metavar; /* NULL: takes no value */
	const char *knob;    /* NULL, or the knob this is short for: then seen() is not called */
	const char *help;
};

struct cli {
	const char *program, *usage, *summary; /* usage lines, one sentence */
	const char *examples;                  /* lines for the manual page; may be NULL */
	const struct cli_option
		*options; /* ends with .name == NULL; --help and --version are added */
	unsigned owner;
	option_fn *seen; /* options without knob, in order; must not be NULL if there are any */
	void *arg;
};

/* Reads options of argv into cfg; "--X V" equals "--X=V" (booleans always with "="); "--" ends them;
 * operands are moved to the front of argv[1..*ret_operands]. --help (a screen; with a knob's name:
 * everything about it; =man, =ini, =completion: the generated text) and --version print, and 1 is
 * returned: the program is done. Else 0 or -errno. Options win over profiles, so a program with -p
 * calls it twice: with cfg NULL (knobs are not looked at, argv is not reordered), then, profiles
 * applied, with cfg. seen() is called each time. */
int cli_parse(const struct cli *cli, struct config *cfg, int argc, char **argv, int *ret_operands,
	struct err *err);

/* ---- generated texts (knob_docs.c) ---- */
void knob_print_help(FILE *out, const struct cli *cli);
void knob_print_depth(FILE *out, const struct knob *k);
void knob_print_man(FILE *out, const struct cli *cli);
void knob_print_ini(FILE *out, unsigned owner);
void knob_print_completion(FILE *out, const struct cli *cli); /* bash */

#endif
