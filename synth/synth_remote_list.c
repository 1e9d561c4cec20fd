/* SPDX-License-Identifier: Apache-2.0 */
/* ListObjectsV2 over a folder tree: see synth_remote_list.h. */
#include "synth/synth_remote_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/beneath.h"
#include "common/cleanup.h"
#include "synth/synth_remote_http.h"

#define KEY_MAX 4096
#define DEPTH_MAX 64

struct walk {
	int root;
	const struct list_query *q;
	FILE *out;
	char after[KEY_MAX]; /* the page starts behind this key */
	char last[KEY_MAX];  /* shown last */
	int shown, depth;
	bool more; /* there was another one behind a full page */
};

/* ---- text ---- */

static void put_url(FILE *out, const char *s)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~/";

	for (; *s; s++)
		if (strchr(plain, *s))
			putc(*s, out);
		else
			fprintf(out, "%%%02X", (unsigned char)*s);
}

static void put_xml(FILE *out, const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || strchr("&<>\"'", *s))
			fprintf(out, "&#x%X;", (unsigned char)*s);
		else
			putc(*s, out);
}

static void put_element(const struct walk *w, const char *name, const char *text)
{
	fprintf(w->out, "<%s>", name);
	if (w->q->url_encoded)
		put_url(w->out, text);
	else
		put_xml(w->out, text);
	fprintf(w->out, "</%s>", name);
}

/* A token is the key it continues behind, in hexadecimal: opaque, and safe in a URL. */
static void put_token(FILE *out, const char *name, const char *key)
{
	fprintf(out, "<%s>", name);
	for (; *key; key++)
		fprintf(out, "%02x", (unsigned char)*key);
	fprintf(out, "</%s>", name);
}

static int parse_token(const char *token, char ret[KEY_MAX])
{
	size_t len = strlen(token);

	if (len % 2 || len / 2 >= KEY_MAX || strspn(token, "0123456789abcdef") != len)
		return -EINVAL;
	for (size_t i = 0; i < len / 2; i++) {
		char pair[3] = {token[2 * i], token[2 * i + 1], 0};

		ret[i] = (char)strtoul(pair, NULL, 16);
	}
	ret[len / 2] = '\0';
	return 0;
}

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* ---- folders ---- */

/* Names of one folder in key order; sub-folders end in '/'. */
struct folder {
	char **names;
	size_t n, room;
};

static void folder_done(struct folder *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->names[i]);
	free(f->names);
}

static int folder_add(struct folder *f, const char *name, bool is_dir)
{
	if (f->n == f->room) {
		size_t room = f->room ? 2 * f->room : 64;
		char **names = realloc(f->names, room * sizeof(*names));

		if (!names)
			return -ENOMEM;
		f->names = names;
		f->room = room;
	}
	if (asprintf(&f->names[f->n], "%s%s", name, is_dir ? "/" : "") < 0)
		return -ENOMEM;
	f->n++;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* DT_REG, DT_DIR, or DT_UNKNOWN for what is not shown. Links to folders are not: they may form a
 * circle. */
static int entry_kind(int root, const char *path, DIR *dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type == DT_REG || entry->d_type == DT_DIR)
		return entry->d_type;
	if (beneath_stat_entry(root, path, dir, entry, &st) < 0)
		return DT_UNKNOWN;
	if (S_ISDIR(st.st_mode))
		return entry->d_type == DT_UNKNOWN ? DT_DIR : DT_UNKNOWN;
	return S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
}

static DIR *open_folder(int root, const char *path)
{
	int fd = beneath_open(root, path, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

/* A folder that is gone or closed to us has no entries. */
static int folder_read(int root, const char *path, struct folder *f)
{
	AUTO(closedir) DIR *dir = open_folder(root, path);
	struct dirent *entry;
	int r = 0;

	while (!r && dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		int kind = entry_kind(root, path, dir, entry);

		if (kind != DT_UNKNOWN)
			r = folder_add(f, entry->d_name, kind == DT_DIR);
	}
	if (f->n)
		qsort(f->names, f->n, sizeof(*f->names), compare_names);
	return r;
}

/* Whether there is any object below path. Looks at files first: nearly always that is enough. */
static bool has_objects(int root, const char *path, int depth)
{
	struct folder f = {0};
	bool found = false;

	if (depth < DEPTH_MAX && !folder_read(root, path, &f))
		for (size_t i = 0; i < f.n && !found; i++)
			found = f.names[i][strlen(f.names[i]) - 1] != '/';
	for (size_t i = 0; i < f.n && !found; i++) {
		char sub[KEY_MAX];

		if (snprintf(sub, sizeof(sub), "%s%s", path, f.names[i]) < KEY_MAX)
			found = has_objects(root, sub, depth + 1);
	}
	folder_done(&f);
	return found;
}

/* ---- walking ---- */

static bool page_full(struct walk *w)
{
	if (w->shown == w->q->max_keys)
		w->more = w->shown > 0;
	return w->shown == w->q->max_keys;
}

static void count_shown(struct walk *w, const char *key)
{
	snprintf(w->last, sizeof(w->last), "%s", key);
	w->shown++;
}

static void show_object(struct walk *w, const char *key)
{
	AUTO(close) int fd = beneath_open(w->root, key, O_PATH);
	char etag[HTTP_ETAG_MAX], when[32];
	struct stat st;
	struct tm tm;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || page_full(w))
		return;
	http_etag(&st, etag);
	gmtime_r(&st.st_mtim.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	fputs("<Contents>", w->out);
	put_element(w, "Key", key);
	fprintf(w->out, "<LastModified>%s.%03dZ</LastModified><ETag>", when,
		(int)(st.st_mtim.tv_nsec / 1000000));
	put_xml(w->out, etag);
	fprintf(w->out,
		"</ETag><Size>%lld</Size><StorageClass>STANDARD</StorageClass></Contents>\n",
		(long long)st.st_size);
	count_shown(w, key);
}

static void show_prefix(struct walk *w, const char *key)
{
	if (!has_objects(w->root, key, 0) || page_full(w))
		return;
	fputs("<CommonPrefixes>", w->out);
	put_element(w, "Prefix", key);
	fputs("</CommonPrefixes>\n", w->out);
	count_shown(w, key);
}

static int walk_folder(struct walk *w, const char *path);

static int visit_folder(struct walk *w, const char *key)
{
	const char *prefix = w->q->prefix;
	bool inside = starts_with(key, prefix), around = starts_with(prefix, key);
	bool begun = starts_with(w->after, key) && w->after[strlen(key)];

	if ((!inside && !around) || (strcmp(key, w->after) <= 0 && !begun))
		return 0;
	if (!w->q->by_folder || around)
		return walk_folder(w, key);
	show_prefix(w, key);
	return 0;
}

/* path: "" or "a/b/". */
static int walk_folder(struct walk *w, const char *path)
{
	struct folder f = {0};
	int r = w->depth < DEPTH_MAX ? folder_read(w->root, path, &f) : 0;

	w->depth++;
	for (size_t i = 0; i < f.n && !r && !w->more; i++) {
		char key[KEY_MAX];
		int len = snprintf(key, sizeof(key), "%s%s", path, f.names[i]);

		if (len >= KEY_MAX)
			continue;
		if (key[len - 1] == '/')
			r = visit_folder(w, key);
		else if (starts_with(key, w->q->prefix) && strcmp(key, w->after) > 0)
			show_object(w, key);
	}
	w->depth--;
	folder_done(&f);
	return r;
}

/* Walks the folder that the prefix points into, not all of the tree. */
static int walk_prefix(struct walk *w)
{
	const char *slash = strrchr(w->q->prefix, '/');
	char path[KEY_MAX];

	if (!slash)
		return walk_folder(w, "");
	if (snprintf(path, sizeof(path), "%.*s", (int)(slash - w->q->prefix), w->q->prefix) >=
		KEY_MAX - 1)
		return 0;
	if (!beneath_plain(path)) /* no key looks like this */
		return 0;
	strcat(path, "/");
	return walk_folder(w, path);
}

/* ---- the document ---- */

static void put_frame(struct walk *w, const char *bucket)
{
	fputs("<Name>", w->out);
	put_xml(w->out, bucket);
	fputs("</Name>", w->out);
	put_element(w, "Prefix", w->q->prefix);
	if (*w->q->start_after)
		put_element(w, "StartAfter", w->q->start_after);
	if (*w->q->token)
		fprintf(w->out, "<ContinuationToken>%s</ContinuationToken>", w->q->token);
	if (w->q->by_folder)
		fputs("<Delimiter>/</Delimiter>", w->out);
	if (w->q->url_encoded)
		fputs("<EncodingType>url</EncodingType>", w->out);
	fprintf(w->out, "<MaxKeys>%d</MaxKeys><KeyCount>%d</KeyCount><IsTruncated>%s</IsTruncated>",
		w->q->max_keys, w->shown, w->more ? "true" : "false");
	if (w->more)
		put_token(w->out, "NextContinuationToken", w->last);
}

int list_page(
	int root, const char *bucket, const struct list_query *q, char **ret_xml, size_t *ret_len)
{
	AUTO(free) struct walk *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->root = root;
	w->q = q;
	if (*q->token) {
		r = parse_token(q->token, w->after);
		if (r < 0)
			return r;
	} else {
		snprintf(w->after, sizeof(w->after), "%s", q->start_after);
	}
	w->out = open_memstream(ret_xml, ret_len);
	if (!w->out)
		return -ENOMEM;
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	      "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n",
		w->out);
	r = walk_prefix(w);
	put_frame(w, bucket);
	fputs("</ListBucketResult>\n", w->out);
	if (fclose(w->out) && !r)
		r = -ENOMEM;
	if (r < 0)
		free(*ret_xml);
	return r;
}
