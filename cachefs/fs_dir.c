/* SPDX-License-Identifier: Apache-2.0 */
/* Folders: OPENDIR, READDIR, READDIRPLUS.
 *
 * The kernel reads a folder in pieces, by offset, possibly without a handle (fuse.open_mode=noopen).
 * The piece at offset 0 takes the whole listing from the stack; it is kept until the last piece, or
 * until more folders are being read than there are places, which costs a second listing. Offsets
 * are indexes: 0 ".", 1 "..", then the entries. .cachefs is never listed: readers of class folders
 * would take it for a class. */
#include "cachefs/fs_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define LISTINGS_KEPT 64

AUTO_FREE(leave, struct worker, worker_leave);

struct listed {
	uint64_t version, size;
	int64_t mtime_ns;
	size_t text; /* offset of name, NUL, etag, NUL */
	bool is_dir;
};

struct listing {
	unsigned refs; /* listings.lock */
	size_t n, room, text_len, text_room;
	struct listed *entry;
	char *text;
};

struct listings {
	pthread_mutex_t lock; /* all below */
	uint64_t clock;
	struct {
		uint64_t id, used;
		struct listing *listing;
	} kept[LISTINGS_KEPT];
};

struct listings *listings_new(void)
{
	struct listings *l = calloc(1, sizeof(*l));

	if (l)
		pthread_mutex_init(&l->lock, NULL);
	return l;
}

static void listing_free(struct listing *l)
{
	if (!l)
		return;
	free(l->entry);
	free(l->text);
	free(l);
}

void listings_free(struct listings *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < LISTINGS_KEPT; i++)
		listing_free(l->kept[i].listing);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void listing_put(struct listings *all, struct listing *l)
{
	bool last;

	if (!l)
		return;
	pthread_mutex_lock(&all->lock);
	last = !--l->refs;
	pthread_mutex_unlock(&all->lock);
	if (last)
		listing_free(l);
}

/* Takes the listing of folder id out of its place (the place's reference is the caller's to put). */
static struct listing *listing_take(struct listings *all, uint64_t id)
{
	struct listing *l = NULL;

	HOLD(&all->lock);
	for (size_t i = 0; i < LISTINGS_KEPT && !l; i++)
		if (all->kept[i].listing && all->kept[i].id == id)
			l = TAKE(all->kept[i].listing);
	return l;
}

static struct listing *listing_get(struct listings *all, uint64_t id)
{
	HOLD(&all->lock);
	for (size_t i = 0; i < LISTINGS_KEPT; i++)
		if (all->kept[i].listing && all->kept[i].id == id) {
			all->kept[i].used = ++all->clock;
			all->kept[i].listing->refs++;
			return all->kept[i].listing;
		}
	return NULL;
}

/* Keeps l (with a reference of its own) in place of the one used longest ago. */
static void listing_keep(struct listings *all, uint64_t id, struct listing *l)
{
	struct listing *gone;
	size_t oldest = 0;

	listing_put(all, listing_take(all, id));
	pthread_mutex_lock(&all->lock);
	for (size_t i = 1; i < LISTINGS_KEPT; i++)
		if (all->kept[i].used < all->kept[oldest].used)
			oldest = i;
	gone = all->kept[oldest].listing;
	l->refs++;
	all->kept[oldest].id = id;
	all->kept[oldest].used = ++all->clock;
	all->kept[oldest].listing = l;
	pthread_mutex_unlock(&all->lock);
	listing_put(all, gone);
}

/* ---- filling ---- */

static int reserve(void **p, size_t *room, size_t need, size_t unit)
{
	size_t n = *room ? *room : 64;
	void *more;

	if (need <= *room)
		return 0;
	while (n < need)
		n *= 2;
	more = realloc(*p, n * unit);
	if (!more)
		return -ENOMEM;
	*p = more;
	*room = n;
	return 0;
}

static int add_listed(void *arg, const struct object *obj)
{
	struct listing *l = arg;
	size_t name = strlen(obj->name) + 1, etag = strlen(obj->etag) + 1;
	void *entries = l->entry, *text = l->text;
	int r = reserve(&entries, &l->room, l->n + 1, sizeof(struct listed));

	l->entry = entries;
	if (r >= 0)
		r = reserve(&text, &l->text_room, l->text_len + name + etag, 1);
	l->text = text;
	if (r < 0)
		return r;
	memcpy(l->text + l->text_len, obj->name, name);
	memcpy(l->text + l->text_len + name, obj->etag, etag);
	l->entry[l->n++] = (struct listed){
		obj->version, obj->size, obj->mtime_ns, l->text_len, obj->is_dir};
	l->text_len += name + etag;
	return 0;
}

static int listing_load(
	struct fs *fs, struct inode *folder, enum store_wait wait, struct listing **ret)
{
	struct listing *l = calloc(1, sizeof(*l));
	int64_t now_ns = clock_now_ns();
	int r = -ENOMEM;

	if (l) {
		l->refs = 1;
		r = store_list(stack_top(fs->stack), folder->text, wait, add_listed, l);
	}
	if (r < 0) {
		listing_free(l);
		return r;
	}
	folder->listed_ns = now_ns;
	*ret = l;
	return 0;
}

/* ---- replies ---- */

struct page {
	struct fs *fs;
	fuse_req_t req;
	struct inode *folder;
	char *buf;
	size_t used, size;
	bool plus;
	uint64_t *
		ids; /* of READDIRPLUS: each entry is a lookup, to be undone if it does not arrive */
	size_t n_ids;
};

#define ENTRY_BYTES_MIN 128 /* of READDIRPLUS, attributes alone */

static bool page_fits(const struct page *page, const char *name)
{
	size_t need = page->plus ? fuse_add_direntry_plus(page->req, NULL, 0, name, NULL, 0)
				 : fuse_add_direntry(page->req, NULL, 0, name, NULL, 0);

	return need <= page->size - page->used;
}

static void page_add(
	struct page *page, const char *name, const struct fuse_entry_param *entry, off_t next)
{
	char *at = page->buf + page->used;
	size_t left = page->size - page->used;

	page->used += page->plus ? fuse_add_direntry_plus(page->req, at, left, name, entry, next)
				 : fuse_add_direntry(page->req, at, left, name, &entry->attr, next);
}

/* ".", ".." and, in .cachefs, stats.json: node id 0, so the kernel takes no lookup of them. */
static bool add_fixed(struct page *page, size_t index)
{
	static const char *const names[] = {".", "..", CONTROL_STATS};
	struct fuse_entry_param entry = {.attr = {.st_mode = index < 2 ? S_IFDIR : S_IFREG}};
	const char *name = names[index];

	entry.attr.st_ino = !index ? page->folder->id : index < 2 ? INODE_ROOT : UINT32_MAX;
	if (!page_fits(page, name))
		return false;
	page_add(page, name, &entry, (off_t)index + 1);
	return true;
}

static bool add_entry(
	struct page *page, const struct listed *e, const char *name, off_t next, int *ret_error)
{
	struct fuse_entry_param entry = {.attr = {.st_mode = e->is_dir ? S_IFDIR : S_IFREG}};
	struct object obj = {.version = e->version,
		.size = e->size,
		.mtime_ns = e->mtime_ns,
		.is_dir = e->is_dir};
	char path[NAME_BYTES];

	if (!page_fits(page, name))
		return false;
	if (fs_child_name(page->folder, name, path) < 0)
		return true; /* too long for LOOKUP as well */
	if (page->plus) {
		struct inode *node;

		obj.name = path;
		strcpy(obj.etag, name + strlen(name) + 1); /* came from an etag[] */
		node = inode_remember(page->fs->inodes, &obj, NULL);
		if (!node) {
			*ret_error = -ENOMEM;
			return false;
		}
		page->ids[page->n_ids++] = node->id;
		fs_entry(page->fs, node, &entry);
	} else {
		uint64_t id = inode_id_of(page->fs->inodes, path);

		entry.attr.st_ino = id ? id : UINT32_MAX; /* not known yet */
	}
	page_add(page, name, &entry, next);
	return true;
}

static void page_free(struct page *page)
{
	free(page->buf);
	free(page->ids);
}

/* The kernel gave the request up, so it takes no lookup and will not forget any. */
static void forget_page(const struct page *page)
{
	for (size_t i = 0; i < page->n_ids; i++)
		inode_forget(page->fs->inodes, page->ids[i], 1);
}

/* Answers with the entries from index off on. */
static void reply_page(struct page *page, const struct listing *l, size_t off)
{
	size_t end = l ? l->n + 2 : 3; /* no listing: .cachefs */
	bool root = page->folder->id == INODE_ROOT;
	int r = 0;

	page->buf = malloc(page->size);
	page->ids = malloc((page->size / ENTRY_BYTES_MIN + 1) * sizeof(*page->ids));
	if (!page->buf || !page->ids) {
		fs_reply_error(page->fs, page->req, -ENOMEM);
		page_free(page);
		return;
	}
	for (size_t i = off; i < end; i++) {
		if (i < 2 || !l) {
			if (!add_fixed(page, i))
				break;
			continue;
		}
		const struct listed *e = &l->entry[i - 2];
		const char *name = l->text + e->text;

		if (root && !strcmp(name, CONTROL_FOLDER))
			continue;
		if (!add_entry(page, e, name, (off_t)i + 1, &r))
			break;
	}
	if (r < 0 && !page->used)
		fs_reply_error(page->fs, page->req, r);
	else if (fuse_reply_buf(page->req, page->buf, page->used) < 0)
		forget_page(page);
	page_free(page);
}

/* One READDIR; -EAGAIN: not answered, would have to wait. claim: NULL, or the pending request. */
static int read_page(struct page *page, uint64_t off, enum store_wait wait, struct pending *claim)
{
	struct listings *all = page->fs->listings;
	struct listing *l = off ? listing_get(all, page->folder->id) : NULL;
	int r = 0;

	if (!l && page->folder->id != INODE_CONTROL) {
		r = listing_load(page->fs, page->folder, wait, &l);
		if (r == -EAGAIN)
			return r;
		if (r >= 0)
			listing_keep(all, page->folder->id, l);
	}
	if (claim)
		page->req = pending_claim(claim);
	if (page->req && r < 0)
		fs_reply_error(page->fs, page->req, r);
	else if (page->req)
		reply_page(page, l, off);
	if (l && off >= l->n + 2)
		listing_put(all, listing_take(all, page->folder->id));
	listing_put(all, l);
	return 0;
}

static void run_readdir(struct pending *p)
{
	struct page page = {.fs = p->fs, .folder = p->node, .size = p->read.len, .plus = p->plus};
	int r = read_page(&page, p->read.off, STORE_WAIT, p);
	fuse_req_t req = r < 0 ? pending_claim(p) : NULL;

	if (req)
		fs_reply_error(p->fs, req, -EIO);
	pending_put(p);
}

static void read_folder(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct fs *fs = fs_of(req);
	AUTO(leave) struct worker *w = worker_enter(&fs->workers);
	struct inode *folder = inode_get(fs->inodes, ino);
	struct page page = {.fs = fs, .req = req, .folder = folder, .size = size, .plus = plus};
	struct pending *p;

	counter_add(&fs->counters, FUSE_readdirs, 1);
	if (!folder || folder->kind != INODE_FOLDER) {
		fs_reply_error(fs, req, folder ? -ENOTDIR : -ESTALE);
	} else if (read_page(&page, (uint64_t)off, STORE_NOWAIT, NULL) == -EAGAIN) {
		p = pending_new(fs, req, folder, "");
		if (p) {
			p->read.off = (uint64_t)off;
			p->read.len = size;
			p->plus = plus;
			fs_defer(fs, p, run_readdir);
		}
		return;
	}
	inode_put(fs->inodes, folder);
}

void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_folder(req, ino, size, off, false);
}

void fs_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_folder(req, ino, size, off, true);
}

/* The kernel may keep a listing as long as it may keep a name. Answering ENOSYS saves the OPENDIRs
 * but keeps listings for ever, so only where names are kept for ever too. */
void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	AUTO(leave) struct worker *w = worker_enter(&fs->workers);
	const struct config *cfg = fs->cfg;
	bool for_ever = cfg->meta.enabled && cfg->meta.expiration == KNOB_VALUE_NEVER &&
			cfg->fuse.entry_timeout == KNOB_VALUE_AUTO;
	struct inode *folder;

	if (for_ever && cfg->fuse.open_mode == OPEN_NOOPEN && fs->negotiated.no_opendir) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	folder = inode_get(fs->inodes, ino);
	if (!folder) {
		fs_reply_error(fs, req, -ESTALE);
		return;
	}
	int64_t age_ns = clock_now_ns() - folder->listed_ns;

	fi->cache_readdir = cfg->fuse.open_mode != OPEN_DIRECT;
	fi->keep_cache = fi->cache_readdir && folder->listed_ns &&
			 (double)age_ns < fs->entry_timeout * NSEC_PER_SEC;
	fuse_reply_open(req, fi);
	inode_put(fs->inodes, folder);
}
