/* SPDX-License-Identifier: Apache-2.0 */
/* "127.0.0.1:8080", "[::1]:0", "localhost:8080" to a listening socket. */
#ifndef SYNTH_REMOTE_LISTEN_H
#define SYNTH_REMOTE_LISTEN_H

#include "common/err.h"

#define LISTEN_URL_MAX 80

/* A socket, and the URL at which this host reaches it; or -errno and err. */
int listen_open(const char *address, char ret_url[LISTEN_URL_MAX], struct err *err);

#endif
