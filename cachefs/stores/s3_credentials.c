/* SPDX-License-Identifier: Apache-2.0 */
/* Keys from the environment or a file: see s3_credentials.h. */
#include "cachefs/stores/s3_credentials.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/log.h"

#define FILE_MAX (64 << 10)

struct s3_credentials {
	char *path, *profile; /* path NULL: from the environment */
	pthread_mutex_t lock; /* below */
	struct stat seen;     /* of the file, when it was last looked at */
	unsigned generation;
	struct s3_keys keys;
};

void s3_keys_wipe(struct s3_keys *keys)
{
	explicit_bzero(keys, sizeof(*keys));
}

/* ---- text ---- */

/* A key goes into a header, so it must not end one. */
static bool take_value(const char *text, size_t len, char *ret, size_t size)
{
	if (!len || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)text[i]))
			return false;
	memcpy(ret, text, len);
	ret[len] = '\0';
	return true;
}

static size_t trim(const char **text, size_t len)
{
	while (len && isspace((unsigned char)**text)) {
		(*text)++;
		len--;
	}
	while (len && isspace((unsigned char)(*text)[len - 1]))
		len--;
	return len;
}

static bool same(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(text, word, len);
}

/* "NAME = VALUE"; false: a value of ours that is no key. */
static bool read_line(const char *line, size_t len, struct s3_keys *keys)
{
	const char *equals = memchr(line, '=', len), *value = equals ? equals + 1 : NULL;
	size_t name_len, value_len;

	if (!equals)
		return true;
	value_len = trim(&value, len - (size_t)(value - line));
	name_len = trim(&line, (size_t)(equals - line));
	if (same(line, name_len, "aws_access_key_id"))
		return take_value(value, value_len, keys->id, sizeof(keys->id));
	if (same(line, name_len, "aws_secret_access_key"))
		return take_value(value, value_len, keys->secret, sizeof(keys->secret));
	if (same(line, name_len, "aws_session_token") && value_len)
		return take_value(value, value_len, keys->token, sizeof(keys->token));
	return true;
}

static int parse_lines(
	const char *text, const char *profile, struct s3_keys *keys, const char **ret_why)
{
	bool inside = false, found = false;

	for (const char *end; *text; text = *end ? end + 1 : end) {
		const char *line = text;
		size_t len;

		end = text + strcspn(text, "\n");
		len = trim(&line, (size_t)(end - text));
		if (len > 1 && *line == '[' && line[len - 1] == ']') {
			const char *name = line + 1;
			size_t name_len = trim(&name, len - 2);

			inside = same(name, name_len, profile);
			found |= inside;
		} else if (inside && len && *line != '#' && *line != ';' &&
			   !read_line(line, len, keys)) {
			*ret_why = "a key in it is empty, too long, or has odd characters";
			return -EINVAL;
		}
	}
	*ret_why = found ? "the profile lacks aws_access_key_id or aws_secret_access_key"
			 : "there is no such profile; see s3.profile";
	return *keys->id && *keys->secret ? 0 : -EINVAL;
}

int s3_keys_parse(const char *text, const char *profile, struct s3_keys *ret, const char **ret_why)
{
	s3_keys_wipe(ret);
	int r = parse_lines(text, profile, ret, ret_why);

	if (r < 0)
		s3_keys_wipe(ret);
	return r;
}

/* ---- file ---- */

static bool unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode && !memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) &&
	       !memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim));
}

static int open_file(const char *path, struct stat *ret, struct err *err)
{
	AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, ret) < 0)
		return err_set(
			err, errno, "s3.credentials: cannot read %s: %s", path, strerror(errno));
	if (!S_ISREG(ret->st_mode) || ret->st_size >= FILE_MAX)
		return err_set(err, EINVAL, "s3.credentials: %s is no file with keys", path);
	if (ret->st_mode & 077)
		return err_set(err, EACCES,
			"s3.credentials: %s can be read or changed by others (mode %04o); chmod 600 it",
			path, ret->st_mode & 07777);
	return take_fd(&fd);
}

/* ret is wiped on failure. */
static int read_file(struct s3_credentials *c, struct s3_keys *ret, struct err *err)
{
	const char *why;
	AUTO(close) int fd = open_file(c->path, &c->seen, err);
	char *text = fd < 0 ? NULL : calloc(1, FILE_MAX + 1);
	ssize_t n = text ? read(fd, text, FILE_MAX) : -1;
	int r = fd;

	if (fd < 0)
		return r;
	if (n < 0)
		r = err_set(err, text ? errno : ENOMEM, "s3.credentials: cannot read %s", c->path);
	else if ((r = s3_keys_parse(text, c->profile, ret, &why)) < 0)
		err_set(err, -r, "s3.credentials: %s, profile '%s': %s", c->path, c->profile, why);
	if (text)
		explicit_bzero(text, FILE_MAX);
	free(text);
	return r;
}

bool s3_credentials_reload(struct s3_credentials *c, unsigned seen)
{
	struct s3_keys keys;
	struct stat now = {0};
	struct err err;

	HOLD(&c->lock);
	if (c->generation != seen || !c->path)
		return c->generation != seen;
	if (stat(c->path, &now) < 0)
		now = (struct stat){0};
	if (unchanged(&now, &c->seen))
		return false;
	c->seen = now;
	if (read_file(c, &keys, &err) < 0) {
		log_warn("%s; the keys read before stay", err.msg);
		return false;
	}
	bool newer = memcmp(&keys, &c->keys, sizeof(keys)) != 0;

	c->keys = keys;
	c->generation += newer;
	s3_keys_wipe(&keys);
	return newer;
}

/* ---- life ---- */

static int read_environment(struct s3_keys *keys, bool *ret_some, struct err *err)
{
	const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
	const char *token = getenv("AWS_SESSION_TOKEN");
	bool has_id = id && *id, has_secret = secret && *secret;

	*ret_some = has_id && has_secret;
	if (has_id != has_secret)
		return err_set(err, EINVAL,
			"%s is set and %s is not; set both, or s3.credentials=none",
			has_id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			has_id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	if (!*ret_some)
		return 0;
	if (!take_value(id, strlen(id), keys->id, sizeof(keys->id)) ||
		!take_value(secret, strlen(secret), keys->secret, sizeof(keys->secret)) ||
		(token && *token &&
			!take_value(token, strlen(token), keys->token, sizeof(keys->token))))
		return err_set(err, EINVAL,
			"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN is too long or has "
			"odd characters, such as a newline; copy it again");
	return 0;
}

static const char *profile_name(const struct config *cfg)
{
	const char *from_env = getenv("AWS_PROFILE");

	if (*cfg->s3.profile)
		return cfg->s3.profile;
	return from_env && *from_env ? from_env : "default";
}

int s3_credentials_open(const struct config *cfg, struct s3_credentials **ret, struct err *err)
{
	bool from_file = strcmp(cfg->s3.credentials, "auto") != 0, some = true;
	struct s3_credentials *c;
	int r = 0;

	*ret = NULL;
	if (!strcmp(cfg->s3.credentials, "none"))
		return 0;
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "not enough memory for the origin");
	pthread_mutex_init(&c->lock, NULL);
	c->generation = 1;
	c->profile = strdup(profile_name(cfg));
	c->path = from_file ? strdup(cfg->s3.credentials) : NULL;
	if (!c->profile || (from_file && !c->path))
		r = err_set(err, ENOMEM, "not enough memory for the origin");
	else
		r = from_file ? read_file(c, &c->keys, err)
			      : read_environment(&c->keys, &some, err);
	if (r < 0 || !some) {
		s3_credentials_free(c);
		return r;
	}
	prctl(PR_SET_DUMPABLE, 0);
	*ret = c;
	return 0;
}

void s3_credentials_free(struct s3_credentials *c)
{
	if (!c)
		return;
	s3_keys_wipe(&c->keys);
	pthread_mutex_destroy(&c->lock);
	free(c->profile);
	free(c->path);
	free(c);
}

unsigned s3_credentials_get(struct s3_credentials *c, struct s3_keys *ret)
{
	HOLD(&c->lock);
	*ret = c->keys;
	return c->generation;
}

unsigned s3_credentials_generation(struct s3_credentials *c)
{
	HOLD(&c->lock);
	return c->generation;
}
