/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: any file loads or is refused with a message; what loads applies. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/file.h"
#include "common/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char path[64];
	struct profile p;
	struct err err = {""};
	int fd = memfd_create("profile.ini", MFD_CLOEXEC);

	if (fd < 0 || file_pwrite_all(fd, data, len, 0) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (profile_load(path, &p, &err) < 0) {
		if (!err.msg[0])
			abort();
	} else {
		struct config *cfg = config_new();
		char **variants = profile_tables(&p, "variant");

		if (profile_apply(&p, NULL, cfg, &err) < 0)
			abort();
		for (char **v = variants; *v; v++)
			if (profile_apply(&p, *v, cfg, &err) < 0)
				abort();
		list_free(variants);
		config_free(cfg);
		profile_done(&p);
	}
	close(fd);
	return 0;
}
