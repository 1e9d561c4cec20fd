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

#include "cachefs/listing.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define LISTINGS_KEPT 64

AUTO_FREE(leave, struct worker, worker_leave);

struct listings {
	pthread_mutex_t lock; /* all below */
	uint64_t clock;
	struct {
		uint64_t id, used;
		struct listing *listing; /* a use */
	} kept[LISTINGS_KEPT];
};

struct listings *listings_new(void)
{
	struct listings *l = calloc(1, sizeof(*l));

	if (l)
		pthread_mutex_init(&l->lock, NULL);
	return l;
}

void listings_free(struct listings *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < LISTINGS_KEPT; i++)
		listing_put(l->kept[i].listing);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* Ends the keeping of the listing of folder id. */
static void listing_leave(struct listings *all, uint64_t id)
{
	HOLD(&all->lock);
	for (size_t i = 0; i < LISTINGS_KEPT; i++)
		if (all->kept[i].listing && all->kept[i].id == id)
			listing_put(TAKE(all->kept[i].listing));
}

/* A use of the listing that is kept; NULL: none is. */
static struct listing *listing_get(struct listings *all, uint64_t id)
{
	HOLD(&all->lock);
	for (size_t i = 0; i < LISTINGS_KEPT; i++)
		if (all->kept[i].listing && all->kept[i].id == id) {
			all->kept[i].used = ++all->clock;
			return listing_use(all->kept[i].listing);
		}
	return NULL;
}

/* Keeps l (with a use of its own) in place of the one used longest ago. */
static void listing_keep(struct listings *all, uint64_t id, struct listing *l)
{
	size_t oldest = 0;

	listing_leave(all, id);
	HOLD(&all->lock);
	for (size_t i = 1; i < LISTINGS_KEPT; i++)
		if (all->kept[i].used < all->kept[oldest].used)
			oldest = i;
	listing_put(all->kept[oldest].listing);
	all->kept[oldest].id = id;
	all->kept[oldest].used = ++all->clock;
	all->kept[oldest].listing = listing_use(l);
}

static int listing_load(
	struct fs *fs, struct inode *folder, enum store_wait wait, struct listing **ret)
{
	char name[INODE_NAME_BYTES];
	int64_t now_ns = clock_now_ns();
	int r = store_listing(stack_top(fs->stack), inode_name(folder, name), wait, ret);

	if (!r)
		folder->listed_ns = now_ns;
	return r;
}

/* ---- replies ---- */

struct page {
	struct fs *fs;
	fuse_req_t req;
	struct inode *folder;
	size_t folder_len; /* of its name */
	char *buf;
	size_t used, size;
	bool plus;
	/* Of READDIRPLUS: each entry is a lookup, to be undone if it does not arrive. */
	uint64_t *ids;
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

/* Longer names are too long for LOOKUP as well. */
static bool name_fits(const struct page *page, const char *name)
{
	return page->folder_len + strlen(name) + 2 <= INODE_NAME_BYTES;
}

static bool add_entry(struct page *page, const struct object *obj, off_t next, int *ret_error)
{
	struct fuse_entry_param entry = {.attr = {.st_mode = obj->is_dir ? S_IFDIR : S_IFREG}};
	struct inode *node;

	if (!page_fits(page, obj->name))
		return false;
	if (!name_fits(page, obj->name))
		return true;
	if (page->plus) {
		node = inode_remember(page->fs->inodes, page->folder, obj->name, obj, NULL);
		if (!node) {
			*ret_error = -ENOMEM;
			return false;
		}
		page->ids[page->n_ids++] = node->id;
		fs_entry(page->fs, node, &entry);
	} else {
		uint64_t id = inode_child_id(page->fs->inodes, page->folder, obj->name);

		entry.attr.st_ino = id ? id : UINT32_MAX; /* not known yet */
	}
	page_add(page, obj->name, &entry, next);
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

static int page_alloc(struct page *page)
{
	char name[INODE_NAME_BYTES];

	page->folder_len = strlen(inode_name(page->folder, name));
	page->buf = malloc(page->size);
	page->ids = malloc((page->size / ENTRY_BYTES_MIN + 1) * sizeof(*page->ids));
	return page->buf && page->ids ? 0 : -ENOMEM;
}

/* Adds the entries of l from number i on until the page is full. */
static int add_entries(struct page *page, const struct listing *l, size_t i)
{
	bool root = page->folder->id == INODE_ROOT;
	struct object obj;
	int r = 0;

	for (size_t at = listing_seek(l, i); listing_next(l, &at, &obj); i++) {
		if (root && !strcmp(obj.name, CONTROL_FOLDER))
			continue;
		if (!add_entry(page, &obj, (off_t)i + 3, &r))
			break;
	}
	return r;
}

/* Answers with the entries from index off on; l NULL: of .cachefs. */
static void reply_page(struct page *page, const struct listing *l, size_t off)
{
	size_t fixed = l ? 2 : 3;
	int r = page_alloc(page);
	bool room = !r;

	for (; room && off < fixed; off++)
		room = add_fixed(page, off);
	if (room && l)
		r = add_entries(page, l, off - fixed);
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
	if (l && off >= listing_entries(l) + 2)
		listing_leave(all, page->folder->id);
	listing_put(l);
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
			pending_lists(p);
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
 * and RELEASEDIRs of every folder but keeps listings for ever, so only where names are kept so too. */
void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	AUTO(leave) struct worker *w = worker_enter(&fs->workers);
	const struct config *cfg = fs->cfg;
	bool for_ever = cfg->meta.enabled && cfg->meta.expiration == KNOB_VALUE_NEVER &&
			cfg->fuse.entry_timeout == KNOB_VALUE_AUTO;
	struct inode *folder;

	if (for_ever && cfg->fuse.open_mode != OPEN_DIRECT && fs->negotiated.no_opendir) {
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
