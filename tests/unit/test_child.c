/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs as children: their words, their time limits, and that none is ever left. */
#include "tests/unit/test.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "harness/child.h"

#define SOON_NS (10 * NSEC_PER_SEC) /* far more than it takes; a loaded machine must not fail us */
#define SHORT_NS (50 * NSEC_PER_MSEC)

/* sh -c SCRIPT */
static void start(struct child *c, const char *script, const char *log, int *ret_out)
{
	char *argv[] = {"/bin/sh", "-c", (char *)script, NULL};
	struct err err = {{0}};

	if (child_start(c, "shell", argv, log, ret_out, &err))
		fail_msg("%s", err.msg);
}

static bool exists(pid_t pid)
{
	return !kill(pid, 0);
}

/* Ended, or only its entry is left for somebody to collect. */
static bool gone(pid_t pid)
{
	char path[64], text[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	AUTO(fclose) FILE *f = fopen(path, "re");

	if (!f || !fgets(text, sizeof(text), f))
		return true;
	return strstr(text, ") Z ") != NULL;
}

static void wait_gone(pid_t pid)
{
	int64_t until = clock_now_ns() + SOON_NS;

	while (!gone(pid) && clock_now_ns() < until)
		clock_sleep_until(clock_now_ns() + 5 * NSEC_PER_MSEC);
	assert_true(gone(pid));
}

static void test_a_child_ends_and_tells_how(void **state)
{
	struct child c;
	char words[128];

	start(&c, "exit 3", NULL, NULL);
	assert_int_equal(child_wait(&c, SOON_NS, NULL), 0);
	assert_true(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 3);
	assert_string_equal(
		child_last_words(&c, words, sizeof(words)), "shell ended with exit code 3");
	assert_false(child_alive(&c));
	child_stop(&c, SOON_NS); /* legal when none runs */
	child_done(&c);
	start(&c, "kill -9 $$", NULL, NULL);
	assert_int_equal(child_wait(&c, SOON_NS, NULL), 0);
	assert_string_equal(
		child_last_words(&c, words, sizeof(words)), "shell ended by signal 9 (Killed)");
	child_done(&c);
}

static void test_the_log_has_its_words(void **state)
{
	char *dir = scratch_make();
	AUTO(free) char *log = NULL;
	struct child c;
	char words[16];
	struct stat st;

	assert_true(asprintf(&log, "%s/log", dir) > 0);
	start(&c, "echo first; echo >&2; printf 'much too long for that\\r\\n\\n' >&2; exit 1", log,
		NULL);
	assert_int_equal(child_wait(&c, SOON_NS, NULL), 0);
	assert_string_equal(child_last_words(&c, words, sizeof(words)), "much too long f");
	assert_int_equal(stat(log, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	child_done(&c);
	start(&c, "true", log, NULL); /* appends: what was there stays */
	assert_int_equal(child_wait(&c, SOON_NS, NULL), 0);
	assert_string_equal(child_last_words(&c, words, sizeof(words)), "much too long f");
	child_done(&c);
	scratch_remove(dir);
}

static void test_a_log_that_cannot_be_written(void **state)
{
	char *argv[] = {"/bin/true", NULL};
	struct child c;
	struct err err = {{0}};

	assert_int_equal(child_start(&c, "true", argv, "/nowhere/at/all/log", NULL, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nowhere/at/all/log"));
	assert_int_equal(c.pid, 0);
}

static void test_a_program_that_cannot_run(void **state)
{
	char *argv[] = {"/nowhere/program", NULL};
	struct child c;
	struct err err = {{0}};

	assert_int_equal(child_start(&c, "thing", argv, NULL, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nowhere/program"));
	assert_int_equal(c.pid, 0);
	assert_false(child_alive(&c));
	argv[0] = "/etc/passwd"; /* there, and no program */
	assert_int_equal(child_start(&c, "thing", argv, NULL, NULL, &err), -EACCES);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left to wait for */
	assert_int_equal(errno, ECHILD);
}

static void test_lines_of_its_output(void **state)
{
	struct child c;
	char line[8];
	int out;

	start(&c, "echo one; echo; echo longer than that; printf end", NULL, &out);
	assert_int_equal(child_read_line(out, line, sizeof(line), SOON_NS, NULL), 0);
	assert_string_equal(line, "one");
	assert_int_equal(child_read_line(out, line, sizeof(line), SOON_NS, NULL), 0);
	assert_string_equal(line, "");
	assert_int_equal(child_read_line(out, line, sizeof(line), SOON_NS, NULL), 0);
	assert_string_equal(line, "longer ");
	assert_int_equal(child_read_line(out, line, sizeof(line), SOON_NS, NULL), 0);
	assert_string_equal(line, "than th");
	assert_int_equal(child_read_line(out, line, sizeof(line), SOON_NS, NULL), 0);
	assert_int_equal(child_read_line(out, line, sizeof(line), SOON_NS, NULL), -EPIPE);
	close(out);
	assert_int_equal(child_wait(&c, SOON_NS, NULL), 0);
	child_done(&c);
}

static void test_a_silent_child_is_not_waited_for(void **state)
{
	struct child c;
	char line[8];
	int64_t begin;
	int out;

	start(&c, "exec sleep 100", NULL, &out);
	begin = clock_now_ns();
	assert_int_equal(child_read_line(out, line, sizeof(line), SHORT_NS, NULL), -ETIMEDOUT);
	assert_int_equal(child_wait(&c, SHORT_NS, NULL), -ETIMEDOUT);
	assert_in_range(clock_now_ns() - begin, 2 * SHORT_NS, SOON_NS);
	assert_true(child_alive(&c));
	close(out);
	child_stop(&c, SOON_NS);
	child_done(&c);
}

static void test_a_wait_is_interrupted(void **state)
{
	volatile bool stop = true;
	struct child c;

	start(&c, "exec sleep 100", NULL, NULL);
	assert_int_equal(child_wait(&c, 100 * SOON_NS, &stop), -EINTR);
	assert_true(child_alive(&c));
	child_stop(&c, SOON_NS);
	child_done(&c);
}

static void test_stop_asks_first(void **state)
{
	struct child c;
	char line[16];
	int out;

	start(&c, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done", NULL, &out);
	assert_int_equal(child_read_line(out, line, sizeof(line), SOON_NS, NULL), 0);
	child_stop(&c, SOON_NS);
	assert_int_equal(c.pid, 0);
	assert_true(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 7);
	close(out);
	child_done(&c);
}

static void test_stop_kills_who_does_not_listen(void **state)
{
	struct child c;
	char line[16];
	pid_t pid;
	int out;

	start(&c, "trap '' TERM; echo ready; while :; do sleep 0.01; done", NULL, &out);
	assert_int_equal(child_read_line(out, line, sizeof(line), SOON_NS, NULL), 0);
	pid = c.pid;
	child_stop(&c, SHORT_NS);
	assert_int_equal(c.pid, 0);
	assert_true(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGKILL);
	assert_false(exists(pid));
	close(out);
	child_done(&c);
}

/* Ctrl-C in a terminal goes to the group of run-bench, and not to its children. */
static void test_a_group_of_its_own(void **state)
{
	struct child c;

	start(&c, "exec sleep 100", NULL, NULL);
	assert_int_equal(getpgid(c.pid), c.pid);
	assert_int_not_equal(getpgid(c.pid), getpgrp());
	child_stop(&c, SOON_NS);
	child_done(&c);
}

static void test_its_cpu_time(void **state)
{
	struct child c;
	int64_t until = clock_now_ns() + SOON_NS;
	double running;

	start(&c, "while :; do :; done", NULL, NULL);
	do
		running = child_cpu_s(&c);
	while (running < 0.05 && clock_now_ns() < until);
	assert_true(running >= 0.05);
	child_stop(&c, SOON_NS);
	assert_true(child_cpu_s(&c) >= running);
	child_done(&c);
}

/* A parent that is killed leaves none: it starts one, says which, and waits to be killed. */
static void test_it_dies_with_its_parent(void **state)
{
	int fds[2];
	pid_t parent, grandchild = 0;

	assert_int_equal(pipe(fds), 0);
	parent = fork();
	if (!parent) {
		char *argv[] = {"/bin/sleep", "100", NULL};
		struct child c;

		if (child_start(&c, "sleep", argv, NULL, NULL, NULL) ||
			write(fds[1], &c.pid, sizeof(c.pid)) != sizeof(c.pid))
			_exit(1);
		pause();
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
	close(fds[0]);
	assert_true(exists(grandchild));
	kill(parent, SIGKILL);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	wait_gone(grandchild);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_child_ends_and_tells_how),
		cmocka_unit_test(test_the_log_has_its_words),
		cmocka_unit_test(test_a_log_that_cannot_be_written),
		cmocka_unit_test(test_a_program_that_cannot_run),
		cmocka_unit_test(test_lines_of_its_output),
		cmocka_unit_test(test_a_silent_child_is_not_waited_for),
		cmocka_unit_test(test_a_wait_is_interrupted),
		cmocka_unit_test(test_stop_asks_first),
		cmocka_unit_test(test_stop_kills_who_does_not_listen),
		cmocka_unit_test(test_a_group_of_its_own),
		cmocka_unit_test(test_its_cpu_time),
		cmocka_unit_test(test_it_dies_with_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
