/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages come from any program that may open the mount. What is taken must be names that
 * cannot leave the mount. */
#include <stdlib.h>
#include <string.h>

#include "cachefs/control.h"
#include "cachefs/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct control_message msg;
	struct err err = {0};

	if (control_parse((const char *)data, len, &msg, &err) < 0) {
		if (!*err.msg)
			abort();
		return 0;
	}
	for (size_t i = 0; i < msg.n; i++)
		if (*msg.paths[i] && !store_name_valid(msg.paths[i]))
			abort();
	if (msg.plan ? msg.n || *msg.plan != '/' : !msg.n || msg.paths[msg.n])
		abort();
	control_message_done(&msg);
	return 0;
}
