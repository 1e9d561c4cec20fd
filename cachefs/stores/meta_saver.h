/* SPDX-License-Identifier: Apache-2.0 */
/* meta_saver - keeps meta's table in the file that meta.snapshot names (meta_snapshot.h): read when
 * the layer opens, written by a thread of its own some time after something was learnt, and at the
 * end. Nobody waits for it, and whatever is wrong with the file, the mount only knows less.
 *
 * The file is written beside its place, fsynced and renamed, mode 0600. A drop deletes it before
 * anything else is said, so that no dropped name comes back, also after a crash. */
#ifndef CACHEFS_STORES_META_SAVER_H
#define CACHEFS_STORES_META_SAVER_H

#include "cachefs/stores/meta_table.h"

struct saver;

/* *ret NULL: there is to be no snapshot. -errno and err: meta.snapshot cannot be. lower: the layer below
 * meta. What the file holds is in the table when this returns. */
int saver_open(const struct config *cfg, const char *origin, const struct store *lower,
	struct meta_table *table, struct saver **ret, struct err *err);

/* Something was dropped from the table. */
void saver_dropped(struct saver *s);

/* Writes what is new and joins the thread. NULL is accepted by all. */
void saver_free(struct saver *s);

void saver_describe(struct saver *s, json_t *into);

#endif
