/* SPDX-License-Identifier: Apache-2.0 */
/* The profiles that ship: each loads, each of its variants applies, and -p finds it by name. Run from
 * the source tree. */
#include "tests/unit/test.h"

#include <dirent.h>

#include "common/cleanup.h"
#include "common/preset.h"
#include "common/profile.h"

AUTO_FREE(config, struct config, config_free);

static void check_profile(const char *path)
{
	struct profile p;
	struct err err = {""};

	if (profile_load(path, &p, &err) < 0)
		fail_msg("%s", err.msg);
	char **variants = profile_tables(&p, "variant");

	for (char **v = variants; *v; v++) {
		AUTO(config) struct config *cfg = config_new();

		if (profile_apply(&p, *v, cfg, &err) < 0)
			fail_msg("%s", err.msg);
	}
	list_free(variants);
	profile_done(&p);
}

/* Calls each(NAME) for profiles/NAME.ini; returns how many there are. */
static int each_profile(void (*each)(const char *name))
{
	AUTO(closedir) DIR *dir = opendir("profiles");
	struct dirent *entry;
	int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char *dot = strrchr(entry->d_name, '.');

		if (!dot || strcmp(dot, ".ini") != 0)
			continue;
		*dot = '\0';
		each(entry->d_name);
		n++;
	}
	return n;
}

static void load_found(const char *name)
{
	struct err err = {""};
	AUTO(free) char *path = profile_find(name, &err);

	if (!path)
		fail_msg("%s", err.msg);
	check_profile(path);
}

static void shipped_profiles_load(void **state)
{
	assert_true(each_profile(load_found) > 0);
}

/* A name that lacks its last letter is near enough. */
static void expect_suggestion(const char *name)
{
	AUTO(free) char *typed = strndup(name, strlen(name) - 1);
	AUTO(free) char *path = NULL;
	struct err err = {""};

	path = profile_find(typed, &err);
	assert_null(path);
	assert_non_null(strstr(err.msg, "no such profile (looked in ., ./profiles and "));
	assert_non_null(strstr(err.msg, "; did you mean "));
}

static void an_unknown_profile_names_the_nearest(void **state)
{
	each_profile(expect_suggestion);
}

static void a_folder_is_no_profile(void **state)
{
	struct err err = {""};

	assert_null(profile_find("profiles", &err));
	assert_non_null(strstr(err.msg, "profiles: no such profile"));
}

static void presets_give_way_to_what_is_given(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	struct err err = {""};

	config_set(cfg, "remote.preset", "lan-nas", "option", NULL);
	config_set(cfg, "remote.latency", "7ms", "option", NULL);
	if (preset_apply(cfg, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(cfg->remote.latency, 7000000);
	assert_true(cfg->remote.bandwidth > 0);
	assert_string_equal(cfg->origin[KNOB_ID_remote_bandwidth].from, "preset:lan-nas");
	assert_string_equal(cfg->origin[KNOB_ID_remote_iops].from, "default");
}

static void an_unknown_preset_names_the_nearest(void **state)
{
	AUTO(config) struct config *cfg = config_new();
	struct err err = {""};

	config_set(cfg, "remote.preset", "lan-nsa", "option", NULL);
	assert_true(preset_apply(cfg, &err) < 0);
	assert_string_equal(err.msg, "remote.preset=lan-nsa: no [remote.lan-nsa] in "
				     "profiles/remotes.ini; did you mean lan-nas?");
	assert_int_equal(cfg->remote.bandwidth, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shipped_profiles_load),
		cmocka_unit_test(an_unknown_profile_names_the_nearest),
		cmocka_unit_test(a_folder_is_no_profile),
		cmocka_unit_test(presets_give_way_to_what_is_given),
		cmocka_unit_test(an_unknown_preset_names_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
