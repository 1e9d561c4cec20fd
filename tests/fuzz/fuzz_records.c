/* SPDX-License-Identifier: Apache-2.0 */
/* Records: any file gives the records that are whole and a count of the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/file.h"
#include "common/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char path[64];
	struct err err = {""};
	int skipped, fd = memfd_create("records", MFD_CLOEXEC);

	if (fd < 0 || file_pwrite_all(fd, data, len, 0) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	json_t *all = record_load(path, &skipped, &err);

	if (!all || (skipped && !err.msg[0]))
		abort();
	for (size_t i = 0; i < json_array_size(all); i++) {
		record_number(json_array_get(all, i), "steady.images_per_s");
		record_text(json_array_get(all, i), "run");
	}
	json_decref(all);
	close(fd);
	return 0;
}
