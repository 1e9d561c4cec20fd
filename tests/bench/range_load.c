/* SPDX-License-Identifier: Apache-2.0 */
/* How fast does an HTTP server hand out byte ranges? N connections, each asking for one range after
 * another, kept alive, for a number of seconds. Prints bytes/s, requests/s and the mean latency.
 *
 *   range_load URL SIZE_OF_OBJECT RANGE CONNECTIONS SECONDS
 *
 * Bare sockets and one thread a connection: the load must cost less than the server. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define CONNECTIONS_MAX 1024
#define BUFFER (1 << 20)

struct load {
	char host[64], path[512];
	int port;
	uint64_t size, range;
	int64_t end_ns;
};

struct client {
	const struct load *load;
	pthread_t thread;
	uint64_t seed, requests, bytes;
	int64_t busy_ns;
	bool failed;
};

static int connect_to(const struct load *l)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->port)};
	int on = 1;
	AUTO(close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, l->host, &to.sin_addr) != 1 ||
		connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return take_fd(&fd);
}

/* Reads one answer of l->range bytes; false if it is anything else. */
static bool read_answer(int fd, const struct load *l, char *buf)
{
	size_t got = 0;
	char *body = NULL;

	while (!body) {
		ssize_t n = recv(fd, buf + got, BUFFER - got - 1, 0);

		if (n <= 0)
			return false;
		got += (size_t)n;
		buf[got] = '\0';
		body = strstr(buf, "\r\n\r\n");
	}
	if (strncmp(buf, "HTTP/1.1 206", 12) != 0)
		return false;
	uint64_t have = got - (size_t)(body + 4 - buf);

	while (have < l->range) {
		ssize_t n = recv(fd, buf, BUFFER, 0);

		if (n <= 0)
			return false;
		have += (uint64_t)n;
	}
	return have == l->range;
}

static bool one_request(struct client *c, int fd, char *buf)
{
	const struct load *l = c->load;
	char request[1024];

	c->seed = c->seed * 6364136223846793005u + 1442695040888963407u;
	uint64_t off = (c->seed >> 20) % (l->size - l->range + 1);
	int len = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%llu-%llu\r\n\r\n", l->path, l->host,
		(unsigned long long)off, (unsigned long long)(off + l->range - 1));
	int64_t start = clock_now_ns();

	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len || !read_answer(fd, l, buf))
		return false;
	c->busy_ns += clock_now_ns() - start;
	c->requests++;
	c->bytes += l->range;
	return true;
}

static void *run_client(void *arg)
{
	struct client *c = arg;
	AUTO(close) int fd = connect_to(c->load);
	AUTO(free) char *buf = malloc(BUFFER);

	c->failed = fd < 0 || !buf;
	while (!c->failed && clock_now_ns() < c->load->end_ns)
		c->failed = !one_request(c, fd, buf);
	return NULL;
}

static int run(const struct load *l, int n, double seconds)
{
	static struct client clients[CONNECTIONS_MAX];
	uint64_t bytes = 0, requests = 0;
	int64_t busy_ns = 0;
	bool failed = false;

	for (int i = 0; i < n; i++) {
		clients[i] = (struct client){.load = l, .seed = (uint64_t)i + 1};
		if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]))
			return 1;
	}
	for (int i = 0; i < n; i++) {
		pthread_join(clients[i].thread, NULL);
		bytes += clients[i].bytes;
		requests += clients[i].requests;
		busy_ns += clients[i].busy_ns;
		failed |= clients[i].failed;
	}
	printf("connections=%d range=%llu MB/s=%.1f requests/s=%.0f mean_ms=%.3f%s\n", n,
		(unsigned long long)l->range, (double)bytes / seconds / 1e6,
		(double)requests / seconds, requests ? (double)busy_ns / (double)requests / 1e6 : 0,
		failed ? " FAILED" : "");
	return failed;
}

int main(int argc, char **argv)
{
	struct load l = {0};

	if (argc != 6 ||
		sscanf(argv[1], "http://%63[0-9.]:%d%511s", l.host, &l.port, l.path) != 3) {
		fprintf(stderr,
			"usage: range_load http://A.B.C.D:PORT/PATH SIZE RANGE CONNECTIONS SECONDS\n");
		return 2;
	}
	int n = atoi(argv[4]);
	double seconds = atof(argv[5]);

	l.size = strtoull(argv[2], NULL, 10);
	l.range = strtoull(argv[3], NULL, 10);
	if (n < 1 || n > CONNECTIONS_MAX || !l.range || l.range > l.size)
		return 2;
	l.end_ns = clock_now_ns() + (int64_t)(seconds * 1e9);
	return run(&l, n, seconds);
}
