/* SPDX-License-Identifier: Apache-2.0 */
/* Node ids in two hash indexes, by id and by name: see inode.h. Nodes of a million files are the
 * largest part of this process's own memory, so a node is one allocation and the indexes chain. */
#include "cachefs/inode.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define FIRST_BUCKETS 1024

struct inode_table {
	pthread_mutex_t lock; /* all below */
	struct inode **by_id, **by_name;
	size_t buckets, nodes; /* buckets: a power of two, the same in both */
	uint64_t next_id;
};

static uint32_t hash_name(const char *name)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	while (*name)
		h = (h ^ (uint8_t)*name++) * 0x100000001b3u;
	return (uint32_t)(h ^ (h >> 32));
}

static uint32_t hash_id(uint64_t id)
{
	return (uint32_t)(id * 0x9e3779b97f4a7c15u >> 32);
}

static struct inode **id_bucket(struct inode_table *t, uint64_t id)
{
	return &t->by_id[hash_id(id) & (t->buckets - 1)];
}

static struct inode **name_bucket(struct inode_table *t, uint32_t hash)
{
	return &t->by_name[hash & (t->buckets - 1)];
}

static struct inode *find_id(struct inode_table *t, uint64_t id)
{
	struct inode *node = *id_bucket(t, id);

	while (node && node->id != id)
		node = node->next_by_id;
	return node;
}

static struct inode *find_name(struct inode_table *t, const char *name, uint32_t hash)
{
	struct inode *node = *name_bucket(t, hash);

	while (node && (node->hash != hash || strcmp(node->text, name)))
		node = node->next_by_name;
	return node;
}

/* Doubles both indexes; without memory they stay as they are, only slower. */
static void grow(struct inode_table *t)
{
	struct inode **old_id = t->by_id, **old_name = t->by_name;
	size_t old = t->buckets;
	struct inode **by_id = calloc(old * 2, sizeof(struct inode *));
	struct inode **by_name = calloc(old * 2, sizeof(struct inode *));

	if (!by_id || !by_name) {
		free(by_id);
		free(by_name);
		return;
	}
	t->by_id = by_id;
	t->by_name = by_name;
	t->buckets = old * 2;
	for (size_t i = 0; i < old; i++) {
		struct inode *node, *next;

		for (node = old_id[i]; node; node = next) {
			struct inode **b = id_bucket(t, node->id);

			next = node->next_by_id;
			node->next_by_id = *b;
			*b = node;
		}
		for (node = old_name[i]; node; node = next) {
			struct inode **b = name_bucket(t, node->hash);

			next = node->next_by_name;
			node->next_by_name = *b;
			*b = node;
		}
	}
	free(old_id);
	free(old_name);
}

static void link_name(struct inode_table *t, struct inode *node)
{
	struct inode **b = name_bucket(t, node->hash);

	node->next_by_name = *b;
	*b = node;
	node->current = true;
}

static void unlink_name(struct inode_table *t, struct inode *node)
{
	struct inode **p = name_bucket(t, node->hash);

	while (*p != node)
		p = &(*p)->next_by_name;
	*p = node->next_by_name;
	node->current = false;
}

static void link_id(struct inode_table *t, struct inode *node)
{
	if (t->nodes >= t->buckets)
		grow(t);
	struct inode **b = id_bucket(t, node->id);

	node->next_by_id = *b;
	*b = node;
	t->nodes++;
}

static void free_unused(struct inode_table *t, struct inode *node)
{
	if (node->lookups || node->pins || node->id <= INODE_CONTROL)
		return;
	struct inode **p = id_bucket(t, node->id);

	while (*p != node)
		p = &(*p)->next_by_id;
	*p = node->next_by_id;
	if (node->current)
		unlink_name(t, node);
	t->nodes--;
	free(node);
}

static struct inode *node_new(const struct object *obj, uint32_t hash)
{
	size_t name_len = strlen(obj->name), etag_len = strlen(obj->etag);
	struct inode *node = calloc(1, sizeof(*node) + name_len + etag_len + 2);

	if (!node)
		return NULL;
	node->version = obj->version;
	node->size = obj->size;
	node->mtime_ns = obj->mtime_ns;
	node->kind = obj->is_dir ? INODE_FOLDER : INODE_FILE;
	node->hash = hash;
	node->name_len = name_len;
	memcpy(node->text, obj->name, name_len);
	memcpy(node->text + name_len + 1, obj->etag, etag_len);
	return node;
}

static int add_fixed(struct inode_table *t, uint64_t id, const char *name, int64_t mtime_ns)
{
	struct object obj = {.name = name, .is_dir = true, .mtime_ns = mtime_ns};
	struct inode *node = node_new(&obj, hash_name(name));

	if (!node)
		return -1;
	node->id = id;
	link_id(t, node);
	if (id == INODE_ROOT)
		link_name(t, node);
	return 0;
}

struct inode_table *inode_table_new(int64_t mtime_ns)
{
	struct inode_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->buckets = FIRST_BUCKETS;
	t->next_id = INODE_CONTROL + 1;
	t->by_id = calloc(t->buckets, sizeof(struct inode *));
	t->by_name = calloc(t->buckets, sizeof(struct inode *));
	if (!t->by_id || !t->by_name || add_fixed(t, INODE_ROOT, "", mtime_ns) < 0 ||
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
	for (size_t i = 0; t->by_id && i < t->buckets; i++) {
		struct inode *node, *next;

		for (node = t->by_id[i]; node; node = next) {
			next = node->next_by_id;
			free(node);
		}
	}
	free(t->by_id);
	free(t->by_name);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static bool same_version(const struct inode *node, const struct object *obj)
{
	if (obj->is_dir)
		return node->kind == INODE_FOLDER;
	return node->kind == INODE_FILE && node->version == obj->version && node->size == obj->size;
}

struct inode *inode_remember(struct inode_table *t, const struct object *obj, bool *ret_changed)
{
	uint32_t hash = hash_name(obj->name);

	HOLD(&t->lock);
	struct inode *old = find_name(t, obj->name, hash), *node = old;

	if (!old || !same_version(old, obj)) {
		node = node_new(obj, hash);
		if (!node)
			return NULL;
		node->id = t->next_id++;
		if (old)
			unlink_name(t, old);
		link_id(t, node);
		link_name(t, node);
	} else if (obj->is_dir) {
		node->mtime_ns = obj->mtime_ns;
	}
	node->lookups++;
	if (ret_changed)
		*ret_changed = old && node != old;
	return node;
}

struct inode *inode_snapshot(struct inode_table *t, const void *data, size_t len, int64_t mtime_ns)
{
	struct inode *node = calloc(1, sizeof(*node) + len);

	if (!node)
		return NULL;
	memcpy(node->text, data, len);
	node->kind = INODE_SNAPSHOT;
	node->size = len;
	node->mtime_ns = mtime_ns;
	node->lookups = 1;
	HOLD(&t->lock);
	node->id = t->next_id++;
	link_id(t, node);
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

	if (!node)
		return;
	node->lookups -= n < node->lookups ? n : node->lookups;
	free_unused(t, node);
}

uint64_t inode_id_of(struct inode_table *t, const char *name)
{
	HOLD(&t->lock);
	struct inode *node = find_name(t, name, hash_name(name));

	return node ? node->id : 0;
}

static bool is_below(const struct inode *node, const char *name, size_t len)
{
	if (node->kind == INODE_SNAPSHOT || node->id == INODE_CONTROL)
		return false;
	if (!len)
		return true;
	return node->name_len >= len && !memcmp(node->text, name, len) &&
	       (node->text[len] == '/' || !node->text[len]);
}

struct inode **inode_collect(struct inode_table *t, const char *name, size_t *ret_n)
{
	size_t len = strlen(name), n = 0;

	HOLD(&t->lock);
	struct inode **all = calloc(t->nodes, sizeof(struct inode *));

	if (!all)
		return NULL;
	for (size_t i = 0; i < t->buckets; i++)
		for (struct inode *node = t->by_id[i]; node; node = node->next_by_id)
			if (is_below(node, name, len)) {
				node->pins++;
				all[n++] = node;
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
	return t->nodes;
}

void inode_object(const struct inode *node, struct object *ret)
{
	*ret = (struct object){
		.name = node->text,
		.version = node->version,
		.size = node->size,
		.mtime_ns = node->mtime_ns,
		.is_dir = node->kind == INODE_FOLDER,
	};
	if (node->kind == INODE_FILE)
		strcpy(ret->etag, node->text + node->name_len + 1); /* came from an etag[] */
}

static void require(bool ok)
{
	if (!ok)
		abort();
}

void inode_check(struct inode_table *t)
{
	size_t nodes = 0, named = 0, current = 0;

	HOLD(&t->lock);
	for (size_t i = 0; i < t->buckets; i++) {
		for (struct inode *node = t->by_id[i]; node; node = node->next_by_id) {
			require(node->id <= INODE_CONTROL || node->lookups || node->pins);
			require(node->id < t->next_id);
			require(!node->current || node->kind != INODE_SNAPSHOT);
			current += node->current;
			nodes++;
		}
		for (struct inode *node = t->by_name[i]; node; node = node->next_by_name) {
			require(node->current && find_id(t, node->id) == node);
			named++;
		}
	}
	require(nodes == t->nodes && named == current);
}
