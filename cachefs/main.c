/* SPDX-License-Identifier: Apache-2.0 */
/* cachefs ORIGIN MOUNTPOINT: reads the command line, then serves the mount here (-f) or in a child
 * that tells through a pipe when it is ready or why it is not. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cachefs/lookup.h"
#include "cachefs/mount.h"
#include "cachefs/session.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

/* What the child writes once. */
struct report {
	int exit_code;
	struct err err;
};

static int fail(int exit_code, const struct err *err)
{
	fprintf(stderr, "cachefs: %s\n", err->msg);
	return exit_code;
}

static int check_place(const struct mount_request *req, struct err *err)
{
	int fd = mount_given_fd(req->mountpoint);

	if (fd >= 0)
		return mount_check_fd(fd, err) < 0 ? EXIT_USAGE : EXIT_DONE;
	if (mount_prepare(req->mountpoint, req->nonempty, err) < 0)
		return EXIT_USAGE;
	return mount_check_device(err) < 0 ? EXIT_FAILED : EXIT_DONE;
}

static void ready_in_front(void *arg)
{
}

static int run_in_front(const struct mount_request *req, const struct config *cfg)
{
	struct err err = {0};

	return session_run(req, cfg, ready_in_front, NULL, &err) < 0 ? fail(EXIT_FAILED, &err)
								     : EXIT_DONE;
}

static void send_report(int fd, const struct report *report)
{
	if (write(fd, report, sizeof(*report)) < 0)
		log_error("cannot report to the starting process: %s", strerror(errno));
	close(fd);
}

/* From here on nobody waits for us: let go of the terminal and the working directory. */
static void ready_behind(void *arg)
{
	int *pipe_fd = arg, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
	setsid();
	if (chdir("/") < 0)
		log_warn("cannot leave the working directory: %s", strerror(errno));
	send_report(take_fd(pipe_fd), &(struct report){.exit_code = EXIT_DONE});
}

static int run_child(const struct mount_request *req, const struct config *cfg, int pipe_fd)
{
	struct report report = {.exit_code = EXIT_FAILED};

	if (session_run(req, cfg, ready_behind, &pipe_fd, &report.err) >= 0)
		return EXIT_DONE;
	if (pipe_fd >= 0)
		send_report(pipe_fd, &report);
	else
		log_error("%s", report.err.msg);
	return EXIT_FAILED;
}

static int wait_report(const struct mount_request *req, int64_t limit_ns, int pipe_fd, pid_t child)
{
	struct pollfd wait = {.fd = pipe_fd, .events = POLLIN};
	struct report report;
	struct err err;
	int status = 0;
	int64_t until_ns = clock_now_ns() + limit_ns, left_ns = limit_ns;
	int ready = -1;

	while (ready < 0 && left_ns > 0) { /* stopped and continued: EINTR */
		ready = poll(&wait, 1, (int)(left_ns / NSEC_PER_MSEC) + 1);
		left_ns = until_ns - clock_now_ns();
	}
	if (ready > 0 && read(pipe_fd, &report, sizeof(report)) == (ssize_t)sizeof(report))
		return report.exit_code ? fail(report.exit_code, &report.err) : EXIT_DONE;
	if (ready <= 0)
		kill(child, SIGTERM);
	waitpid(child, &status, 0);
	if (ready <= 0)
		err_set(&err, ETIMEDOUT,
			"%s: not mounted within %d s; is the origin there? (knob http.timeout)",
			req->mountpoint, (int)(limit_ns / NSEC_PER_SEC));
	else
		err_set(&err, EIO, "%s: the daemon ended before it had mounted (%s %d); try -f",
			req->mountpoint, WIFSIGNALED(status) ? "signal" : "exit code",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return fail(EXIT_FAILED, &err);
}

static int run_behind(const struct mount_request *req, const struct config *cfg)
{
	int64_t limit_ns = 3 * cfg->http.timeout + 30 * NSEC_PER_SEC;
	struct err err;
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		err_set(&err, errno, "cannot start the daemon: %s", strerror(errno));
		return fail(EXIT_FAILED, &err);
	}
	if (!child) {
		close(fds[0]);
		return run_child(req, cfg, fds[1]);
	}
	close(fds[1]);
	int r = wait_report(req, limit_ns, fds[0], child);

	close(fds[0]);
	return r;
}

int main(int argc, char **argv)
{
	struct config *cfg;
	struct mount_request req = {0};
	struct err err = {0};
	bool done = false;
	int code;

	if (lookup_main(argc, argv, &code))
		return code;
	cfg = config_new();
	if (!cfg)
		err_set(&err, ENOMEM, "not enough memory");
	if (!cfg || options_parse(argc, argv, cfg, &req, &done, &err) < 0) {
		code = fail(EXIT_USAGE, &err);
	} else if (done) {
		code = EXIT_DONE;
	} else if ((code = check_place(&req, &err)) ||
		   (code = log_open("cachefs", (enum log_level)cfg->log.level, cfg->log.file,
				   &err) < 0
				   ? EXIT_USAGE
				   : EXIT_DONE)) {
		fail(code, &err);
	} else {
		code = req.foreground ? run_in_front(&req, cfg) : run_behind(&req, cfg);
	}
	log_close();
	options_done(&req);
	config_free(cfg);
	return code;
}
