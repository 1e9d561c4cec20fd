/* SPDX-License-Identifier: Apache-2.0 */
/* s3_list - one page of S3's ListObjectsV2, asked for with delimiter=/ and encoding-type=url. */
#ifndef CACHEFS_STORES_S3_LIST_H
#define CACHEFS_STORES_S3_LIST_H

#include "cachefs/stores/http_gate.h"

#define S3_TOKEN_MAX 4096

struct s3_page {
	size_t keys;    /* keys and prefixes in it, also those that were refused */
	bool truncated; /* there is another page, from token on */
	char token[S3_TOKEN_MAX];
	const char *why; /* what is wrong with it, with -EBADMSG */
};

/* prefix: of the request, a folder's key ("" or "a/b/"). Entries go to the gate once the whole page
 * has been understood. 0; -EBADMSG: no such page; what the gate returned. A page with a document type
 * is refused: entities are how XML takes memory and files away. */
int s3_list_parse(const char *xml, size_t len, const char *prefix, struct http_gate *gate,
	struct s3_page *ret);

#endif
