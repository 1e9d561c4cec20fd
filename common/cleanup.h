/* SPDX-License-Identifier: Apache-2.0 */
/* Release by scope. AUTO(free) char *s = ...; frees s when the block ends; HOLD(&mutex) unlocks.
 *
 * The only place that uses the cleanup attribute. Ownership moves out of a scope with TAKE(p),
 * which returns p and leaves NULL behind. */
#ifndef FEEDRATE_CLEANUP_H
#define FEEDRATE_CLEANUP_H

#include <dirent.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* AUTO(fn): fn is one of the words declared below (free, close, fclose, closedir) or one that a
 * module declares with AUTO_FREE(). A variable may be there for its end alone, hence "unused". */
#define AUTO(word) __attribute__((cleanup(auto_##word), unused))

/* Declares the cleanup word WORD for pointers to TYPE, released by FN, which accepts NULL. */
#define AUTO_FREE(word, type, fn)                                                                  \
	static inline void auto_##word(type **p)                                                   \
	{                                                                                          \
		fn(*p);                                                                            \
	}                                                                                          \
	struct auto_##word##_semicolon

static inline void auto_free(void *p)
{
	free(*(void **)p);
}

static inline void auto_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void auto_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void auto_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static inline pthread_mutex_t *hold_lock(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

static inline void hold_unlock(pthread_mutex_t **m)
{
	pthread_mutex_unlock(*m);
}

/* Locks now, unlocks when the enclosing block ends. One per block. */
#define HOLD(mutex)                                                                                \
	__attribute__((cleanup(hold_unlock), unused)) pthread_mutex_t *held_ = hold_lock(mutex)

static inline void *take_pointer(void *pp)
{
	void *p = *(void **)pp;

	*(void **)pp = NULL;
	return p;
}

/* Moves ownership out of an AUTO variable. */
#define TAKE(p) take_pointer(&(p))

static inline int take_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
