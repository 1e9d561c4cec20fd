/* SPDX-License-Identifier: Apache-2.0 */
/* The folder .cachefs: stats.json, of which each LOOKUP makes a new node with one snapshot (a fixed
 * node would go stale where the kernel opens by itself), and the control ioctl. */
#include "cachefs/fs_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "version.h"

AUTO_FREE(leave, struct worker, worker_leave);
AUTO_FREE(json, json_t, json_decref);

#define NOTICES_AHEAD 4096 /* of a million files at once */

/* ---- statistics ---- */

static json_t *fuse_stats(struct fs *fs)
{
	json_t *into = counters_to_json(&fs->counters, GROUP_FUSE);
	json_t *more = json_pack("{s:s,s:s,s:I,s:I,s:b,s:I,s:I,s:o,s:s,s:f,s:f,s:f,s:o}", "mode",
		fs_open_mode_name(fs), "mode_why", fs->open.why, "max_threads",
		(json_int_t)fs->cfg->fuse.max_threads, "max_idle_threads",
		(json_int_t)fs->cfg->fuse.max_idle_threads, "clone_fd", fs->cfg->fuse.clone_fd,
		"max_background", (json_int_t)fs->negotiated.max_background, "max_write",
		(json_int_t)fs->negotiated.max_write, "readahead",
		fs->readahead < 0 ? json_null() : json_integer(fs->readahead), "readahead_why",
		fs->readahead_why, "entry_timeout_s", fs->entry_timeout, "attr_timeout_s",
		fs->attr_timeout, "negative_timeout_s", fs->negative_timeout, "protocol",
		json_sprintf(
			"%u.%u", fs->negotiated.protocol_major, fs->negotiated.protocol_minor));

	json_object_set_new(into, "inodes", json_integer((json_int_t)inode_count(fs->inodes)));
	json_object_update(into, more);
	json_decref(more);
	return into;
}

/* Bytes that came from the origin for each that was handed out; null before the first. */
static json_t *amplification(struct fs *fs, const json_t *all)
{
	const json_t *bytes = json_object_get(json_object_get(all, "origin"), "bytes");
	int64_t out = counter_get(&fs->counters, FUSE_read_bytes);

	return out ? json_real((double)json_integer_value(bytes) / (double)out) : json_null();
}

json_t *fs_stats(struct fs *fs)
{
	json_t *all = stack_stats(fs->stack);

	json_object_set_new(all, "amplification", amplification(fs, all));

	json_object_set_new(all, "fuse", fuse_stats(fs));
	json_object_set_new(all, "warm", jobs_stats(fs->jobs));
	json_object_set_new(all, "plan", prefetch_stats(fs->prefetch));
	json_object_set_new(all, "push", push_stats(fs->push));
	json_object_set_new(all, "version", json_string(FEEDRATE_VERSION));
	json_object_set_new(all, "origin_url", json_string(fs->request->origin_url));
	json_object_set_new(all, "pid", json_integer(getpid()));
	json_object_set_new(all, "uptime_s",
		json_real((double)(clock_now_ns() - fs->started_ns) / NSEC_PER_SEC));
	json_object_set_new(all, "cpu",
		json_pack("{s:i,s:s,s:i}", "count", fs->workers.cpus, "why",
			fs->cfg->cpu.count > 0 ? "cpu.count" : fs->workers.topology.why, "bound",
			fs->workers.n_ordered));
	json_object_set_new(all, "cpu_s", json_real((double)clock_cpu_ns() / NSEC_PER_SEC));
	json_object_set_new(all, "knobs", config_to_json(fs->cfg, OWNER_CACHEFS));
	return all;
}

static struct inode *snapshot(struct fs *fs)
{
	AUTO(json) json_t *stats = fs_stats(fs);
	AUTO(free) char *text = json_dumps(stats, JSON_INDENT(1) | JSON_REAL_PRECISION(12));

	return text ? inode_snapshot(fs->inodes, text, strlen(text), clock_wall_ns()) : NULL;
}

void fs_lookup_control(struct fs *fs, fuse_req_t req, const char *name)
{
	struct fuse_entry_param entry;
	struct inode *node;

	if (*name && strcmp(name, CONTROL_STATS)) {
		fs_reply_error(fs, req, -ENOENT);
		return;
	}
	node = *name ? snapshot(fs) : inode_get(fs->inodes, INODE_CONTROL);
	if (!node) {
		fs_reply_error(fs, req, -ENOMEM);
		return;
	}
	fs_entry(fs, node, &entry);
	if (*name)
		entry.entry_timeout = 0;
	else
		inode_put(fs->inodes, node);
	if (fuse_reply_entry(req, &entry) < 0)
		inode_forget(fs->inodes, entry.ino, 1);
}

/* ---- control ---- */

/* The kernel forgets all that is below path, and path itself also where it is not there yet. When
 * this returns it has. Pages are those of a node, so where only names are to be forgotten they stay for the
 * next LOOKUP that finds the same version. */
void fs_dropped(const char *path, bool names_only, void *arg)
{
	struct fs *fs = arg;
	size_t n = 0;

	push_barrier(fs->push);
	struct inode **all = inode_collect(fs->inodes, path, &n);

	for (size_t i = 0; i < n; i++) {
		fs_forget_node(fs, all[i], false);
		if (!names_only || all[i]->kind == INODE_FOLDER)
			notify_node(fs->notify, all[i]->id);
		inode_put(fs->inodes, all[i]);
		if (i % NOTICES_AHEAD == 0)
			notify_flush(fs->notify);
	}
	free(all);
	fs_forget_name(fs, path, true);
	notify_flush(fs->notify);
}

/* The daemon opens plans itself, and would wait for itself in its own mount. */
static bool is_below(const char *path, const char *mountpoint)
{
	size_t len = strlen(mountpoint);

	return !strncmp(path, mountpoint, len) && path[len] == '/';
}

static json_t *run_message(struct fs *fs, const char *text, size_t len)
{
	struct control_message msg = {0};
	struct err err = {0};
	int64_t id;
	int r = control_parse(text, len, &msg, &err);

	if (r >= 0 && msg.plan && is_below(msg.plan, fs->request->mountpoint))
		r = err_set(
			&err, EINVAL, "plan: %s lies in the mount; copy it elsewhere", msg.plan);
	if (r >= 0)
		r = jobs_add(fs->jobs, &msg, &id, &err);
	control_message_done(&msg);
	return r < 0 ? json_pack("{s:s}", "error", err.msg)
		     : json_pack("{s:I}", "job", (json_int_t)id);
}

void fs_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	struct fs *fs = fs_of(req);
	AUTO(leave) struct worker *w = worker_enter(&fs->workers);
	uid_t uid = fuse_req_ctx(req)->uid;
	struct control_buffer out = {0};

	/* CPython asks every file it opens whether it is a terminal. */
	if (ino != INODE_CONTROL || cmd != (unsigned)CONTROL_IOCTL ||
		in_size != sizeof(struct control_buffer) || out_size < sizeof(out)) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	if (uid && uid != getuid()) {
		fs_reply_error(fs, req, -EPERM);
		return;
	}
	AUTO(json) json_t *answer = run_message(fs, in, in_size);

	json_dumpb(answer, out.text, sizeof(out.text) - 1, JSON_COMPACT);
	fuse_reply_ioctl(req, 0, &out, sizeof(out));
}
