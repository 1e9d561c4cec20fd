/* SPDX-License-Identifier: Apache-2.0 */
/* Work in a child: its code, its output, signals. A child that cannot be killed takes a hung
 * filesystem: see system/path_mode.py. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/err.h"
#include "harness/guard.h"

static int return_it(void *arg)
{
	return *(int *)arg;
}

static void test_the_code_comes_back(void **state)
{
	int code = 0;

	assert_int_equal(guard_run(return_it, &code), 0);
	code = EXIT_USAGE;
	assert_int_equal(guard_run(return_it, &code), EXIT_USAGE);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static int say_and_change(void *arg)
{
	FILE *f = fopen(arg, "we");

	fprintf(f, "said"); /* not flushed */
	*(char *)arg = '?';
	return 0;
}

static void test_output_is_flushed_and_memory_is_not_shared(void **state)
{
	char *dir = scratch_make(), *path = NULL, *text = NULL;
	size_t len;

	assert_true(asprintf(&path, "%s/out", dir) > 0);
	assert_int_equal(guard_run(say_and_change, path), 0);
	assert_int_equal(path[0], '/');
	assert_int_equal(file_read(path, 100, &text, &len), 0);
	assert_string_equal(text, "said");
	free(text);
	free(path);
	scratch_remove(dir);
}

static int exit_early(void *arg)
{
	_exit(7);
}

static int die(void *arg)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
	return 0;
}

static void test_a_child_that_does_not_return(void **state)
{
	assert_int_equal(guard_run(exit_early, NULL), 7);
	assert_int_equal(guard_run(die, NULL), EXIT_FAILED);
}

static volatile sig_atomic_t signals;

static void count(int number)
{
	signals++;
}

/* Says that it is ready, waits for a signal and for more, tells how many came. */
static int count_signals(void *arg)
{
	struct sigaction sa = {.sa_handler = count};

	sigaction(SIGTERM, &sa, NULL);
	if (write(*(int *)arg, "r", 1) != 1)
		return 99;
	while (!signals)
		pause();
	clock_sleep_until(clock_now_ns() + NSEC_PER_SEC / 2);
	return signals;
}

/* As timeout(1) sends them: to the process, then to its group. */
static void test_a_signal_is_relayed_once(void **state)
{
	int fds[2], status;
	char ready;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (!pid)
		_exit(guard_run(count_signals, &fds[1]));
	assert_int_equal(read(fds[0], &ready, 1), 1);
	kill(pid, SIGTERM);
	clock_sleep_until(clock_now_ns() + 20 * NSEC_PER_MSEC);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	close(fds[0]);
	close(fds[1]);
}

static int ignore_signals(void *arg)
{
	signal(SIGTERM, SIG_IGN);
	if (write(*(int *)arg, "r", 1) != 1)
		return 99;
	for (;;)
		pause();
}

static void test_a_second_signal_ends_the_patience(void **state)
{
	int fds[2], status;
	int64_t begin;
	char ready;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (!pid)
		_exit(guard_run(ignore_signals, &fds[1]));
	close(fds[1]);
	assert_int_equal(read(fds[0], &ready, 1), 1);
	begin = clock_now_ns();
	kill(pid, SIGTERM);
	clock_sleep_until(begin + 600 * NSEC_PER_MSEC);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_INTERRUPTED);
	assert_true(clock_now_ns() - begin < 10 * NSEC_PER_SEC);
	assert_int_equal(read(fds[0], &ready, 1), 0); /* the child has been killed */
	close(fds[0]);
}

/* The parent is killed: the child gets SIGTERM, and its end of the pipe is closed. */
static void test_it_ends_with_its_parent(void **state)
{
	int fds[2];
	char ready;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (!pid)
		_exit(guard_run(count_signals, &fds[1]));
	close(fds[1]);
	assert_int_equal(read(fds[0], &ready, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(read(fds[0], &ready, 1), 0); /* ctest ends a test that hangs here */
	close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_code_comes_back),
		cmocka_unit_test(test_output_is_flushed_and_memory_is_not_shared),
		cmocka_unit_test(test_a_child_that_does_not_return),
		cmocka_unit_test(test_a_signal_is_relayed_once),
		cmocka_unit_test(test_a_second_signal_ends_the_patience),
		cmocka_unit_test(test_it_ends_with_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
