/* SPDX-License-Identifier: Apache-2.0 */
/* http_autoindex - a folder as nginx lists it with `autoindex_format json`. */
#ifndef CACHEFS_STORES_HTTP_AUTOINDEX_H
#define CACHEFS_STORES_HTTP_AUTOINDEX_H

#include "cachefs/stores/http_gate.h"

/* Entries go to the gate as they are read, so some may have gone before an error is found. What is
 * neither file nor folder is left out. 0; -EBADMSG with *ret_why: no such listing; what the gate
 * returned. */
int autoindex_parse(const char *json, size_t len, struct http_gate *gate, const char **ret_why);

#endif
