/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines of daemons: one write(2) a line, at most 10 a second from one call site. */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define LINES_PER_SECOND 10

static struct {
	const char *program;
	int fd;
	_Atomic int level;
} log_to = {"feedrate", STDERR_FILENO, LOG_WARN};

int log_open(const char *program, enum log_level level, const char *file, struct err *err)
{
	log_to.program = program;
	log_to.level = (int)level;
	if (!file || !*file)
		return 0;
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0) {
		int code = errno;

		return err_set(err, code, "%s: cannot open log file: %s; choose another log.file",
			file, strerror(code));
	}
	log_close();
	log_to.fd = fd;
	return 0;
}

void log_close(void)
{
	if (log_to.fd != STDERR_FILENO)
		close(log_to.fd);
	log_to.fd = STDERR_FILENO;
}

/* Whether this call site may write now; *ret_dropped gets the count of lines left out before. */
static int site_may_write(struct log_site *site, uint32_t *ret_dropped)
{
	uint64_t now = (uint64_t)clock_now_ns();
	uint64_t window = atomic_load(&site->window_ns);

	*ret_dropped = 0;
	if (now - window > (uint64_t)NSEC_PER_SEC &&
		atomic_compare_exchange_strong(&site->window_ns, &window, now)) {
		atomic_store(&site->lines, 0);
		*ret_dropped = atomic_exchange(&site->dropped, 0);
	}
	if (atomic_fetch_add(&site->lines, 1) < LINES_PER_SECOND)
		return 1;
	atomic_fetch_add(&site->dropped, 1);
	return 0;
}

void log_line(enum log_level level, struct log_site *site, const char *fmt, ...)
{
	static const char *const words[] = {"error", "warn", "info", "debug"};
	char line[1024];
	uint32_t dropped;
	struct timespec ts;
	struct tm tm;
	va_list ap;
	int n;

	if ((int)level > atomic_load_explicit(&log_to.level, memory_order_relaxed) ||
		!site_may_write(site, &dropped))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = (int)strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n += snprintf(line + n, sizeof(line) - (size_t)n, ".%03ldZ %s %s ", ts.tv_nsec / 1000000,
		log_to.program, words[level]);
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 40)
		n = (int)sizeof(line) - 40;
	/* Names from elsewhere must not look like lines of ours. */
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = '?';
	if (dropped)
		n += snprintf(line + n, sizeof(line) - (size_t)n, " (%u alike left out)", dropped);
	line[n++] = '\n';
	if (write(log_to.fd, line, (size_t)n) < 0)
		return; /* nowhere left to say it */
}
