/* SPDX-License-Identifier: Apache-2.0 */
/* CPU and memory limits from fixtures of cgroup v1 and v2: the smallest on the whole path wins. */
#include "tests/unit/test.h"

#include "common/cleanup.h"
#include "common/knob.h"
#include "common/topology.h"

static char *root;

static int make_root(void **state)
{
	root = scratch_make();
	free(scratch_file(root, "proc/meminfo", "MemTotal:       16777216 kB\n"));
	return 0;
}

static int remove_root(void **state)
{
	scratch_remove(root);
	return 0;
}

static void put(const char *name, const char *text)
{
	free(scratch_file(root, name, text));
}

static void no_quota_means_affinity(void **state)
{
	struct topology t;

	put("proc/self/cgroup", "0::/\n");
	assert_int_equal(topology_read(root, &t, NULL), 0);
	assert_true(t.quota <= 0);
	assert_true(t.allowed >= 1);
	assert_int_equal(topology_cpus(&t, CPU_AUTO), t.allowed);
	assert_int_equal(t.memory_limit, 16777216LL * 1024);
}

static void v2_parents_limit_their_children(void **state)
{
	struct topology t;

	put("proc/self/cgroup", "0::/a/b/c\n");
	put("sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
	put("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
	put("sys/fs/cgroup/a/cpu.max", "400000 100000\n");
	put("sys/fs/cgroup/a/b/c/memory.max", "max\n");
	put("sys/fs/cgroup/a/memory.max", "1073741824\n");
	assert_int_equal(topology_read(root, &t, NULL), 0);
	assert_true(t.quota > 1.49 && t.quota < 1.51);
	assert_non_null(strstr(t.why, "cgroup /a/b allows 1.5"));
	assert_int_equal(t.memory_limit, 1073741824);
	t.allowed = 8;
	assert_int_equal(topology_cpus(&t, CPU_FLOOR), 1);
	assert_int_equal(topology_cpus(&t, CPU_CEIL), 2);
}

static void v1_quota_and_memory(void **state)
{
	struct topology t;

	put("proc/self/cgroup", "4:cpu,cpuacct:/docker/x\n9:memory:/docker/x\n0::/none\n");
	put("sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "50000\n");
	put("sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "100000\n");
	put("sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us", "-1\n");
	put("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "2147483648\n");
	assert_int_equal(topology_read(root, &t, NULL), 0);
	assert_true(t.quota > 0.49 && t.quota < 0.51);
	assert_int_equal(topology_cpus(&t, CPU_AUTO), 1);
	assert_int_equal(topology_cpus(&t, CPU_FLOOR), 1);
	assert_int_equal(t.memory_limit, 2147483648);
}

/* A container sees its group as "/", or as a path that its own mount does not have. */
static void containers_find_their_limits_at_the_top(void **state)
{
	struct topology t;

	put("proc/self/cgroup", "0::/kubepods/pod1/c1\n");
	put("sys/fs/cgroup/cpu.max", "50000 100000\n");
	put("sys/fs/cgroup/memory.max", "536870912\n");
	assert_int_equal(topology_read(root, &t, NULL), 0);
	assert_true(t.quota > 0.49 && t.quota < 0.51);
	assert_non_null(strstr(t.why, "cgroup / allows 0.5"));
	assert_int_equal(t.memory_limit, 536870912);
}

static void limits_above_the_machine_are_none(void **state)
{
	struct topology t;

	put("proc/self/cgroup", "0::/a\n");
	put("sys/fs/cgroup/a/memory.max", "1099511627776\n");
	put("sys/fs/cgroup/a/cpu.max", "garbage\n");
	assert_int_equal(topology_read(root, &t, NULL), 0);
	assert_int_equal(t.memory_limit, t.ram_bytes);
	assert_true(t.quota <= 0);
}

/* A cpuset shows in the affinity mask. */
static void a_narrower_mask_is_seen(void **state)
{
	struct topology t;
	cpu_set_t before, one;
	int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	if (CPU_COUNT(&before) < 2)
		skip();
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	int r = topology_read("", &t, NULL);

	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(r, 0);
	assert_int_equal(t.allowed, 1);
	assert_true(t.online >= 2);
}

static void affinity_caps_a_larger_quota(void **state)
{
	struct topology t = {.allowed = 2, .quota = 16};

	assert_int_equal(topology_cpus(&t, CPU_AUTO), 2);
}

static void cpu_count_is_a_number_or_a_rounding(void **state)
{
	struct topology t = {.allowed = 4, .quota = 1.4};

	assert_int_equal(topology_count(&t, 3), 3);
	assert_int_equal(topology_count(&t, KNOB_VALUE_AUTO), 1);
	assert_int_equal(topology_count(&t, CPU_COUNT_CEIL), 2);
	assert_int_equal(topology_count(&t, CPU_COUNT_FLOOR), 1);
}

/* Two packages of two cores of two threads each, as hwloc makes them up. */
static void check_order(bool spread, const int *want)
{
	AUTO(free) int *order = NULL;

	assert_int_equal(setenv("HWLOC_SYNTHETIC", "package:2 core:2 pu:2", 1), 0);
	int n = topology_order(spread, &order);

	unsetenv("HWLOC_SYNTHETIC");
	assert_int_equal(n, 8);
	assert_memory_equal(order, want, 8 * sizeof(*want));
}

static void compact_neighbours_share_and_spread_ones_do_not(void **state)
{
	check_order(false, (const int[]){0, 1, 2, 3, 4, 5, 6, 7});
	check_order(true, (const int[]){0, 4, 2, 6, 1, 5, 3, 7});
}

static void threads_bind_to_one_cpu_that_they_may_use(void **state)
{
	AUTO(free) int *order = NULL;
	cpu_set_t before, one;
	int n = topology_order(true, &order);

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(n, CPU_COUNT(&before));
	for (int i = 0; i < n; i++) {
		assert_true(CPU_ISSET((size_t)order[i], &before));
		assert_int_equal(topology_bind_thread(order[i]), 0);
		assert_int_equal(sched_getaffinity(0, sizeof(one), &one), 0);
		assert_int_equal(CPU_COUNT(&one), 1);
		assert_true(CPU_ISSET((size_t)order[i], &one));
		assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_quota_means_affinity, make_root, remove_root),
		cmocka_unit_test_setup_teardown(
			v2_parents_limit_their_children, make_root, remove_root),
		cmocka_unit_test_setup_teardown(v1_quota_and_memory, make_root, remove_root),
		cmocka_unit_test_setup_teardown(
			containers_find_their_limits_at_the_top, make_root, remove_root),
		cmocka_unit_test_setup_teardown(
			limits_above_the_machine_are_none, make_root, remove_root),
		cmocka_unit_test(a_narrower_mask_is_seen),
		cmocka_unit_test(affinity_caps_a_larger_quota),
		cmocka_unit_test(cpu_count_is_a_number_or_a_rounding),
		cmocka_unit_test(compact_neighbours_share_and_spread_ones_do_not),
		cmocka_unit_test(threads_bind_to_one_cpu_that_they_may_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
