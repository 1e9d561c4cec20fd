/* SPDX-License-Identifier: Apache-2.0 */
/* Running gnuplot. Script, picture and messages are files in memory, so nothing blocks on a pipe
 * and waiting is all there is to watch. */
#include "reports/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/file.h"

extern char **environ;

static int memory_read(int fd, char **ret_data, size_t *ret_len)
{
	struct stat st;
	AUTO(free) char *data = NULL;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return -ENOMEM;
	r = file_pread_all(fd, data, (size_t)st.st_size, 0);
	if (r)
		return r;
	data[st.st_size] = '\0';
	*ret_len = (size_t)st.st_size;
	*ret_data = TAKE(data);
	return 0;
}

/* A file in memory at its start, holding data. */
static int memory_file(const char *data, size_t len)
{
	AUTO(close) int fd = memfd_create("gnuplot", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = file_pwrite_all(fd, data, len, 0);

	return r ? r : take_fd(&fd);
}

static int spawn_in(const char *dir, const int fds[3], pid_t *ret_pid)
{
	static char *const argv[] = {"gnuplot", "-d", "-", NULL};
	posix_spawn_file_actions_t actions;
	int r;

	if (posix_spawn_file_actions_init(&actions))
		return -ENOMEM;
	r = posix_spawn_file_actions_addchdir_np(&actions, dir);
	for (int i = 0; !r && i < 3; i++)
		r = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	if (!r)
		r = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Exit status, or -ETIMEDOUT after killing it. */
static int wait_until_deadline(pid_t pid, int deadline_s)
{
	static const struct timespec nap = {.tv_nsec = 5000000};
	int status;

	for (long waited_ns = 0; waited_ns < deadline_s * 1000000000L; waited_ns += nap.tv_nsec) {
		pid_t done = waitpid(pid, &status, WNOHANG);

		if (done == pid)
			return status;
		if (done < 0 && errno != EINTR)
			return -errno;
		nanosleep(&nap, NULL);
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return -ETIMEDOUT;
}

/* The last line of its messages that says something: gnuplot points at the fault before it. */
static int failure(int messages, struct err *err)
{
	AUTO(free) char *text = NULL;
	const char *last = "no picture came out";
	char *save = NULL;
	size_t len;

	if (!memory_read(messages, &text, &len))
		for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
			if (strspn(l, " \t^") < strlen(l))
				last = l + strspn(l, " \t");
	return err_set(err, EIO, "gnuplot failed: %s", last);
}

int gnuplot_run(const char *dir, const char *script, int deadline_s, char **ret_data,
	size_t *ret_len, struct err *err)
{
	AUTO(close) int in = memory_file(script, strlen(script));
	AUTO(close) int out = memory_file("", 0);
	AUTO(close) int messages = memory_file("", 0);
	const int fds[3] = {in, out, messages};
	pid_t pid = -1;
	int r;

	if (in < 0 || out < 0 || messages < 0)
		return err_set(err, ENOMEM, "no memory for gnuplot's files");
	r = spawn_in(dir, fds, &pid);
	if (r == -ENOENT)
		return err_set(
			err, ENOENT, "gnuplot is not installed; apt-get install gnuplot-nox");
	if (r)
		return err_set(err, -r, "gnuplot cannot be started: %s", strerror(-r));
	r = wait_until_deadline(pid, deadline_s);
	if (r == -ETIMEDOUT)
		return err_set(
			err, ETIMEDOUT, "gnuplot took over %d s and was stopped", deadline_s);
	if (r)
		return failure(messages, err);
	r = memory_read(out, ret_data, ret_len);
	if (r)
		return err_set(err, -r, "gnuplot's picture cannot be read: %s", strerror(-r));
	if (!*ret_len) {
		free(*ret_data);
		return failure(messages, err);
	}
	return 0;
}
