/* SPDX-License-Identifier: Apache-2.0 */
/* report_make DIR: the report of a results folder and, on standard output, its table. What
 * `run-bench report` does, without run-bench. */
#include <stdio.h>

#include "common/cleanup.h"
#include "reports/report.h"

int main(int argc, char **argv)
{
	struct err err = {0};
	AUTO(free) char *text = NULL;

	if (argc != 2) {
		fputs("usage: report_make DIR\n", stderr);
		return EXIT_USAGE;
	}
	if (!report_write(argv[1], &err))
		text = report_text(argv[1], NULL);
	if (err.msg[0])
		fprintf(stderr, "report_make: %s\n", err.msg);
	if (!text)
		return EXIT_FAILED;
	fputs(text, stdout);
	return EXIT_DONE;
}
