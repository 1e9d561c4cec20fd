/* SPDX-License-Identifier: Apache-2.0 */
/* A queue and a thread: see notify.h. Without memory a notice is left out: the kernel then keeps
 * what it has until its timeout. */
#include "cachefs/fs_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

struct notice {
	struct notice *next;
	uint64_t id; /* folder of name, else the node */
	char name[]; /* empty: a node */
};

struct notify {
	struct fuse_session *se;
	pthread_t thread;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed, told_some;
	struct notice *first, **end;
	uint64_t added, told;
	bool stop;
};

static struct notice *next_notice(struct notify *n)
{
	HOLD(&n->lock);
	while (!n->stop && !n->first)
		pthread_cond_wait(&n->changed, &n->lock);
	if (n->stop)
		return NULL;
	struct notice *notice = n->first;

	n->first = notice->next;
	if (!n->first)
		n->end = &n->first;
	return notice;
}

/* -ENOENT, the kernel does not know it, is as good as success, and nothing else can be mended. */
static void *run_notify(void *arg)
{
	struct notify *n = arg;
	struct notice *notice;

	while ((notice = next_notice(n))) {
		if (*notice->name)
			fuse_lowlevel_notify_inval_entry(
				n->se, notice->id, notice->name, strlen(notice->name));
		else
			fuse_lowlevel_notify_inval_inode(n->se, notice->id, 0, 0);
		free(notice);
		HOLD(&n->lock);
		n->told++;
		pthread_cond_broadcast(&n->told_some);
	}
	return NULL;
}

void notify_flush(struct notify *n)
{
	HOLD(&n->lock);
	uint64_t until = n->added;

	while (n->told < until && !n->stop)
		pthread_cond_wait(&n->told_some, &n->lock);
}

struct notify *notify_new(struct fuse_session *se, struct err *err)
{
	struct notify *n = calloc(1, sizeof(*n));
	int r = n ? 0 : ENOMEM;

	if (n) {
		n->se = se;
		n->end = &n->first;
		pthread_mutex_init(&n->lock, NULL);
		pthread_cond_init(&n->changed, NULL);
		pthread_cond_init(&n->told_some, NULL);
		r = pthread_create(&n->thread, NULL, run_notify, n);
	}
	if (r) {
		err_set(err, r, "cannot start a thread: %s", strerror(r));
		free(n);
		return NULL;
	}
	return n;
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_broadcast(&n->changed);
	pthread_cond_broadcast(&n->told_some);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
	while (n->first) {
		struct notice *notice = n->first;

		n->first = notice->next;
		free(notice);
	}
	pthread_cond_destroy(&n->told_some);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

static void add_notice(struct notify *n, uint64_t id, const char *name)
{
	size_t len = strlen(name) + 1;
	struct notice *notice = malloc(sizeof(*notice) + len);

	if (!notice)
		return;
	notice->next = NULL;
	notice->id = id;
	memcpy(notice->name, name, len);
	HOLD(&n->lock);
	*n->end = notice;
	n->end = &notice->next;
	n->added++;
	pthread_cond_signal(&n->changed);
}

void notify_name(struct notify *n, uint64_t folder, const char *name)
{
	add_notice(n, folder, name);
}

void notify_node(struct notify *n, uint64_t id)
{
	add_notice(n, id, "");
}
