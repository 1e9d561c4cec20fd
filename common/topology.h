/* SPDX-License-Identifier: Apache-2.0 */
/* How many CPUs may this process really use, and why. The only file that includes hwloc.
 *
 * "auto" is the smallest of: CPUs of the affinity mask and cpuset (hwloc), and the smallest cgroup
 * CPU quota on the whole path from this process's group to the root (v1 cpu.cfs_quota_us /
 * cpu.cfs_period_us, v2 cpu.max; kernel documentation cgroup-v1/ and cgroup-v2). */
#ifndef FEEDRATE_TOPOLOGY_H
#define FEEDRATE_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct topology {
	int online;           /* CPUs of the machine */
	int allowed;          /* affinity and cpuset */
	double quota;         /* CPUs by cgroup quota; 0: no quota */
	int64_t memory_limit; /* smallest cgroup memory limit or RAM, bytes */
	int64_t ram_bytes;
	int64_t l3_bytes; /* all L3 caches together; 0: unknown */
	char why[160];    /* "2 by affinity; cgroup /a/b allows 1.5" */
};

/* root: prefix for /proc and /sys in tests, "" for the real ones. */
int topology_read(const char *root, struct topology *ret, struct err *err);

/* Bytes; 0: unknown. Quick: without hwloc. */
struct memory_room {
	int64_t ram_bytes, limit_bytes; /* as in struct topology */
	int64_t free_bytes; /* that programs may still take: MemAvailable, or what the cgroups leave */
};

void topology_memory(const char *root, struct memory_room *ret);

enum cpu_round { CPU_AUTO, CPU_CEIL, CPU_FLOOR };

/* CPUs to use: the quota rounded as asked (auto rounds to nearest, at least 1), never above
 * allowed. */
int topology_cpus(const struct topology *t, enum cpu_round round);

/* What the knob cpu.count asks for: a number, or a negative word of its row. */
int topology_count(const struct topology *t, int64_t knob);

/* The CPUs that this process may use, in the order in which threads are bound to them: neighbours in the
 * order share as much as they can (compact), or as little (spread: other packages first, then other
 * caches and cores, threads of one core last). *ret is malloc'ed; their number, or -errno. */
int topology_order(bool spread, int **ret);

/* Binds the calling thread to one CPU. */
int topology_bind_thread(int cpu);

#endif
