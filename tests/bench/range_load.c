/* SPDX-License-Identifier: Apache-2.0 */
/* How fast does an HTTP server hand out bytes? N connections, each asking for one thing after another,
 * kept alive, for a number of seconds. Prints MB/s, requests/s and the mean time of a request.
 *
 *   range_load http://A.B.C.D:PORT/PATH SIZE RANGE CONNECTIONS SECONDS    ranges of an object of SIZE
 *   range_load http://A.B.C.D:PORT/PATH FILES 0 CONNECTIONS SECONDS       PATH0, PATH1... as a whole
 *
 * Bare sockets, one thread a connection, and bodies are dropped in the kernel (MSG_TRUNC): the load
 * must cost less than the server. */
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
#include "synth/random.h"

#define CONNECTIONS_MAX 1024
#define HEAD_MAX 2048

struct load {
	char host[64], path[512];
	int port;
	uint64_t size, range; /* range 0: size is the number of files */
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
	struct timeval patience = {.tv_sec = 10};
	int on = 1;
	AUTO(close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, l->host, &to.sin_addr) != 1 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return take_fd(&fd);
}

/* Reads an answer's head, and what came with it: how much of the body is still to come, -1: no good
 * answer. */
static int64_t read_head(int fd, uint64_t *ret_len)
{
	char head[HEAD_MAX], *end = NULL, *field;
	size_t got = 0;

	while (!end) {
		ssize_t n = recv(fd, head + got, sizeof(head) - 1 - got, 0);

		if (n <= 0)
			return -1;
		got += (size_t)n;
		head[got] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	field = strcasestr(head, "\r\nContent-Length:");
	if (strncmp(head, "HTTP/1.1 20", 11) != 0 || !field || field > end)
		return -1;
	*ret_len = strtoull(field + 17, NULL, 10);
	return (int64_t)*ret_len - (int64_t)(got - (size_t)(end + 4 - head));
}

/* Reads one answer to its end; its length, or -1. */
static int64_t read_answer(int fd)
{
	uint64_t len = 0;
	int64_t left = read_head(fd, &len);

	while (left > 0) {
		ssize_t n = recv(fd, NULL, (size_t)left, MSG_TRUNC | MSG_WAITALL);

		if (n <= 0)
			return -1;
		left -= n;
	}
	return left ? -1 : (int64_t)len;
}

static int write_request(const struct client *c, char *buf, size_t max)
{
	const struct load *l = c->load;
	uint64_t draw = random_mix(c->seed);

	if (!l->range)
		return snprintf(buf, max, "GET %s%llu HTTP/1.1\r\nHost: %s\r\n\r\n", l->path,
			(unsigned long long)(draw % l->size), l->host);
	draw %= l->size - l->range + 1;
	return snprintf(buf, max, "GET %s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%llu-%llu\r\n\r\n",
		l->path, l->host, (unsigned long long)draw,
		(unsigned long long)(draw + l->range - 1));
}

static bool one_request(struct client *c, int fd)
{
	char request[1024];
	int len = write_request(c, request, sizeof(request));
	int64_t start = clock_now_ns(), got;

	c->seed++;
	if (send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		return false;
	got = read_answer(fd);
	if (got < 0 || (c->load->range && (uint64_t)got != c->load->range))
		return false;
	c->busy_ns += clock_now_ns() - start;
	c->requests++;
	c->bytes += (uint64_t)got;
	return true;
}

static void *run_client(void *arg)
{
	struct client *c = arg;
	AUTO(close) int fd = connect_to(c->load);

	c->failed = fd < 0;
	while (!c->failed && clock_now_ns() < c->load->end_ns)
		c->failed = !one_request(c, fd);
	return NULL;
}

static int run(const struct load *l, int n, double seconds)
{
	static struct client clients[CONNECTIONS_MAX];
	uint64_t bytes = 0, requests = 0;
	int64_t busy_ns = 0;
	bool failed = false;

	for (int i = 0; i < n; i++) {
		clients[i] = (struct client){.load = l, .seed = (uint64_t)i << 32};
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
		fprintf(stderr, "usage: range_load http://A.B.C.D:PORT/PATH SIZE|FILES RANGE|0 "
				"CONNECTIONS SECONDS\n");
		return 2;
	}
	int n = atoi(argv[4]);
	double seconds = atof(argv[5]);

	l.size = strtoull(argv[2], NULL, 10);
	l.range = strtoull(argv[3], NULL, 10);
	if (n < 1 || n > CONNECTIONS_MAX || !l.size || l.range > l.size)
		return 2;
	l.end_ns = clock_now_ns() + (int64_t)(seconds * 1e9);
	return run(&l, n, seconds);
}
