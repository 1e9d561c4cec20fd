/* SPDX-License-Identifier: Apache-2.0 */
/* Records: JSON lines that survive a kill, and the environment they were made in. */
#include "common/record.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/file.h"
#include "common/topology.h"
#include "version.h"

#define RECORDS_MAX (1u << 30)

/* A line cut by a kill must not swallow the next one: end it first. */
static int end_cut_line(int fd)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char last;

	if (end <= 0 || pread(fd, &last, 1, end - 1) != 1 || last == '\n')
		return 0;
	return write(fd, "\n", 1) == 1 ? 0 : -errno;
}

/* A full disk may take a part of the line; only the next write(2) would say why. */
static int write_line(int fd, const char *line, size_t len)
{
	ssize_t n = write(fd, line, len);

	if (n < 0)
		return -errno;
	if ((size_t)n < len)
		return -ENOSPC;
	return fdatasync(fd) < 0 ? -errno : 0;
}

int record_append(const char *path, json_t *record, struct err *err)
{
	AUTO(free) char *text = json_dumps(record, RECORD_FLAGS);
	AUTO(free) char *line = NULL;
	AUTO(close) int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	int len = text ? asprintf(&line, "%s\n", text) : -1;
	int r = fd < 0 ? -errno : len < 0 ? -ENOMEM : end_cut_line(fd);

	if (!r)
		r = write_line(fd, line, (size_t)len);
	return r < 0 ? err_set(err, -r,
			       "%s: cannot write a record: %s; free space or choose another -o",
			       path, strerror(-r))
		     : 0;
}

/* The record of one line, or NULL and why it is left out. */
static json_t *parse_line(const char *line, size_t len, const char **why)
{
	json_error_t error;
	json_t *record = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	const char *schema = record_text(record, "schema");

	if (record && schema && !strcmp(schema, RECORD_SCHEMA))
		return record;
	*why = !record ? "cut off or not JSON" : "of another schema than " RECORD_SCHEMA;
	json_decref(record);
	return NULL;
}

json_t *record_load(const char *path, int *ret_skipped, struct err *err)
{
	AUTO(free) char *text = NULL;
	json_t *ret = json_array();
	int skipped = 0, number = 0;
	size_t len;
	int r = file_read(path, RECORDS_MAX, &text, &len);

	if (r < 0 || !ret) {
		json_decref(ret);
		err_set(err, -r, "%s: cannot read: %s; is this a folder of results?", path,
			strerror(-r));
		return NULL;
	}
	for (const char *line = text; *line;) {
		const char *end = strchrnul(line, '\n'), *why;

		number++;
		if (end > line) {
			json_t *record = parse_line(line, (size_t)(end - line), &why);

			if (record)
				json_array_append_new(ret, record);
			else if (!skipped++)
				err_set(err, EINVAL, "%s:%d: left out: %s", path, number, why);
		}
		line = *end ? end + 1 : end;
	}
	if (ret_skipped)
		*ret_skipped = skipped;
	return ret;
}

static const json_t *find(const json_t *record, const char *path)
{
	const json_t *j = record;
	char key[128];

	while (j && *path) {
		size_t n = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)n, path);
		j = json_object_get(j, key);
		path += path[n] ? n + 1 : n;
	}
	return j;
}

double record_number(const json_t *record, const char *path)
{
	const json_t *j = find(record, path);

	return json_is_number(j) ? json_number_value(j) : NAN;
}

const char *record_text(const json_t *record, const char *path)
{
	return json_string_value(find(record, path));
}

/* ---- environment ---- */

/* What stands after "KEY<spaces>:" in a file of /proc. */
static json_t *proc_line(const char *path, const char *key)
{
	AUTO(free) char *text = NULL;
	size_t len;

	if (file_read(path, 1 << 20, &text, &len) < 0)
		return json_null();
	const char *p = strstr(text, key);

	if (!p || !(p = strchr(p, ':')))
		return json_null();
	p += 1 + strspn(p + 1, " \t");
	return json_stringn(p, strcspn(p, "\n"));
}

/* The type that stands after " - " in the line of mountinfo with this id. */
static json_t *mount_type(const char *mountinfo, uint64_t id)
{
	for (const char *line = mountinfo; *line;) {
		const char *end = strchrnul(line, '\n');
		const char *type = memmem(line, (size_t)(end - line), " - ", 3);

		if (type && strtoull(line, NULL, 10) == id)
			return json_stringn(type + 3, strcspn(type + 3, " \n"));
		line = *end ? end + 1 : end;
	}
	return json_null();
}

/* The type of the filesystem under our data sets and caches, which need not exist yet; null where
 * the kernel does not tell (before 5.8). */
static json_t *cache_filesystem(void)
{
	AUTO(free) char *path = file_cache_home();
	AUTO(free) char *mountinfo = NULL;
	struct statx st = {0};
	size_t len;

	if (!path || file_read("/proc/self/mountinfo", 1 << 22, &mountinfo, &len) < 0)
		return json_null();
	while (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) < 0) {
		char *slash = strrchr(path, '/');

		if (errno != ENOENT || !slash || !slash[1])
			return json_null();
		slash[slash == path] = '\0';
	}
	return st.stx_mask & STATX_MNT_ID ? mount_type(mountinfo, st.stx_mnt_id) : json_null();
}

static json_t *distribution(void)
{
	AUTO(free) char *text = NULL;
	size_t len;

	if (file_read("/etc/os-release", 1 << 16, &text, &len) < 0)
		return json_null();
	const char *p = strstr(text, "PRETTY_NAME=\"");

	if (!p)
		return json_null();
	p += strlen("PRETTY_NAME=\"");
	return json_stringn(p, strcspn(p, "\"\n"));
}

json_t *record_environment(void)
{
	struct utsname u;
	struct topology t = {0};
	json_t *env = json_object();

	if (!env || uname(&u) < 0)
		return env;
	topology_read("", &t, NULL);
	json_object_set_new(env, "feedrate", json_string(FEEDRATE_VERSION));
	json_object_set_new(env, "host", json_string(u.nodename));
	json_object_set_new(env, "kernel", json_string(u.release));
	json_object_set_new(env, "machine", json_string(u.machine));
	json_object_set_new(env, "distribution", distribution());
	json_object_set_new(env, "cpu", proc_line("/proc/cpuinfo", "model name"));
	json_object_set_new(env, "cpus", json_integer(topology_cpus(&t, CPU_AUTO)));
	json_object_set_new(env, "cpus_why", json_string(t.why));
	json_object_set_new(env, "cpu_quota", t.quota > 0 ? json_real(t.quota) : json_null());
	json_object_set_new(env, "ram_bytes", json_integer(t.ram_bytes));
	json_object_set_new(env, "memory_limit_bytes", json_integer(t.memory_limit));
	json_object_set_new(env, "l3_bytes", json_integer(t.l3_bytes));
	json_object_set_new(env, "fs", cache_filesystem());
	return env;
}
