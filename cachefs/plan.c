/* SPDX-License-Identifier: Apache-2.0 */
/* Reads plans line by line: see plan.h. Lines are decoded where they lie in the buffer. */
#include "cachefs/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cachefs/store.h"
#include "common/cleanup.h"

#define BUFFER (64 << 10)
#define LINE_BYTES_MAX (16 << 10) /* a name of 4095 bytes, each as %XX, and two numbers */

AUTO_FREE(plan, struct plan, plan_close);

struct plan {
	int fd;
	char *path;
	uint64_t line, epoch;
	uint64_t start; /* offset of buf in the file */
	size_t at, end; /* of what is in buf and not taken yet */
	bool over;      /* the file has ended */
	char buf[BUFFER + 1];
};

struct plan *plan_open(const char *path, struct err *err)
{
	AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set(err, errno, "%s: cannot read the plan: %s", path, strerror(errno));
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(err, EINVAL, "%s: a plan is a regular file; write it to one", path);
		return NULL;
	}
	struct plan *p = calloc(1, sizeof(*p));

	if (!p || !(p->path = strdup(path))) {
		free(p);
		err_set(err, ENOMEM, "not enough memory");
		return NULL;
	}
	p->fd = take_fd(&fd);
	return p;
}

void plan_close(struct plan *p)
{
	if (!p)
		return;
	close(p->fd);
	free(p->path);
	free(p);
}

/* ---- lines ---- */

static int refuse(const struct plan *p, const char *what, struct err *err)
{
	return err_set(err, EINVAL, "%s:%llu: %s", p->path, (unsigned long long)p->line, what);
}

/* Moves what is left to the front and reads more behind it. */
static int fill(struct plan *p, struct err *err)
{
	ssize_t n;

	memmove(p->buf, p->buf + p->at, p->end - p->at);
	p->end -= p->at;
	p->start += p->at;
	p->at = 0;
	do {
		n = pread(p->fd, p->buf + p->end, BUFFER - p->end, (off_t)(p->start + p->end));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(
			err, errno, "%s: cannot read the plan: %s", p->path, strerror(errno));
	p->over = !n;
	p->end += (size_t)n;
	return 0;
}

/* 1: a line, NUL-terminated; 0: the end. */
static int take_line(struct plan *p, char **ret, size_t *ret_len, struct err *err)
{
	char *newline;

	while (!(newline = memchr(p->buf + p->at, '\n', p->end - p->at)) && !p->over) {
		if (p->end - p->at > LINE_BYTES_MAX)
			break;
		int r = fill(p, err);

		if (r < 0)
			return r;
	}
	if (p->at == p->end)
		return 0;
	p->line++;
	*ret = p->buf + p->at;
	*ret_len = newline ? (size_t)(newline - *ret) : p->end - p->at;
	if (*ret_len > LINE_BYTES_MAX)
		return refuse(p, "longer than 16 KiB; a line is one path", err);
	p->at += *ret_len + (newline ? 1 : 0);
	(*ret)[*ret_len] = '\0';
	return 1;
}

void plan_seek(struct plan *p, uint64_t where)
{
	if (where >= p->start + p->at && where <= p->start + p->end) {
		p->at = (size_t)(where - p->start);
		return;
	}
	p->start = where;
	p->at = p->end = 0;
	p->over = false;
}

static bool parse_number(const char *s, uint64_t *ret)
{
	uint64_t n = 0;

	if (!*s)
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
			return false;
	*ret = n;
	return !*s;
}

/* "# epoch 3", else a remark. */
static int parse_remark(struct plan *p, const char *s, struct err *err)
{
	s += strspn(s, "# ");
	if (strncmp(s, "epoch", 5) != 0 || (s[5] && s[5] != ' '))
		return 0;
	s += 5;
	s += strspn(s, " ");
	return parse_number(s, &p->epoch) ? 0 : refuse(p, "give a number: # epoch N", err);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX in place; NULL, or what is wrong. */
static const char *decode(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return "a control character in the path (a line that ends in CR LF?); "
			       "write it as %XX";
		if (*s != '%') {
			*to++ = *s;
			continue;
		}
		int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);

		if (low < 0)
			return "'%' without two hexadecimal digits behind it; write a percent sign "
			       "as %25";
		if (!(high | low))
			return "%00 is part of no path";
		*to++ = (char)(high << 4 | low);
		s += 2;
	}
	*to = '\0';
	return NULL;
}

static int parse_range(const struct plan *p, char *fields, struct plan_line *ret, struct err *err)
{
	char *tab = strchr(fields, '\t');
	uint64_t end;

	if (tab)
		*tab = '\0';
	if (!tab || !parse_number(fields, &ret->off) || !parse_number(tab + 1, &ret->len) ||
		!ret->len || __builtin_add_overflow(ret->off, ret->len, &end))
		return refuse(p,
			"behind the path, give nothing, or <TAB>OFFSET<TAB>LENGTH in bytes", err);
	return 0;
}

static int parse_line(struct plan *p, char *s, struct plan_line *ret, struct err *err)
{
	char *tab = strchr(s, '\t');
	const char *wrong;

	*ret = (struct plan_line){.name = s, .epoch = p->epoch};
	if (tab)
		*tab = '\0';
	wrong = decode(s);
	if (!wrong && (!*s || !store_name_valid(s)))
		wrong = "no path below the mount; give one without leading or trailing '/' and "
			"\"..\"";
	if (wrong)
		return refuse(p, wrong, err);
	return tab ? parse_range(p, tab + 1, ret, err) : 0;
}

int plan_next(struct plan *p, struct plan_line *ret, struct err *err)
{
	struct plan_line line;
	size_t len;
	char *s;

	for (;;) {
		uint64_t where = p->start + p->at;
		int r = take_line(p, &s, &len, err);

		if (r <= 0)
			return r;
		if (memchr(s, '\0', len))
			return refuse(p, "a NUL byte; a plan is text", err);
		if (*s && *s != '#') {
			r = parse_line(p, s, &line, err);
			if (r < 0)
				return r;
			*ret = line;
			ret->where = where;
			return 1;
		}
		r = parse_remark(p, s, err);
		if (r < 0)
			return r;
	}
}

int plan_check(const char *path, const _Atomic bool *stop, uint64_t *ret_lines, struct err *err)
{
	AUTO(plan) struct plan *p = plan_open(path, err);
	struct plan_line line;
	uint64_t n = 0;
	int r = p ? 1 : -EINVAL;

	while (r > 0 && !(stop && *stop) && (r = plan_next(p, &line, err)) > 0)
		n++;
	if (r < 0)
		return r;
	*ret_lines = n;
	return 0;
}
