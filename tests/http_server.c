/* SPDX-License-Identifier: Apache-2.0 */
/* A web server inside a test: see http_server.h. Understands just what our client sends. */
#include "tests/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cachefs/stores/http_fields.h"
#include "common/cleanup.h"

#define CONNECTIONS_MAX 256

struct connection {
	struct http_server *server;
	pthread_t thread;
	int fd;
};

struct http_server {
	serve_fn *serve;
	void *arg;
	int listener;
	char url[40];
	pthread_t thread;
	_Atomic int requests;
	_Atomic int connections;
	struct connection connection[CONNECTIONS_MAX];
};

/* ---- requests ---- */

/* The head of a request into buf; false: the connection is over. */
static bool read_head(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len + 1 < size) {
		ssize_t n = recv(fd, buf + len, 1, 0);

		if (n <= 0)
			return false;
		len++;
		buf[len] = '\0';
		if (len >= 4 && !strcmp(buf + len - 4, "\r\n\r\n"))
			return true;
	}
	return false;
}

static void copy_header(const char *head, const char *name, char *ret, size_t size)
{
	const char *at = strcasestr(head, name);

	*ret = '\0';
	if (at)
		snprintf(ret, size, "%.*s", (int)strcspn(at + strlen(name), "\r"),
			at + strlen(name));
}

static bool parse_call(const char *head, struct http_call *call)
{
	char method[8];

	if (sscanf(head, "%7s %4095s HTTP/1.", method, call->path) != 2)
		return false;
	call->head = !strcmp(method, "HEAD");
	size_t len = strcspn(call->path, "?");

	strcpy(call->query, call->path[len] ? call->path + len + 1 : "");
	call->path[len] = '\0';
	url_decode(call->path, false);
	copy_header(head, "\r\nRange: ", call->range, sizeof(call->range));
	copy_header(head, "\r\nIf-Match: ", call->if_match, sizeof(call->if_match));
	copy_header(head, "\r\nAuthorization: ", call->authorization, sizeof(call->authorization));
	copy_header(head, "\r\nx-amz-security-token: ", call->token, sizeof(call->token));
	return true;
}

static void *serve_connection(void *arg)
{
	struct connection *c = arg;
	struct http_server *s = c->server;
	AUTO(free) struct http_call *call = calloc(1, sizeof(*call));
	char head[8192];
	int one = 1;

	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	call->fd = c->fd;
	while (read_head(c->fd, head, sizeof(head)) && parse_call(head, call)) {
		call->number = s->requests++;
		if (!s->serve(s->arg, call))
			break;
	}
	shutdown(c->fd, SHUT_RDWR); /* closed by http_server_free(), which may look at it now */
	return NULL;
}

static void *accept_all(void *arg)
{
	struct http_server *s = arg;

	for (int n = 0; n < CONNECTIONS_MAX; n++) {
		struct connection *c = &s->connection[n];

		c->fd = accept(s->listener, NULL, NULL);
		if (c->fd < 0)
			return NULL;
		c->server = s;
		if (pthread_create(&c->thread, NULL, serve_connection, c))
			abort();
		s->connections++;
	}
	abort();
}

struct http_server *http_server_new(serve_fn *serve, void *arg)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct http_server *s = calloc(1, sizeof(*s));
	socklen_t len = sizeof(addr);

	if (!s)
		abort();
	s->serve = serve;
	s->arg = arg;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->listener, (struct sockaddr *)&addr, len) || listen(s->listener, 64) ||
		getsockname(s->listener, (struct sockaddr *)&addr, &len) ||
		pthread_create(&s->thread, NULL, accept_all, s))
		abort();
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", ntohs(addr.sin_port));
	return s;
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	for (int i = 0; i < s->connections; i++)
		shutdown(s->connection[i].fd, SHUT_RDWR);
	for (int i = 0; i < s->connections; i++) {
		pthread_join(s->connection[i].thread, NULL);
		close(s->connection[i].fd);
	}
	close(s->listener);
	free(s);
}

const char *http_server_url(const struct http_server *s)
{
	return s->url;
}

int http_server_requests(const struct http_server *s)
{
	return s->requests;
}

int http_server_connections(const struct http_server *s)
{
	return s->connections;
}

/* ---- what the request says ---- */

bool http_call_range(
	const struct http_call *call, uint64_t size, uint64_t *ret_first, uint64_t *ret_last)
{
	unsigned long long first, last;

	if (sscanf(call->range, "bytes=%llu-%llu", &first, &last) != 2 || first >= size ||
		last < first)
		return false;
	*ret_first = first;
	*ret_last = last < size ? last : size - 1;
	return true;
}

void http_call_argument(const struct http_call *call, const char *name, char *ret, size_t size)
{
	size_t len = strlen(name);

	*ret = '\0';
	for (const char *p = call->query; *p; p += strcspn(p, "&"), p += *p == '&')
		if (!strncmp(p, name, len) && p[len] == '=') {
			snprintf(ret, size, "%.*s", (int)strcspn(p + len + 1, "&"), p + len + 1);
			url_decode(ret, false);
			return;
		}
}

/* ---- answers ---- */

void http_send(struct http_call *call, const void *data, size_t len)
{
	const char *from = data;

	while (len) {
		ssize_t n = send(call->fd, from, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		from += n;
		len -= (size_t)n;
	}
}

void http_say(struct http_call *call, const char *fmt, ...)
{
	AUTO(free) char *text = NULL;
	AUTO(free) char *wire = NULL;
	size_t len = 0;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);

	va_end(ap);
	if (n < 0 || !(wire = malloc(2 * (size_t)n + 1)))
		abort();
	for (const char *p = text; *p; p++) {
		if (*p == '\n')
			wire[len++] = '\r';
		wire[len++] = *p;
	}
	http_send(call, wire, len);
}

void http_answer_text(struct http_call *call, const char *status, const char *body)
{
	http_say(call, "HTTP/1.1 %s\nContent-Length: %zu\n\n", status, strlen(body));
	if (!call->head)
		http_send(call, body, strlen(body));
}

void http_reset(struct http_call *call)
{
	struct linger now = {1, 0};

	/* The descriptor stays until the server is freed, and a socket is reset when it is closed: so
	 * it is closed here, and something else put in its place. */
	setsockopt(call->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	dup3(other, call->fd, O_CLOEXEC);
	close(other);
}

void http_hang(struct http_call *call)
{
	struct pollfd p = {.fd = call->fd, .events = POLLIN | POLLRDHUP};

	poll(&p, 1, 60000);
}
