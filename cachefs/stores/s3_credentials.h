/* SPDX-License-Identifier: Apache-2.0 */
/* s3_credentials - the keys that requests to a bucket are signed with.
 *
 *   s3.credentials = auto   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, else none
 *                    none   unsigned
 *                    FILE   "[profile]" and lines "aws_access_key_id = ...", as AWS's tools keep them
 *
 * Keys from a file may change while the file system is mounted: s3_credentials_reload() looks again
 * when a server refuses those that are known.
 *
 * A process that holds a secret makes no core dumps, and its memory and environment are closed to
 * other processes of the user (PR_SET_DUMPABLE): libcurl keeps copies of its own, so locking or
 * marking pages would cover a part. What we copy is wiped when it is given up. */
#ifndef CACHEFS_STORES_S3_CREDENTIALS_H
#define CACHEFS_STORES_S3_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/knob.h"

struct s3_keys {
	char id[129], secret[257], token[4097]; /* token: "" if there is none */
};

/* Reads the keys of profile from text, which ends with a NUL. -EINVAL with *ret_why: there are none,
 * or they are not such as can stand in a header. ret is wiped then. */
int s3_keys_parse(const char *text, const char *profile, struct s3_keys *ret, const char **ret_why);

void s3_keys_wipe(struct s3_keys *keys);

struct s3_credentials;

/* 0, and *ret is NULL where requests go unsigned. -errno and err: keys were asked for, and there are
 * none, or others can read the file. */
int s3_credentials_open(const struct config *cfg, struct s3_credentials **ret, struct err *err);
void s3_credentials_free(struct s3_credentials *c); /* NULL is accepted */

/* A copy of the keys of now, to be wiped by the caller, and their generation, from 1. */
unsigned s3_credentials_get(struct s3_credentials *c, struct s3_keys *ret);
unsigned s3_credentials_generation(struct s3_credentials *c);

/* Those of generation seen were refused. True: there are newer ones. Reads the file if it has changed;
 * what is wrong with it is logged once, and the old keys stay. */
bool s3_credentials_reload(struct s3_credentials *c, unsigned seen);

#endif
