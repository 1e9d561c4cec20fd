/* SPDX-License-Identifier: Apache-2.0 */
/* Both sides of the helper: see lookup.h. They talk by packets on a socket, which is the helper's standard input:
 * names, each with its NUL, and a byte back when they were looked up. */
#include "cachefs/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cachefs/mount.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define HELPER_WORD "--look-names-up" /* a first argument that no user gives */
#define PACKET_MAX (LOOKUP_NAMES * 4096)
#define ANSWER_MS 5000
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif

/* ---- the helper ---- */

static bool still_mounted(const char *path, const struct mount_entry *as)
{
	struct mount_entry now;

	return !mount_find(MOUNTINFO, path, &now) && now.major == as->major &&
	       now.minor == as->minor;
}

/* Waits for the next packet; false: the mount or the daemon has gone. */
static bool wait_for_names(int mountinfo, const char *path, const struct mount_entry *as)
{
	for (;;) {
		struct pollfd wait[] = {{STDIN_FILENO, POLLIN, 0}, {mountinfo, POLLPRI, 0}};

		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return false;
		if (wait[1].revents && !still_mounted(path, as))
			return false;
		if (wait[0].revents)
			return true;
	}
}

static int help(const char *path)
{
	struct mount_entry as;
	AUTO(close) int mountinfo = open(MOUNTINFO, O_RDONLY | O_CLOEXEC);
	AUTO(close) int tree = -1;
	AUTO(free) char *names = malloc(PACKET_MAX);
	struct stat st;
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!names || chdir("/") < 0 || mountinfo < 0 || mount_find(MOUNTINFO, path, &as) < 0)
		return 1;
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC);
	if (tree < 0 || !still_mounted(path, &as) || write(STDIN_FILENO, "", 1) != 1)
		return 1;
	while (wait_for_names(mountinfo, path, &as)) {
		n = read(STDIN_FILENO, names, PACKET_MAX);
		if (n <= 0 || names[n - 1])
			break;
		for (char *name = names; name < names + n; name += strlen(name) + 1)
			fstatat(tree, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
		if (write(STDIN_FILENO, "", 1) != 1)
			break;
	}
	return 0;
}

bool lookup_main(int argc, char **argv, int *ret_code)
{
	if (argc != 3 || strcmp(argv[1], HELPER_WORD) != 0)
		return false;
	signal(SIGPIPE, SIG_IGN);
	*ret_code = help(argv[2]);
	return true;
}

/* ---- the daemon ---- */

struct lookup {
	int socket; /* -1: it does not answer */
	pid_t pid;
};

static int spawn(const char *mountpoint, int socket, pid_t *ret_pid)
{
	char *argv[] = {"cachefs", HELPER_WORD, (char *)(uintptr_t)mountpoint, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setpgroup(&attr, 0); /* Ctrl-C is for the daemon */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	int r = posix_spawn(ret_pid, "/proc/self/exe", &actions, &attr, argv, (char *[]){NULL});

	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

static bool wait_for_answer(struct lookup *l)
{
	struct pollfd wait = {l->socket, POLLIN, 0};
	int64_t until_ns = clock_now_ns() + ANSWER_MS * NSEC_PER_MSEC;
	char byte;
	int r;

	do {
		r = poll(&wait, 1, ANSWER_MS);
	} while (r < 0 && errno == EINTR && clock_now_ns() < until_ns);
	return r > 0 && recv(l->socket, &byte, 1, MSG_DONTWAIT) == 1;
}

struct lookup *lookup_new(const char *mountpoint, const char **ret_why)
{
	struct lookup *l = calloc(1, sizeof(*l));
	int pair[2];

	*ret_why = "no memory or descriptors";
	if (!l || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		free(l);
		return NULL;
	}
	l->socket = pair[0];
	int r = spawn(mountpoint, pair[1], &l->pid);

	close(pair[1]);
	if (r < 0) {
		close(l->socket);
		free(l);
		return NULL;
	}
	if (!wait_for_answer(l)) {
		lookup_free(l);
		*ret_why = "needs root, and a mount point";
		return NULL;
	}
	*ret_why = "fuse.push";
	return l;
}

void lookup_free(struct lookup *l)
{
	if (!l)
		return;
	kill(l->pid, SIGKILL);
	waitpid(l->pid, NULL, 0);
	if (l->socket >= 0)
		close(l->socket);
	free(l);
}

bool lookup_names(struct lookup *l, const char *const *names, size_t n)
{
	AUTO(free) char *packet = malloc(PACKET_MAX);
	size_t len = 0;

	if (l->socket < 0 || !packet)
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t size = strlen(names[i]) + 1;

		memcpy(packet + len, names[i], size);
		len += size;
	}
	if (send(l->socket, packet, len, MSG_NOSIGNAL) == (ssize_t)len && wait_for_answer(l))
		return true;
	close(l->socket);
	l->socket = -1;
	return false;
}
