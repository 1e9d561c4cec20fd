/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of ListObjectsV2 over a small tree. The first byte: page size, delimiter and encoding; then
 * lines: prefix, start-after, continuation token. Pages end, hold what they say, and stay below the
 * prefix. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/file.h"
#include "synth/synth_remote_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const keys[] = {
	"a", "a-b", "a.b", "b/a", "b/b/c", "b/b/d", "c/&<\n", "c/\xff", "d"};
#define KEYS (sizeof(keys) / sizeof(*keys))

static char root[] = "/tmp/feedrate-fuzz-XXXXXX";

static void remove_root(void)
{
	file_remove_tree(root);
}

static int open_root(void)
{
	int fd;

	if (!mkdtemp(root) || atexit(remove_root))
		abort();
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < KEYS; i++) {
		AUTO(free) char *path = NULL, *dir = NULL;

		if (asprintf(&path, "%s/%s", root, keys[i]) < 0 || !(dir = strdup(path)))
			abort();
		*strrchr(dir, '/') = '\0';
		if (file_make_dirs(dir, 0755) < 0)
			abort();
		close(openat(fd, keys[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	}
	return fd;
}

static size_t count(const char *xml, const char *word)
{
	size_t n = 0;

	while ((xml = strstr(xml, word))) {
		xml++;
		n++;
	}
	return n;
}

/* Follows the pages to their end. */
static void walk(int fd, struct list_query q)
{
	char token[16384];
	size_t seen = 0;

	for (size_t page = 0;; page++) {
		AUTO(free) char *xml = NULL;
		size_t len, shown;

		if (list_page(fd, "bucket", &q, &xml, &len) < 0)
			return; /* no token of ours */
		shown = count(xml, "<Contents>") + count(xml, "<CommonPrefixes>");
		seen += shown;
		if (shown > (size_t)q.max_keys || seen > KEYS || page > KEYS)
			abort();
		char *next = strstr(xml, "<NextContinuationToken>");

		if (!next)
			return;
		if (shown != (size_t)q.max_keys ||
			sscanf(next, "<NextContinuationToken>%16383[0-9a-f]<", token) != 1)
			abort();
		q.token = token;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	AUTO(free) char *text = len ? strndup((const char *)data + 1, len - 1) : NULL;
	char *next = text, *line[3] = {0};

	if (fd < 0)
		fd = open_root();
	if (!text)
		return 0;
	for (int i = 0; i < 3; i++)
		line[i] = next ? strsep(&next, "\n") : text + strlen(text);
	walk(fd, (struct list_query){.prefix = line[0],
			 .start_after = line[1],
			 .token = line[2],
			 .by_folder = data[0] & 1,
			 .url_encoded = data[0] & 2,
			 .max_keys = data[0] >> 2 & 7});
	return 0;
}
