/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to answers: see synth_remote_serve.h. Every answer goes through reply(), which counts
 * it; every body is charged to the emulated link before its bytes go out. */
#include "synth/synth_remote_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/beneath.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "synth/synth_remote_http.h"
#include "synth/synth_remote_list.h"
#include "synth/synth_remote_listen.h"
#include "synth/synth_remote_shape.h"

#define STATS_URL "/-/stats"
#define STACK_BYTES (1 << 20)
#define PIECE_MIN 4096
#define PIECE_MAX (256 << 10)
#define DESCRIPTORS_KEPT 64 /* of the limit, for everything but connections */

struct server {
	int root, stop_fd;
	char *bucket; /* "": no path style */
	char url[LISTEN_URL_MAX];
	const struct config *cfg;
	struct shape shape;
	struct MHD_Daemon *daemon;
	_Atomic uint64_t requests, bytes, connections, lists;
	atomic_int open;
};

struct connection {
	bool refused; /* one too many: every request is answered 503 */
	bool counted; /* a connection that only asked for statistics never is */
};

/* One request under way. */
struct call {
	struct server *server;
	struct MHD_Connection *mhd;
	bool head;
};

/* ---- answers ---- */

static enum MHD_Result reply(const struct call *c, unsigned status, struct MHD_Response *body)
{
	enum MHD_Result r = MHD_NO;

	if (body) {
		r = MHD_queue_response(c->mhd, status, body);
		MHD_destroy_response(body);
	}
	return r;
}

/* A body in memory, malloc'ed, which it takes over. */
static enum MHD_Result reply_text(
	const struct call *c, unsigned status, char *text, size_t len, const char *type)
{
	struct MHD_Response *body = MHD_create_response_from_buffer(
		len, text, MHD_RESPMEM_MUST_FREE);

	if (!body) {
		free(text);
		return MHD_NO;
	}
	if (!c->head) {
		shape_bytes(&c->server->shape, len);
		atomic_fetch_add(&c->server->bytes, len);
	}
	MHD_add_response_header(body, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	return reply(c, status, body);
}

/* An error as S3 tells it; extra: a header, or NULL. */
static enum MHD_Result reply_error(const struct call *c, unsigned status, const char *code,
	const char *extra, const char *extra_value)
{
	char text[256];
	int len = snprintf(text, sizeof(text),
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code></Error>\n",
		code);
	struct MHD_Response *body = MHD_create_response_from_buffer(
		(size_t)len, text, MHD_RESPMEM_MUST_COPY);

	if (body) {
		MHD_add_response_header(body, MHD_HTTP_HEADER_CONTENT_TYPE, "application/xml");
		if (extra)
			MHD_add_response_header(body, extra, extra_value);
	}
	return reply(c, status, body);
}

static enum MHD_Result reply_stats(const struct call *c)
{
	struct server *s = c->server;
	char text[256];
	int len = snprintf(text, sizeof(text),
		"{\"requests\":%llu,\"bytes\":%llu,\"connections\":%llu,\"lists\":%llu}\n",
		(unsigned long long)atomic_load(&s->requests),
		(unsigned long long)atomic_load(&s->bytes),
		(unsigned long long)atomic_load(&s->connections),
		(unsigned long long)atomic_load(&s->lists));
	struct MHD_Response *body = MHD_create_response_from_buffer(
		(size_t)len, text, MHD_RESPMEM_MUST_COPY);

	if (body)
		MHD_add_response_header(body, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	return reply(c, MHD_HTTP_OK, body);
}

/* ---- listings ---- */

static const char *argument(const struct call *c, const char *name)
{
	const char *value = MHD_lookup_connection_value(c->mhd, MHD_GET_ARGUMENT_KIND, name);

	return value ? value : "";
}

/* max-keys as S3 takes it: what is above a page is a page. -EINVAL: no number. */
static int parse_max_keys(const char *text, int page)
{
	char *end;
	long n;

	if (!*text)
		return page;
	errno = 0;
	n = strtol(text, &end, 10);
	if (*end || errno || n < 0)
		return -EINVAL;
	return n < page ? (int)n : page;
}

static enum MHD_Result answer_list(const struct call *c)
{
	struct server *s = c->server;
	const char *delimiter = argument(c, "delimiter"), *encoding = argument(c, "encoding-type");
	struct list_query q = {
		.prefix = argument(c, "prefix"),
		.token = argument(c, "continuation-token"),
		.start_after = argument(c, "start-after"),
		.by_folder = *delimiter,
		.url_encoded = *encoding,
		.max_keys = parse_max_keys(argument(c, "max-keys"), (int)s->cfg->remote.page_size),
	};
	size_t len;
	char *xml;
	int r;

	atomic_fetch_add(&s->lists, 1);
	if (q.max_keys < 0 || (*encoding && strcmp(encoding, "url") != 0))
		return reply_error(c, MHD_HTTP_BAD_REQUEST, "InvalidArgument", NULL, NULL);
	if (*delimiter && strcmp(delimiter, "/") != 0)
		return reply_error(c, MHD_HTTP_NOT_IMPLEMENTED, "NotImplemented", NULL, NULL);
	r = list_page(s->root, s->bucket, &q, &xml, &len);
	if (r == -EINVAL)
		return reply_error(c, MHD_HTTP_BAD_REQUEST, "InvalidArgument", NULL, NULL);
	if (r < 0)
		return reply_error(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "InternalError", NULL, NULL);
	return reply_text(c, MHD_HTTP_OK, xml, len, "application/xml");
}

/* ---- objects ---- */

struct object {
	int fd;
	uint64_t size, off, len; /* of the file; of the part to send */
	char etag[HTTP_ETAG_MAX], date[HTTP_DATE_MAX];
};

static int open_object(const struct server *s, const char *key, struct object *ret)
{
	struct stat st;

	if (!beneath_plain(key))
		return -ENOENT;
	AUTO(close) int fd = beneath_open(s->root, key, O_RDONLY);

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -ENOENT;
	*ret = (struct object){.size = (uint64_t)st.st_size, .len = (uint64_t)st.st_size};
	http_etag(&st, ret->etag);
	http_date(st.st_mtim.tv_sec, ret->date);
	ret->fd = take_fd(&fd);
	return 0;
}

/* A body that is paid for and counted piece by piece while it goes out. */
struct stream {
	struct shape *shape;
	_Atomic uint64_t *sent;
	int fd;
	uint64_t off, len;
};

static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct stream *st = cls;
	uint64_t left = st->len - pos;
	size_t n = left < max ? (size_t)left : max;
	ssize_t got;

	if (!n)
		return MHD_CONTENT_READER_END_OF_STREAM;
	shape_bytes(st->shape, n);
	got = pread(st->fd, buf, n, (off_t)(st->off + pos));
	if (got > 0)
		atomic_fetch_add(st->sent, (uint64_t)got);
	return got > 0 ? got : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void stream_free(void *cls)
{
	struct stream *st = cls;

	close(st->fd);
	free(st);
}

static struct MHD_Response *stream_body(struct server *server, struct object *o)
{
	struct shape *shape = &server->shape;
	uint64_t piece = shape_burst_bytes(shape);
	struct stream *st = malloc(sizeof(*st));
	struct MHD_Response *body;

	if (!st)
		return NULL;
	piece = piece < PIECE_MIN ? PIECE_MIN : piece > PIECE_MAX ? PIECE_MAX : piece;
	*st = (struct stream){shape, &server->bytes, take_fd(&o->fd), o->off, o->len};
	body = MHD_create_response_from_callback(o->len, piece, stream_read, st, stream_free);
	if (!body)
		stream_free(st);
	return body;
}

/* Takes o->fd over. A short body is paid for and counted at once, so that sendfile can carry it (the
 * count is too high by what a connection that breaks did not take); a HEAD carries nothing. */
static struct MHD_Response *object_body(const struct call *c, struct object *o)
{
	struct shape *shape = &c->server->shape;
	struct MHD_Response *body;

	if (!c->head && o->len > shape_burst_bytes(shape))
		return stream_body(c->server, o);
	if (!c->head) {
		atomic_fetch_add(&c->server->bytes, o->len);
		shape_bytes(shape, o->len);
	}
	body = MHD_create_response_from_fd_at_offset64(o->len, o->fd, o->off);
	if (body)
		take_fd(&o->fd);
	return body;
}

static enum MHD_Result send_object(const struct call *c, unsigned status, struct object *o)
{
	struct MHD_Response *body = object_body(c, o);
	char range[96];

	if (!body)
		return MHD_NO;
	snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)o->off,
		(unsigned long long)(o->off + o->len - 1), (unsigned long long)o->size);
	if (status == MHD_HTTP_PARTIAL_CONTENT)
		MHD_add_response_header(body, MHD_HTTP_HEADER_CONTENT_RANGE, range);
	MHD_add_response_header(body, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
	MHD_add_response_header(body, MHD_HTTP_HEADER_ETAG, o->etag);
	MHD_add_response_header(body, MHD_HTTP_HEADER_LAST_MODIFIED, o->date);
	MHD_add_response_header(body, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
	return reply(c, status, body);
}

static const char *header(const struct call *c, const char *name)
{
	return MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, name);
}

static enum MHD_Result answer_range(const struct call *c, struct object *o, const char *range)
{
	char whole[32];

	switch (http_range(range, o->size, &o->off, &o->len)) {
	case RANGE_PART:
		return send_object(c, MHD_HTTP_PARTIAL_CONTENT, o);
	case RANGE_WHOLE:
		return send_object(c, MHD_HTTP_OK, o);
	case RANGE_UNSATISFIABLE:
		break;
	}
	snprintf(whole, sizeof(whole), "bytes */%llu", (unsigned long long)o->size);
	return reply_error(c, MHD_HTTP_RANGE_NOT_SATISFIABLE, "InvalidRange",
		MHD_HTTP_HEADER_CONTENT_RANGE, whole);
}

static enum MHD_Result answer_object(const struct call *c, const char *key)
{
	struct http_conditions conditions = {
		.if_match = header(c, MHD_HTTP_HEADER_IF_MATCH),
		.if_none_match = header(c, MHD_HTTP_HEADER_IF_NONE_MATCH),
		.if_range = header(c, MHD_HTTP_HEADER_IF_RANGE),
	};
	struct object o = {.fd = -1};
	int r = open_object(c->server, key, &o);
	AUTO(close) int fd = r < 0 ? -1 : o.fd;
	const char *range = header(c, MHD_HTTP_HEADER_RANGE);
	enum MHD_Result ret;

	if (r == -EACCES)
		return reply_error(c, MHD_HTTP_FORBIDDEN, "AccessDenied", NULL, NULL);
	if (r < 0)
		return reply_error(c, MHD_HTTP_NOT_FOUND, "NoSuchKey", NULL, NULL);
	switch (http_condition_status(&conditions, o.etag)) {
	case 304:
		return reply_error(c, MHD_HTTP_NOT_MODIFIED, "NotModified", "ETag", o.etag);
	case 412:
		return reply_error(
			c, MHD_HTTP_PRECONDITION_FAILED, "PreconditionFailed", NULL, NULL);
	}
	if (c->head || !http_range_applies(&conditions, o.etag, o.date))
		range = NULL;
	ret = answer_range(c, &o, range);
	fd = o.fd;
	return ret;
}

/* ---- requests ---- */

/* The key that url names; "" is the bucket itself. */
static const char *key_of(const struct server *s, const char *url)
{
	size_t len = strlen(s->bucket);
	const char *key = url + (*url == '/');

	if (len && !strncmp(key, s->bucket, len) && (!key[len] || key[len] == '/'))
		key += len + (key[len] == '/');
	return key;
}

static enum MHD_Result answer_counted(const struct call *c, const char *url)
{
	const char *key = key_of(c->server, url);

	shape_request(&c->server->shape);
	if (*key)
		return answer_object(c, key);
	if (!strcmp(argument(c, "list-type"), "2"))
		return answer_list(c);
	if (c->head)
		return reply_text(c, MHD_HTTP_OK, NULL, 0, "application/xml");
	return reply_error(c, MHD_HTTP_BAD_REQUEST, "OnlyListObjectsV2", NULL, NULL);
}

static void count_request(struct server *s, struct connection *conn)
{
	atomic_fetch_add(&s->requests, 1);
	if (!conn->counted)
		atomic_fetch_add(&s->connections, 1);
	conn->counted = true;
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_len,
	void **request)
{
	static char seen;
	struct call c = {cls, mhd, !strcmp(method, MHD_HTTP_METHOD_HEAD)};
	struct connection *conn = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
					  ->socket_context;

	if (!*request) { /* headers only; libmicrohttpd wants the answer in the next call */
		*request = &seen;
		return MHD_YES;
	}
	if (*upload_len) {
		*upload_len = 0;
		return MHD_YES;
	}
	if (!conn)
		return MHD_NO;
	if (!c.head && strcmp(method, MHD_HTTP_METHOD_GET) != 0)
		return reply_error(
			&c, MHD_HTTP_METHOD_NOT_ALLOWED, "MethodNotAllowed", "Allow", "GET, HEAD");
	if (!strcmp(url, STATS_URL))
		return reply_stats(&c);
	count_request(c.server, conn);
	if (conn->refused)
		return reply_error(
			&c, MHD_HTTP_SERVICE_UNAVAILABLE, "SlowDown", "Connection", "close");
	return answer_counted(&c, url);
}

/* ---- connections ---- */

static void track_connection(void *cls, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	struct server *s = cls;
	int64_t limit = s->cfg->remote.connections;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		atomic_fetch_sub(&s->open, 1);
		free(*context);
		return;
	}
	struct connection *conn = calloc(1, sizeof(*conn));
	int open = atomic_fetch_add(&s->open, 1) + 1;

	if (conn)
		conn->refused = limit && open > limit;
	*context = conn;
}

/* Names hold no NUL: what does becomes a key that cannot be. There is room, since a NUL came as three
 * characters. */
static size_t unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
	size_t len = MHD_http_unescape(text);

	if (strlen(text) == len)
		return len;
	memcpy(text, "//", 3);
	return 2;
}

/* Nearly all of it is about clients that sent nonsense or went away: nothing to warn of. */
static void log_message(void *cls, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
static void log_message(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_info("%s", text);
}

/* As many as the limit of descriptors allows, raised as far as it goes: two each, the socket and
 * the file. */
static unsigned connections_possible(void)
{
	struct rlimit lim = {1024, 1024};

	if (!getrlimit(RLIMIT_NOFILE, &lim) && lim.rlim_cur < lim.rlim_max) {
		struct rlimit raised = {lim.rlim_max, lim.rlim_max};

		if (!setrlimit(RLIMIT_NOFILE, &raised))
			lim = raised;
	}
	if (lim.rlim_cur <= 2 * DESCRIPTORS_KEPT)
		return DESCRIPTORS_KEPT / 2;
	return lim.rlim_cur > 1 << 20 ? 1 << 19 : (unsigned)(lim.rlim_cur - DESCRIPTORS_KEPT) / 2;
}

static int start_daemon(struct server *s, struct err *err)
{
	unsigned limit = connections_possible();
	AUTO(close) int fd = listen_open(s->cfg->remote.listen, s->url, err);

	if (fd < 0)
		return fd;
	s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD |
					     MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
					     MHD_USE_ITC | MHD_USE_ERROR_LOG,
		0, NULL, NULL, answer, s, MHD_OPTION_EXTERNAL_LOGGER, log_message, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, limit,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_UNESCAPE_CALLBACK,
		unescape, NULL, MHD_OPTION_NOTIFY_CONNECTION, track_connection, s, MHD_OPTION_END);
	if (!s->daemon)
		return err_set(
			err, EIO, "cannot start the HTTP server; are threads limited (ulimit -u)?");
	take_fd(&fd);
	return 0;
}

/* ---- start and stop ---- */

static int open_root(struct server *s, const char *dir, struct err *err)
{
	AUTO(free) char *path = realpath(dir, NULL);
	const char *base = path ? strrchr(path, '/') + 1 : "";
	struct stat st;

	s->root = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (s->root < 0)
		return err_set(err, errno, "%s: %s; give a folder with the files to serve", dir,
			strerror(errno));
	if (*base && !fstatat(s->root, base, &st, AT_SYMLINK_NOFOLLOW)) {
		log_warn("%s has an entry named %s: keys are served as /KEY only, not as /%s/KEY",
			dir, base, base);
		base = "";
	}
	s->bucket = strdup(base);
	return s->bucket ? 0 : err_set(err, ENOMEM, "not enough memory");
}

int server_start(const char *dir, const struct config *cfg, struct server **ret, struct err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "not enough memory");
	s->cfg = cfg;
	s->root = -1;
	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	shape_init(&s->shape, cfg, s->stop_fd);
	r = open_root(s, dir, err);
	if (!r)
		r = start_daemon(s, err);
	if (r < 0)
		server_stop(s);
	else
		*ret = s;
	return r;
}

const char *server_url(const struct server *s)
{
	return s->url;
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	eventfd_write(s->stop_fd, 1);
	if (s->daemon)
		MHD_stop_daemon(s->daemon);
	if (s->root >= 0)
		close(s->root);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	free(s->bucket);
	free(s);
}
