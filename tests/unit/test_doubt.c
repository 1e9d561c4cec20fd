/* SPDX-License-Identifier: Apache-2.0 */
/* Doubts: a healthy record raises none, and each planted fault raises its own and no other. */
#include "tests/unit/test.h"

#include <math.h>

#include "common/cleanup.h"
#include "common/record.h"
#include "harness/doubt.h"

/* A cached run at 8 GPUs as it should be. */
static const char healthy[] =
	"{'run':'c','status':'ok','source':'cached','variant':null,'accelerator':'a','gpus':8,"
	"'batch':64,'steps':60,'epochs':2,'prefetch':2,'queue_depth':2,'repeat':2,'repeats':3,"
	"'synthetic_run':'s','cpus':2,'has_tier':true,'chilled':true,'late_steps':0,'demand_bytes_per_s':870e6,"
	"'tier_native_bytes_per_s':2e9,"
	"'cold':{'images':30720,'seconds':8,'au':0.5,'images_per_s':3840,'origin_bytes':3.6e9,"
	"'bytes_consumed':3.5e9},"
	"'steady':{'images':30720,'seconds':4.03,'au':1,'images_per_s':7624,"
	"'pct_of_synthetic':100,'origin_bytes':0,'bytes_consumed':3.5e9},"
	"'job':{'images':61440,'seconds':12,'au':0.67,'images_per_s':5120},"
	"'page_cache':{'asked':0,'max_seen':4096,'verified':true},"
	"'samples':{'checked':61440,'twice':0,'missing':0,'crc_errors':0},"
	"'cpu_s':{'harness':1.5,'cachefs':6,'remote':1},"
	"'knobs':{'remote.bandwidth':{'value':'498MB/s','from':'option'}}}";

static const char synthetic[] =
	"{'run':'s','status':'ok','source':'synthetic','variant':null,'accelerator':'a','gpus':8,"
	"'batch':64,'steps':60,'prefetch':2,'repeat':2,'repeats':3,'synthetic_run':'s','cpus':2,"
	"'has_tier':false,'chilled':null,'late_steps':0,'demand_bytes_per_s':870e6,"
	"'tier_native_bytes_per_s':null,'cold':null,'page_cache':null,"
	"'steady':{'images':30720,'seconds':4.03,'au':1,'images_per_s':7624,"
	"'pct_of_synthetic':100,'origin_bytes':null,'bytes_consumed':3.5e9},"
	"'job':{'images':30720,'seconds':4.1,'au':0.98,'images_per_s':7492},"
	"'samples':{'checked':0,'twice':0,'missing':0,'crc_errors':0},"
	"'cpu_s':{'harness':0.6,'cachefs':null,'remote':null},'knobs':{}}";

static json_t *parse(const char *text)
{
	AUTO(free) char *copy = strdup(text);
	json_t *o;

	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	o = json_loads(copy, 0, NULL);
	assert_non_null(o);
	return o;
}

/* Sets PATH ("steady.au") to what JSON says. */
static void plant(json_t *record, const char *path, const char *json)
{
	const char *dot = strchr(path, '.');
	AUTO(free) char *group = dot ? strndup(path, (size_t)(dot - path)) : NULL;
	AUTO(free) char *text = strdup(json);
	json_t *into = group ? json_object_get(record, group) : record;

	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	assert_non_null(into);
	json_object_set_new(into, dot ? dot + 1 : path, json_loads(text, JSON_DECODE_ANY, NULL));
}

/* Doubts of record as "a,b". */
static char *judged(json_t *record, const json_t *earlier)
{
	char *text = strdup("");
	json_t *doubt;
	size_t i;

	doubts_judge(record, earlier);
	json_array_foreach(json_object_get(record, "doubts"), i, doubt)
	{
		char *more;

		assert_true(asprintf(&more, "%s%s%s", text, *text ? "," : "",
				    json_string_value(doubt)) > 0);
		free(text);
		text = more;
	}
	return text;
}

/* What a healthy cached run with up to three faults planted raises. */
struct plant {
	const char *path, *json;
};

static void expect(const char *doubts, const struct plant *p)
{
	json_t *record = parse(healthy), *earlier = json_array();

	json_array_append_new(earlier, parse(synthetic));
	for (; p->path; p++)
		plant(record, p->path, p->json);
	AUTO(free) char *have = judged(record, earlier);

	assert_string_equal(have, doubts);
	json_decref(record);
	json_decref(earlier);
}

#define EXPECT(doubts, ...) expect(doubts, (const struct plant[]){__VA_ARGS__, {NULL, NULL}})

static void test_what_is_healthy_raises_none(void **state)
{
	json_t *record = parse(synthetic), *none = json_array();
	AUTO(free) char *have = judged(record, none);

	assert_string_equal(have, "");
	EXPECT("", {"run", "'c'"});
	json_decref(record);
	json_decref(none);
}

static void test_cold(void **state)
{
	EXPECT("not-cold", {"chilled", "false"});
	EXPECT("not-cold", {"cold.origin_bytes", "3.4e9"});
	EXPECT("", {"cold.origin_bytes", "3.4999e9"});
	/* An origin that cannot be asked is no proof of the contrary. */
	EXPECT("", {"cold.origin_bytes", "null"});
	/* Without a cold figure there is nothing to doubt, unless it is the only epoch. */
	EXPECT("", {"chilled", "false"}, {"cold.images", "null"});
	EXPECT("not-cold", {"chilled", "false"}, {"cold.images", "null"}, {"epochs", "1"});
	EXPECT("", {"chilled", "null"}, {"cold.images", "null"}, {"epochs", "1"});
}

static void test_limits(void **state)
{
	/* Over 21.6 s of 2 CPUs in 12 s, whoever used them. */
	EXPECT("harness-limit", {"steady.au", "0.9"}, {"cpu_s.harness", "14.7"});
	EXPECT("harness-limit", {"steady.au", "0.9"}, {"cpu_s.cachefs", "19.2"});
	EXPECT("harness-limit", {"steady.au", "0.9"}, {"cpu_s.remote", "14.2"});
	EXPECT("harness-limit", {"steady.au", "0.9"}, {"cpu_s.harness", "22"},
		{"cpu_s.cachefs", "null"});
	EXPECT("", {"steady.au", "0.9"}, {"cpu_s.harness", "14.5"});
	EXPECT("", {"steady.au", "0.9"});
	EXPECT("", {"cpu_s.harness", "23"});
	EXPECT("origin-limit", {"steady.au", "0.6"}, {"steady.origin_bytes", "1.98e9"});
	EXPECT("", {"steady.au", "0.6"}, {"steady.origin_bytes", "1.5e9"});
	EXPECT("", {"steady.origin_bytes", "1.98e9"});
	EXPECT("", {"steady.au", "0.6"}, {"steady.origin_bytes", "1.98e9"}, {"has_tier", "false"});
	EXPECT("", {"steady.au", "0.6"}, {"steady.origin_bytes", "1.98e9"},
		{"knobs", "{'remote.bandwidth':{'value':'0','from':'default'}}"});
	EXPECT("tier-disk-limit", {"steady.au", "0.9"}, {"tier_native_bytes_per_s", "1000e6"});
	EXPECT("", {"steady.au", "0.9"}, {"tier_native_bytes_per_s", "1001e6"});
	EXPECT("", {"steady.au", "0.9"}, {"tier_native_bytes_per_s", "null"});
	EXPECT("", {"tier_native_bytes_per_s", "500e6"});
}

/* 498 MB/s are to be given; without a limit, the demand of 870. */
static void test_a_local_disk_below_the_emulated_one(void **state)
{
	const char *unlimited = "{'remote.bandwidth':{'value':'0','from':'default'}}";

	EXPECT("local-disk-limit", {"steady.au", "0.5"}, {"data_native_bytes_per_s", "572e6"});
	EXPECT("", {"steady.au", "0.5"}, {"data_native_bytes_per_s", "573e6"});
	EXPECT("", {"steady.au", "0.5"}, {"data_native_bytes_per_s", "null"});
	EXPECT("", {"data_native_bytes_per_s", "100e6"});
	EXPECT("local-disk-limit", {"steady.au", "0.5"}, {"data_native_bytes_per_s", "1000e6"},
		{"knobs", unlimited});
	EXPECT("", {"steady.au", "0.5"}, {"data_native_bytes_per_s", "1001e6"},
		{"knobs", unlimited});
}

static void test_a_harness_that_cannot_feed_synthetic(void **state)
{
	json_t *record = parse(healthy), *reference = parse(synthetic), *earlier = json_array();

	plant(reference, "steady.au", "0.98");
	json_array_append_new(earlier, reference);
	AUTO(free) char *have = judged(record, earlier);

	assert_string_equal(have, "harness-limit");
	plant(record, "steady.pct_of_synthetic", "24");
	AUTO(free) char *behind = judged(record, earlier);

	assert_string_equal(behind, "");
	json_decref(record);
	json_decref(earlier);
}

static void test_the_clock(void **state)
{
	/* 120 steps in the job. */
	EXPECT("clock-late", {"steady.au", "0.9"}, {"late_steps", "7"});
	EXPECT("", {"steady.au", "0.9"}, {"late_steps", "6"});
	EXPECT("", {"late_steps", "100"});
	/* Each of 8 GPUs can be late in each of them. */
	EXPECT("", {"steady.au", "0.9"}, {"late_steps", "48"},
		{"knobs", "{'bench.sync':{'value':'none','from':'option'}}"});
	EXPECT("clock-late", {"steady.au", "0.9"}, {"late_steps", "49"},
		{"knobs", "{'bench.sync':{'value':'none','from':'option'}}"});
}

static void test_the_page_cache(void **state)
{
	EXPECT("page-cache-served", {"page_cache.max_seen", "34e6"},
		{"page_cache.verified", "false"});
	/* What is allowed was decided by the run. */
	EXPECT("page-cache-served", {"page_cache.max_seen", "2e6"},
		{"page_cache.verified", "false"});
	EXPECT("", {"page_cache.max_seen", "1e6"});
	EXPECT("page-cache-unverified", {"page_cache.max_seen", "null"},
		{"page_cache.verified", "false"});
	EXPECT("", {"page_cache.max_seen", "3e9"}, {"page_cache.asked", "null"});
	EXPECT("", {"page_cache.max_seen", "null"}, {"page_cache.asked", "null"},
		{"page_cache.verified", "false"});
}

static void test_too_little_measured(void **state)
{
	EXPECT("too-short", {"steady.images", "25087"}); /* one image less than 49 steps */
	EXPECT("", {"steady.images", "25600"});
	EXPECT("too-short", {"queue_depth", "7"});
	EXPECT("", {"queue_depth", "6"}, {"prefetch", "7"});
	EXPECT("too-short", {"queue_depth", "null"}, {"prefetch", "7"});
	/* Each epoch begins anew: the steps of several are no more. */
	EXPECT("", {"epochs", "1"});
	EXPECT("too-short", {"epochs", "3"});
	EXPECT("", {"epochs", "3"}, {"steady.images", "51200"});
	EXPECT("too-short", {"epochs", "3"}, {"steady.images", "50000"});
	EXPECT("few-repeats", {"repeats", "2"});
	EXPECT("", {"repeats", "1"}, {"profile", "'path'"},
		{"knobs", "{'bench.repeats':{'from':'default'}}"});
	EXPECT("few-repeats", {"repeats", "1"}, {"profile", "'path'"},
		{"knobs", "{'bench.repeats':{'from':'option'}}"});
}

static void test_reads_that_are_more_than_was_asked(void **state)
{
	EXPECT("read-amplified", {"steady.origin_bytes", "4.3e9"});
	EXPECT("read-amplified", {"cold.origin_bytes", "4.3e9"});
	EXPECT("", {"steady.origin_bytes", "4.1e9"}, {"cold.origin_bytes", "4.1e9"});
	EXPECT("", {"steady.origin_bytes", "4.3e9"}, {"ended_early", "true"});
	EXPECT("", {"steady.origin_bytes", "null"}, {"cold.origin_bytes", "null"});
}

static void test_samples(void **state)
{
	EXPECT("sample-count", {"samples.twice", "1"});
	EXPECT("sample-count", {"samples.missing", "1"});
	EXPECT("sample-count", {"samples.crc_errors", "1"});
}

/* Two epochs of 30,720 samples from fewer; of foreign shards only the bytes are known, and those by
 * an estimate. */
static void test_samples_that_do_not_last(void **state)
{
	EXPECT("", {"data", "{'samples':30720}"}, {"epochs", "2"});
	EXPECT("sample-count", {"data", "{'samples':30719}"}, {"epochs", "2"});
	EXPECT("", {"data", "{'samples':null,'bytes':3.3e9}"}, {"epochs", "2"},
		{"job.bytes_consumed", "7e9"});
	EXPECT("sample-count", {"data", "{'samples':null,'bytes':3e9}"}, {"epochs", "2"},
		{"job.bytes_consumed", "7e9"});
}

static void test_faster_than_synthetic(void **state)
{
	EXPECT("faster-than-synthetic", {"steady.pct_of_synthetic", "100.6"});
	EXPECT("", {"steady.pct_of_synthetic", "100.4"});
}

/* The rate of an earlier record like the healthy one but for PATH. */
static char *judged_beside(const char *path, const char *json, const char *rate)
{
	json_t *record = parse(healthy), *other = parse(healthy), *earlier = json_array();
	char *have;

	plant(other, path, json);
	plant(other, "steady.images_per_s", rate);
	json_array_append_new(earlier, parse(synthetic));
	json_array_append_new(earlier, other);
	have = judged(record, earlier);
	json_decref(record);
	json_decref(earlier);
	return have;
}

static void test_repeats_that_differ(void **state)
{
	AUTO(free) char *apart = judged_beside("repeat", "1", "6900");
	AUTO(free) char *near = judged_beside("repeat", "1", "7100");
	AUTO(free) char *source = judged_beside("source", "'remote'", "4000");
	AUTO(free) char *gpus = judged_beside("gpus", "4", "3800");
	AUTO(free) char *variant = judged_beside("variant", "'slow'", "4000");

	assert_string_equal(apart, "noisy-machine");
	assert_string_equal(near, "");
	assert_string_equal(source, "");
	assert_string_equal(gpus, "");
	assert_string_equal(variant, "");
}

static void test_the_job_stands_for_a_run_without_steady_state(void **state)
{
	EXPECT("too-short", {"steady", "null"}, {"job.images", "2000"}, {"cold.images", "null"});
}

static void test_a_failed_run_has_no_doubts(void **state)
{
	EXPECT("", {"status", "'failed'"}, {"chilled", "false"}, {"repeats", "1"});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_healthy_raises_none),
		cmocka_unit_test(test_cold),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_a_local_disk_below_the_emulated_one),
		cmocka_unit_test(test_a_harness_that_cannot_feed_synthetic),
		cmocka_unit_test(test_the_clock),
		cmocka_unit_test(test_the_page_cache),
		cmocka_unit_test(test_too_little_measured),
		cmocka_unit_test(test_reads_that_are_more_than_was_asked),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_samples_that_do_not_last),
		cmocka_unit_test(test_faster_than_synthetic),
		cmocka_unit_test(test_repeats_that_differ),
		cmocka_unit_test(test_the_job_stands_for_a_run_without_steady_state),
		cmocka_unit_test(test_a_failed_run_has_no_doubts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
