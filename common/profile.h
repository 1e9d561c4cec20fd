/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: INI files of knob values, as users edit them.
 *
 *   include = accelerators.ini      before any section; beside this file, else as "-p" finds it
 *   [fuse]                          a knob section
 *   max_threads = 64
 *   [variant.page]                  a named variant: an axis of run-bench
 *   base = other                    starts from another variant of this profile
 *   fuse.open_mode = page
 *   [accelerator.v100-article]      a table that is not knobs: accelerator, remote,
 *   images_per_s = 953              external.knob; read by the program that knows it
 *
 * Read by inih through a reader that counts lines, so every message says FILE:LINE. A physical
 * line over inih's limit (198 bytes as Debian builds it) is an error; long values go on in indented
 * lines, after a space or, where a line ends in a backslash, without. Include depth <= 8, a cycle is
 * an error. Of a key given twice, in one section or across files, the later wins. */
#ifndef FEEDRATE_PROFILE_H
#define FEEDRATE_PROFILE_H

#include "common/knob.h"

struct profile_entry {
	char *section, *key, *value, *file; /* key "": the head of a variant, which may be empty */
	int line;
};

struct profile {
	char *path;
	struct profile_entry *entries; /* in order, includes spliced in */
	size_t n;
};

/* "-p NAME": the file NAME; then ./profiles/NAME[.ini]; then the one installed with this program.
 * Returns a malloc'ed path, or NULL and err lists the nearest name and where it looked. */
char *profile_find(const char *name, struct err *err);

/* The names that profile_find() knows in ./profiles and the installed folder, sorted;
 * NULL-terminated, free with list_free(). */
char **profile_names(void);

/* Checks syntax, sections, keys, values and bases, so that profile_apply() fails for an unknown variant
 * only. The message names file, line, section, key and the
 * nearest valid name. */
int profile_load(const char *path, struct profile *ret, struct err *err);
void profile_done(struct profile *p);

/* Applies knob sections, then variant (NULL: none) with its bases. */
int profile_apply(
	const struct profile *p, const char *variant, struct config *cfg, struct err *err);

/* Whether it sets a knob or has a variant: tables alone are no job. */
bool profile_is_job(const struct profile *p);

/* The KIND of table that a section "KIND.NAME" is: variant, accelerator, remote or external.knob;
 * NULL when it is none. */
const char *profile_table_kind(const char *section);

/* Names X of sections "[KIND.X]" in order of first appearance; NULL-terminated, free with
 * list_free(). */
char **profile_tables(const struct profile *p, const char *kind);

/* Value of KEY in [KIND.NAME], the last one given; NULL if absent. Owned by the profile. */
const char *profile_value(
	const struct profile *p, const char *kind, const char *name, const char *key);

#endif
