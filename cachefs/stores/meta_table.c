/* SPDX-License-Identifier: Apache-2.0 */
/* Names by folder: see meta_table.h. A folder has its last listing, if it was listed, and single
 * answers in a small hash table; of the two the newer says what holds for a name. */
#include "cachefs/stores/meta_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/hash.h"
#include "cachefs/listing.h"
#include "common/cleanup.h"

#define BUCKETS_FIRST 256
#define SINGLES_FIRST 8

struct single { /* in the table's arena */
	int64_t stamp_ns;
	uint32_t next; /* of its bucket; 0: none */
	bool absent, stale;
	_Alignas(PACKED_ALIGN) char place
		[]; /* struct packed; of an absent one only the name counts */
};

static struct packed *packed_of(struct single *s)
{
	return (struct packed *)s->place;
}

struct folder {
	struct folder *next, *newer, *older;
	struct listing *listing; /* one use; NULL: not listed */
	int64_t stamp_ns;        /* of the listing; later than its own when it was extended */
	bool stale;
	uint32_t *single; /* buckets: the first of each; 0: none */
	size_t buckets, singles;
	char dir[];
};

struct refreshing {
	struct refreshing *next;
	char name[];
};

static uint64_t hash_name(const char *s, size_t len)
{
	uint64_t h = hash_bytes(HASH_START, s, len);

	return h ^ h >> 32;
}

/* "a/b/c": folder "a/b" (its length) and component "c"; the root is component "" of folder "". */
static const char *split(const char *name, size_t *ret_dir_len)
{
	const char *slash = strrchr(name, '/');

	*ret_dir_len = slash ? (size_t)(slash - name) : 0;
	return slash ? slash + 1 : name;
}

int table_init(struct meta_table *t, size_t max, struct counter_set *set)
{
	*t = (struct meta_table){.max = max, .counters = set, .buckets = BUCKETS_FIRST};
	pthread_mutex_init(&t->lock, NULL);
	arena_init(&t->arena);
	t->bucket = calloc(t->buckets, sizeof(struct folder *));
	counter_put(set, LAYER_capacity_bytes, 0);
	return t->bucket ? 0 : -ENOMEM;
}

/* ---- folders; locked ---- */

static struct folder **folder_link(struct meta_table *t, const char *dir, size_t len)
{
	struct folder **link = &t->bucket[hash_name(dir, len) & (t->buckets - 1)];

	while (*link && (strncmp((*link)->dir, dir, len) || (*link)->dir[len]))
		link = &(*link)->next;
	return link;
}

static void lru_remove(struct meta_table *t, struct folder *f)
{
	*(f->newer ? &f->newer->older : &t->newest) = f->older;
	*(f->older ? &f->older->newer : &t->oldest) = f->newer;
}

static void lru_insert(struct meta_table *t, struct folder *f)
{
	f->newer = NULL;
	f->older = t->newest;
	*(t->newest ? &t->newest->newer : &t->oldest) = f;
	t->newest = f;
}

static struct folder *find_folder(struct meta_table *t, const char *dir, size_t len)
{
	struct folder *f = *folder_link(t, dir, len);

	if (f && f != t->newest) {
		lru_remove(t, f);
		lru_insert(t, f);
	}
	return f;
}

static void grow_buckets(struct meta_table *t)
{
	size_t buckets = t->buckets * 2;
	struct folder **bucket = calloc(buckets, sizeof(struct folder *));

	if (!bucket)
		return;
	for (struct folder *f = t->newest; f; f = f->older) {
		struct folder **head = &bucket[hash_name(f->dir, strlen(f->dir)) & (buckets - 1)];

		f->next = *head;
		*head = f;
	}
	free(t->bucket);
	t->bucket = bucket;
	t->buckets = buckets;
}

static struct folder *add_folder(struct meta_table *t, const char *dir, size_t len)
{
	struct folder *f = find_folder(t, dir, len);

	if (f)
		return f;
	if (t->folders >= t->buckets)
		grow_buckets(t);
	f = calloc(1, sizeof(*f) + len + 1);
	if (!f)
		return NULL;
	memcpy(f->dir, dir, len);
	*folder_link(t, dir, len) = f;
	lru_insert(t, f);
	t->folders++;
	t->entries++;
	return f;
}

static struct single *single_at(const struct meta_table *t, uint32_t ref)
{
	return ref ? arena_at(&t->arena, ref) : NULL;
}

static void clear_singles(struct meta_table *t, struct folder *f)
{
	for (size_t i = 0; i < f->buckets; i++)
		for (struct single *s = single_at(t, f->single[i]), *next; s; s = next) {
			next = single_at(t, s->next);
			arena_free(&t->arena, s);
		}
	free(f->single);
	t->entries -= f->singles;
	f->single = NULL;
	f->buckets = f->singles = 0;
}

/* Those that a listing of this time says something newer about. */
static void drop_older_singles(struct meta_table *t, struct folder *f, int64_t stamp_ns)
{
	for (size_t i = 0; i < f->buckets; i++)
		for (uint32_t *link = &f->single[i]; *link;) {
			struct single *s = single_at(t, *link);

			if (s->stamp_ns > stamp_ns && !s->stale) {
				link = &s->next;
				continue;
			}
			*link = s->next;
			arena_free(&t->arena, s);
			f->singles--;
			t->entries--;
		}
	if (!f->singles)
		clear_singles(t, f);
}

static void clear_listing(struct meta_table *t, struct folder *f)
{
	if (f->listing)
		t->entries -= listing_entries(f->listing);
	listing_put(f->listing);
	f->listing = NULL;
}

static void remove_folder(struct meta_table *t, struct folder *f)
{
	clear_singles(t, f);
	clear_listing(t, f);
	*folder_link(t, f->dir, strlen(f->dir)) = f->next;
	lru_remove(t, f);
	t->folders--;
	t->entries--;
	free(f);
}

/* Gives up the folders used longest ago, but not the one just used. */
static void keep_within(struct meta_table *t)
{
	while (t->entries > t->max && t->oldest != t->newest) {
		counter_add(t->counters, LAYER_evictions, 1);
		remove_folder(t, t->oldest);
	}
	if (t->entries > t->max && t->newest)
		remove_folder(t, t->newest);
	counter_put(t->counters, LAYER_blocks, (int64_t)t->entries);
}

void table_done(struct meta_table *t)
{
	while (t->newest)
		remove_folder(t, t->newest);
	free(t->bucket);
	arena_done(&t->arena);
	pthread_mutex_destroy(&t->lock);
}

/* ---- single answers; locked ---- */

static uint32_t *bucket_of(struct folder *f, const char *name, size_t len)
{
	return &f->single[hash_name(name, len) & (f->buckets - 1)];
}

/* Where the reference to name is, or would be. */
static uint32_t *single_link(struct meta_table *t, struct folder *f, const char *name)
{
	uint32_t *link = bucket_of(f, name, strlen(name));

	for (;;) {
		struct single *s = single_at(t, *link);

		if (!s || !strcmp(packed_of(s)->text, name))
			return link;
		link = &s->next;
	}
}

static struct single *find_single(struct meta_table *t, struct folder *f, const char *name)
{
	return f->buckets ? single_at(t, *single_link(t, f, name)) : NULL;
}

static int grow_singles(struct meta_table *t, struct folder *f)
{
	struct folder more = {.buckets = f->buckets ? f->buckets * 2 : SINGLES_FIRST};

	more.single = calloc(more.buckets, sizeof(*more.single));
	if (!more.single)
		return -ENOMEM;
	for (size_t i = 0; i < f->buckets; i++)
		for (struct single *s = single_at(t, f->single[i]), *next; s; s = next) {
			uint32_t *head = bucket_of(
				&more, packed_of(s)->text, packed_of(s)->name_len);

			next = single_at(t, s->next);
			s->next = *head;
			*head = arena_ref(s);
		}
	free(f->single);
	f->single = more.single;
	f->buckets = more.buckets;
	return 0;
}

/* In place of what was said of name before; NULL without memory. */
static struct single *put_single(
	struct meta_table *t, struct folder *f, const char *name, const struct object *obj)
{
	struct single *s = arena_alloc(&t->arena, sizeof(*s) + packed_bytes(obj, name));
	struct single *old = find_single(t, f, name);
	uint32_t *link;

	if (s && !old && f->singles >= f->buckets && grow_singles(t, f) < 0) {
		arena_free(&t->arena, s);
		s = NULL;
	}
	if (!s)
		return NULL;
	packed_put(packed_of(s), obj, name);
	link = single_link(t, f, name);
	s->next = old ? old->next : 0;
	*link = arena_ref(s);
	f->singles += !old;
	t->entries += !old;
	if (old)
		arena_free(&t->arena, old);
	return s;
}

/* ---- answers ---- */

bool table_get(struct meta_table *t, const char *name, struct meta_answer *ret)
{
	size_t dir_len;
	const char *component = split(name, &dir_len);

	HOLD(&t->lock);
	struct folder *f = find_folder(t, name, dir_len);
	struct single *s = f ? find_single(t, f, component) : NULL;

	if (s && (!f->listing || !*component || s->stamp_ns >= f->stamp_ns)) {
		*ret = (struct meta_answer){
			.absent = s->absent, .stale = s->stale, .stamp_ns = s->stamp_ns};
		packed_object(packed_of(s), &ret->obj);
		ret->obj.name = NULL;
		return true;
	}
	if (!f || !f->listing || !*component)
		return false;
	*ret = (struct meta_answer){.listed = true, .stale = f->stale, .stamp_ns = f->stamp_ns};
	ret->absent = !listing_find(f->listing, component, &ret->obj);
	ret->obj.name = NULL;
	return true;
}

void table_put(struct meta_table *t, const char *name, const struct object *obj, int64_t stamp_ns)
{
	size_t dir_len;
	const char *component = split(name, &dir_len);

	HOLD(&t->lock);
	struct folder *f = add_folder(t, name, dir_len);
	struct single *s = f ? put_single(t, f, component, obj ? obj : &(struct object){0}) : NULL;

	if (!s)
		return; /* no memory: not remembered */
	s->absent = !obj;
	s->stale = false;
	s->stamp_ns = stamp_ns;
	t->changes += obj != NULL;
	keep_within(t);
}

void table_extend(struct meta_table *t, const char *name, bool listing, int64_t stamp_ns)
{
	size_t dir_len;
	const char *component = split(name, &dir_len);

	HOLD(&t->lock);
	struct folder *f = listing ? find_folder(t, name, strlen(name))
				   : find_folder(t, name, dir_len);
	struct single *s = f && !listing ? find_single(t, f, component) : NULL;

	if (s) {
		s->stamp_ns = stamp_ns;
		s->stale = true;
	} else if (f) {
		f->stamp_ns = stamp_ns;
		f->stale = true;
	}
}

/* Whether name is root or lies below it. */
static bool name_below(const char *name, const char *root)
{
	size_t len = strlen(root);

	return !len || (!strncmp(name, root, len) && (!name[len] || name[len] == '/'));
}

void table_drop(struct meta_table *t, const char *name)
{
	size_t dir_len;

	split(name, &dir_len);
	HOLD(&t->lock);
	for (struct folder *f = t->newest, *next; f; f = next) {
		bool parent = *name && strlen(f->dir) == dir_len && !strncmp(f->dir, name, dir_len);

		next = f->older;
		if (parent || name_below(f->dir, name))
			remove_folder(t, f);
	}
	t->changes++;
	counter_put(t->counters, LAYER_blocks, (int64_t)t->entries);
}

bool table_get_listing(
	struct meta_table *t, const char *dir, struct listing **ret, struct meta_answer *ret_age)
{
	HOLD(&t->lock);
	struct folder *f = find_folder(t, dir, strlen(dir));

	if (!f || !f->listing)
		return false;
	*ret = listing_use(f->listing);
	*ret_age = (struct meta_answer){.listed = true, .stale = f->stale, .stamp_ns = f->stamp_ns};
	return true;
}

void table_put_listing(struct meta_table *t, const char *dir, struct listing *l, int64_t stamp_ns)
{
	HOLD(&t->lock);
	struct folder *f = add_folder(t, dir, strlen(dir));

	if (!f)
		return;
	drop_older_singles(t, f, stamp_ns);
	clear_listing(t, f);
	f->listing = listing_use(l);
	f->stamp_ns = stamp_ns;
	f->stale = false;
	t->entries += listing_entries(l);
	t->changes++;
	keep_within(t);
}

/* ---- refreshing ---- */

bool table_refreshing(struct meta_table *t, const char *name)
{
	size_t len = strlen(name) + 1;
	struct refreshing *r;

	HOLD(&t->lock);
	for (r = t->refreshing; r; r = r->next)
		if (!strcmp(r->name, name))
			return false;
	r = malloc(sizeof(*r) + len);
	if (!r)
		return false;
	memcpy(r->name, name, len);
	r->next = t->refreshing;
	t->refreshing = r;
	return true;
}

void table_refreshed(struct meta_table *t, const char *name)
{
	HOLD(&t->lock);
	struct refreshing **link = &t->refreshing, *r;

	while (strcmp((*link)->name, name))
		link = &(*link)->next;
	r = *link;
	*link = r->next;
	free(r);
}

/* ---- for the snapshot ---- */

uint64_t table_changes(struct meta_table *t)
{
	HOLD(&t->lock);
	return t->changes;
}

char *table_dirs(struct meta_table *t, size_t *ret_bytes)
{
	size_t bytes = 0;

	HOLD(&t->lock);
	for (struct folder *f = t->oldest; f; f = f->newer)
		bytes += strlen(f->dir) + 1;
	char *dirs = malloc(bytes ? bytes : 1), *to = dirs;

	for (struct folder *f = t->oldest; dirs && f; f = f->newer)
		to = stpcpy(to, f->dir) + 1;
	*ret_bytes = bytes;
	return dirs;
}

void table_export(struct meta_table *t, const char *dir, struct listing **ret_listing,
	int64_t *ret_stamp_ns, name_fn *each, void *arg)
{
	HOLD(&t->lock);
	struct folder *f = *folder_link(t, dir, strlen(dir));

	*ret_listing = f && f->listing ? listing_use(f->listing) : NULL;
	*ret_stamp_ns = f ? f->stamp_ns : 0;
	for (size_t i = 0; f && i < f->buckets; i++)
		for (struct single *s = single_at(t, f->single[i]); s; s = single_at(t, s->next))
			if (!s->absent || f->listing)
				each(arg, s->stamp_ns, s->absent, packed_of(s));
}
