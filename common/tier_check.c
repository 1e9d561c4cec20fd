/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of the tiers' knobs: see tier_check.h. */
#include "common/tier_check.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/topology.h"
#include "common/units.h"

static int check_watermarks(const struct config *cfg, struct err *err)
{
	double high = cfg->cache.watermark_high, low = cfg->cache.watermark_low;

	if (!(high > 0) || low < high)
		return 0;
	return err_set(err, EINVAL,
		"cache.watermark_low: %g is not below cache.watermark_high=%g; give a smaller one, or "
		"cache.watermark_high=0 to make room on demand",
		low, high);
}

/* A tier that holds no block of a large file would be a tier for small ones only, without a word. */
static int check_capacity(const char *knob, int64_t capacity, int64_t block_size, struct err *err)
{
	char have[UNITS_MAX], block[UNITS_MAX];

	if (capacity <= 0 || capacity >= block_size)
		return 0;
	return err_set(err, EINVAL,
		"%s: %s is less than one block of %s (cache.block_size); give more, or 0 for no tier",
		knob, units_human_bytes((double)capacity, have),
		units_human_bytes((double)block_size, block));
}

static int check_memory(int64_t capacity, struct err *err)
{
	struct memory_room memory;
	char want[UNITS_MAX], have[UNITS_MAX];

	topology_memory("", &memory);
	units_human_bytes((double)capacity, want);
	if (memory.ram_bytes && capacity > memory.ram_bytes)
		return err_set(err, EINVAL,
			"mem.capacity: %s is more than this machine's memory of %s; give less, or auto",
			want, units_human_bytes((double)memory.ram_bytes, have));
	if (memory.limit_bytes && capacity > memory.limit_bytes)
		log_warn(
			"mem.capacity: %s is more than the cgroup's memory limit of %s: the kernel "
			"will end cachefs when it has filled that; give less, or auto",
			want, units_human_bytes((double)memory.limit_bytes, have));
	return 0;
}

/* Whether a tier was made there before, by whoever could. */
static bool has_tier(const char *path)
{
	AUTO(closedir) DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "cachefs-", 8))
			return true;
	return false;
}

/* disk.path is not made: a slip of the pen would fill another disk than was meant. */
static int check_folder(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(err, EINVAL, "disk.path: %s: %s", path,
			errno == ENOENT
				? "no such folder; make it with mkdir -p, or check the spelling"
				: "cannot be used; give a folder you may write to");
	if (!S_ISDIR(st.st_mode))
		return err_set(err, EINVAL, "disk.path: %s: not a folder; give one", path);
	if (!access(path, W_OK | X_OK) || (errno == EACCES && has_tier(path)))
		return 0;
	return err_set(err, EINVAL,
		"disk.path: cannot write to %s: %s; give a folder you may write to", path,
		strerror(errno));
}

/* Both without symbolic links. */
static bool lies_in(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return !strncmp(path, folder, len) &&
	       (!path[len] || path[len] == '/' || (len && folder[len - 1] == '/'));
}

/* below: a mount point or an origin; anything else than a folder that is there lies apart. */
static bool is_below(const char *path, const char *below)
{
	AUTO(free) char *real_path = realpath(path, NULL);
	AUTO(free) char *real_below = below && *below == '/' ? realpath(below, NULL) : NULL;

	return real_path && real_below && lies_in(real_path, real_below);
}

static int check_place(
	const char *path, const char *origin, const char *mountpoint, struct err *err)
{
	if (is_below(path, mountpoint))
		return err_set(err, EINVAL,
			"disk.path: %s lies in the mount point %s, which hides it; give a folder outside",
			path, mountpoint);
	if (is_below(path, origin))
		return err_set(err, EINVAL,
			"disk.path: %s lies in the origin %s, so the tier's own files would be data; "
			"give a folder outside",
			path, origin);
	return 0;
}

int tier_check(
	const struct config *cfg, const char *origin, const char *mountpoint, struct err *err)
{
	const char *path = cfg->disk.path;
	int r = check_watermarks(cfg, err);

	if (!r)
		r = check_capacity("mem.capacity", cfg->mem.capacity, cfg->cache.block_size, err);
	if (!r)
		r = check_memory(cfg->mem.capacity, err);
	if (r || !*path)
		return r;
	r = check_capacity("disk.capacity", cfg->disk.capacity, cfg->cache.block_size, err);
	if (!r)
		r = check_folder(path, err);
	return r ? r : check_place(path, origin, mountpoint, err);
}
