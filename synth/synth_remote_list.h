/* SPDX-License-Identifier: Apache-2.0 */
/* One page of S3's ListObjectsV2 over a folder tree.
 *
 * Keys come in the order of their bytes, as from S3: a folder sorts as its name with a slash. A page
 * is walked anew from where the last one ended, so no state is kept between requests and a client
 * may take its time. Reading the folders a page touches is what it costs; one folder with
 * millions of files is therefore slow to list, as it is on any disk.
 *
 * Shown are regular files and links to regular files inside the tree. A folder without any is no
 * prefix, since a store knows no folders. */
#ifndef SYNTH_REMOTE_LIST_H
#define SYNTH_REMOTE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_query {
	const char *prefix, *token, *start_after; /* never NULL; "": not given */
	bool by_folder;                           /* delimiter=/ */
	bool url_encoded;                         /* encoding-type=url */
	int max_keys;
};

/* The XML document, malloc'ed. -EINVAL: not a token of ours; -ENOMEM. */
int list_page(
	int root, const char *bucket, const struct list_query *q, char **ret_xml, size_t *ret_len);

#endif
