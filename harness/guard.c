/* SPDX-License-Identifier: Apache-2.0 */
/* The parent of guard_run() and its child: see guard.h.
 *
 * The child has a process group of its own, so that a signal of the terminal reaches it once, by
 * its parent. */
#include "harness/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"

#define LEAVE_MS 1000               /* for the child to end once it has told its code */
#define STOP_MS 15000               /* for it to clean up after a signal */
#define KILL_TRIES 30               /* of 10 ms */
#define AGAIN_NS (NSEC_PER_SEC / 2) /* a signal sent twice within this time is one */

struct guard {
	pid_t pid;
	int code_fd, signal_fd;
	sigset_t signals;
	int64_t signalled_ns; /* when the last one was relayed; 0: none */
	bool asked;           /* a signal was relayed */
	bool again;           /* and another one: no more patience */
	bool left;            /* the child has ended and been collected */
	int code;             /* -1: not known */
	int64_t told_ns;      /* when the child told it */
};

static void run_child(
	const struct guard *g, int (*body)(void *arg), void *arg, pid_t parent, int out)
{
	int code;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGTTOU, SIG_IGN); /* it is no foreground group and prints all the same */
	sigprocmask(SIG_UNBLOCK, &g->signals, NULL);
	if (getppid() != parent)
		_exit(EXIT_FAILED);
	code = body(arg);
	fflush(NULL);
	while (write(out, &code, sizeof(code)) < 0 && errno == EINTR)
		;
	/* A process that cannot end would keep them open, and their readers waiting. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		close(fd);
	_exit(code); /* handlers of exit() may touch what stuck threads hold */
}

static bool collect(struct guard *g)
{
	int status;

	if (g->left || waitpid(g->pid, &status, WNOHANG) != g->pid)
		return g->left;
	g->left = true;
	if (g->code >= 0)
		return true;
	if (WIFEXITED(status)) {
		g->code = WEXITSTATUS(status);
	} else if (g->asked) {
		g->code = EXIT_INTERRUPTED;
	} else {
		g->code = EXIT_FAILED;
		fprintf(stderr, "run-bench: ended by signal %d; please report it\n",
			WTERMSIG(status));
	}
	return true;
}

static void relay(struct guard *g)
{
	struct signalfd_siginfo info;
	int64_t now = clock_now_ns();

	if (read(g->signal_fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD ||
		(g->asked && now - g->signalled_ns < AGAIN_NS))
		return;
	g->again = g->asked;
	g->asked = true;
	g->signalled_ns = now;
	kill(g->pid, (int)info.ssi_signo);
}

static void take_code(struct guard *g)
{
	int code;

	if (read(g->code_fd, &code, sizeof(code)) == sizeof(code))
		g->code = code;
	g->told_ns = clock_now_ns();
	close(take_fd(&g->code_fd));
}

/* Waits for something to happen, timeout_ms at most (-1: no limit). */
static void wait_once(struct guard *g, int timeout_ms)
{
	struct pollfd p[] = {
		{.fd = g->signal_fd, .events = POLLIN}, {.fd = g->code_fd, .events = POLLIN}};

	if (poll(p, ARRAY_SIZE(p), timeout_ms) <= 0)
		return;
	if (p[0].revents)
		relay(g);
	if (p[1].revents)
		take_code(g);
}

static int ms_until(int64_t until_ns)
{
	int64_t ms = (until_ns - clock_now_ns()) / NSEC_PER_MSEC;

	return ms > 0 ? (int)ms + 1 : 0;
}

/* When the child has had time enough to end; INT64_MAX: it need not yet. */
static int64_t patience(const struct guard *g)
{
	if (g->code >= 0)
		return g->told_ns + LEAVE_MS * NSEC_PER_MSEC;
	if (g->asked)
		return g->signalled_ns + (g->again ? LEAVE_MS : STOP_MS) * NSEC_PER_MSEC;
	return INT64_MAX;
}

static int watch(struct guard *g)
{
	while (!collect(g)) {
		int64_t until = patience(g);

		if (clock_now_ns() >= until)
			break;
		wait_once(g, until == INT64_MAX ? -1 : ms_until(until));
	}
	if (g->left)
		return g->code;
	kill(g->pid, SIGKILL);
	for (int i = 0; !collect(g) && i < KILL_TRIES; i++)
		clock_sleep_until(clock_now_ns() + 10 * NSEC_PER_MSEC);
	if (!g->left)
		fprintf(stderr,
			"run-bench: process %d stays in a call that the storage does not answer, "
			"until it does or is unmounted by force\n",
			(int)g->pid);
	return g->code >= 0 ? g->code : EXIT_INTERRUPTED;
}

int guard_run(int (*body)(void *arg), void *arg)
{
	struct guard g = {.code_fd = -1, .signal_fd = -1, .code = -1};
	pid_t parent = getpid();
	sigset_t before;
	int fds[2], code = EXIT_FAILED;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return body(arg);
	g.code_fd = fds[0];
	sigemptyset(&g.signals);
	sigaddset(&g.signals, SIGINT);
	sigaddset(&g.signals, SIGTERM);
	sigaddset(&g.signals, SIGHUP);
	sigaddset(&g.signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &g.signals, &before);
	fflush(NULL);
	g.pid = fork();
	if (!g.pid)
		run_child(&g, body, arg, parent, fds[1]);
	close(fds[1]);
	if (g.pid > 0) {
		g.signal_fd = signalfd(-1, &g.signals, SFD_CLOEXEC | SFD_NONBLOCK);
		code = watch(&g);
		close(g.signal_fd);
	}
	if (g.code_fd >= 0)
		close(g.code_fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return g.pid > 0 ? code : body(arg);
}
