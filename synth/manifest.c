/* SPDX-License-Identifier: Apache-2.0 */
/* Manifest and journal. See manifest.h.
 *
 *   journal:  feedrate-journal/1 format=.. seed=.. samples=.. shards=.. classes=..
 *             U<TAB>unit<TAB>length of lines<TAB>bytes of files<TAB>CRC32C of lines
 *             F.. S.. S..                                     lines, as the manifest will have them
 *
 * A unit is appended by one writev and fdatasync under the journal's lock, so that a crash leaves
 * at most one cut unit, at the end. */
#include "synth/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/file.h"

#define TEXT_MOST ((size_t)1 << 40) /* of a manifest or journal */
#define MANIFEST_TMP MANIFEST_NAME ".tmp"
#define PATH_BYTES 256
#define HEAD_SHOWN 200 /* of a head, in a message */

struct place { /* of a unit's lines in the journal; len 0: not there yet */
	off_t at;
	size_t len;
};

struct journal {
	int dirfd, fd;
	struct set set;
	uint64_t units;
	pthread_mutex_t lock; /* guards what follows */
	struct place *places;
	off_t end;
	uint64_t bytes;
};

static const char *format_name(enum data_format format)
{
	return format == FORMAT_TFRECORD ? "tfrecord" : "imagefolder";
}

static char *journal_head(const struct set *s)
{
	char *ret;

	if (asprintf(&ret,
		    "feedrate-journal/1 format=%s seed=%" PRIu64 " samples=%" PRIu64
		    " shards=%u classes=%u\n",
		    format_name(s->format), s->seed, s->samples, s->shards, s->classes) < 0)
		return NULL;
	return ret;
}

static char *manifest_head(const struct set *s, uint64_t bytes)
{
	char *ret;

	if (asprintf(&ret,
		    "feedrate-manifest/1 format=%s seed=%" PRIu64 " samples=%" PRIu64
		    " bytes=%" PRIu64 " shards=%u classes=%u\n",
		    format_name(s->format), s->seed, s->samples, bytes, s->shards, s->classes) < 0)
		return NULL;
	return ret;
}

static int cannot_write(const char *file, int r, struct err *err)
{
	bool full = r == -ENOSPC || r == -EDQUOT;

	return err_set(err, -r, "cannot write %s: %s; %s", file, strerror(-r),
		full ? "free space and give the same command"
		     : "give a folder that can be written to");
}

static int other_set(const char *file, const char *line, struct err *err)
{
	const char *end = memchr(line, '\n', strnlen(line, HEAD_SHOWN));

	return err_set(err, EEXIST,
		"the folder holds another data set (%s: %.*s); give its parameters or another "
		"folder",
		file, (int)(end ? end - line : HEAD_SHOWN), line);
}

/* The first of the files that lines name which is not there with its size, or NULL; path: room. */
static const char *missing_file(int dirfd, const char *lines, size_t len, char path[PATH_BYTES])
{
	const char *end = lines + len, *p = lines;

	for (; p && p < end; p = memchr(p, '\n', (size_t)(end - p)), p = p ? p + 1 : NULL) {
		uint64_t size;
		struct stat st;

		if (*p != 'F')
			continue;
		if (sscanf(p, "F\t%255[^\t]\t%" SCNu64, path, &size) != 2)
			return MANIFEST_NAME;
		if (fstatat(dirfd, path, &st, 0) < 0 || (uint64_t)st.st_size != size)
			return path;
	}
	return NULL;
}

static int read_text(int dirfd, const char *name, char **ret_text, size_t *ret_len)
{
	AUTO(close) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	char path[32];

	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return file_read(path, TEXT_MOST, ret_text, ret_len);
}

int manifest_check(int dirfd, const struct set *set, uint64_t *ret_bytes, struct err *err)
{
	AUTO(free) char *text = NULL, *head = NULL;
	char path[PATH_BYTES];
	const char *word, *missing;
	uint64_t bytes = 0;
	size_t len;
	int r = read_text(dirfd, MANIFEST_NAME, &text, &len);

	if (!text)
		return r == -ENOENT ? 0 : err_set(err, -r, MANIFEST_NAME ": %s", strerror(-r));
	word = strstr(text, " bytes=");
	if (word)
		bytes = strtoull(word + 7, NULL, 10);
	head = manifest_head(set, bytes);
	if (!head)
		return err_set(err, ENOMEM, "no memory");
	if (strncmp(text, head, strlen(head)) != 0)
		return other_set(MANIFEST_NAME, text, err);
	missing = missing_file(dirfd, text, len, path);
	if (missing)
		return err_set(err, EIO,
			"%s is missing or has changed since the set was complete; remove the folder "
			"and give the same command",
			missing);
	*ret_bytes = bytes;
	return 1;
}

/* ---- reading a journal ---- */

int journal_next(const char *text, size_t text_len, size_t *at, struct journal_unit *ret)
{
	const char *line = text + *at, *newline = memchr(line, '\n', text_len - *at);
	struct journal_unit u;
	char copy[96];
	uint32_t crc;
	int used = 0;

	if (!newline || (size_t)(newline - line) >= sizeof(copy))
		return 0;
	memcpy(copy, line, (size_t)(newline - line));
	copy[newline - line] = '\0';
	if (sscanf(copy, "U\t%20" SCNu64 "\t%20zu\t%20" SCNu64 "\t%8" SCNx32 "%n", &u.unit, &u.len,
		    &u.bytes, &crc, &used) != 4 ||
		copy[used])
		return 0;
	u.lines = newline + 1;
	if (!u.len || u.len > text_len - (size_t)(u.lines - text) ||
		crc32c(0, u.lines, u.len) != crc)
		return 0;
	*at = (size_t)(u.lines - text) + u.len;
	*ret = u;
	return 1;
}

static int read_journal(struct journal *j, const char *head, struct err *err)
{
	AUTO(free) char *text = NULL;
	char path[PATH_BYTES];
	struct journal_unit u;
	size_t len = 0, at = strlen(head);
	int r = read_text(j->dirfd, JOURNAL_NAME, &text, &len);

	if (!text)
		return err_set(err, -r, JOURNAL_NAME ": %s", strerror(-r));
	if (!memchr(text, '\n', len))
		len = 0; /* cut before its first unit: start again */
	else if (strncmp(text, head, at) != 0)
		return other_set(JOURNAL_NAME, text, err);
	while (len && journal_next(text, len, &at, &u)) {
		if (u.unit >= j->units || j->places[u.unit].len ||
			missing_file(j->dirfd, u.lines, u.len, path))
			continue;
		j->places[u.unit] = (struct place){u.lines - text, u.len};
		j->bytes += u.bytes;
	}
	j->end = len ? (off_t)at : 0;
	return 0;
}

/* Whether the folder is empty, but for what a new filesystem has. */
static int check_empty(int dirfd, struct err *err)
{
	AUTO(closedir) DIR *dir = NULL;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_set(err, errno, "cannot list the folder: %s", strerror(errno));
	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			strcmp(e->d_name, "lost+found") != 0)
			return err_set(err, EEXIST,
				"the folder is not empty and holds no data set (%s is in it); give "
				"an empty or a new folder",
				e->d_name);
	return 0;
}

static int start_journal(struct journal *j, const char *head, struct err *err)
{
	int r = 0;

	if (j->end && ftruncate(j->fd, j->end) < 0)
		return err_set(err, errno, JOURNAL_NAME ": %s", strerror(errno));
	if (j->end)
		return 0;
	if (ftruncate(j->fd, 0) < 0)
		r = -errno;
	if (!r)
		r = file_pwrite_all(j->fd, head, strlen(head), 0);
	if (!r && (fsync(j->fd) < 0 || fsync(j->dirfd) < 0))
		r = -errno;
	if (r < 0) {
		unlinkat(j->dirfd, JOURNAL_NAME, 0);
		return cannot_write(JOURNAL_NAME, r, err);
	}
	j->end = (off_t)strlen(head);
	return 0;
}

static int open_journal(struct journal *j, struct err *err)
{
	AUTO(free) char *head = journal_head(&j->set);
	int r;

	j->fd = openat(j->dirfd, JOURNAL_NAME, O_RDWR | O_CLOEXEC);
	if (j->fd < 0 && errno == ENOENT) {
		r = check_empty(j->dirfd, err);
		if (r < 0)
			return r;
		j->fd = openat(j->dirfd, JOURNAL_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	}
	if (j->fd < 0)
		return cannot_write(JOURNAL_NAME, -errno, err);
	if (!head)
		return err_set(err, ENOMEM, "no memory");
	r = read_journal(j, head, err);
	return r < 0 ? r : start_journal(j, head, err);
}

int journal_open(
	int dirfd, const struct set *set, uint64_t units, struct journal **ret, struct err *err)
{
	AUTO(journal_close) struct journal *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return err_set(err, ENOMEM, "no memory");
	*j = (struct journal){dirfd, -1, *set, units, PTHREAD_MUTEX_INITIALIZER, NULL, 0, 0};
	j->places = calloc(units, sizeof(*j->places));
	if (!j->places)
		return err_set(err, ENOMEM, "no memory for %" PRIu64 " units", units);
	r = open_journal(j, err);
	if (!r)
		*ret = TAKE(j);
	return r;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	free(j->places);
	free(j);
}

void journal_discard(struct journal *j)
{
	if (!journal_bytes(j))
		unlinkat(j->dirfd, JOURNAL_NAME, 0);
}

bool journal_has(const struct journal *j, uint64_t unit)
{
	return j->places[unit].len > 0;
}

uint64_t journal_bytes(struct journal *j)
{
	HOLD(&j->lock);
	return j->bytes;
}

/* ---- writing ---- */

int journal_append(struct journal *j, uint64_t unit, const char *lines, size_t len, uint64_t bytes)
{
	AUTO(free) char *record = NULL;
	int head = asprintf(&record, "U\t%" PRIu64 "\t%zu\t%" PRIu64 "\t%08x\n", unit, len, bytes,
		crc32c(0, lines, len));
	int r = 0;

	if (head < 0)
		return -ENOMEM;
	HOLD(&j->lock);
	struct iovec v[] = {{record, (size_t)head}, {(void *)(uintptr_t)lines, len}};
	ssize_t n = pwritev(j->fd, v, 2, j->end);

	if (n >= 0 && (size_t)n < (size_t)head + len)
		r = -ENOSPC;
	else if (n < 0 || fdatasync(j->fd) < 0)
		r = -errno;
	if (r < 0)
		return r;
	j->places[unit] = (struct place){j->end + head, len};
	j->end += n;
	j->bytes += bytes;
	return 0;
}

static int copy_lines(const struct journal *j, const struct place *p, FILE *out)
{
	AUTO(free) char *lines = malloc(p->len);
	int r = lines ? file_pread_all(j->fd, lines, p->len, p->at) : -ENOMEM;

	if (r < 0)
		return r;
	return fwrite(lines, 1, p->len, out) == p->len ? 0 : -errno;
}

static int write_manifest(struct journal *j, const char *head)
{
	int fd = openat(j->dirfd, MANIFEST_TMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	int r = 0;

	if (!out)
		return -errno;
	if (fputs(head, out) < 0)
		r = -errno;
	for (uint64_t i = 0; i < j->units && !r; i++)
		r = copy_lines(j, &j->places[i], out);
	if (!r && (fflush(out) < 0 || fsync(fd) < 0))
		r = -errno;
	if (fclose(out) < 0 && !r)
		r = -errno;
	if (!r && renameat(j->dirfd, MANIFEST_TMP, j->dirfd, MANIFEST_NAME) < 0)
		r = -errno;
	if (!r && fsync(j->dirfd) < 0)
		r = -errno;
	return r;
}

int journal_finish(struct journal *j, struct err *err)
{
	AUTO(free) char *head = manifest_head(&j->set, journal_bytes(j));
	int r = head ? write_manifest(j, head) : -ENOMEM;

	if (r < 0) {
		unlinkat(j->dirfd, MANIFEST_TMP, 0);
		return cannot_write(MANIFEST_NAME, r, err);
	}
	unlinkat(j->dirfd, JOURNAL_NAME, 0);
	return 0;
}
