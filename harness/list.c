/* SPDX-License-Identifier: Apache-2.0 */
/* Names from the registries and tables: see list.h. Each list is an array of objects whose first
 * member is the name and last the text about it; printing knows no more than that. */
#include "harness/list.h"

#include <errno.h>
#include <string.h>

#include "cachefs/policy.h"
#include "cachefs/store.h"
#include "common/cleanup.h"
#include "harness/accelerator.h"
#include "harness/source.h"

static json_t *list_knobs(struct err *err)
{
	json_t *all = json_array();

	for (size_t i = 0; i < KNOB_N; i++) {
		const struct knob *k = &knobs[i];
		char name[80];

		snprintf(name, sizeof(name), "%s.%s", k->section, k->name);
		json_array_append_new(
			all, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name", name,
				     "default", k->def, "min", k->min, "max", k->max, "words",
				     k->words, "sweep", k->sweep, "summary", k->help));
	}
	return all;
}

static json_t *entry(const char *name, const char *summary)
{
	return json_pack("{s:s, s:s}", "name", name, "summary", summary);
}

static json_t *list_sources(struct err *err)
{
	json_t *all = json_array();

	for (size_t i = 0; source_registry[i]; i++)
		json_array_append_new(
			all, entry(source_registry[i]->name, source_registry[i]->summary));
	return all;
}

static json_t *list_layers(struct err *err)
{
	json_t *all = json_array();

	for (size_t i = 0; store_registry[i]; i++)
		json_array_append_new(
			all, entry(store_registry[i]->name, store_registry[i]->summary));
	return all;
}

static json_t *list_policies(struct err *err)
{
	json_t *all = json_array();

	for (size_t i = 0; policy_registry[i]; i++)
		json_array_append_new(
			all, entry(policy_registry[i]->name, policy_registry[i]->summary));
	return all;
}

static int add_accelerators(json_t *all, const struct profile *p, struct err *err)
{
	char **names = profile_tables(p, "accelerator");
	int r = 0;

	for (char **n = names; !r && n && *n; n++) {
		struct accelerator a;

		r = accelerator_find(p, *n, &a, err);
		if (r)
			break;
		json_array_append_new(
			all, json_pack("{s:s, s:f, s:i, s:b, s:b, s:s, s:s}", "name", a.name,
				     "images_per_s", a.images_per_s, "batch", a.batch,
				     "allreduce_included", a.allreduce_included, "calibrated",
				     a.calibrated, "source", a.source, "label", a.label));
		accelerator_done(&a);
	}
	list_free(names);
	return r;
}

static json_t *list_accelerators(struct err *err)
{
	AUTO(free) char *path = profile_find("accelerators", err);
	json_t *all = json_array();
	struct profile p = {0};

	if (path && !profile_load(path, &p, err) && !add_accelerators(all, &p, err)) {
		profile_done(&p);
		return all;
	}
	profile_done(&p);
	json_decref(all);
	return NULL;
}

static json_t *remote(const struct profile *p, const char *name)
{
	static const char *const keys[] = {"bandwidth", "latency", "source"};
	json_t *o = json_object();

	json_object_set_new(o, "name", json_string(name));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *value = profile_value(p, "remote", name, keys[i]);

		json_object_set_new(o, keys[i], json_string(value ? value : ""));
	}
	return o;
}

static json_t *list_remotes(struct err *err)
{
	AUTO(free) char *path = profile_find("remotes", err);
	struct profile p = {0};
	json_t *all = NULL;
	char **names = NULL;

	if (path && !profile_load(path, &p, err)) {
		all = json_array();
		names = profile_tables(&p, "remote");
	}
	for (char **n = names; n && *n; n++)
		json_array_append_new(all, remote(&p, *n));
	list_free(names);
	profile_done(&p);
	return all;
}

/* Whether it can be run; one that cannot be read is shown, so that running it tells why. */
static bool is_job(const char *path)
{
	struct profile p = {0};
	struct err ignored;
	bool job = profile_load(path, &p, &ignored) || profile_is_job(&p);

	profile_done(&p);
	return job;
}

static json_t *list_profiles(struct err *err)
{
	char **names = profile_names();
	json_t *all = json_array();

	for (char **n = names; n && *n; n++) {
		AUTO(free) char *path = profile_find(*n, err);

		if (path && is_job(path))
			json_array_append_new(all, entry(*n, path));
	}
	list_free(names);
	return all;
}

static const struct {
	const char *name;
	json_t *(*make)(struct err *err);
} lists[] = {
	{"knobs", list_knobs},
	{"sources", list_sources},
	{"layers", list_layers},
	{"policies", list_policies},
	{"accelerators", list_accelerators},
	{"remotes", list_remotes},
	{"profiles", list_profiles},
};

/* Name, what stands between, and the last member folded to nothing: one line each. */
static void print_text(const json_t *all)
{
	json_t *o, *value;
	const char *key;
	size_t i;

	json_array_foreach(all, i, o)
	{
		const char *name = json_string_value(json_object_get(o, "name"));
		const char *last = "";

		json_object_foreach(o, key, value) last = json_string_value(value);
		value = json_object_get(o, "default");
		printf("%-24s ", name);
		if (json_object_get(o, "bandwidth"))
			printf("%s, %s; ", json_string_value(json_object_get(o, "bandwidth")),
				json_string_value(json_object_get(o, "latency")));
		printf("%s", last);
		if (json_is_string(value))
			printf(" [%s]", json_string_value(value));
		value = json_object_get(o, "images_per_s");
		if (value)
			printf(": %g images/s, batch %lld", json_number_value(value),
				json_integer_value(json_object_get(o, "batch")));
		putchar('\n');
	}
}

static int unknown(const char *what, struct err *err)
{
	const char *names[ARRAY_SIZE(lists)], *near = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		names[i] = lists[i].name;
	if (what)
		near = err_nearest(what, names, ARRAY_SIZE(lists));
	err_set(err, EINVAL,
		"list%s%s: give one of knobs, sources, layers, policies, accelerators, remotes, "
		"profiles%s%s%s",
		what ? " " : "", what ? what : "", near ? "; did you mean " : "", near ? near : "",
		near ? "?" : "");
	return EXIT_USAGE;
}

int list_run(struct settings *s, struct err *err)
{
	const char *what = settings_operand(s, 2);
	size_t i = 0;
	json_t *all;

	while (i < ARRAY_SIZE(lists) && (!what || strcmp(lists[i].name, what)))
		i++;
	if (i == ARRAY_SIZE(lists))
		return unknown(what, err);
	all = lists[i].make(err);
	if (!all)
		return EXIT_FAILED;
	if (s->json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_text(all);
	}
	json_decref(all);
	return EXIT_DONE;
}
