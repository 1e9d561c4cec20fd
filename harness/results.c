/* SPDX-License-Identifier: Apache-2.0 */
/* Results folders: see results.h. */
#include "harness/results.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/record.h"
#include "harness/mounts.h"

#define RESULTS "results"
#define FOLDERS_A_SECOND 100
#define PROFILE_MAX (4 << 20)
#define SHOWN (OWNER_CACHEFS | OWNER_RUN_BENCH | OWNER_SYNTH_REMOTE | OWNER_SYNTH_DATA)

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool results_same_cell(const json_t *record, const struct cell *c)
{
	return same_text(record_text(record, "source"), c->source->name) &&
	       same_text(record_text(record, "variant"), c->variant->name) &&
	       record_number(record, "gpus") == c->gpus;
}

json_t *results_find(const struct results *r, const struct cell *c)
{
	json_t *record;
	size_t i;

	json_array_foreach(r->records, i, record)
	{
		if (results_same_cell(record, c) &&
			same_text(record_text(record, "status"), "ok") &&
			record_number(record, "repeat") == c->repeat)
			return record;
	}
	return NULL;
}

int results_append(struct results *r, json_t *record, struct err *err)
{
	int ret = record_append(r->records_path, record, err);

	json_array_append_new(r->records, record);
	return ret;
}

/* A value of a variant that an option has overridden. */
static bool is_overridden(const struct config *cfg, const struct profile_entry *e)
{
	const char *kind = profile_table_kind(e->section);

	return kind && !strcmp(kind, "variant") && strchr(e->key, '.') &&
	       settings_from_option(cfg, e->key);
}

/* Everything but knobs: accelerators, variants; so that -p DIR/profile.ini repeats it. */
static void write_tables(const struct settings *s, FILE *out)
{
	const struct profile *p = &s->profile;
	const char *section = "";

	for (size_t i = 0; i < p->n; i++) {
		const struct profile_entry *e = &p->entries[i];

		if (!strchr(e->section, '.'))
			continue;
		if (strcmp(section, e->section))
			fprintf(out, "\n[%s]\n", e->section);
		section = e->section;
		if (!*e->key || is_overridden(s->cfg, e)) /* no key: the head of a variant */
			continue;
		fprintf(out, "%s = ", e->key);
		ini_print_value(e->value, "", out);
	}
}

static char *effective_profile(const struct settings *s, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		return NULL;
	config_to_ini(s->cfg, SHOWN, out);
	if (s->profile.path)
		write_tables(s, out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static int write_file(
	const struct results *r, const char *name, const char *text, size_t len, struct err *err)
{
	AUTO(free) char *path = NULL;

	if (asprintf(&path, "%s/%s", r->dir, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return file_write_atomic(path, text, len, 0644, err);
}

/* 0: DIR is new or the same command's; *ret_resume tells which. */
static int check_profile(
	const struct results *r, const char *text, bool *ret_resume, struct err *err)
{
	AUTO(free) char *path = NULL;
	AUTO(free) char *there = NULL;
	size_t len;
	int ret;

	if (asprintf(&path, "%s/profile.ini", r->dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	ret = file_read(path, PROFILE_MAX, &there, &len);
	*ret_resume = !ret;
	if (ret == -ENOENT && access(r->records_path, F_OK))
		return 0;
	if (ret)
		return err_set(err, EEXIST, "%s: cannot be gone on with: %s; give another -o", path,
			strerror(-ret));
	if (!strcmp(there, text))
		return 0;
	return err_set(err, EEXIST,
		"%s holds the results of another command (see %s); give another -o, or the same "
		"options to go on",
		r->dir, path);
}

static json_t *command(const struct settings *s)
{
	json_t *words = json_array();

	json_array_append_new(words, json_string("run-bench"));
	for (int i = 1; i < s->argc; i++)
		json_array_append_new(words, json_string(s->argv[i]));
	return words;
}

static int write_environment(
	const struct results *r, const struct settings *s, const char *profile, struct err *err)
{
	json_t *env = record_environment();
	AUTO(free) char *text = NULL;

	if (!env)
		return err_set(err, ENOMEM, "out of memory");
	json_object_set_new(env, "command", command(s));
	json_object_set_new(env, "profile", json_string(profile));
	json_object_set_new(env, "started", json_string(r->stamp));
	json_object_set_new(env, "mounts", mounts_remote());
	text = json_dumps(env, JSON_INDENT(2) | JSON_SORT_KEYS);
	json_decref(env);
	return text ? write_file(r, "environment.json", text, strlen(text), err) : -ENOMEM;
}

static void count_kept(struct results *r, const struct matrix *m)
{
	for (size_t i = 0; i < m->n_cells; i++)
		r->kept += results_find(r, &m->cells[i]) != NULL;
}

static int lock_folder(struct results *r, struct err *err)
{
	int ret = file_make_dirs(r->dir, 0755);

	if (!ret && (r->lock = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		ret = -errno;
	if (ret)
		return err_set(err, -ret, "%s: %s; give a folder that can be written with -o",
			r->dir, strerror(-ret));
	if (flock(r->lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, EBUSY,
			"%s: another run-bench works there; wait for it or give another -o",
			r->dir);
	return 0;
}

static int fill_folder(struct results *r, const struct settings *s, const struct matrix *m,
	const char *profile, struct err *err)
{
	size_t len;
	AUTO(free) char *text = effective_profile(s, &len);
	bool resume = false;
	int ret = lock_folder(r, err);

	if (ret)
		return ret;
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	ret = check_profile(r, text, &resume, err);
	if (ret)
		return ret;
	if (resume)
		r->records = record_load(r->records_path, NULL, err);
	if (!r->records)
		r->records = json_array();
	count_kept(r, m);
	ret = resume ? 0 : write_environment(r, s, profile, err);
	return ret || resume ? ret : write_file(r, "profile.ini", text, len, err);
}

/* results/TIME-PROFILE, made here so that two runs of one second get two folders. */
static int own_folder(struct results *r, const char *profile, struct err *err)
{
	int n = 1, ret = file_make_dirs(RESULTS, 0755);

	while (!ret) {
		free(r->dir);
		if (asprintf(&r->dir, n > 1 ? RESULTS "/%s-%s-%d" : RESULTS "/%s-%s", r->stamp,
			    profile, n) < 0) {
			r->dir = NULL;
			return err_set(err, ENOMEM, "out of memory");
		}
		if (!mkdir(r->dir, 0755))
			return 0;
		ret = errno == EEXIST && n++ < FOLDERS_A_SECOND ? 0 : -errno;
	}
	return err_set(err, -ret, "%s: %s; give a folder that can be written with -o",
		r->dir ? r->dir : RESULTS, strerror(-ret));
}

/* results/latest -> the folder's name; a link that cannot be made is no failure. */
static void link_latest(const struct results *r)
{
	AUTO(free) char *fresh = NULL;

	if (asprintf(&fresh, RESULTS "/latest.%d", (int)getpid()) < 0) {
		fresh = NULL;
		return;
	}
	if (!symlink(strrchr(r->dir, '/') + 1, fresh) && rename(fresh, RESULTS "/latest"))
		unlink(fresh);
}

static void keep_steps(const json_t *records, struct variant *v, char *why, size_t why_len)
{
	json_t *record;
	size_t i;

	json_array_foreach(records, i, record)
	{
		double steps = record_number(record, "steps");
		const char *reason = record_text(record, "scale.why");

		if (!same_text(record_text(record, "status"), "ok") ||
			!same_text(record_text(record, "variant"), v->name) || !(steps >= 1) ||
			steps >= v->steps)
			continue;
		v->steps = (int)steps;
		snprintf(why, why_len, "%s", reason ? reason : "");
	}
}

void results_keep_steps(const struct settings *s, struct matrix *m, char *why, size_t why_len)
{
	AUTO(free) char *path = NULL;
	json_t *records;

	if (!s->output)
		return;
	if (asprintf(&path, "%s/records.jsonl", s->output) < 0) {
		path = NULL;
		return;
	}
	records = record_load(path, NULL, NULL);
	for (size_t i = 0; i < m->n_variants; i++)
		keep_steps(records, &m->variants[i], why, why_len);
	json_decref(records);
}

int results_open(struct results *r, const struct settings *s, const struct matrix *m,
	const char *profile, struct err *err)
{
	time_t now = (time_t)(clock_wall_ns() / NSEC_PER_SEC);
	struct tm tm;
	int ret;

	*r = (struct results){.lock = -1};
	gmtime_r(&now, &tm);
	strftime(r->stamp, sizeof(r->stamp), "%Y%m%dT%H%M%S", &tm);
	if (!s->output) {
		ret = own_folder(r, profile, err);
		if (ret)
			return ret;
	} else if (!(r->dir = strdup(s->output))) {
		return err_set(err, ENOMEM, "out of memory");
	}
	if (asprintf(&r->records_path, "%s/records.jsonl", r->dir) < 0) {
		r->records_path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	ret = fill_folder(r, s, m, profile, err);
	if (!ret && !s->output)
		link_latest(r);
	return ret;
}

void results_done(struct results *r)
{
	if (r->dir && r->lock >= 0)
		close(r->lock);
	free(r->dir);
	free(r->records_path);
	json_decref(r->records);
	*r = (struct results){.lock = -1};
}
