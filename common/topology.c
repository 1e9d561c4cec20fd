/* SPDX-License-Identifier: Apache-2.0 */
/* CPUs and memory this process may really use: see topology.h. The only file that includes hwloc.
 *
 * cgroup limits apply along the whole path from the process's group to the root, so every level is
 * read. A container often sees its own group as "/": then only the mount's top is there to read. */
#include "common/topology.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hwloc.h>

#include "common/cleanup.h"
#include "common/file.h"
#include "common/knob.h"

#define SMALL_FILE 65536

/* First integer of a file; false if there is none ("max" in cgroup v2). */
static bool read_number(const char *path, int64_t *ret)
{
	AUTO(free) char *text = NULL;
	size_t len;
	char *end;

	if (file_read(path, SMALL_FILE, &text, &len) < 0)
		return false;
	int64_t v = strtoll(text, &end, 10);

	if (end == text)
		return false;
	*ret = v;
	return true;
}

struct limits {
	double quota;   /* CPUs; 0: none */
	char where[96]; /* the group that sets it */
	int64_t memory; /* bytes; 0: none */
	int64_t room;   /* bytes that the tightest group leaves */
	bool has_room;  /* there is such a group */
};

static void lower_quota(struct limits *l, double cpus, const char *group)
{
	if (cpus <= 0 || (l->quota > 0 && l->quota <= cpus))
		return;
	l->quota = cpus;
	snprintf(l->where, sizeof(l->where), "%s", *group ? group : "/");
}

static void lower_memory(struct limits *l, int64_t bytes)
{
	if (bytes > 0 && (!l->memory || bytes < l->memory))
		l->memory = bytes;
}

/* What a group may still take: its limit, less what it uses but for the page cache, which goes when room
 * is needed. file: the line of memory.stat that tells of that. */
static void lower_room(
	const char *dir, const char *usage, const char *file, int64_t limit, struct limits *l)
{
	char path[4200];
	AUTO(free) char *text = NULL;
	size_t len;
	int64_t used = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, usage);
	if (!read_number(path, &used))
		used = 0;
	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	if (!file_read(path, SMALL_FILE, &text, &len)) {
		const char *p = strstr(text, file);

		used -= p ? strtoll(p + strlen(file), NULL, 10) : 0;
	}
	if (used > 0)
		limit = limit > used ? limit - used : 0;
	if (!l->has_room || limit < l->room)
		l->room = limit;
	l->has_room = true;
}

static void read_v2(const char *dir, const char *group, struct limits *l)
{
	char path[4200];
	AUTO(free) char *text = NULL;
	size_t len;
	int64_t quota, period, bytes;

	snprintf(path, sizeof(path), "%s/cpu.max", dir);
	if (!file_read(path, SMALL_FILE, &text, &len) &&
		sscanf(text, "%" SCNd64 " %" SCNd64, &quota, &period) == 2 && period > 0)
		lower_quota(l, (double)quota / (double)period, group);
	snprintf(path, sizeof(path), "%s/memory.max", dir);
	if (read_number(path, &bytes)) {
		lower_memory(l, bytes);
		lower_room(dir, "memory.current", "\nfile ", bytes, l);
	}
}

static void read_v1_cpu(const char *dir, const char *group, struct limits *l)
{
	char path[4200];
	int64_t quota, period;

	snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
	if (!read_number(path, &quota)) /* -1: none */
		return;
	snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
	if (read_number(path, &period) && period > 0)
		lower_quota(l, (double)quota / (double)period, group);
}

static void read_v1_memory(const char *dir, const char *group, struct limits *l)
{
	char path[4200];
	int64_t bytes;

	snprintf(path, sizeof(path), "%s/memory.limit_in_bytes", dir);
	if (read_number(path, &bytes)) {
		lower_memory(l, bytes);
		lower_room(dir, "memory.usage_in_bytes", "\ntotal_cache ", bytes, l);
	}
}

typedef void level_fn(const char *dir, const char *group, struct limits *l);

/* Calls each for MOUNT/a/b/c, MOUNT/a/b, MOUNT/a, MOUNT. */
static void walk_up(const char *mount, const char *group, level_fn *each, struct limits *l)
{
	char path[4096], level[1024];

	snprintf(level, sizeof(level), "%s", strcmp(group, "/") ? group : "");
	for (;;) {
		snprintf(path, sizeof(path), "%s%s", mount, level);
		each(path, level, l);
		char *slash = strrchr(level, '/');

		if (!slash)
			return;
		*slash = '\0';
	}
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ',') && (!p[n] || p[n] == ','))
			return true;
	return false;
}

/* One line of /proc/self/cgroup: "0::/a/b" (v2) or "4:cpu,cpuacct:/a/b" (v1). */
static void read_cgroup_line(const char *root, char *line, struct limits *l)
{
	char mount[512];
	char *controllers = strchr(line, ':'),
	     *group = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!group)
		return;
	*controllers++ = '\0';
	*group++ = '\0';
	if (!*controllers) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
		walk_up(mount, group, read_v2, l);
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/unified", root);
		walk_up(mount, group, read_v2, l);
	}
	if (has_word(controllers, "cpu")) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu", root);
		walk_up(mount, group, read_v1_cpu, l);
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu,cpuacct", root);
		walk_up(mount, group, read_v1_cpu, l);
	}
	if (has_word(controllers, "memory")) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/memory", root);
		walk_up(mount, group, read_v1_memory, l);
	}
}

static void read_cgroups(const char *root, struct limits *l)
{
	char path[512];
	AUTO(free) char *text = NULL;
	char *save = NULL;
	size_t len;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	if (file_read(path, SMALL_FILE, &text, &len) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		read_cgroup_line(root, line, l);
}

/* A line of /proc/meminfo, such as "MemTotal:", in bytes; 0: not there. */
static int64_t read_meminfo(const char *root, const char *line)
{
	char path[512];
	AUTO(free) char *text = NULL;
	size_t len;

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	if (file_read(path, SMALL_FILE, &text, &len) < 0)
		return 0;
	const char *p = strstr(text, line);

	return p ? strtoll(p + strlen(line), NULL, 10) * 1024 : 0;
}

static int64_t lower_limit(const struct limits *l, int64_t ram_bytes)
{
	/* v1 says "no limit" by a number near 2^63. */
	return l->memory && l->memory < ram_bytes ? l->memory : ram_bytes;
}

void topology_memory(const char *root, struct memory_room *ret)
{
	struct limits l = {0};

	read_cgroups(root, &l);
	ret->ram_bytes = read_meminfo(root, "MemTotal:");
	ret->limit_bytes = lower_limit(&l, ret->ram_bytes);
	ret->free_bytes = read_meminfo(root, "MemAvailable:");
	if (l.has_room && l.room < ret->free_bytes)
		ret->free_bytes = l.room;
}

/* What this process may run on by affinity and cpuset, and the caches below that. */
static int read_hwloc(struct topology *t, struct err *err)
{
	hwloc_topology_t topo;
	int caches;

	if (hwloc_topology_init(&topo) < 0)
		return err_set(err, ENOMEM, "hwloc: cannot start");
	hwloc_topology_set_type_filter(topo, HWLOC_OBJ_L3CACHE, HWLOC_TYPE_FILTER_KEEP_ALL);
	if (hwloc_topology_load(topo) < 0) {
		hwloc_topology_destroy(topo);
		return err_set(err, EIO, "hwloc: cannot read the machine's topology from /sys");
	}
	caches = hwloc_get_nbobjs_by_type(topo, HWLOC_OBJ_L3CACHE);
	for (int i = 0; i < caches; i++) {
		hwloc_obj_t obj = hwloc_get_obj_by_type(topo, HWLOC_OBJ_L3CACHE, (unsigned)i);

		t->l3_bytes += (int64_t)obj->attr->cache.size;
	}
	hwloc_cpuset_t mine = hwloc_bitmap_alloc();

	t->allowed = hwloc_bitmap_weight(hwloc_topology_get_allowed_cpuset(topo));
	if (mine && !hwloc_get_cpubind(topo, mine, HWLOC_CPUBIND_PROCESS)) {
		hwloc_bitmap_and(mine, mine, hwloc_topology_get_allowed_cpuset(topo));
		if (hwloc_bitmap_weight(mine) > 0)
			t->allowed = hwloc_bitmap_weight(mine);
	}
	hwloc_bitmap_free(mine);
	hwloc_topology_destroy(topo);
	return 0;
}

int topology_read(const char *root, struct topology *ret, struct err *err)
{
	struct topology t = {0};
	struct limits l = {0};
	int r = read_hwloc(&t, err);

	if (r < 0)
		return r;
	t.online = (int)sysconf(_SC_NPROCESSORS_ONLN);
	if (t.allowed < 1)
		t.allowed = t.online;
	read_cgroups(root, &l);
	t.quota = l.quota;
	t.ram_bytes = read_meminfo(root, "MemTotal:");
	t.memory_limit = lower_limit(&l, t.ram_bytes);
	if (l.quota > 0)
		snprintf(t.why, sizeof(t.why), "%d by affinity; cgroup %s allows %.4g", t.allowed,
			l.where, l.quota);
	else
		snprintf(t.why, sizeof(t.why), "%d by affinity; no cgroup quota", t.allowed);
	*ret = t;
	return 0;
}

int topology_cpus(const struct topology *t, enum cpu_round round_as)
{
	double quota = t->quota > 0 ? t->quota : t->allowed;
	double n = round_as == CPU_CEIL    ? ceil(quota)
		   : round_as == CPU_FLOOR ? floor(quota)
					   : round(quota);

	if (n < 1)
		return 1;
	return n > t->allowed ? t->allowed : (int)n;
}

int topology_count(const struct topology *t, int64_t knob)
{
	if (knob > 0)
		return (int)knob;
	return topology_cpus(t, knob == CPU_COUNT_CEIL    ? CPU_CEIL
				: knob == CPU_COUNT_FLOOR ? CPU_FLOOR
							  : CPU_AUTO);
}

/* Which of two CPUs comes first when neighbours shall be far from each other: one thread of each core
 * before the second ones, one core of each cache before the second ones, and so on. */
static int compare_spread(const void *a, const void *b)
{
	hwloc_obj_t x = *(const hwloc_obj_t *)a, y = *(const hwloc_obj_t *)b;

	for (; x && y; x = x->parent, y = y->parent)
		if (x->sibling_rank != y->sibling_rank)
			return x->sibling_rank < y->sibling_rank ? -1 : 1;
	return 0;
}

static int order_cpus(hwloc_topology_t topo, bool spread, hwloc_bitmap_t mine, int **ret)
{
	int all = hwloc_get_nbobjs_by_type(topo, HWLOC_OBJ_PU), n = 0;
	AUTO(free) hwloc_obj_t *cpus = calloc((size_t)(all > 0 ? all : 1), sizeof(hwloc_obj_t));
	AUTO(free) int *order = calloc((size_t)(all > 0 ? all : 1), sizeof(*order));

	if (!cpus || !order || !mine)
		return -ENOMEM;
	if (hwloc_get_cpubind(topo, mine, HWLOC_CPUBIND_PROCESS) < 0)
		hwloc_bitmap_copy(mine, hwloc_topology_get_allowed_cpuset(topo));
	for (int i = 0; i < all; i++) {
		hwloc_obj_t cpu = hwloc_get_obj_by_type(topo, HWLOC_OBJ_PU, (unsigned)i);

		if (hwloc_bitmap_isset(mine, cpu->os_index))
			cpus[n++] = cpu; /* hwloc's own order is compact */
	}
	if (spread)
		qsort(cpus, (size_t)n, sizeof(hwloc_obj_t), compare_spread);
	for (int i = 0; i < n; i++)
		order[i] = (int)cpus[i]->os_index;
	*ret = TAKE(order);
	return n;
}

int topology_order(bool spread, int **ret)
{
	hwloc_topology_t topo;
	hwloc_bitmap_t mine;
	int r = -EIO;

	if (hwloc_topology_init(&topo) < 0)
		return -ENOMEM;
	mine = hwloc_bitmap_alloc();
	if (!hwloc_topology_load(topo))
		r = order_cpus(topo, spread, mine, ret);
	hwloc_bitmap_free(mine);
	hwloc_topology_destroy(topo);
	return r;
}

int topology_bind_thread(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) < 0 ? -errno : 0;
}
