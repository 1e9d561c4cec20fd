/* SPDX-License-Identifier: Apache-2.0 */
/* inode - which node ids the kernel knows, and what each stands for.
 *
 * A node id is one (name, version) and is never reused, so the attributes and bytes behind it never
 * change. When LOOKUP finds another version of a name, that gets a new id; the old node leaves the
 * index by name but lives on until the kernel forgets it and the last handle is closed.
 *
 *      state      in the index by name   lookups + pins
 *      current    yes                    > 0
 *      outdated   no                     > 0
 *      snapshot   never                  > 0
 *      root, control   never             any
 *
 * Folders have no version: their id stands for the name, and only their mtime is brought up to date.
 * A node pins its folder, so that its name can be put together for as long as it lives. Any thread
 * may call; one mutex guards the table and is never held over anything that waits. */
#ifndef CACHEFS_INODE_H
#define CACHEFS_INODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cachefs/store.h"

#define INODE_ROOT 1
#define INODE_CONTROL 2 /* the folder .cachefs, which no listing shows */

enum inode_kind { INODE_FILE, INODE_FOLDER, INODE_SNAPSHOT };

/* Of a million files: so parents are pointed at, names are components, and entity tags packed. */
struct inode {
	union {
		struct inode *parent; /* NULL: root, control; pinned by this node */
		char *data;           /* snapshots: the bytes */
	};
	uint64_t id; /* 0: freed */
	union {
		uint64_t version; /* files */
		_Atomic int64_t
			listed_ns; /* folders: CLOCK_MONOTONIC of the last listing read, 0: never */
	};
	uint64_t size;
	_Atomic int64_t mtime_ns;
	uint8_t kind, name_len, etag_code; /* kind: enum inode_kind */
	/* below: the table's mutex */
	bool current;
	uint32_t pins, lookups; /* lookups: stays at UINT32_MAX once there */
	char text[];            /* component, NUL, packed etag */
};

struct inode_table;

/* Holds root and control from the start; they are never forgotten. NULL without memory. */
struct inode_table *inode_table_new(int64_t mtime_ns);
void inode_table_free(struct inode_table *t);

/* The node of obj (whose own name is not looked at), called name in folder, with one lookup more,
 * for a reply that tells the kernel of it. folder: pinned by the caller. ret_changed (may be NULL):
 * another version of the name was known. The node stays valid until that reply is sent. NULL
 * without memory. */
struct inode *inode_remember(struct inode_table *t, struct inode *folder, const char *name,
	const struct object *obj, bool *ret_changed);

/* A node of its own, one lookup, that holds a copy of these bytes. NULL without memory. */
struct inode *inode_snapshot(struct inode_table *t, const void *data, size_t len, int64_t mtime_ns);

/* Pins a node; NULL when the id is not known. */
struct inode *inode_get(struct inode_table *t, uint64_t id);
void inode_put(struct inode_table *t, struct inode *node);

/* The kernel gives up n lookups. */
void inode_forget(struct inode_table *t, uint64_t id, uint64_t n);

/* Id of the current node of name; 0 when there is none. */
uint64_t inode_id_of(struct inode_table *t, const char *name);

/* The same of a name in a folder that is pinned. */
uint64_t inode_child_id(struct inode_table *t, const struct inode *folder, const char *name);

/* Pins every node whose name is `name` or lies below it ("": all but control and snapshots) and
 * returns them in a malloc'ed array. NULL without memory. */
struct inode **inode_collect(struct inode_table *t, const char *name, size_t *ret_n);

/* Makes the node outdated: the next LOOKUP of its name gives a new id, even if the origin still
 * has that version. Folders stay as they are. */
void inode_outdate(struct inode_table *t, struct inode *node);

size_t inode_count(struct inode_table *t);

/* The name of a node that is pinned or in a reply: a path as in store.h, within buf. */
#define INODE_NAME_BYTES 4096
const char *inode_name(const struct inode *node, char buf[INODE_NAME_BYTES]);

/* That of a name in a folder; NULL: too long. */
const char *inode_child_name(
	const struct inode *folder, const char *name, char buf[INODE_NAME_BYTES]);

/* What the store wants to know of a file or folder; its name lies in buf. */
void inode_object(const struct inode *node, char buf[INODE_NAME_BYTES], struct object *ret);

/* Aborts when an invariant of the table above does not hold; for tests and debug builds. */
void inode_check(struct inode_table *t);

#endif
