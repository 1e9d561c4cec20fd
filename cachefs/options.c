/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of cachefs: see options.h. */
#include "cachefs/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cachefs/mount.h"
#include "cachefs/plan.h"
#include "common/cleanup.h"
#include "common/tier_check.h"

/* What one -o text said, beside knobs. */
struct seen {
	struct mount_request *req;
	bool rw, dev;
};

/* Standard options that change nothing here: the mount is always ro,nodev,nosuid,noatime. */
static const char *const ignored[] = {"ro", "defaults", "auto", "noauto", "_netdev", "nofail",
	"user", "users", "nouser", "owner", "group", "nodev", "suid", "nosuid", "exec", "async",
	"sync", "dirsync", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime",
	"strictatime", "lazytime", "nolazytime", "silent", "loud", "default_permissions", NULL};

static bool is_ignored(const char *name)
{
	for (size_t i = 0; ignored[i]; i++)
		if (!strcmp(name, ignored[i]))
			return true;
	return !strncmp(name, "x-", 2) || !strncmp(name, "comment", 7);
}

static int parse_number(const char *name, const char *value, int base, unsigned long max,
	unsigned long *ret, struct err *err)
{
	char *end;
	unsigned long n;

	errno = 0;
	if (!value || *value < '0' || *value > '9' || (n = strtoul(value, &end, base), *end) ||
		errno || n > max)
		return err_set(err, EINVAL, "-o %s=%s: give %s", name, value ? value : "",
			base == 8 ? "permission bits in octal, e.g. 0444" : "a number, e.g. 1000");
	*ret = n;
	return 0;
}

static int number_option(
	const char *name, const char *value, struct mount_request *req, struct err *err)
{
	bool mode = !strcmp(name, "file_mode") || !strcmp(name, "dir_mode");
	unsigned long n = 0;
	int r = parse_number(name, value, mode ? 8 : 10, mode ? 0777 : UINT_MAX - 1, &n, err);

	if (r < 0)
		return r;
	if (!strcmp(name, "uid"))
		req->uid = (uid_t)n;
	else if (!strcmp(name, "gid"))
		req->gid = (gid_t)n;
	else if (!strcmp(name, "file_mode"))
		req->file_mode = (mode_t)n;
	else
		req->dir_mode = (mode_t)n;
	return 0;
}

static int standard_option(const char *name, const char *value, void *arg, struct err *err)
{
	static const char *const known[] = {"ro", "allow_other", "nonempty", "noexec", "uid", "gid",
		"file_mode", "dir_mode", "noauto", "_netdev", "nofail", "defaults", NULL};
	struct seen *seen = arg;
	struct mount_request *req = seen->req;

	if (!strcmp(name, "uid") || !strcmp(name, "gid") || !strcmp(name, "file_mode") ||
		!strcmp(name, "dir_mode"))
		return number_option(name, value, req, err);
	if (!strcmp(name, "dev") || !strcmp(name, "nodev"))
		seen->dev = true;
	if (!strcmp(name, "rw"))
		seen->rw = true;
	else if (!strcmp(name, "allow_other"))
		req->allow_other = true;
	else if (!strcmp(name, "nonempty"))
		req->nonempty = true;
	else if (!strcmp(name, "noexec"))
		req->noexec = true;
	else if (strcmp(name, "dev") && !is_ignored(name)) {
		const char *near = err_nearest(name, known, SIZE_MAX);

		return err_set(err, EINVAL, "-o %s: unknown option%s%s%s", name,
			near ? "; did you mean "
			     : "; knobs are written section.name=value, see "
			       "cachefs --help",
			near ? near : "", near ? "?" : "");
	}
	return 0;
}

int options_mount(struct config *cfg, const char *text, struct mount_request *req, struct err *err)
{
	struct seen seen = {.req = req};
	int r = config_set_mount_options(cfg, text, OWNER_CACHEFS, standard_option, &seen, err);

	if (r < 0)
		return r;
	/* mount(8) says rw whenever nobody said ro, and mount.fuse3 then adds dev or nodev. */
	if (seen.rw && !seen.dev)
		return err_set(err, EINVAL, "-o rw: cachefs is read-only; leave rw out or say ro");
	return 0;
}

char *options_public_url(const char *origin)
{
	const char *scheme = strstr(origin, "://");
	char *url = strdup(origin);

	if (!url || !scheme)
		return url;
	url[strcspn(url, "?#")] = '\0';
	char *host = url + (scheme - origin) + 3, *end = host + strcspn(host, "/");
	char *at = memrchr(host, '@', (size_t)(end - host));

	if (at)
		memmove(host, at + 1, strlen(at + 1) + 1);
	return url;
}

static bool is_url(const char *origin)
{
	static const char *const schemes[] = {"http://", "https://", "s3://"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (!strncmp(origin, schemes[i], strlen(schemes[i])))
			return true;
	return false;
}

/* Folders become absolute, since the daemon leaves its working directory. */
static char *resolve_origin(const char *origin, struct err *err)
{
	const char *path = strncmp(origin, "dir:", 4) ? origin : origin + 4;
	char *ret;

	if (is_url(origin))
		return strdup(origin);
	ret = realpath(path, NULL);
	if (!ret)
		err_set(err, errno,
			"%s: %s; ORIGIN is a folder, http(s)://HOST/PATH or s3://BUCKET/PREFIX",
			origin, strerror(errno));
	return ret;
}

/* A path knob as an absolute path; the file need not exist. */
static int make_absolute(struct config *cfg, const char *knob, const char *value, struct err *err)
{
	AUTO(free) char *cwd = NULL;
	AUTO(free) char *path = NULL;

	if (!*value || *value == '/')
		return 0;
	cwd = getcwd(NULL, 0);
	if (!cwd || asprintf(&path, "%s/%s", cwd, value) < 0)
		return err_set(err, ENOENT,
			"--%s=%s: the working directory is gone; give a path "
			"that starts with /",
			knob, value);
	return config_set(cfg, knob, path, "option", err);
}

/* The daemon reads the plan again as it follows it; what is wrong with it is told before. */
static int check_plan(struct config *cfg, struct err *err)
{
	uint64_t lines;
	int r = make_absolute(cfg, "cache.plan", cfg->cache.plan, err);

	if (r >= 0 && *cfg->cache.plan)
		r = plan_check(cfg->cache.plan, NULL, &lines, err);
	return r < 0 ? err_prefix(err, r, "cache.plan") : 0;
}

static int check_config(struct config *cfg, const struct mount_request *req, struct err *err)
{
	const char *keys = cfg->s3.credentials;
	int r = make_absolute(cfg, "disk.path", cfg->disk.path, err);

	if (!r)
		r = tier_check(cfg, req->origin, req->mountpoint, err);
	if (!r && strcmp(keys, "auto") != 0 && strcmp(keys, "none") != 0)
		r = make_absolute(cfg, "s3.credentials", keys, err);
	if (!r)
		r = make_absolute(cfg, "http.ca", cfg->http.ca, err);
	if (!r)
		r = check_plan(cfg, err);
	return r < 0 ? r : make_absolute(cfg, "log.file", cfg->log.file, err);
}

struct command_line {
	struct config *cfg;
	struct mount_request *req;
};

static int option_seen(const char *name, const char *value, void *arg, struct err *err)
{
	struct command_line *line = arg;

	if (!strcmp(name, "foreground")) {
		line->req->foreground = true;
		return 0;
	}
	return options_mount(line->cfg, value, line->req, err);
}

static int take_operands(char **argv, int n, struct mount_request *req, struct err *err)
{
	if (n != 2)
		return err_set(err, EINVAL,
			"usage: cachefs ORIGIN MOUNTPOINT [-o OPTION,...] [-f]; see cachefs "
			"--help");
	req->origin = resolve_origin(argv[0], err);
	if (!req->origin)
		return -EINVAL;
	req->origin_url = options_public_url(req->origin);
	req->mountpoint = mount_given_fd(argv[1]) >= 0 ? strdup(argv[1])
						       : mount_resolve(argv[1], err);
	return req->mountpoint && req->origin_url ? 0 : -EINVAL;
}

int options_parse(int argc, char **argv, struct config *cfg, struct mount_request *ret,
	bool *ret_exit, struct err *err)
{
	static const struct cli_option options[] = {
		{"options", 'o', "OPTION,...", NULL,
			"Mount options and knobs (section.name=value); \\, stands for a comma"},
		{"foreground", 'f', NULL, NULL, "Stay in front; log to standard error"},
		{NULL, 0, NULL, NULL, NULL},
	};
	struct mount_request req = {
		.uid = getuid(), .gid = getgid(), .file_mode = 0444, .dir_mode = 0555};
	struct command_line line = {cfg, &req};
	const struct cli cli = {.program = "cachefs",
		.usage = "cachefs ORIGIN MOUNTPOINT [-o OPTION,...] [-f] [--KNOB=VALUE]...",
		.summary = "Mounts a folder, HTTP server or S3 bucket read-only, with memory and "
			   "disk caches.",
		.examples =
			"cachefs /mnt/nfs/imagenet /data\n"
			"cachefs https://HOST/imagenet /data -o disk.path=/nvme/cache\n"
			"cachefs s3://BUCKET/imagenet /data -o s3.endpoint=http://minio:9000\n"
			"fusermount3 -u /data\n\n"
			"# /etc/fstab; cachefs has to lie in /usr/local/bin or /usr/bin\n"
			"https://HOST/imagenet /data fuse.cachefs "
			"ro,_netdev,disk.path=/nvme/cache 0 0\n"
			"s3://BUCKET/imagenet /data fuse.cachefs ro,_netdev,mem.capacity=8G 0 0",
		.options = options,
		.owner = OWNER_CACHEFS,
		.seen = option_seen,
		.arg = &line};
	int operands = 0;
	int r = cli_parse(&cli, cfg, argc, argv, &operands, err);

	*ret_exit = r > 0;
	if (r)
		return r < 0 ? r : 0;
	r = take_operands(argv + 1, operands, &req, err);
	if (r >= 0)
		r = check_config(cfg, &req, err);
	if (r < 0) {
		options_done(&req);
		return r;
	}
	*ret = req;
	return 0;
}

void options_done(struct mount_request *req)
{
	free(req->origin);
	free(req->origin_url);
	free(req->mountpoint);
	*req = (struct mount_request){0};
}
