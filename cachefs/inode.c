/* SPDX-License-Identifier: Apache-2.0 */
/* Node ids in two hash indexes, by id and by (folder, name): see inode.h. Nodes of a million files
 * are a large part of this process's own memory, so they lie in an arena (arena.h) and the indexes
 * hold 32-bit references: open addressing, at most two thirds full, no marks where one was removed. */
#include "cachefs/inode.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/arena.h"
#include "cachefs/etag.h"
#include "common/cleanup.h"

#define FIRST_PLACES 1024

struct index {
	uint32_t *ref; /* 0: empty */
	size_t places; /* a power of two */
	size_t used;
	bool by_name;
};

struct inode_table {
	pthread_mutex_t lock; /* all below */
	struct arena arena;
	struct index by_id, by_name; /* all; those that are current */
	uint64_t next_id;
};

static uint32_t hash_id(uint64_t id)
{
	return (uint32_t)(id * 0x9e3779b97f4a7c15u >> 32);
}

/* FNV-1a of a component, in the folder with this id. */
static uint32_t hash_name(uint64_t folder, const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u ^ folder * 0x9e3779b97f4a7c15u;

	while (len--)
		h = (h ^ (uint8_t)*name++) * 0x100000001b3u;
	return (uint32_t)(h ^ (h >> 32));
}

/* ---- indexes; locked ---- */

static struct inode *node_at(const struct inode_table *t, uint32_t ref)
{
	return arena_at(&t->arena, ref);
}

/* Where a node is looked for first. */
static size_t home(const struct index *x, const struct inode *node)
{
	return (x->by_name ? node->hash : hash_id(node->id)) & (x->places - 1);
}

static void place(const struct index *x, const struct inode *node)
{
	size_t at = home(x, node);

	while (x->ref[at])
		at = (at + 1) & (x->places - 1);
	x->ref[at] = arena_ref(node);
}

/* Without memory it stays as it is, as long as there is one empty place. */
static int grow(const struct inode_table *t, struct index *x)
{
	struct index more = {.places = x->places * 2, .used = x->used, .by_name = x->by_name};

	more.ref = calloc(more.places, sizeof(*more.ref));
	if (!more.ref)
		return x->used + 1 < x->places ? 0 : -1;
	for (size_t i = 0; i < x->places; i++)
		if (x->ref[i])
			place(&more, node_at(t, x->ref[i]));
	free(x->ref);
	*x = more;
	return 0;
}

static int index_add(const struct inode_table *t, struct index *x, const struct inode *node)
{
	if (x->used * 3 >= x->places * 2 && grow(t, x) < 0)
		return -1;
	place(x, node);
	x->used++;
	return 0;
}

/* Closes the gap: whatever follows and may stand there moves up. */
static void index_remove(const struct inode_table *t, struct index *x, const struct inode *node)
{
	size_t mask = x->places - 1, gap = home(x, node);
	uint32_t ref = arena_ref(node);

	while (x->ref[gap] != ref)
		gap = (gap + 1) & mask;
	for (size_t at = (gap + 1) & mask; x->ref[at]; at = (at + 1) & mask) {
		size_t from_home = (at - home(x, node_at(t, x->ref[at]))) & mask;

		if (from_home < ((at - gap) & mask))
			continue;
		x->ref[gap] = x->ref[at];
		gap = at;
	}
	x->ref[gap] = 0;
	x->used--;
}

static struct inode *find_id(const struct inode_table *t, uint64_t id)
{
	const struct index *x = &t->by_id;
	size_t at = hash_id(id) & (x->places - 1);

	for (; x->ref[at]; at = (at + 1) & (x->places - 1)) {
		struct inode *node = node_at(t, x->ref[at]);

		if (node->id == id)
			return node;
	}
	return NULL;
}

static struct inode *find_name(const struct inode_table *t, const struct inode *folder,
	const char *name, size_t len, uint32_t hash)
{
	const struct index *x = &t->by_name;
	size_t at = hash & (x->places - 1);

	for (; x->ref[at]; at = (at + 1) & (x->places - 1)) {
		struct inode *node = node_at(t, x->ref[at]);

		if (node->hash == hash && node->parent == folder && node->name_len == len &&
			!memcmp(node->text, name, len))
			return node;
	}
	return NULL;
}

/* ---- nodes; locked ---- */

static void unlink_name(struct inode_table *t, struct inode *node)
{
	index_remove(t, &t->by_name, node);
	node->current = false;
}

static bool is_unused(const struct inode *node)
{
	return !node->lookups && !node->pins && node->id > INODE_CONTROL;
}

/* Frees node if nobody knows it, and then its folder if that was pinned by it alone. */
static void free_unused(struct inode_table *t, struct inode *node)
{
	while (node && is_unused(node)) {
		struct inode *parent = node->kind == INODE_SNAPSHOT ? NULL : node->parent;

		if (node->kind == INODE_SNAPSHOT)
			free(node->data);
		if (node->current)
			unlink_name(t, node);
		index_remove(t, &t->by_id, node);
		arena_free(&t->arena, node);
		if (parent)
			parent->pins--;
		node = parent;
	}
}

/* In the index by id; its lookups, pins and parent are the caller's to set. */
static struct inode *node_new(
	struct inode_table *t, uint64_t id, const char *name, const struct object *obj)
{
	size_t name_len = strlen(name);
	uint8_t etag = etag_code(obj->etag);
	size_t bytes = sizeof(struct inode) + name_len + 1 + etag_packed(etag);
	struct inode *node = name_len <= UINT8_MAX ? arena_alloc(&t->arena, bytes) : NULL;

	if (!node)
		return NULL;
	*node = (struct inode){
		.id = id,
		.size = obj->size,
		.mtime_ns = obj->mtime_ns,
		.name_len = (uint8_t)name_len,
		.kind = obj->is_dir ? INODE_FOLDER : INODE_FILE,
		.etag_code = etag,
	};
	if (!obj->is_dir)
		node->version = obj->version;
	memcpy(node->text, name, name_len + 1);
	etag_pack(obj->etag, etag, node->text + name_len + 1);
	if (index_add(t, &t->by_id, node) < 0) {
		arena_free(&t->arena, node);
		return NULL;
	}
	return node;
}

static int add_fixed(struct inode_table *t, uint64_t id, const char *name, int64_t mtime_ns)
{
	struct object obj = {.is_dir = true, .mtime_ns = mtime_ns};

	return node_new(t, id, name, &obj) ? 0 : -1;
}

static int index_init(struct index *x, bool by_name)
{
	*x = (struct index){.places = FIRST_PLACES, .by_name = by_name};
	x->ref = calloc(x->places, sizeof(*x->ref));
	return x->ref ? 0 : -1;
}

struct inode_table *inode_table_new(int64_t mtime_ns)
{
	struct inode_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	arena_init(&t->arena);
	t->next_id = INODE_CONTROL + 1;
	if (index_init(&t->by_id, false) < 0 || index_init(&t->by_name, true) < 0 ||
		add_fixed(t, INODE_ROOT, "", mtime_ns) < 0 ||
		add_fixed(t, INODE_CONTROL, ".cachefs", mtime_ns) < 0) {
		inode_table_free(t);
		return NULL;
	}
	return t;
}

void inode_table_free(struct inode_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; t->by_id.ref && i < t->by_id.places; i++) {
		struct inode *node = t->by_id.ref[i] ? node_at(t, t->by_id.ref[i]) : NULL;

		if (node && node->kind == INODE_SNAPSHOT)
			free(node->data);
	}
	free(t->by_id.ref);
	free(t->by_name.ref);
	arena_done(&t->arena);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- what others ask ---- */

static bool same_version(const struct inode *node, const struct object *obj)
{
	if (obj->is_dir)
		return node->kind == INODE_FOLDER;
	return node->kind == INODE_FILE && node->version == obj->version && node->size == obj->size;
}

/* A new node in place of old (or NULL); NULL without memory. */
static struct inode *succeed(struct inode_table *t, struct inode *old, struct inode *folder,
	const char *name, const struct object *obj)
{
	struct inode *node = node_new(t, t->next_id, name, obj);

	if (!node)
		return NULL;
	node->hash = hash_name(folder->id, name, node->name_len);
	if (old)
		unlink_name(t, old);
	if (index_add(t, &t->by_name, node) < 0) {
		index_remove(t, &t->by_id, node);
		arena_free(&t->arena, node);
		return NULL;
	}
	t->next_id++;
	node->current = true;
	node->parent = folder;
	folder->pins++;
	return node;
}

struct inode *inode_remember(struct inode_table *t, struct inode *folder, const char *name,
	const struct object *obj, bool *ret_changed)
{
	size_t len = strlen(name);
	uint32_t hash = hash_name(folder->id, name, len);

	HOLD(&t->lock);
	struct inode *old = find_name(t, folder, name, len, hash), *node = old;

	if (!old || !same_version(old, obj))
		node = succeed(t, old, folder, name, obj);
	else if (obj->is_dir)
		node->mtime_ns = obj->mtime_ns;
	if (!node)
		return NULL;
	node->lookups += node->lookups < UINT32_MAX;
	if (ret_changed)
		*ret_changed = old && node != old;
	return node;
}

struct inode *inode_snapshot(struct inode_table *t, const void *data, size_t len, int64_t mtime_ns)
{
	struct object obj = {.size = len, .mtime_ns = mtime_ns};
	AUTO(free) char *copy = malloc(len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, data, len);
	HOLD(&t->lock);
	struct inode *node = node_new(t, t->next_id, "", &obj);

	if (!node)
		return NULL;
	t->next_id++;
	node->kind = INODE_SNAPSHOT;
	node->data = TAKE(copy);
	node->lookups = 1;
	return node;
}

struct inode *inode_get(struct inode_table *t, uint64_t id)
{
	HOLD(&t->lock);
	struct inode *node = find_id(t, id);

	if (node)
		node->pins++;
	return node;
}

void inode_put(struct inode_table *t, struct inode *node)
{
	if (!node)
		return;
	HOLD(&t->lock);
	node->pins--;
	free_unused(t, node);
}

void inode_forget(struct inode_table *t, uint64_t id, uint64_t n)
{
	HOLD(&t->lock);
	struct inode *node = find_id(t, id);

	if (!node || node->lookups == UINT32_MAX)
		return;
	node->lookups -= n < node->lookups ? (uint32_t)n : node->lookups;
	free_unused(t, node);
}

uint64_t inode_id_of(struct inode_table *t, const char *name)
{
	HOLD(&t->lock);
	struct inode *node = find_id(t, INODE_ROOT);

	while (node && *name) {
		size_t len = strcspn(name, "/");

		node = find_name(t, node, name, len, hash_name(node->id, name, len));
		name += len + (name[len] == '/');
	}
	return node ? node->id : 0;
}

uint64_t inode_child_id(struct inode_table *t, const struct inode *folder, const char *name)
{
	size_t len = strlen(name);

	HOLD(&t->lock);
	struct inode *node = find_name(t, folder, name, len, hash_name(folder->id, name, len));

	return node ? node->id : 0;
}

static bool is_below(const struct inode *node, const char *name, size_t len)
{
	char buf[INODE_NAME_BYTES];
	const char *own;

	if (node->kind == INODE_SNAPSHOT || node->id == INODE_CONTROL)
		return false;
	if (!len)
		return true;
	own = inode_name(node, buf);
	return !strncmp(own, name, len) && (own[len] == '/' || !own[len]);
}

struct inode **inode_collect(struct inode_table *t, const char *name, size_t *ret_n)
{
	size_t len = strlen(name), n = 0;

	HOLD(&t->lock);
	struct inode **all = calloc(t->by_id.used, sizeof(struct inode *));

	if (!all)
		return NULL;
	for (size_t i = 0; i < t->by_id.places; i++) {
		struct inode *node = t->by_id.ref[i] ? node_at(t, t->by_id.ref[i]) : NULL;

		if (node && is_below(node, name, len)) {
			node->pins++;
			all[n++] = node;
		}
	}
	*ret_n = n;
	return all;
}

void inode_outdate(struct inode_table *t, struct inode *node)
{
	HOLD(&t->lock);
	if (node->current && node->kind == INODE_FILE)
		unlink_name(t, node);
}

size_t inode_count(struct inode_table *t)
{
	HOLD(&t->lock);
	return t->by_id.used;
}

/* Puts the name of node in front of what begins at `at`; NULL: buf has no room for it. */
static char *prepend(const struct inode *node, const char *buf, char *at)
{
	for (; node->parent; node = node->parent) {
		if ((size_t)(at - buf) < (size_t)node->name_len + 1)
			return NULL;
		if (*at)
			*--at = '/';
		at -= node->name_len;
		memcpy(at, node->text, node->name_len);
	}
	return at;
}

const char *inode_name(const struct inode *node, char buf[INODE_NAME_BYTES])
{
	char *end = buf + INODE_NAME_BYTES - 1;

	*end = '\0';
	return prepend(node, buf, end); /* LOOKUP let no name in that is too long */
}

const char *inode_child_name(
	const struct inode *folder, const char *name, char buf[INODE_NAME_BYTES])
{
	size_t len = strlen(name);

	if (len > UINT8_MAX)
		return NULL;
	return prepend(folder, buf, memcpy(buf + INODE_NAME_BYTES - 1 - len, name, len + 1));
}

void inode_object(const struct inode *node, char buf[INODE_NAME_BYTES], struct object *ret)
{
	*ret = (struct object){
		.name = inode_name(node, buf),
		.size = node->size,
		.mtime_ns = node->mtime_ns,
		.is_dir = node->kind == INODE_FOLDER,
	};
	if (node->kind == INODE_FOLDER)
		return;
	ret->version = node->version;
	etag_unpack(node->text + node->name_len + 1, node->etag_code, ret->etag);
}

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_node(const struct inode_table *t, const struct inode *node)
{
	require(node->id <= INODE_CONTROL || node->lookups || node->pins);
	require(node->id < t->next_id && find_id(t, node->id) == node);
	require(!node->current || node->kind != INODE_SNAPSHOT);
	if (node->kind == INODE_SNAPSHOT || node->id <= INODE_CONTROL)
		return;
	require(node->parent->pins && find_id(t, node->parent->id) == node->parent);
	require(node->current ==
		(find_name(t, node->parent, node->text, node->name_len, node->hash) == node));
}

void inode_check(struct inode_table *t)
{
	size_t nodes = 0, current = 0;

	HOLD(&t->lock);
	for (size_t i = 0; i < t->by_id.places; i++) {
		struct inode *node = t->by_id.ref[i] ? node_at(t, t->by_id.ref[i]) : NULL;

		if (!node)
			continue;
		check_node(t, node);
		current += node->current;
		nodes++;
	}
	require(nodes == t->by_id.used && current == t->by_name.used);
}
