/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, watching and ending other programs: see child.h. An exec that fails is told through a
 * pipe that a successful exec closes. */
#include "harness/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define KILL_WAIT_NS (5 * NSEC_PER_SEC)
#define POLL_SLICE_MS 50 /* how long a wait goes without looking at *stop */

/* After fork(): only async-signal-safe calls. */
static void run_program(char *const argv[], pid_t parent, int out_fd, int log_fd, int error_fd)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent && dup2(null_fd, STDIN_FILENO) >= 0 &&
		(out_fd < 0 || dup2(out_fd, STDOUT_FILENO) >= 0) &&
		(log_fd < 0 || dup2(log_fd, STDERR_FILENO) >= 0))
		execv(argv[0], argv);
	r = errno;
	if (write(error_fd, &r, sizeof(r)) < 0)
		_exit(126);
	_exit(127);
}

static int open_log(const char *path, int *ret_fd, struct err *err)
{
	if (!path)
		return 0;
	*ret_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? err_set(err, errno, "%s: %s", path, strerror(errno)) : 0;
}

static int fork_program(struct child *c, char *const argv[], int out_fd, int log_fd)
{
	AUTO(close) int error_read = -1;
	AUTO(close) int error_write = -1;
	int fds[2], r = 0;
	pid_t parent = getpid();

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	error_read = fds[0];
	error_write = fds[1];
	c->pid = fork();
	if (c->pid < 0) {
		c->pid = 0;
		return -errno;
	}
	if (!c->pid)
		run_program(argv, parent, out_fd, log_fd, error_write);
	close(take_fd(&error_write));
	if (read(error_read, &r, sizeof(r)) == sizeof(r)) {
		waitpid(c->pid, &c->status, 0);
		c->pid = 0;
		return -r;
	}
	c->pidfd = pidfd_open(c->pid, 0);
	return 0;
}

int child_start(struct child *c, const char *name, char *const argv[], const char *log,
	int *ret_out, struct err *err)
{
	AUTO(close) int log_fd = -1;
	AUTO(close) int out_read = -1;
	AUTO(close) int out_write = -1;
	int fds[2], r;

	*c = (struct child){.name = name, .pidfd = -1};
	r = open_log(log, &log_fd, err);
	if (r)
		return r;
	if (ret_out) {
		if (pipe2(fds, O_CLOEXEC) < 0)
			return err_set(err, errno, "%s: pipe: %s", name, strerror(errno));
		out_read = fds[0];
		out_write = fds[1];
	}
	c->log = log ? strdup(log) : NULL;
	r = fork_program(c, argv, ret_out ? out_write : log_fd, log_fd);
	if (r) {
		child_done(c);
		return err_set(err, -r, "%s: cannot start %s: %s", name, argv[0], strerror(-r));
	}
	if (ret_out)
		*ret_out = take_fd(&out_read);
	return 0;
}

static double timeval_s(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

/* Takes the ended child; true if it had ended. */
static bool reap(struct child *c, int flags)
{
	struct rusage use;

	if (!c->pid)
		return true;
	if (wait4(c->pid, &c->status, flags, &use) != c->pid)
		return false;
	c->cpu_s = timeval_s(&use.ru_utime) + timeval_s(&use.ru_stime);
	c->pid = 0;
	if (c->pidfd >= 0)
		close(c->pidfd);
	c->pidfd = -1;
	return true;
}

bool child_alive(struct child *c)
{
	return !reap(c, WNOHANG);
}

int child_wait(struct child *c, int64_t timeout_ns, const volatile bool *stop)
{
	int64_t deadline = clock_now_ns() + timeout_ns;

	while (child_alive(c)) {
		struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
		int64_t left_ms = (deadline - clock_now_ns()) / NSEC_PER_MSEC;

		if (stop && *stop)
			return -EINTR;
		if (left_ms < 0)
			return -ETIMEDOUT;
		poll(&p, 1, left_ms < POLL_SLICE_MS ? (int)left_ms + 1 : POLL_SLICE_MS);
	}
	return 0;
}

void child_stop(struct child *c, int64_t timeout_ns)
{
	if (!child_alive(c))
		return;
	kill(c->pid, SIGTERM);
	if (!child_wait(c, timeout_ns, NULL))
		return;
	kill(c->pid, SIGKILL);
	child_wait(c, KILL_WAIT_NS, NULL);
}

double child_cpu_s(struct child *c)
{
	char path[64], text[1024];
	unsigned long user, system;
	size_t n;

	if (!child_alive(c))
		return c->cpu_s;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)c->pid);
	AUTO(fclose) FILE *f = fopen(path, "re");
	n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	text[n] = 0;
	/* The name in parentheses may hold anything; fields are counted from behind it. */
	const char *after = strrchr(text, ')');
	if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			      &user, &system) != 2)
		return -1;
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void how_it_ended(const struct child *c, char *buf, size_t len)
{
	if (c->pid)
		snprintf(buf, len, "%s still runs", c->name);
	else if (WIFSIGNALED(c->status))
		snprintf(buf, len, "%s ended by signal %d (%s)", c->name, WTERMSIG(c->status),
			strsignal(WTERMSIG(c->status)));
	else
		snprintf(buf, len, "%s ended with exit code %d", c->name, WEXITSTATUS(c->status));
}

char *child_last_words(const struct child *c, char *buf, size_t len)
{
	AUTO(fclose) FILE *f = c->log ? fopen(c->log, "re") : NULL;
	AUTO(free) char *line = NULL;
	size_t size = 0;

	buf[0] = 0;
	while (f && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\r\n")] = 0;
		if (line[0])
			snprintf(buf, len, "%s", line);
	}
	if (!buf[0])
		how_it_ended(c, buf, len);
	return buf;
}

int child_read_line(int fd, char *buf, size_t len, int64_t timeout_ns, const volatile bool *stop)
{
	int64_t deadline = clock_now_ns() + timeout_ns;
	size_t n = 0;

	while (n + 1 < len) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left_ms = (deadline - clock_now_ns()) / NSEC_PER_MSEC;
		ssize_t got;

		if (stop && *stop)
			return -EINTR;
		if (left_ms < 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, left_ms < POLL_SLICE_MS ? (int)left_ms + 1 : POLL_SLICE_MS) <= 0)
			continue;
		got = read(fd, buf + n, 1);
		if (got <= 0)
			return -EPIPE;
		if (buf[n] == '\n')
			break;
		n++;
	}
	buf[n] = 0;
	return 0;
}

void child_done(struct child *c)
{
	free(c->log);
	c->log = NULL;
}
