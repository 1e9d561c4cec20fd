/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over every file of the folders given: the corpus as a regression test, for
 * builds without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int replay_file(const char *dir, const char *name)
{
	AUTO(free) char *path = NULL;
	AUTO(free) char *data = NULL;
	size_t len;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -1;
	if (file_read(path, 64 << 20, &data, &len) < 0) {
		fprintf(stderr, "%s: cannot read\n", path);
		return -1;
	}
	LLVMFuzzerTestOneInput((const uint8_t *)data, len);
	return 0;
}

int main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++) {
		AUTO(closedir) DIR *dir = opendir(argv[i]);
		struct dirent *entry;

		while (dir && (entry = readdir(dir))) {
			if (entry->d_name[0] == '.')
				continue;
			if (replay_file(argv[i], entry->d_name) < 0)
				return 1;
			n++;
		}
	}
	printf("%d inputs replayed\n", n);
	return n ? 0 : 1; /* a target without seeds is a mistake */
}
