/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials files and the bodies of refusals: what is taken from them can stand in a header and in a
 * line of the log. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/stores/s3_credentials.h"
#include "cachefs/stores/s3_error.h"
#include "common/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_plain(const char *text)
{
	for (; *text; text++)
		if (!isgraph((unsigned char)*text))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(free) char *text = strndup((const char *)data, len);
	struct s3_keys keys;
	struct s3_error error;
	const char *why = NULL;

	int r = s3_keys_parse(text, "default", &keys, &why);

	if (!r != (*keys.id && *keys.secret) || (r && !why))
		abort();
	check_plain(keys.id);
	check_plain(keys.secret);
	check_plain(keys.token);
	r = s3_error_parse((const char *)data, len, &error);
	if (!r != !!*error.code)
		abort();
	check_plain(error.code);
	check_plain(error.region);
	return 0;
}
