/* SPDX-License-Identifier: Apache-2.0 */
/* Lines on stderr: see progress.h. */
#include "harness/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/units.h"

#define WIDTH_MAX 100
#define NEARLY_S 1 /* an estimate does not know better */
#define ERASE "\r\033[K"

void progress_init(struct progress *p, bool quiet, int runs)
{
	const char *term = getenv("TERM");

	*p = (struct progress){.quiet = quiet,
		.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0,
		.runs = runs};
}

/* A line that is as wide as the terminal wraps on some. */
static int width(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_col || w.ws_col > WIDTH_MAX)
		return WIDTH_MAX;
	return w.ws_col - 1;
}

static void name_of(const struct cell *c, char *buf, size_t len)
{
	char repeat[40] = "";

	if (c->repeats > 1)
		snprintf(repeat, sizeof(repeat), ", repeat %d of %d", c->repeat + 1, c->repeats);
	snprintf(buf, len, "%s%s%s, %d GPU%s%s", c->source->name, c->variant->name ? " " : "",
		c->variant->name ? c->variant->name : "", c->gpus, c->gpus == 1 ? "" : "s", repeat);
}

void progress_start(struct progress *p, const struct cell *c, double cell_s, double left_s)
{
	p->run++;
	p->cell = c;
	p->cell_s = cell_s;
	p->left_s = left_s;
	p->started_ns = clock_now_ns();
	progress_tick(&(struct run_progress){0}, p);
}

void progress_tick(const struct run_progress *now, void *arg)
{
	const struct progress *p = arg;
	double spent = (double)(clock_now_ns() - p->started_ns) / NSEC_PER_SEC;
	double left = p->left_s + (p->cell_s > spent ? p->cell_s - spent : 0);
	char name[64], step[128] = "starting", eta[UNITS_MAX], line[256];

	if (p->quiet || !p->terminal)
		return;
	name_of(p->cell, name, sizeof(name));
	if (now->steps)
		snprintf(step, sizeof(step), "epoch %d/%d step %d/%d  %.0f images/s  AU %.1f%%",
			now->epoch, now->epochs, now->step, now->steps, now->images_per_s,
			100 * now->au);
	snprintf(line, sizeof(line), "[%d/%d] %s: %s  %s%s", p->run, p->runs, name, step,
		left < NEARLY_S ? "nearly done" : units_human_duration(left, eta),
		left < NEARLY_S ? "" : " left");
	fprintf(stderr, ERASE "%.*s", width(), line);
	fflush(stderr);
}

void progress_end(struct progress *p, const char *fmt, ...)
{
	char name[64];
	va_list ap;

	if (p->quiet)
		return;
	name_of(p->cell, name, sizeof(name));
	fprintf(stderr, "%s[%d/%d] %s: ", p->terminal ? ERASE : "", p->run, p->runs, name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void progress_failed(struct progress *p, const char *error)
{
	char name[64];

	if (!p->quiet) {
		progress_end(p, "failed: %s", error);
		return;
	}
	name_of(p->cell, name, sizeof(name));
	fprintf(stderr, "run-bench: %s: %s\n", name, error);
}

void progress_say(struct progress *p, const char *fmt, ...)
{
	va_list ap;

	if (p->quiet)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
