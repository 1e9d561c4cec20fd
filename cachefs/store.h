/* SPDX-License-Identifier: Apache-2.0 */
/* store - one layer of the read path.
 *
 * A stack runs from the fastest tier down to exactly one origin; a layer knows only the layer
 * below ("lower"; NULL for an origin):
 *
 *      meta        attributes and listings from memory
 *      mem, disk   blocks in memory, in files (struct cache does what they share)
 *      throttle, delay, fault   only when named, anywhere
 *      dir, http, s3            the origin
 *
 * Rules for all ops: any number of threads may be inside a layer; they return 0 or -errno and
 * print nothing; a missing op means "ask the layer below". Callers use store_*(), never the table:
 * the wrapper checks the contract, skips layers without the op, times and counts every call.
 *
 * Names are paths relative to the origin's root: "" is the root, "n01440764/x.jpg" a file; no
 * leading or trailing '/', no empty, "." or ".." component, no NUL, components <= 255 bytes,
 * <= 4095 in all. Origins drop listing entries that are not so (and count an error); names from
 * callers that are not so are -ENOENT. */
#ifndef CACHEFS_STORE_H
#define CACHEFS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/counters.h"
#include "common/err.h"
#include "common/hist.h"
#include "common/knob.h"

#define ETAG_MAX 96
#define CHUNK_SIZE (128 << 10) /* unit of CRCs; one FUSE READ of the kernel's default readahead */

/* One immutable version of a file, or a folder. (name, version) is a cache key. A value: copies
 * are free; name is borrowed from whoever filled the struct (see each op). */
struct object {
	const char *name;
	uint64_t version; /* of etag, else of (size, mtime); never 0 for files */
	uint64_t size;    /* bytes; 0 for folders */
	int64_t mtime_ns; /* since 1970; 0: unknown */
	bool is_dir;
	char etag[ETAG_MAX]; /* as the origin gave it, quotes included; "" if none or too long */
};

/* Lent bytes: mem, or fd and off, never both (mem NULL: a file). Valid until extent_put(), which
 * the taker owes. A lender that kept the bytes for a while gives the CRC32C of every CHUNK_SIZE
 * bytes of the object (the last chunk of an object is shorter): crc[0] is that of the chunk
 * in which the extent begins, and the whole of each chunk touched lies around the extent, `lead`
 * bytes before it, `whole` bytes from the start of the first chunk to the end of the last. */
struct extent {
	const void *mem;
	int fd;
	off_t off;
	size_t len;
	size_t lead, whole;
	const uint32_t *crc; /* NULL: nothing to check against */
	struct store *owner; /* NULL: nothing to put */
	uint64_t cookie;     /* owner's */
};

/* How much a call may wait. STORE_NOWAIT: answer from memory or -EAGAIN, in microseconds.
 * STORE_FRESH (stat): wait, and do not believe what is known. An origin may bring the first bytes along
 * with STORE_WAIT, which asks for what is new and likely to be read. */
enum store_wait { STORE_WAIT, STORE_NOWAIT, STORE_FRESH };

/* Receives bytes in offset order, one call at a time, never after fetch() returned; non-zero
 * aborts the fetch, which then returns that value. data is only valid during the call. */
typedef int sink_fn(void *arg, const void *data, size_t len);

/* Receives one entry of a listing: entry->name is one component, borrowed for the call. Order is
 * the origin's. Non-zero aborts. */
typedef int list_fn(void *arg, const struct object *entry);

struct listing;
struct store;

struct store_ops {
	const char *name;    /* the word users write in cache.stack, or the origin's scheme */
	const char *summary; /* one sentence for `run-bench list layers` */
	bool origin;

	/* A new layer over lower, which the new layer does not own. origin: text as the user gave
	 * it, for dir without "dir:" and absolute. NULL and err filled on failure. */
	struct store *(*open)(
		const struct config *cfg, const char *origin, struct store *lower, struct err *err);
	/* Origins that are not here: asks, and tells in err what a user can set right. -EHOSTUNREACH:
	 * nobody answers; the origin stays open and asks again by itself. Any other: close it. */
	int (*check)(struct store *st, struct err *err);
	/* Makes calls that wait for somebody else, those under way and later ones, end soon with
	 * -ESHUTDOWN. Any thread may be inside. Called for each layer before stop(). */
	void (*interrupt)(struct store *st);
	/* Ends work in the background (threads of the layer's own), so that extents taken from
	 * above are put and nothing below is called any more. Called for each layer, top first,
	 * before the first close. */
	void (*stop)(struct store *st);
	/* All calls have returned and all extents are put. */
	void (*close)(struct store *st);

	/* Attributes of name. ret->name is the caller's own pointer. -ENOENT: the origin said so. */
	int (*stat)(struct store *st, const char *name, enum store_wait wait, struct object *ret);

	/* Every entry of the folder, attributes included, once each. -ENOTDIR, -ENOENT. */
	int (*list)(
		struct store *st, const char *dir, enum store_wait wait, list_fn *each, void *arg);

	/* The same as one value that stays as it is (listing.h), a use of it for the caller, where a
	 * layer has such. */
	int (*listing)(
		struct store *st, const char *dir, enum store_wait wait, struct listing **ret);

	/* Bytes [off, off+len) of obj, which lie inside the object, all of them or an error.
	 * May wait, within the deadline of the layer. -ESTALE: the origin has another version. */
	int (*fetch)(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
		sink_fn *each, void *arg);

	/* Lends the longest run of bytes from off, at most len, that is here and verified now;
	 * never waits for network or a lock held over I/O. -EAGAIN: not here (nor below). */
	int (*lend)(struct store *st, const struct object *obj, uint64_t off, size_t len,
		struct extent *ret);
	void (*put)(struct store *st, struct extent *ext); /* owners of extents only */
	/* Owners of file extents: extent_read() their way; missing: a plain read. */
	int (*read)(struct store *st, const struct extent *ext, void *buf);
	void (*reject)(struct store *st, struct extent *ext); /* the CRC disagreed: forget it */

	/* Tiers: whether the byte at off is here or in a tier below, as lend would find it, but not counted as
	 * a read: for those who wonder what to fetch. To the policy it is used once more. */
	bool (*holds)(struct store *st, const struct object *obj, uint64_t off);

	/* Offers a whole block [off, off+ext->len) that was just fetched from below this layer's
	 * upper neighbour, with its CRCs. 0: the layer keeps it and puts the extent when it is
	 * done with it; else the extent stays the caller's. -EEXIST: here already. */
	int (*keep)(struct store *st, const struct object *obj, uint64_t off, struct extent *ext);

	/* Hint: these bytes will be read. Never waits. 0: they will be here; -EEXIST: they are, or
	 * were on their way; else nothing may be expected of it now. */
	int (*prefetch)(struct store *st, const struct object *obj, uint64_t off, uint64_t len);

	/* A file that holds all of obj from its first byte on, every chunk of it verified by this
	 * process, and that is never again written, cut or punched: its descriptor, O_RDONLY, which
	 * the caller closes (ret_fd NULL: nothing, obj only counts as used once more). What reads it
	 * later reads obj, whatever the layer does. obj NULL: any file of those that would be given, to
	 * try what the kernel makes of it; it says that more will be asked. Never waits for the
	 * network. -EAGAIN: obj is not all here, -EINPROGRESS: not all verified yet, -ENOTSUP: it never
	 * will be; also where reads shall not go round a layer. */
	int (*backing)(struct store *st, const struct object *obj, int *ret_fd);

	/* Forgets name (a file, a folder with all below it; "" everything). */
	int (*drop)(struct store *st, const char *name);
	/* The same of attributes and listings alone. */
	int (*forget)(struct store *st, const char *name);

	/* Adds members of its own to the layer's statistics object; counters are there already. */
	void (*describe)(struct store *st, json_t *into);
};

/* Base of every layer: embed it first and come back with container_of. */
struct store {
	const struct store_ops *ops;
	struct store *lower;
	struct counter_set *counters; /* owned by the base */
	struct hist *latency[5];      /* by enum store_op_kind, owned by the base */
};

enum store_op_kind { STORE_STAT, STORE_LIST, STORE_FETCH, STORE_LEND, STORE_DROP };

/* For implementations: fills the base / releases what it owns. */
int store_init(struct store *st, const struct store_ops *ops, struct store *lower);
void store_done(struct store *st);

/* ---- what callers use; st is the top layer or a lower ---- */
int store_stat(struct store *st, const char *name, enum store_wait wait, struct object *ret);
int store_list(struct store *st, const char *dir, enum store_wait wait, list_fn *each, void *arg);
/* Where no layer has it as a value, one is made of list(). */
int store_listing(struct store *st, const char *dir, enum store_wait wait, struct listing **ret);
int store_fetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len,
	sink_fn *each, void *arg);
int store_lend(
	struct store *st, const struct object *obj, uint64_t off, size_t len, struct extent *ret);
void extent_put(struct extent *ext);
void extent_reject(struct extent *ext); /* and put */
int store_keep(struct store *st, const struct object *obj, uint64_t off, struct extent *ext);
bool store_holds(struct store *st, const struct object *obj, uint64_t off);

/* Reads ext, which is a file's, into buf: ext->whole bytes from the start of its first chunk
 * (ext->len from its start if it has no CRCs). buf has room up to the next multiple of EXTENT_ALIGN; if it
 * lies at one too, the tier may read past the page cache. */
#define EXTENT_ALIGN 4096
int extent_read(const struct extent *ext, void *buf);

/* 0, or -EBADMSG when a chunk of whole (ext->whole bytes) disagrees with its CRC. */
int extent_check(const struct extent *ext, const void *whole);
int store_prefetch(struct store *st, const struct object *obj, uint64_t off, uint64_t len);
int store_backing(struct store *st, const struct object *obj, int *ret_fd);
/* Every layer of the stack. */
int store_drop(struct store *st, const char *name);
int store_forget(struct store *st, const char *name);

/* fetch and copy into buf, len bytes. */
int store_read(struct store *st, const struct object *obj, uint64_t off, void *buf, size_t len);

/* True when name obeys the rules at the top. store_component_valid: one component of a listing. */
bool store_name_valid(const char *name);
bool store_component_valid(const char *component);

/* Version of an object from its etag, else size and mtime: 64-bit FNV-1a, never 0. */
uint64_t store_version(const char *etag, uint64_t size, int64_t mtime_ns);

/* Every layer and origin there is, NULL-terminated; one line an entry in store.c. */
extern const struct store_ops *const store_registry[];
const struct store_ops *store_find(const char *name);

#endif
