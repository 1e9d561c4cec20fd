/* SPDX-License-Identifier: Apache-2.0 */
/* Plans are written by anybody. What is taken must be names that cannot leave the mount, and be found again at
 * its place; what is refused must be told in one line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cachefs/plan.h"
#include "cachefs/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_line(const struct plan_line *line, struct plan *again)
{
	struct plan_line same;

	if (!*line->name || !store_name_valid(line->name) || line->off + line->len < line->off)
		abort();
	plan_seek(again, line->where);
	if (plan_next(again, &same, NULL) != 1 || strcmp(same.name, line->name) != 0 ||
		same.where != line->where || same.off != line->off || same.len != line->len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int fd = memfd_create("plan", MFD_CLOEXEC);
	struct plan_line line;
	struct err err = {0};
	char path[64];
	int r;

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct plan *p = plan_open(path, &err), *again = plan_open(path, &err);

	if (!p || !again)
		abort();
	while ((r = plan_next(p, &line, &err)) > 0)
		check_line(&line, again);
	if ((r < 0) != (*err.msg != 0) || strchr(err.msg, '\n'))
		abort();
	plan_close(p);
	plan_close(again);
	close(fd);
	return 0;
}
