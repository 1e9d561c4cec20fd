/* SPDX-License-Identifier: Apache-2.0 */
/* fs_ops - the FUSE requests: from node ids and offsets to objects and bytes of the stack.
 *
 *      FUSE thread:  request ──> tiers or meta hold it? ──yes──> reply
 *                                        └─no─> pending (park.h): parked on the stack, thread returns
 *      pool thread:  bytes or attributes are there ──> reply
 *
 * Files: fs_ops.c names, attributes, bytes; fs_open.c opening; fs_dir.c folders; fs_control.c the folder .cachefs. */
#ifndef CACHEFS_FS_OPS_H
#define CACHEFS_FS_OPS_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "cachefs/inode.h"
#include "cachefs/jobs.h"
#include "cachefs/notify.h"
#include "cachefs/opens.h"
#include "cachefs/options.h"
#include "cachefs/park.h"
#include "cachefs/push.h"
#include "cachefs/stack.h"
#include "cachefs/worker.h"

/* What INIT settled; written before any other request is taken. */
struct negotiated {
	bool done, no_open, no_opendir;
	unsigned protocol_major, protocol_minor, max_write, max_background;
};

/* How files open now. */
struct opening {
	int session_fd;
	const char *trouble; /* why passthrough is out of reach; NULL: it is not, or nobody asked */
	_Atomic int mode;    /* enum open_mode, never OPEN_AUTO; may become OPEN_NOOPEN */
	const char *_Atomic why;
	struct opens *opens; /* NULL: no file opens by passthrough */
};

struct listings;

struct fs {
	const struct config *cfg;
	const struct mount_request *request;
	struct stack *stack;
	struct counter_set counters;
	struct workers workers;
	struct inode_table *inodes;
	struct park *park;
	struct notify *notify;
	struct prefetch *prefetch;
	struct push *_Atomic push; /* NULL: off; the signal thread looks, too */
	struct jobs *jobs;
	struct listings *listings;
	struct negotiated negotiated;
	struct opening open;
	double entry_timeout, attr_timeout, negative_timeout; /* seconds */
	int64_t deadline_ns;                                  /* longest life of a request */
	int64_t readahead;                                    /* bytes; -1: not known */
	const char *readahead_why;
	int64_t started_ns, started_wall_ns;
};

extern const struct fuse_lowlevel_ops fs_ops;

/* fs->cfg, request and stack are set. Returns 0 or -errno; fs_done() releases in either case. */
int fs_init(struct fs *fs, struct err *err);
/* Starts the threads that serve se (notify, park, jobs). */
int fs_start(struct fs *fs, struct fuse_session *se, struct err *err);
/* Before the loop ends, while requests are still answered. Any thread, at any time. */
void fs_disarm(struct fs *fs);
/* Answers what still waits; from now on nothing waits. */
void fs_quiet(struct fs *fs);
/* Ends the running job; before the stack is closed. */
void fs_stop(struct fs *fs);
/* When the kernel has let go of the mount, so that no notice to it can hang. */
void fs_done(struct fs *fs);

/* ---- shared by the files of fs_ops ---- */

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

void fs_attr(const struct fs *fs, const struct inode *node, struct stat *ret);
void fs_entry(const struct fs *fs, struct inode *node, struct fuse_entry_param *ret);

/* Answers with -code and counts it. */
void fs_reply_error(struct fs *fs, fuse_req_t req, int code);

/* Runs p on the fetch pool, or here with fuse.dispatch=inline. */
void fs_defer(struct fs *fs, struct pending *p, void (*run)(struct pending *p));

/* Makes the kernel ask again for a name, and for the listing of its folder. */
void fs_forget_name(struct fs *fs, const char *name, bool listing);
void fs_forget_node(struct fs *fs, const struct inode *node, bool listing);

/* Tells who follows a plan where readers are: at an OPEN, or at a READ from off on. */
void fs_note_read(struct fs *fs, const struct inode *node, uint64_t off, bool open);

/* fs_open.c */
/* Takes passthrough in an answer to INIT, before that goes to the kernel, if it is wanted. */
void fs_open_init(
	struct fs *fs, const void *request, size_t request_len, void *answer, size_t answer_len);
/* After INIT: settles fs->open. */
int fs_open_start(struct fs *fs, int session_fd, struct err *err);
const char *fs_open_mode_name(const struct fs *fs);
void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* fs_dir.c */
struct listings *listings_new(void);
void listings_free(struct listings *l);
void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void fs_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);

/* fs_control.c */
void fs_lookup_control(struct fs *fs, fuse_req_t req, const char *name);
void fs_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	unsigned flags, const void *in, size_t in_size, size_t out_size);
json_t *fs_stats(struct fs *fs);
dropped_fn fs_dropped;

#endif
