/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on a terminal, in a log file, and when nobody wants it. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "common/cleanup.h"
#include "harness/progress.h"

static const struct variant plain, named = {.name = "page"};

/* All that a terminal's other side has to say; the kernel hands it over when it finds the time. */
static size_t read_terminal(int fd, char *text, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t n;

	while (poll(&p, 1, 300) > 0 && (n = read(fd, text + len, size - len)) > 0)
		len += (size_t)n;
	return len;
}

/* What lands on stderr while do_it runs: on a terminal, or in a file. */
static char *capture(void (*do_it)(void), bool terminal)
{
	static char text[8192];
	int saved = dup(STDERR_FILENO);
	int reader = terminal ? posix_openpt(O_RDWR | O_NOCTTY)
			      : open("/tmp", O_TMPFILE | O_RDWR, 0600);
	int writer = reader;
	ssize_t n;

	assert_true(reader >= 0);
	if (terminal) {
		assert_int_equal(grantpt(reader) + unlockpt(reader), 0);
		writer = open(ptsname(reader), O_RDWR | O_NOCTTY);
		assert_true(writer >= 0);
	}
	fflush(stderr);
	dup2(writer, STDERR_FILENO);
	do_it();
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	if (terminal) {
		n = (ssize_t)read_terminal(reader, text, sizeof(text) - 1);
		close(writer);
	} else {
		n = pread(reader, text, sizeof(text) - 1, 0);
	}
	close(reader);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void a_run_of_two(bool quiet)
{
	const struct cell one = {
		.source = source_find("synthetic"), .variant = &plain, .gpus = 1, .repeats = 1};
	const struct cell two = {.source = source_find("external"),
		.variant = &named,
		.gpus = 8,
		.repeat = 1,
		.repeats = 3};
	const struct run_progress now = {.epoch = 1,
		.epochs = 2,
		.step = 30,
		.steps = 60,
		.images_per_s = 7620,
		.au = 0.998};
	struct progress p;

	progress_init(&p, quiet, 2);
	progress_say(&p, "before it starts: %d runs", 2);
	progress_start(&p, &one, 5, 20);
	progress_tick(&now, &p);
	progress_end(&p, "%.0f images/s", 953.0);
	progress_start(&p, &two, 15, 0);
	progress_end(&p, "failed: it did");
}

static void loud(void)
{
	a_run_of_two(false);
}

static void silent(void)
{
	a_run_of_two(true);
}

static void test_a_file_gets_one_line_a_run(void **state)
{
	assert_string_equal(capture(loud, false),
		"before it starts: 2 runs\n"
		"[1/2] synthetic, 1 GPU: 953 images/s\n"
		"[2/2] external page, 8 GPUs, repeat 2 of 3: failed: it did\n");
}

static void test_a_terminal_gets_a_line_that_rewrites_itself(void **state)
{
	char *text;

	setenv("TERM", "xterm", 1);
	text = capture(loud, true);
	assert_non_null(strstr(text, "\r\033[K[1/2] synthetic, 1 GPU: starting"));
	assert_non_null(strstr(text, "\r\033[K[1/2] synthetic, 1 GPU: epoch 1/2 step 30/60  7620 "
				     "images/s  AU 99.8%"));
	assert_non_null(strstr(text, "\r\033[K[1/2] synthetic, 1 GPU: 953 images/s\r\n"));
	/* 20 s of the other, and what is left of 5. */
	char *left = strstr(text, "AU 99.8%");
	double seconds = left ? strtod(left + strlen("AU 99.8%"), NULL) : 0;

	assert_true(seconds >= 20 && seconds <= 25);
}

static void narrow(void)
{
	struct winsize w = {.ws_row = 24, .ws_col = 40};

	assert_int_equal(ioctl(STDERR_FILENO, TIOCSWINSZ, &w), 0);
	a_run_of_two(false);
}

static void test_a_line_stays_within_a_narrow_terminal(void **state)
{
	char *line;

	setenv("TERM", "xterm", 1);
	line = strstr(capture(narrow, true), "\033[K[1/2] synthetic, 1 GPU: epoch");
	assert_non_null(line);
	assert_int_equal(strcspn(line + strlen("\033[K"), "\r"), 39);
}

static void nearly(void)
{
	const struct cell one = {
		.source = source_find("synthetic"), .variant = &plain, .gpus = 1, .repeats = 1};
	struct progress p;

	progress_init(&p, false, 1);
	progress_start(&p, &one, 0.01, 0);
}

static void test_an_estimate_that_is_over_is_no_zero(void **state)
{
	char *text;

	setenv("TERM", "xterm", 1);
	text = capture(nearly, true);
	assert_non_null(strstr(text, "starting  nearly done"));
	assert_null(strstr(text, "left"));
}

static void test_a_dumb_terminal_is_a_file(void **state)
{
	setenv("TERM", "dumb", 1);
	assert_null(strchr(capture(loud, true), '\033'));
	unsetenv("TERM");
	assert_null(strchr(capture(loud, true), '\033'));
}

static void test_quiet_is_silent(void **state)
{
	setenv("TERM", "xterm", 1);
	assert_string_equal(capture(silent, false), "");
	assert_string_equal(capture(silent, true), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_gets_one_line_a_run),
		cmocka_unit_test(test_a_terminal_gets_a_line_that_rewrites_itself),
		cmocka_unit_test(test_a_line_stays_within_a_narrow_terminal),
		cmocka_unit_test(test_an_estimate_that_is_over_is_no_zero),
		cmocka_unit_test(test_a_dumb_terminal_is_a_file),
		cmocka_unit_test(test_quiet_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
