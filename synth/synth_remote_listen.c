/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket from its text: see synth_remote_listen.h. */
#include "synth/synth_remote_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"

#define BACKLOG 1024

/* "HOST:PORT" or "[HOST]:PORT" cut in two, in place. */
static int split(char *text, char **ret_host, char **ret_port)
{
	char *colon = strrchr(text, ':');

	if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -EINVAL;
	*colon = '\0';
	if (*text == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		text++;
	}
	*ret_host = text;
	*ret_port = colon + 1;
	return *text ? 0 : -EINVAL;
}

static int open_socket(const struct addrinfo *ai)
{
	int on = 1;
	AUTO(close) int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

/* A wildcard address is reached by this host as loopback. */
static void write_url(int fd, char ret[LISTEN_URL_MAX])
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} at = {0};
	socklen_t len = sizeof(at);
	char host[INET6_ADDRSTRLEN] = "127.0.0.1";

	getsockname(fd, &at.sa, &len);
	if (at.sa.sa_family == AF_INET6) {
		if (IN6_IS_ADDR_UNSPECIFIED(&at.in6.sin6_addr))
			at.in6.sin6_addr = in6addr_loopback;
		inet_ntop(AF_INET6, &at.in6.sin6_addr, host, sizeof(host));
		snprintf(ret, LISTEN_URL_MAX, "http://[%s]:%d/", host, ntohs(at.in6.sin6_port));
		return;
	}
	if (at.in.sin_addr.s_addr != htonl(INADDR_ANY))
		inet_ntop(AF_INET, &at.in.sin_addr, host, sizeof(host));
	snprintf(ret, LISTEN_URL_MAX, "http://%s:%d/", host, ntohs(at.in.sin_port));
}

int listen_open(const char *address, char ret_url[LISTEN_URL_MAX], struct err *err)
{
	struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *ai = NULL;
	AUTO(free) char *copy = strdup(address);
	char *host, *port;
	int r;

	if (!copy || split(copy, &host, &port) < 0 || atol(port) > 65535)
		return err_set(err, EINVAL,
			"remote.listen=%s: not an address; write ADDRESS:PORT, e.g. 127.0.0.1:0",
			address);
	r = getaddrinfo(host, port, &want, &ai);
	if (r)
		return err_set(err, EINVAL, "remote.listen=%s: %s; give an address of this host",
			address, gai_strerror(r));
	r = open_socket(ai);
	freeaddrinfo(ai);
	if (r == -EADDRINUSE)
		return err_set(err, EADDRINUSE,
			"%s: another program listens there; take another port, or port 0 for a free one",
			address);
	if (r < 0)
		return err_set(err, -r, "%s: cannot listen there: %s; give an address of this host",
			address, strerror(-r));
	write_url(r, ret_url);
	return r;
}
