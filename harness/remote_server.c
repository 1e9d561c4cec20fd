/* SPDX-License-Identifier: Apache-2.0 */
/* Starting synth-remote and asking it for its counters: see remote_server.h. One HTTP/1.0 request
 * to a server of our own on this host needs no HTTP library. */
#include "harness/remote_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "harness/sources/files.h"

#define START_NS (15 * NSEC_PER_SEC)
#define STOP_NS (3 * NSEC_PER_SEC)
#define ANSWER_S 2
#define ANSWER_MAX 65536
#define STATS_PATH "/-/stats"

/* program, folder, --listen, the knobs, NULL; free() the array only. */
static char **command_line(char *program, const char *dir, char **knob_args)
{
	size_t n = 0;
	char **argv;

	while (knob_args[n])
		n++;
	argv = calloc(n + 4, sizeof(*argv));
	if (!argv)
		return NULL;
	argv[0] = program;
	argv[1] = (char *)dir;
	memcpy(argv + 2, knob_args, n * sizeof(*argv));
	argv[n + 2] = "--remote.listen=127.0.0.1:0";
	return argv;
}

static int wait_ready(struct remote_server *s, const volatile bool *stop, struct err *err)
{
	char words[512];
	int r = child_read_line(s->out_fd, s->url, sizeof(s->url), START_NS, stop);

	if (!r && !strncmp(s->url, "http://", 7))
		return 0;
	s->url[0] = 0;
	child_stop(&s->child, 0);
	return err_set(err, r ? -r : EPROTO, "synth-remote does not start: %s",
		child_last_words(&s->child, words, sizeof(words)));
}

int remote_server_start(struct remote_server *s, const struct source_spec *spec, struct err *err)
{
	AUTO(free) char *program = file_sibling_program("synth-remote");
	AUTO(free) char *log = NULL;
	char **knob_args = config_to_args(spec->cfg, OWNER_SYNTH_REMOTE);
	AUTO(free) char **argv = NULL;
	int r;

	*s = (struct remote_server){.out_fd = -1};
	if (program && knob_args)
		argv = command_line(program, spec->data_dir, knob_args);
	if (!argv || asprintf(&log, "%s/remote.log", spec->work_dir) < 0) {
		log = NULL;
		r = err_set(err, ENOENT, "synth-remote is not found; it belongs beside run-bench");
	} else {
		r = child_start(&s->child, "synth-remote", argv, log, &s->out_fd, err);
	}
	list_free(knob_args);
	if (!r)
		r = wait_ready(s, spec->stop, err);
	if (r)
		remote_server_stop(s);
	return r;
}

void remote_server_stop(struct remote_server *s)
{
	child_stop(&s->child, STOP_NS);
	child_done(&s->child);
	if (s->out_fd >= 0)
		close(s->out_fd);
	s->out_fd = -1;
	s->url[0] = 0;
}

int remote_server_chill(const struct source_spec *spec, struct err *err)
{
	struct files data;
	int r = files_open(&data, spec->data_dir, spec->cfg, err);

	if (r)
		return r;
	r = files_chill(&data, spec, err);
	files_close(&data);
	return r;
}

static int connect_local(const char *url)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct timeval patience = {.tv_sec = ANSWER_S};
	char host[INET_ADDRSTRLEN];
	unsigned short port;
	AUTO(close) int fd = -1;

	if (sscanf(url, "http://%15[0-9.]:%hu", host, &port) != 2 ||
		inet_pton(AF_INET, host, &to.sin_addr) != 1)
		return -EINVAL;
	to.sin_port = htons(port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
		connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return take_fd(&fd);
}

json_t *remote_server_stats(const struct remote_server *s)
{
	static const char request[] = "GET " STATS_PATH " HTTP/1.0\r\n\r\n";
	AUTO(close) int fd = connect_local(s->url);
	AUTO(free) char *answer = calloc(1, ANSWER_MAX);
	size_t len = 0;
	ssize_t n;
	char *body;

	if (fd < 0 || !answer || send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		return NULL;
	while (len + 1 < ANSWER_MAX && (n = recv(fd, answer + len, ANSWER_MAX - 1 - len, 0)) > 0)
		len += (size_t)n;
	body = strstr(answer, "\r\n\r\n");
	if (!body || strncmp(answer, "HTTP/1.", 7) || strncmp(answer + 8, " 200", 4))
		return NULL;
	return json_loads(body + 4, 0, NULL);
}
