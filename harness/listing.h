/* SPDX-License-Identifier: Apache-2.0 */
/* listing - the user's own data (external.path, remote.path, remote.origin), listed once an
 * invocation: a listing may take seconds and, of an object store, cost requests.
 *
 * A place that could not be listed is not tried again; every run that needs it fails with the same
 * reason. With a manifest a run reads a prefix, so each length of it is a listing of its own. */
#ifndef HARNESS_LISTING_H
#define HARNESS_LISTING_H

#include "harness/dataset.h"
#include "harness/matrix.h"

struct listing {
	struct listing *next;
	char *place;
	int asked;        /* format, or SCAN_ANY_FORMAT */
	uint32_t samples; /* of a manifest, at most */
	int r;            /* 0, or why is set */
	struct err why;
	struct dataset data;
};

/* The user's place that a cell reads; NULL: it reads none. */
const char *listing_place(const struct cell *c);

/* What a listing of a user's tree may cost: external.timeout, and LISTING_NS for what is found by
 * then to do; of bench.format if it was given, else of whichever is there. */
#define LISTING_NS (5 * NSEC_PER_SEC)
struct scan_limits listing_limits(const struct config *cfg, const volatile bool *stop);

/* The data of a cell's place, of an earlier listing or a new one, owned by the list that *all starts.
 * work_dir: for the mount by which remote.origin is listed, as anybody would. Returns 0, or -errno
 * and err. */
int listing_get(struct listing **all, const struct cell *c, const char *work_dir,
	const volatile bool *stop, const struct dataset **ret, struct err *err);
void listing_free(struct listing *all);

#endif
