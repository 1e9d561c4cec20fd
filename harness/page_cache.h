/* SPDX-License-Identifier: Apache-2.0 */
/* page_cache - holds the page cache of a run's data to bench.page_cache, and proves it.
 *
 * The reader reports every range it has read; ranges beyond the newest SIZE bytes are dropped with
 * posix_fadvise(DONTNEED), which needs no privileges. First in, first out: in an epoch a byte is
 * read once, so the oldest is also the least recently used. What remains is counted by cachestat(2)
 * (mincore(2) before Linux 6.5), which tell the truth to a file's owner only. */
#ifndef HARNESS_PAGE_CACHE_H
#define HARNESS_PAGE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

struct page_cache;

/* limit_bytes: bench.page_cache; PAGE_CACHE_ANY makes every call free. NULL: out of memory. */
struct page_cache *page_cache_new(int64_t limit_bytes);
void page_cache_free(struct page_cache *pc);

/* A file has just been opened: with `none`, what others have left of it is dropped. */
void page_cache_start(struct page_cache *pc, int fd);

/* fd has brought [off, off+len) of a file into the cache. Any thread. The descriptor is duplicated
 * where its pages may outlive it. */
void page_cache_note(struct page_cache *pc, int fd, uint64_t off, uint64_t len);

/* Drops every range still held. */
void page_cache_drop_all(struct page_cache *pc);

/* Bytes of a file in the page cache. -EPERM: not the owner; -errno of open and stat. */
int64_t page_cache_resident(int fd);

#endif
