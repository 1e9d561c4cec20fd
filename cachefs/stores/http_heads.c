/* SPDX-License-Identifier: Apache-2.0 */
/* First bytes of files between lookup and read: see http_heads.h. */
#include "cachefs/stores/http_heads.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

void heads_init(struct heads *hs)
{
	*hs = (struct heads){0};
	pthread_mutex_init(&hs->lock, NULL);
}

void heads_done(struct heads *hs)
{
	for (int i = 0; i < HEADS_MAX; i++) {
		free(hs->head[i].name);
		free(hs->head[i].data);
	}
	pthread_mutex_destroy(&hs->lock);
}

/* Locked. */
static struct head *find(struct heads *hs, const struct object *obj)
{
	for (int i = 0; i < HEADS_MAX; i++) {
		struct head *h = &hs->head[i];

		if (h->name && h->version == obj->version && !strcmp(h->name, obj->name))
			return h;
	}
	return NULL;
}

void heads_put(struct heads *hs, const struct object *obj, char *data, size_t len)
{
	struct head new = {strdup(obj->name), obj->version, data, len}, old = new;

	pthread_mutex_lock(&hs->lock);
	if (new.name && !find(hs, obj)) {
		old = hs->head[hs->next];
		hs->head[hs->next] = new;
		hs->next = (hs->next + 1) % HEADS_MAX;
	}
	pthread_mutex_unlock(&hs->lock);
	free(old.name);
	free(old.data);
}

char *heads_take(struct heads *hs, const struct object *obj, size_t *ret_len)
{
	HOLD(&hs->lock);
	struct head *h = find(hs, obj);
	char *data = NULL;

	if (h) {
		data = h->data;
		*ret_len = h->len;
		free(h->name);
		*h = (struct head){0};
	}
	return data;
}
