/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of this machine: see mounts.h. The format is that of proc(5), /proc/PID/mountinfo: fields
 * separated by blanks, blanks inside written in octal, optional fields ended by a lone "-". */
#include "harness/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "harness/child.h"

#define FUSERMOUNT_NS (10 * NSEC_PER_SEC)
#define DETACH_ROUNDS 16 /* mounts stacked on one place */

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && is_octal(s[1]) && is_octal(s[2]) && is_octal(s[3])) {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = 0;
}

bool mounts_parse_line(char *line, struct mount_entry *ret)
{
	struct mount_entry m = {0};
	char *save = NULL, *word = strtok_r(line, " \n", &save);

	for (int i = 0; word && i < 5; i++, word = strtok_r(NULL, " \n", &save))
		if (i == 4)
			m.path = word;
	while (word && strcmp(word, "-"))
		word = strtok_r(NULL, " \n", &save);
	m.type = word ? strtok_r(NULL, " \n", &save) : NULL;
	m.source = m.type ? strtok_r(NULL, " \n", &save) : NULL;
	if (!m.path || !m.type || !m.source)
		return false;
	unescape(m.path);
	unescape(m.type);
	unescape(m.source);
	*ret = m;
	return true;
}

int mounts_each(mount_fn *each, void *arg)
{
	AUTO(fclose) FILE *f = fopen("/proc/self/mountinfo", "re");
	AUTO(free) char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (!f)
		return -errno;
	while (!r && getline(&line, &size, f) > 0) {
		struct mount_entry m;

		if (mounts_parse_line(line, &m))
			r = each(&m, arg);
	}
	return r;
}

static int same_path(const struct mount_entry *m, void *arg)
{
	return !strcmp(m->path, arg);
}

bool mounts_is_mounted(const char *path)
{
	return mounts_each(same_path, (void *)path) > 0;
}

static bool word_in(const char *word, const char *const *list)
{
	while (*list && strcmp(word, *list))
		list++;
	return *list != NULL;
}

bool mounts_type_is_remote(const char *type)
{
	static const char *const network[] = {"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre",
		"gpfs", "beegfs", "afs", "glusterfs", "pvfs2", "wekafs", "daos", "fuse", NULL};
	/* Desktop and container plumbing. */
	static const char *const plumbing[] = {"fuse.gvfsd-fuse", "fuse.portal", "fuse.lxcfs",
		"fuse.snapfuse", "fuse.squashfuse", NULL};

	if (!strncmp(type, "fuse.", 5))
		return !word_in(type, plumbing);
	return word_in(type, network);
}

static int add_remote(const struct mount_entry *m, void *arg)
{
	if (mounts_type_is_remote(m->type))
		json_array_append_new(
			arg, json_pack("{s:s#, s:s, s:s}", "path", m->path, (int)strlen(m->path),
				     "type", m->type, "source", m->source));
	return 0;
}

json_t *mounts_remote(void)
{
	json_t *all = json_array();

	mounts_each(add_remote, all);
	return all;
}

struct below {
	const char *dir;
	char *last; /* the mount mounted last: it goes first */
};

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && (!path[len] || path[len] == '/');
}

static int note_below(const struct mount_entry *m, void *arg)
{
	struct below *b = arg;

	if (!is_below(m->path, b->dir))
		return 0;
	free(b->last);
	b->last = strdup(m->path);
	return b->last ? 0 : -ENOMEM;
}

static int below_path(const struct mount_entry *m, void *arg)
{
	return is_below(m->path, arg);
}

bool mounts_any_below(const char *dir)
{
	return mounts_each(below_path, (void *)dir) > 0;
}

static int fusermount_detach(const char *path)
{
	AUTO(free) char *program = file_sibling_program("fusermount3");
	char *argv[] = {program, "-u", "-z", "-q", "--", (char *)path, NULL};
	struct child c;
	int r;

	if (!program)
		return -ENOENT;
	r = child_start(&c, "fusermount3", argv, "/dev/null", NULL, NULL);
	if (!r)
		r = child_wait(&c, FUSERMOUNT_NS, NULL);
	child_stop(&c, 0);
	child_done(&c);
	return r;
}

int mounts_detach_below(const char *dir)
{
	for (int i = 0; i < DETACH_ROUNDS; i++) {
		struct below b = {.dir = dir};
		int r = mounts_each(note_below, &b);
		AUTO(free) char *path = b.last;

		if (r || !path)
			return r;
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			fusermount_detach(path);
	}
	return -EBUSY;
}

static int try_mount(int fd, const char *scratch, struct err *err)
{
	char options[96];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("feedrate-probe", scratch, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		return err_set(err, errno,
			"FUSE mounts are not permitted here (%s); give the container CAP_SYS_ADMIN",
			strerror(errno));
	umount2(scratch, MNT_DETACH);
	return 0;
}

static int open_fuse(struct err *err)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		return err_set(err, ENODEV,
			"/dev/fuse is missing; load the module (modprobe fuse), or start the "
			"container with --device /dev/fuse --cap-add SYS_ADMIN");
	if (fd < 0)
		return err_set(err, errno,
			"/dev/fuse: %s; ask for permission (chmod 666 /dev/fuse)", strerror(errno));
	return fd;
}

int mounts_fuse_there(struct err *err)
{
	AUTO(close) int fd = open_fuse(err);

	return fd < 0 ? fd : 0;
}

int mounts_fuse_usable(const char *scratch, struct err *err)
{
	AUTO(close) int fd = open_fuse(err);

	if (fd < 0)
		return fd;
	if (geteuid() == 0)
		return try_mount(fd, scratch, err);
	AUTO(free) char *program = file_sibling_program("fusermount3");
	if (!program || access(program, X_OK) < 0)
		return err_set(err, ENOENT, "fusermount3 is missing; apt-get install fuse3");
	return 0;
}
