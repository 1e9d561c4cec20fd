/* SPDX-License-Identifier: Apache-2.0 */
/* OPEN and RELEASE: which mode is in force and why, and how each file opens. A handle needs nothing of
 * ours (the kernel forgets no node that is open), but passthrough has to know what is open (opens.h). */
#include "cachefs/fs_ops.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cachefs/backing.h"
#include "common/cleanup.h"
#include "common/log.h"

AUTO_FREE(leave, struct worker, worker_leave);

/* ---- the mode ---- */

static bool wants_passthrough(const struct fs *fs)
{
	return fs->cfg->fuse.open_mode == OPEN_PASSTHROUGH || fs->cfg->fuse.open_mode == OPEN_AUTO;
}

#define NO_TIER                                                                                    \
	"no files that the kernel could read: it takes a disk tier without throttle, delay or "    \
	"fault above and without disk.page_cache=drop"

void fs_open_init(
	struct fs *fs, const void *request, size_t request_len, void *answer, size_t answer_len)
{
	AUTO(close) int fd = -1;

	if (!wants_passthrough(fs))
		return;
	if (store_backing(stack_top(fs->stack), NULL, &fd) < 0)
		fs->open.trouble = NO_TIER;
	else if (!backing_offered(request, request_len) ||
		 !backing_take(answer, answer_len, backing_stack_depth(fd)))
		fs->open.trouble = "the kernel has no passthrough (it came with Linux 6.9)";
}

/* Whether the kernel takes a file of the tier: NULL, or why not. */
static const char *try_backing(struct fs *fs)
{
	AUTO(close) int fd = -1;
	int32_t id;

	if (fs->open.trouble)
		return fs->open.trouble;
	if (store_backing(stack_top(fs->stack), NULL, &fd) < 0)
		return NO_TIER;
	id = backing_open(fs->open.session_fd, fd);
	if (id > 0) {
		backing_close(fs->open.session_fd, id);
		return NULL;
	}
	if (id == -EPERM)
		return "passthrough takes root (CAP_SYS_ADMIN)";
	if (id == -ELOOP)
		return "disk.path lies on a filesystem that is stacked too deep";
	return "the kernel does not take files of disk.path";
}

/* NO_OPEN where the kernel can, else PAGE. */
static void open_without_asking(struct fs *fs, const char *why)
{
	bool can = fs->negotiated.no_open;

	fs->open.mode = can ? OPEN_NOOPEN : OPEN_PAGE;
	fs->open.why = can ? why : "the kernel does not support noopen";
}

int fs_open_start(struct fs *fs, int session_fd, struct err *err)
{
	bool is_auto = fs->cfg->fuse.open_mode == OPEN_AUTO;

	fs->open.session_fd = session_fd;
	fs->open.mode = fs->cfg->fuse.open_mode;
	fs->open.why = "fuse.open_mode";
	if (fs->open.mode == OPEN_NOOPEN)
		open_without_asking(fs, "fuse.open_mode");
	if (!wants_passthrough(fs))
		return 0;
	fs->open.trouble = try_backing(fs);
	if (fs->open.trouble) {
		fs->open.mode = OPEN_PAGE;
		fs->open.why = fs->open.trouble;
		if (is_auto)
			open_without_asking(fs, fs->open.trouble);
		return 0;
	}
	fs->open.mode = OPEN_PASSTHROUGH;
	if (is_auto)
		fs->open.why = "large files so far; noopen when nearly all that opens is small";
	fs->open.opens = opens_new(is_auto && fs->negotiated.no_open);
	return fs->open.opens ? 0 : err_set(err, ENOMEM, "not enough memory");
}

const char *fs_open_mode_name(const struct fs *fs)
{
	static const char *const names[] = {"direct", "page", "noopen", "passthrough"};

	return names[fs->open.mode];
}

/* ---- OPEN ---- */

static void close_backing(struct fs *fs, int32_t id)
{
	if (id <= 0)
		return;
	backing_close(fs->open.session_fd, id);
	counter_add(&fs->counters, FUSE_backings, -1);
}

static void count_fallback(struct fs *fs, int why)
{
	if (why == -ENOTSUP)
		counter_add(&fs->counters, FUSE_fallback_small, 1);
	else if (why == -EAGAIN)
		counter_add(&fs->counters, FUSE_fallback_partial, 1);
	else if (why == -EINPROGRESS)
		counter_add(&fs->counters, FUSE_fallback_unverified, 1);
	else
		counter_add(&fs->counters, FUSE_fallback_failed, 1);
}

/* The id of the tier's file for node, or 0: then it opens through the page cache. */
static int32_t lend_backing(struct fs *fs, const struct inode *node)
{
	AUTO(close) int fd = -1;
	char name[INODE_NAME_BYTES];
	struct object obj;

	inode_object(node, name, &obj);
	int32_t id = store_backing(stack_top(fs->stack), &obj, &fd);

	if (id >= 0)
		id = backing_open(fs->open.session_fd, fd);
	if (id < 0) {
		count_fallback(fs, id);
		return 0;
	}
	counter_add(&fs->counters, FUSE_backings, 1);
	return id;
}

static int choose(struct fs *fs, const struct inode *node, struct open_answer *ret)
{
	char name[INODE_NAME_BYTES];
	struct object obj;

	if (!opens_join(fs->open.opens, node->id, node->size, ret)) {
		int32_t id = lend_backing(fs, node);
		int r = opens_enter(fs->open.opens, node->id, id, ret);

		if (r < 0 || ret->id != id)
			close_backing(fs, id);
		return r;
	}
	if (ret->way == PASSTHROUGH) {
		inode_object(node, name, &obj);
		store_backing(stack_top(fs->stack), &obj, NULL); /* used once more */
	} else if (ret->way == CACHED) {
		counter_add(&fs->counters, FUSE_fallback_open, 1);
	}
	return 0;
}

/* What was read through FUSE's page cache and will be read from the tier's file from now on is there
 * twice: the kernel forgets its copy. */
static void forget_pages(struct fs *fs, uint64_t id)
{
	struct inode *node = inode_get(fs->inodes, id);
	char name[INODE_NAME_BYTES];
	struct object obj;

	if (!node)
		return;
	inode_object(node, name, &obj);
	if (!store_backing(stack_top(fs->stack), &obj, NULL))
		notify_node(fs->notify, id);
	inode_put(fs->inodes, node);
}

static void leave_file(struct fs *fs, uint64_t id)
{
	struct open_answer was;

	if (!opens_leave(fs->open.opens, id, &was))
		return;
	if (was.way == PASSTHROUGH)
		close_backing(fs, was.id);
	else
		forget_pages(fs, id);
}

static int reply_passthrough(fuse_req_t req, int32_t id)
{
	struct backing_open_out out = {
		.open_flags = BACKING_OPEN_FLAG | BACKING_NOFLUSH_FLAG,
		.backing_id = id,
	};

	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

static int reply_no_open(struct fs *fs, fuse_req_t req)
{
	if (fs->open.mode != OPEN_NOOPEN) {
		fs->open.why = "nearly all files that were opened are small";
		fs->open.mode = OPEN_NOOPEN;
		log_info("files open without asking from now on: %s", fs->open.why);
	}
	return fuse_reply_err(req, ENOSYS); /* from now on the kernel opens by itself */
}

static int reply_cached(struct fs *fs, fuse_req_t req, struct fuse_file_info *fi)
{
	fi->noflush = 1;
	if (fs->open.mode == OPEN_DIRECT)
		fi->direct_io = 1;
	else
		fi->keep_cache = 1;
	return fuse_reply_open(req, fi);
}

static void open_file(
	struct fs *fs, fuse_req_t req, const struct inode *node, struct fuse_file_info *fi)
{
	bool counted = fs->open.opens && node->kind == INODE_FILE;
	struct open_answer how = {.way = CACHED};
	int r = counted ? choose(fs, node, &how) : 0;

	if (r < 0) {
		fs_reply_error(fs, req, r);
		return;
	}
	if (how.way == NO_OPEN) {
		reply_no_open(fs, req);
		return;
	}
	fs_note_read(fs, node, 0, true);
	if (how.way == PASSTHROUGH) {
		counter_add(&fs->counters, FUSE_passthrough_opens, 1);
		r = reply_passthrough(req, how.id);
	} else {
		r = reply_cached(fs, req, fi);
	}
	if (r < 0 && counted)
		leave_file(fs, node->id);
}

void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	AUTO(leave) struct worker *w = worker_enter(&fs->workers);

	counter_add(&fs->counters, FUSE_opens, 1);
	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		fs_reply_error(fs, req, -EROFS);
		return;
	}
	if (fs->open.mode == OPEN_NOOPEN) {
		reply_no_open(fs, req);
		return;
	}
	struct inode *node = inode_get(fs->inodes, ino);

	if (node)
		open_file(fs, req, node, fi);
	else
		fs_reply_error(fs, req, -ESTALE);
	inode_put(fs->inodes, node);
}

void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);

	if (fs->open.opens)
		leave_file(fs, ino);
	fuse_reply_err(req, 0);
}
