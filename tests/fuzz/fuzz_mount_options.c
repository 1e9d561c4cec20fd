/* SPDX-License-Identifier: Apache-2.0 */
/* Mount options: any text is taken or refused with a message, and what others get has no comma that
 * was not escaped. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/knob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int other_option(const char *name, const char *value, void *arg, struct err *err)
{
	const char *options = arg;

	if (!*name || (!strchr(options, '\\') && strchr(name, ',')))
		abort();
	return strcmp(name, "refused") != 0 ? 0 : err_set(err, EINVAL, "refused");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config *cfg = config_new();
	char *options = strndup((const char *)data, len);
	struct err err = {""};

	if (!cfg || !options)
		abort();
	if (config_set_mount_options(cfg, options, OWNER_CACHEFS, other_option, options, &err) <
			0 &&
		!err.msg[0])
		abort();
	config_free(cfg);
	free(options);
	return 0;
}
