/* SPDX-License-Identifier: Apache-2.0 */
/* Names, attributes and bytes: see fs_ops.h. Every handler enters its thread as a worker, answers
 * or parks the request, and returns. */
#include "cachefs/fs_ops.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

#define FOREVER_S (10.0 * 365 * 86400)
#define READ_MAX (1u << 20)
#define SMALL_FILE (1u << 20)

AUTO_FREE(leave, struct worker, worker_leave);

/* ---- attributes ---- */

/* What programs read first and buffer by. A file up to 1 MiB is read by CPython's open() in one
 * request if st_blksize covers it (with 4 KiB, Pillow took three); larger files keep 128 KiB, so
 * that a program which seeks in them does not read a mebibyte each time. */
static blksize_t block_size(uint64_t size)
{
	blksize_t n = 4096;

	if (size > SMALL_FILE)
		return 128 << 10;
	while ((uint64_t)n < size)
		n *= 2;
	return n;
}

void fs_attr(const struct fs *fs, const struct inode *node, struct stat *ret)
{
	int64_t mtime_ns = node->mtime_ns;
	struct timespec mtime = {mtime_ns / NSEC_PER_SEC, mtime_ns % NSEC_PER_SEC};

	*ret = (struct stat){
		.st_ino = node->id,
		.st_uid = fs->request->uid,
		.st_gid = fs->request->gid,
		.st_atim = mtime,
		.st_mtim = mtime,
		.st_ctim = mtime,
	};
	if (node->kind == INODE_FOLDER) {
		ret->st_mode = S_IFDIR | fs->request->dir_mode;
		ret->st_nlink = 1; /* 2 would say that it has no folders below */
		ret->st_blksize = 4096;
		return;
	}
	ret->st_mode = S_IFREG | fs->request->file_mode;
	ret->st_nlink = 1;
	ret->st_size = (off_t)node->size;
	ret->st_blocks = (blkcnt_t)((node->size + 511) / 512);
	ret->st_blksize = block_size(node->size);
}

void fs_entry(const struct fs *fs, struct inode *node, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){
		.ino = node->id,
		.attr_timeout = fs->attr_timeout,
		.entry_timeout = fs->entry_timeout,
	};
	fs_attr(fs, node, &ret->attr);
}

void fs_reply_error(struct fs *fs, fuse_req_t req, int code)
{
	if (code != -ENOENT && code != -EINTR) {
		counter_add(&fs->counters, FUSE_errors, 1);
		log_info("request answered with %s", strerror(-code));
	}
	fuse_reply_err(req, -code);
}

void fs_forget_name(struct fs *fs, const char *name, bool listing)
{
	const char *slash = strrchr(name, '/');
	AUTO(free) char *folder = strndup(name, slash ? (size_t)(slash - name) : 0);
	uint64_t id = folder && *name ? inode_id_of(fs->inodes, folder) : 0;

	if (!id)
		return;
	notify_name(fs->notify, id, slash ? slash + 1 : name);
	if (listing)
		notify_node(fs->notify, id);
}

void fs_forget_node(struct fs *fs, const struct inode *node, bool listing)
{
	if (node->id == INODE_ROOT)
		return;
	notify_name(fs->notify, node->parent->id, node->text);
	if (listing)
		notify_node(fs->notify, node->parent->id);
}

void fs_defer(struct fs *fs, struct pending *p, void (*run)(struct pending *p))
{
	fuse_req_t req;
	int r;

	p->run = run;
	if (fs->cfg->fuse.dispatch == DISPATCH_INLINE) {
		run(p);
		return;
	}
	r = stack_submit(fs->stack, (void (*)(void *))run, p);
	if (r < 0) {
		req = pending_claim(p);
		if (req)
			fs_reply_error(fs, req, -EIO);
		pending_put(p);
	}
}

/* ---- LOOKUP, GETATTR ---- */

static void reply_lookup(struct fs *fs, fuse_req_t req, struct inode *folder, const char *name,
	int r, const struct object *obj)
{
	struct fuse_entry_param entry = {.entry_timeout = fs->negative_timeout};
	struct inode *node = NULL;
	bool changed = false;

	if (r >= 0) {
		node = inode_remember(fs->inodes, folder, name, obj, &changed);
		r = node ? 0 : -ENOMEM;
	}
	if (r == -ENOENT && fs->negative_timeout > 0) {
		fuse_reply_entry(req, &entry);
	} else if (r < 0) {
		fs_reply_error(fs, req, r);
	} else {
		if (changed)
			fs_forget_node(fs, node, true);
		fs_entry(fs, node, &entry);
		if (fuse_reply_entry(req, &entry) < 0)
			inode_forget(fs->inodes, entry.ino, 1);
	}
}

static void run_lookup(struct pending *p)
{
	char buf[INODE_NAME_BYTES];
	const char *path = inode_child_name(p->node, p->name, buf);
	struct object obj;
	int r = store_stat(stack_top(p->fs->stack), path, STORE_WAIT, &obj);
	fuse_req_t req = pending_claim(p);

	if (req)
		reply_lookup(p->fs, req, p->node, p->name, r, &obj);
	pending_put(p);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	AUTO(leave) struct worker *w = worker_enter(&fs->workers);
	struct inode *folder;
	char buf[INODE_NAME_BYTES];
	const char *path;
	struct object obj;
	struct pending *p;
	int r;

	counter_add(&fs->counters, FUSE_lookups, 1);
	if (parent == INODE_CONTROL || (parent == INODE_ROOT && !strcmp(name, CONTROL_FOLDER))) {
		fs_lookup_control(fs, req, parent == INODE_CONTROL ? name : "");
		return;
	}
	folder = inode_get(fs->inodes, parent);
	path = folder ? inode_child_name(folder, name, buf) : NULL;
	r = path     ? store_stat(stack_top(fs->stack), path, STORE_NOWAIT, &obj)
	    : folder ? -ENAMETOOLONG
		     : -ESTALE;
	if (r == -EAGAIN) {
		p = pending_new(fs, req, folder, name);
		if (p)
			fs_defer(fs, p, run_lookup);
		return;
	}
	reply_lookup(fs, req, folder, name, r, &obj);
	inode_put(fs->inodes, folder);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	inode_forget(fs_of(req)->inodes, ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		inode_forget(fs_of(req)->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* A node's attributes never change, so nobody is asked. */
static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	AUTO(leave) struct worker *w = worker_enter(&fs->workers);
	struct inode *node = inode_get(fs->inodes, ino);
	struct stat st;

	counter_add(&fs->counters, FUSE_getattrs, 1);
	if (!node) {
		fs_reply_error(fs, req, -ESTALE);
		return;
	}
	fs_attr(fs, node, &st);
	fuse_reply_attr(req, &st, fs->attr_timeout);
	inode_put(fs->inodes, node);
}

/* ---- READ ---- */

/* Where the kernel tells of opens, the first block is read when that comes. */
void fs_note_read(struct fs *fs, const struct inode *node, uint64_t off, bool open)
{
	char name[INODE_NAME_BYTES];

	if (node->kind == INODE_FILE && prefetch_watches(fs->prefetch, off) &&
		(open || off || fs->open.mode == OPEN_NOOPEN))
		prefetch_note(fs->prefetch, inode_name(node, name), off);
}

/* The origin has another version than the node: its bytes will not come any more. So that the next
 * open finds the new version, meta is made to ask again, unless it has since, and the kernel to. */
static void run_outdated(struct pending *p)
{
	struct store *top = stack_top(p->fs->stack);
	char buf[INODE_NAME_BYTES];
	const char *name = inode_name(p->node, buf);
	struct object now;

	inode_outdate(p->fs->inodes, p->node);
	if (store_stat(top, name, STORE_NOWAIT, &now) < 0 || now.version == p->node->version)
		store_stat(top, name, STORE_FRESH, &now);
	fs_forget_node(p->fs, p->node, true);
	fuse_req_t req = pending_claim(p);

	if (req)
		fs_reply_error(p->fs, req, -ESTALE);
	pending_put(p);
}

static void reply_bytes(struct fs *fs, fuse_req_t req, const struct reply *reply, size_t len)
{
	counter_add(&fs->counters, FUSE_read_bytes, (int64_t)len);
	if (reply->n == 1)
		fuse_reply_buf(req, reply->iov[0].iov_base, reply->iov[0].iov_len);
	else
		fuse_reply_iov(req, reply->iov, reply->n);
}

static void read_done(struct parked *parked, int status, struct reply *reply)
{
	struct pending *p = container_of(parked, struct pending, read);
	fuse_req_t req;

	if (status == -ESTALE) {
		fs_defer(p->fs, p, run_outdated);
		return;
	}
	req = pending_claim(p);
	if (req && status >= 0)
		reply_bytes(p->fs, req, reply, parked->len);
	else if (req)
		fs_reply_error(p->fs, req, status);
	pending_put(p);
}

/* node: pinned, taken over. */
static void read_later(struct fs *fs, fuse_req_t req, struct inode *node, uint64_t off, size_t len)
{
	struct pending *p = pending_new(fs, req, node, "");
	char name[INODE_NAME_BYTES];
	struct object obj;
	int r;

	if (!p)
		return;
	p->read = (struct parked){.done = read_done,
		.off = off,
		.len = len,
		.deadline_ns = clock_now_ns() + fs->deadline_ns};
	inode_object(node, name, &obj);
	pending_ref(p); /* read_done() puts the first */
	r = stack_read_later(fs->stack, &obj, &p->read);
	if (r < 0)
		read_done(&p->read, r, NULL);
	else
		pending_parked(p);
	if (fs->cfg->fuse.dispatch == DISPATCH_INLINE)
		pending_wait(p);
	pending_put(p);
}

/* node: pinned, taken over. */
static void read_object(struct fs *fs, struct worker *w, fuse_req_t req, struct inode *node,
	uint64_t off, size_t len)
{
	/* A tier checks whole chunks, so it may read more than was asked at either end. */
	size_t room = (len > READ_MAX ? len : READ_MAX) + 2 * CHUNK_SIZE;
	char name[INODE_NAME_BYTES];
	struct reply reply;
	struct object obj;
	int r = -ENOMEM;

	reply.scratch = w ? worker_scratch(w, room) : NULL;
	reply.scratch_len = room;
	inode_object(node, name, &obj);
	if (reply.scratch)
		r = stack_read_now(fs->stack, &obj, off, len, &reply);
	if (r == -EAGAIN) {
		read_later(fs, req, node, off, len);
		return;
	}
	if (r < 0) {
		fs_reply_error(fs, req, r);
	} else {
		reply_bytes(fs, req, &reply, len);
		reply_put(&reply);
	}
	inode_put(fs->inodes, node);
}

static void op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	AUTO(leave) struct worker *w = worker_enter(&fs->workers);
	struct inode *node = inode_get(fs->inodes, ino);
	uint64_t from = (uint64_t)off, left;

	counter_add(&fs->counters, FUSE_reads, 1);
	if (!node || node->kind == INODE_FOLDER) {
		inode_put(fs->inodes, node);
		fs_reply_error(fs, req, node ? -EISDIR : -ESTALE);
		return;
	}
	left = from < node->size ? node->size - from : 0;
	if (size > left)
		size = left;
	if (node->kind == INODE_SNAPSHOT || !size) {
		fuse_reply_buf(req, size ? node->data + from : NULL, size);
		inode_put(fs->inodes, node);
		return;
	}
	fs_note_read(fs, node, from, false);
	read_object(fs, w, req, node, from, size);
}

/* How much an origin holds is not known: only what programs need to make sense of it. */
static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_namemax = 255,
		.f_flag = ST_RDONLY | ST_NODEV | ST_NOSUID | ST_NOATIME,
	};

	fuse_reply_statfs(req, &st);
}

/* ---- INIT ---- */

static void op_init(void *data, struct fuse_conn_info *conn)
{
	struct fs *fs = data;
	struct negotiated *n = &fs->negotiated;

	/* A node is one version: its pages are right for ever. Splicing a reply is slower than a
	 * read into a buffer of the thread's own (1.4 against 2.8 GiB/s, docs/performance.md). */
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->want |= conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA;
	/* Training opens what it lists: always READDIRPLUS, which primes names and attributes. */
	if (conn->capable & FUSE_CAP_READDIRPLUS)
		conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
	if (conn->max_write > READ_MAX)
		conn->max_write = READ_MAX;
	conn->max_background = (unsigned)fs->cfg->fuse.max_background;
	conn->congestion_threshold = conn->max_background - conn->max_background / 4;
	*n = (struct negotiated){
		.done = true,
		.no_open = conn->capable & FUSE_CAP_NO_OPEN_SUPPORT,
		.no_opendir = conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT,
		.protocol_major = conn->proto_major,
		.protocol_minor = conn->proto_minor,
		.max_write = conn->max_write,
		.max_background = conn->max_background,
	};
}

/* Ops left out are answered ENOSYS by libfuse, which the kernel remembers (FLUSH, ACCESS, GETXATTR,
 * LSEEK), or cannot come on a read-only mount. */
const struct fuse_lowlevel_ops fs_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.open = fs_open,
	.read = op_read,
	.release = fs_release,
	.opendir = fs_opendir,
	.readdir = fs_readdir,
	.readdirplus = fs_readdirplus,
	.statfs = op_statfs,
	.ioctl = fs_ioctl,
};

/* ---- life ---- */

static double timeout_s(const struct config *cfg, int64_t knob_ns)
{
	if (knob_ns == KNOB_VALUE_AUTO)
		knob_ns = cfg->meta.enabled ? cfg->meta.expiration : 0;
	return knob_ns == KNOB_VALUE_NEVER ? FOREVER_S : (double)knob_ns / NSEC_PER_SEC;
}

/* An eighth of the fetch pool is left to readers who wait. */
static int prefetch_share(const struct config *cfg)
{
	return (int)(cfg->http.streams - cfg->http.streams / 8);
}

int fs_init(struct fs *fs, struct err *err)
{
	const struct config *cfg = fs->cfg;
	double negative = timeout_s(cfg, cfg->meta.negative);
	int r = workers_init(&fs->workers, cfg, &fs->counters);

	if (r < 0)
		return err_set(err, -r, "cannot make a thread key: %s", strerror(-r));
	fs->started_ns = clock_now_ns();
	fs->started_wall_ns = clock_wall_ns();
	fs->entry_timeout = timeout_s(cfg, cfg->fuse.entry_timeout);
	fs->attr_timeout = timeout_s(cfg, cfg->fuse.attr_timeout);
	fs->negative_timeout = !cfg->meta.enabled             ? 0
			       : negative < fs->entry_timeout ? negative
							      : fs->entry_timeout;
	fs->deadline_ns = 2 * cfg->http.timeout;
	fs->readahead = -1;
	fs->inodes = inode_table_new(fs->started_wall_ns);
	fs->listings = listings_new();
	fs->prefetch = prefetch_new(fs->stack, cfg, prefetch_share(cfg), &fs->counters);
	if (!fs->inodes || !fs->listings || !fs->prefetch)
		return err_set(err, ENOMEM, "not enough memory");
	return 0;
}

/* The plan that the mount was made with. */
static int follow_plan(struct fs *fs, struct err *err)
{
	struct control_message msg = {.op = CONTROL_WARM};
	int64_t id;

	if (!*fs->cfg->cache.plan)
		return 0;
	msg.plan = strdup(fs->cfg->cache.plan);
	return msg.plan ? jobs_add(fs->jobs, &msg, &id, err) : -ENOMEM;
}

int fs_start(struct fs *fs, struct fuse_session *se, struct err *err)
{
	if (fs_open_start(fs, fuse_session_fd(se), err) < 0)
		return -ENOMEM;
	fs->notify = notify_new(se, err);
	fs->park = fs->notify ? park_new(fs, err) : NULL;
	if (fs->park)
		fs->jobs = jobs_new(fs->stack, fs->prefetch, (int)fs->cfg->http.streams / 2,
			fs_dropped, fs, err);
	if (!fs->jobs)
		return -ENOMEM;
	if (fs->cfg->fuse.push && fs->cfg->fuse.open_mode != OPEN_DIRECT) {
		struct push *push = push_new(fs, se, err);

		if (!push)
			return -ENOMEM;
		fs->push = push;
	}
	return follow_plan(fs, err);
}

void fs_disarm(struct fs *fs)
{
	push_disarm(fs->push);
}

void fs_quiet(struct fs *fs)
{
	if (fs->park)
		park_shut(fs->park);
}

void fs_stop(struct fs *fs)
{
	push_free(fs->push);
	jobs_free(fs->jobs);
}

void fs_done(struct fs *fs)
{
	notify_free(fs->notify);
	park_free(fs->park);
	prefetch_free(fs->prefetch);
	listings_free(fs->listings);
	opens_free(fs->open.opens);
	inode_table_free(fs->inodes);
	workers_done(&fs->workers);
}
