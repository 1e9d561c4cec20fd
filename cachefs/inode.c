/* SPDX-License-Identifier: Apache-2.0 */
/* Node ids, and an index by (folder, name): see inode.h. Nodes of a million files are a large part of
 * this process's own memory, so they lie in an arena (arena.h), and an id says where:
 *
 *      id = number of the node since the start, 34 bits | place in the arena, 30 bits
 *
 * so it is found without an index, and comes again after 17 billion nodes at the earliest. The index
 * by name has hashes beside its 32-bit references, so that a name that is not there costs one look.
 * It is open, at most two thirds full, with no marks where one was removed. */
#include "cachefs/inode.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cachefs/arena.h"
#include "cachefs/etag.h"
#include "cachefs/hash.h"
#include "common/cleanup.h"

#define FIRST_PLACES 1024
#define HUGE_BYTES (4u << 20)
#define REF_BITS 30
#define REF_MASK ((1u << REF_BITS) - 1)

static_assert(offsetof(struct inode, id) == ARENA_FREED, "a freed node keeps its id of 0");

struct entry {
	uint32_t hash, ref; /* ref 0: empty */
};

struct inode_table {
	pthread_mutex_t lock; /* all below */
	struct arena arena;
	struct inode *fixed[INODE_CONTROL + 1];
	struct entry *by_name;
	size_t places, named; /* places: a power of two */
	size_t nodes;
	uint64_t numbered; /* nodes so far */
};

/* Of a component, in the folder with this id. */
static uint32_t hash_name(uint64_t folder, const char *name, size_t len)
{
	uint64_t h = hash_bytes(HASH_START ^ folder * 0x9e3779b97f4a7c15u, name, len);

	return (uint32_t)(h ^ (h >> 32));
}

static uint32_t hash_node(const struct inode *node)
{
	return hash_name(node->parent->id, node->text, node->name_len);
}

/* ---- the index by name; locked ---- */

/* All empty. Large ones are looked into at random, so they ask for huge pages. */
static struct entry *entries_new(size_t places)
{
	size_t bytes = places * sizeof(struct entry);
	void *at;

	if (bytes < HUGE_BYTES)
		return calloc(places, sizeof(struct entry));
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	madvise(at, bytes, MADV_HUGEPAGE);
	return at;
}

static void entries_free(struct entry *by_name, size_t places)
{
	size_t bytes = places * sizeof(struct entry);

	if (bytes < HUGE_BYTES)
		free(by_name);
	else
		munmap(by_name, bytes);
}

static void place(struct entry *by_name, size_t places, struct entry e)
{
	size_t at = e.hash & (places - 1);

	while (by_name[at].ref)
		at = (at + 1) & (places - 1);
	by_name[at] = e;
}

/* Without memory it stays as it is, as long as there is one empty place. */
static int grow(struct inode_table *t)
{
	struct entry *more = entries_new(t->places * 2);

	if (!more)
		return t->named + 1 < t->places ? 0 : -1;
	for (size_t i = 0; i < t->places; i++)
		if (t->by_name[i].ref)
			place(more, t->places * 2, t->by_name[i]);
	entries_free(t->by_name, t->places);
	t->by_name = more;
	t->places *= 2;
	return 0;
}

static int link_name(struct inode_table *t, struct inode *node, uint32_t hash)
{
	if (t->named * 3 >= t->places * 2 && grow(t) < 0)
		return -1;
	place(t->by_name, t->places, (struct entry){hash, arena_ref(node)});
	t->named++;
	node->current = true;
	return 0;
}

/* Closes the gap: whatever follows and may stand there moves up. */
static void unlink_name(struct inode_table *t, struct inode *node)
{
	size_t mask = t->places - 1, gap = hash_node(node) & mask;
	uint32_t ref = arena_ref(node);

	while (t->by_name[gap].ref != ref)
		gap = (gap + 1) & mask;
	for (size_t at = (gap + 1) & mask; t->by_name[at].ref; at = (at + 1) & mask) {
		size_t from_home = (at - t->by_name[at].hash) & mask;

		if (from_home < ((at - gap) & mask))
			continue;
		t->by_name[gap] = t->by_name[at];
		gap = at;
	}
	t->by_name[gap].ref = 0;
	t->named--;
	node->current = false;
}

static struct inode *find_name(const struct inode_table *t, const struct inode *folder,
	const char *name, size_t len, uint32_t hash)
{
	size_t mask = t->places - 1;

	for (size_t at = hash & mask; t->by_name[at].ref; at = (at + 1) & mask) {
		if (t->by_name[at].hash != hash)
			continue;
		struct inode *node = arena_at(&t->arena, t->by_name[at].ref);

		if (node->parent == folder && node->name_len == len &&
			!memcmp(node->text, name, len))
			return node;
	}
	return NULL;
}

/* ---- nodes; locked ---- */

static struct inode *find_id(const struct inode_table *t, uint64_t id)
{
	struct inode *node;

	if (id <= INODE_CONTROL)
		return t->fixed[id];
	node = arena_find(&t->arena, (uint32_t)(id & REF_MASK));
	return node && node->id == id ? node : NULL;
}

static void node_free(struct inode_table *t, struct inode *node)
{
	node->id = 0;
	t->nodes--;
	arena_free(&t->arena, node);
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
		node_free(t, node);
		if (parent)
			parent->pins--;
		node = parent;
	}
}

/* Its lookups, pins and parent are the caller's to set, and to link its name. */
static struct inode *node_new(struct inode_table *t, const char *name, const struct object *obj)
{
	size_t name_len = strlen(name);
	uint8_t etag = etag_code(obj->etag);
	size_t bytes = sizeof(struct inode) + name_len + 1 + etag_packed(etag);
	struct inode *node = name_len <= UINT8_MAX ? arena_alloc(&t->arena, bytes) : NULL;

	if (node && arena_ref(node) > REF_MASK) {
		arena_free(&t->arena, node);
		node = NULL;
	}
	if (!node)
		return NULL;
	*node = (struct inode){
		.id = ++t->numbered << REF_BITS | arena_ref(node),
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
	t->nodes++;
	return node;
}

static int add_fixed(struct inode_table *t, uint64_t id, const char *name, int64_t mtime_ns)
{
	struct object obj = {.is_dir = true, .mtime_ns = mtime_ns};

	t->fixed[id] = node_new(t, name, &obj);
	if (!t->fixed[id])
		return -1;
	t->fixed[id]->id = id;
	return 0;
}

struct inode_table *inode_table_new(int64_t mtime_ns)
{
	struct inode_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	arena_init(&t->arena);
	t->places = FIRST_PLACES;
	t->by_name = entries_new(t->places);
	if (!t->by_name || add_fixed(t, INODE_ROOT, "", mtime_ns) < 0 ||
		add_fixed(t, INODE_CONTROL, ".cachefs", mtime_ns) < 0) {
		inode_table_free(t);
		return NULL;
	}
	return t;
}

static void free_data(void *arg, void *piece)
{
	struct inode *node = piece;

	if (node->id && node->kind == INODE_SNAPSHOT)
		free(node->data);
}

void inode_table_free(struct inode_table *t)
{
	if (!t)
		return;
	arena_each(&t->arena, free_data, NULL);
	entries_free(t->by_name, t->places);
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
	const char *name, const struct object *obj, uint32_t hash)
{
	struct inode *node = node_new(t, name, obj);

	if (!node)
		return NULL;
	node->parent = folder;
	if (old)
		unlink_name(t, old);
	if (link_name(t, node, hash) < 0) {
		node_free(t, node);
		return NULL;
	}
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
		node = succeed(t, old, folder, name, obj, hash);
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
	struct inode *node = node_new(t, "", &obj);

	if (!node)
		return NULL;
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

struct collection {
	const char *name;
	size_t len, n;
	struct inode **all;
};

static void collect(void *arg, void *piece)
{
	struct collection *c = arg;
	struct inode *node = piece;

	if (!node->id || !is_below(node, c->name, c->len))
		return;
	node->pins++;
	c->all[c->n++] = node;
}

struct inode **inode_collect(struct inode_table *t, const char *name, size_t *ret_n)
{
	struct collection c = {.name = name, .len = strlen(name)};

	HOLD(&t->lock);
	c.all = calloc(t->nodes, sizeof(struct inode *));
	if (!c.all)
		return NULL;
	arena_each(&t->arena, collect, &c);
	*ret_n = c.n;
	return c.all;
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
	return t->nodes;
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

struct check {
	const struct inode_table *t;
	size_t nodes, current;
};

static void check_node(void *arg, void *piece)
{
	struct check *c = arg;
	const struct inode *node = piece;

	if (!node->id)
		return;
	c->nodes++;
	c->current += node->current;
	require(find_id(c->t, node->id) == node);
	if (node->id <= INODE_CONTROL) {
		require(!node->current && !node->parent);
		return;
	}
	require(node->lookups || node->pins);
	if (node->kind == INODE_SNAPSHOT) {
		require(!node->current);
		return;
	}
	require(node->parent->pins && find_id(c->t, node->parent->id) == node->parent);
	require(node->current == (find_name(c->t, node->parent, node->text, node->name_len,
					  hash_node(node)) == node));
}

void inode_check(struct inode_table *t)
{
	struct check c = {.t = t};

	HOLD(&t->lock);
	arena_each(&t->arena, check_node, &c);
	require(c.nodes == t->nodes && c.current == t->named);
}
