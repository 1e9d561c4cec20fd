/* SPDX-License-Identifier: Apache-2.0 */
/* s3_error - what a store says in the body of a refusal, and what that means:
 *
 *   <Error><Code>ExpiredToken</Code><Message>...</Message>...</Error>
 *
 * Only the code and a region are taken, and only letters and digits of them: messages may repeat
 * what was sent. */
#ifndef CACHEFS_STORES_S3_ERROR_H
#define CACHEFS_STORES_S3_ERROR_H

#include <stddef.h>

struct s3_error {
	char code[64];   /* "AccessDenied" */
	char region[40]; /* where the bucket lies, if the store says so; "" */
};

/* Fills ret from the body, of which there may be only the beginning. -EINVAL: no such error, or the
 * part with its code is missing; ret is empty then. */
int s3_error_parse(const char *xml, size_t len, struct s3_error *ret);

struct s3_trouble {
	const char *code;
	int result;       /* the errno it stands for, whatever the status was */
	const char *text; /* for people: what it means, what to do */
};

/* NULL: the status says it all. */
const struct s3_trouble *s3_trouble_find(const char *code);

#endif
