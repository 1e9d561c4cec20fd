/* SPDX-License-Identifier: Apache-2.0 */
/* The origin made of arithmetic behind a web server, so that origins over HTTP can be held to the same
 * checks as all layers. Its generations, counts, gate and `down` work as ever. */
#ifndef TESTS_NULL_HTTP_H
#define TESTS_NULL_HTTP_H

#include "tests/http_server.h"
#include "tests/null_origin.h"

/* autoindex: lists as nginx does; else as S3, with "bucket" as the bucket or none. o must live until http_server_free(). */
struct http_server *null_http_new(struct null_origin *o, bool autoindex);

#endif
