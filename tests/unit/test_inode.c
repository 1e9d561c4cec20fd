/* SPDX-License-Identifier: Apache-2.0 */
/* The table of node ids: one id a (name, version), never reused, forgotten when nobody knows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cachefs/inode.h"

static int setup(void **state)
{
	*state = inode_table_new(1);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	inode_check(*state);
	inode_table_free(*state);
	return 0;
}

static struct object file(const char *name, uint64_t version)
{
	return (struct object){.name = name, .version = version, .size = 10, .etag = "\"e\""};
}

/* The node of obj->name, and of its folders when they are not known yet. */
static struct inode *remember_object(struct inode_table *t, const struct object *obj, bool *changed)
{
	struct object folder_obj = {.is_dir = true};
	struct inode *folder = inode_get(t, INODE_ROOT), *node;
	const char *name = obj->name, *slash;

	while ((slash = strchr(name, '/'))) {
		char *part = strndup(name, (size_t)(slash - name));
		uint64_t id = inode_child_id(t, folder, part);

		node = id ? inode_get(t, id)
			  : inode_get(t, inode_remember(t, folder, part, &folder_obj, NULL)->id);
		inode_put(t, folder);
		folder = node;
		free(part);
		name = slash + 1;
	}
	node = inode_remember(t, folder, name, obj, changed);
	inode_put(t, folder);
	return node;
}

static uint64_t remember(struct inode_table *t, const char *name, uint64_t version)
{
	struct object obj = file(name, version);

	return remember_object(t, &obj, NULL)->id;
}

static void root_and_control_are_there(void **state)
{
	struct inode *root = inode_get(*state, INODE_ROOT);
	struct inode *control = inode_get(*state, INODE_CONTROL);

	assert_string_equal(root->text, "");
	assert_int_equal(control->kind, INODE_FOLDER);
	inode_put(*state, root);
	inode_put(*state, control);
	inode_forget(*state, INODE_ROOT, 5);
	assert_int_equal(inode_count(*state), 2);
}

static void same_version_keeps_its_id(void **state)
{
	assert_int_equal(remember(*state, "a/b", 1), remember(*state, "a/b", 1));
}

static void new_version_is_a_new_node(void **state)
{
	struct object obj = file("a", 2);
	uint64_t old = remember(*state, "a", 1);
	bool changed = false;
	struct inode *node = remember_object(*state, &obj, &changed);

	assert_true(changed);
	assert_int_not_equal(node->id, old);
	assert_int_equal(inode_id_of(*state, "a"), node->id);
	struct inode *outdated = inode_get(*state, old);

	assert_int_equal(outdated->version, 1); /* still there for those who hold it */
	inode_put(*state, outdated);
}

static void first_version_is_no_change(void **state)
{
	struct object obj = file("a", 2);
	bool changed = true;

	remember_object(*state, &obj, &changed);
	assert_false(changed);
}

static void ids_are_never_reused(void **state)
{
	uint64_t id = remember(*state, "a", 1);

	inode_forget(*state, id, 1);
	assert_null(inode_get(*state, id));
	assert_true(remember(*state, "a", 1) > id);
}

static void forgotten_only_when_all_lookups_are(void **state)
{
	uint64_t id = remember(*state, "a", 1);

	remember(*state, "a", 1);
	inode_forget(*state, id, 1);
	assert_int_equal(inode_id_of(*state, "a"), id);
	inode_forget(*state, id, 1);
	assert_int_equal(inode_id_of(*state, "a"), 0);
}

static void pin_outlives_forget(void **state)
{
	uint64_t id = remember(*state, "a", 1);
	struct inode *node = inode_get(*state, id);

	inode_forget(*state, id, 1);
	assert_string_equal(node->text, "a");
	inode_put(*state, node);
	assert_int_equal(inode_count(*state), 2);
}

static void outdated_node_gets_a_successor(void **state)
{
	uint64_t id = remember(*state, "a", 1);
	struct inode *node = inode_get(*state, id);

	inode_outdate(*state, node);
	assert_int_not_equal(remember(*state, "a", 1), id);
	inode_put(*state, node);
}

static void folders_keep_their_id_and_take_the_mtime(void **state)
{
	struct object obj = {.name = "d", .is_dir = true, .mtime_ns = 5};
	uint64_t id = remember_object(*state, &obj, NULL)->id;

	obj.mtime_ns = 9;
	obj.version = 77;
	struct inode *node = remember_object(*state, &obj, NULL);

	assert_int_equal(node->id, id);
	assert_int_equal(node->mtime_ns, 9);
}

static void file_that_becomes_a_folder_is_a_new_node(void **state)
{
	struct object obj = {.name = "a", .is_dir = true};
	uint64_t id = remember(*state, "a", 1);

	assert_int_not_equal(remember_object(*state, &obj, NULL)->id, id);
}

static void snapshots_have_no_name(void **state)
{
	struct inode *one = inode_snapshot(*state, "abc", 3, 1);
	struct inode *two = inode_snapshot(*state, "abcd", 4, 1);

	assert_int_not_equal(one->id, two->id);
	assert_memory_equal(two->data, "abcd", 4);
	assert_int_equal(inode_id_of(*state, "abc"), 0);
	inode_forget(*state, one->id, 1);
	inode_forget(*state, two->id, 1);
	assert_int_equal(inode_count(*state), 2);
}

static void object_is_what_was_remembered(void **state)
{
	struct object obj = file("a/b", 7), back;
	char name[INODE_NAME_BYTES];

	inode_object(remember_object(*state, &obj, NULL), name, &back);
	assert_string_equal(back.name, "a/b");
	assert_string_equal(back.etag, "\"e\"");
	assert_int_equal(back.version, 7);
	assert_int_equal(back.size, 10);
}

static size_t below(struct inode_table *t, const char *name)
{
	size_t n;
	struct inode **all = inode_collect(t, name, &n);

	for (size_t i = 0; i < n; i++)
		inode_put(t, all[i]);
	free(all);
	return n;
}

static void collects_a_subtree(void **state)
{
	remember(*state, "a", 1);
	remember(*state, "a/x", 1);
	remember(*state, "ab", 1);
	assert_int_equal(below(*state, "a"), 2);
	assert_int_equal(below(*state, "ab"), 1);
	assert_int_equal(below(*state, ""), 4); /* and the root */
}

static void many_nodes_are_all_found(void **state)
{
	char name[32];

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "d%d/f%d", i % 7, i);
		remember(*state, name, (uint64_t)i + 1);
	}
	for (int i = 0; i < 5000; i += 3) {
		snprintf(name, sizeof(name), "d%d/f%d", i % 7, i);
		inode_forget(*state, inode_id_of(*state, name), 1);
	}
	inode_check(*state);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "d%d/f%d", i % 7, i);
		assert_int_equal(inode_id_of(*state, name) != 0, i % 3 != 0);
	}
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(root_and_control_are_there),
		CASE(same_version_keeps_its_id),
		CASE(new_version_is_a_new_node),
		CASE(first_version_is_no_change),
		CASE(ids_are_never_reused),
		CASE(forgotten_only_when_all_lookups_are),
		CASE(pin_outlives_forget),
		CASE(outdated_node_gets_a_successor),
		CASE(folders_keep_their_id_and_take_the_mtime),
		CASE(file_that_becomes_a_folder_is_a_new_node),
		CASE(snapshots_have_no_name),
		CASE(object_is_what_was_remembered),
		CASE(collects_a_subtree),
		CASE(many_nodes_are_all_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
