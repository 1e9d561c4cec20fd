/* SPDX-License-Identifier: Apache-2.0 */
/* The doubts of docs/method.md, one row each. */
#include "reports/doubts.h"

#include <string.h>

#include "common/record.h"

static const struct doubt_text doubt_texts[] = {
	{"not-cold", "the first epoch was partly warm",
		"The first epoch was not cold: cached bytes were left, or fewer bytes came from the origin than the data holds.",
		"Use a fresh cache folder, or run as root with --bench.drop_caches=yes; a mount's own cache only its owner can empty."},
	{"harness-limit", "this machine's CPUs",
		"This machine ran out of CPU, so the storage may be faster than shown.",
		"Give it more cores (--bench.cpus), or emulate fewer or slower GPUs."},
	{"origin-limit", "the origin's figure",
		"The origin delivered as fast as it can, so this figure is the origin's and not the cache's.",
		"Raise --remote.bandwidth, or read more epochs so that the cache decides."},
	{"tier-disk-limit", "the disk under the cache",
		"Native reads of the disk tier's own files give less than 1.15 times the demand: the disk is the limit.",
		"Put --disk.path on a faster disk, or ask for fewer GPUs."},
	{"local-disk-limit", "this machine's disk",
		"Native reads of the files that stand for the remote disk give less than 1.15 times what it was to give: the local disk may be the limit.",
		"Set XDG_CACHE_HOME to a faster disk, or lower --remote.bandwidth."},
	{"read-amplified", "more was fetched than consumed",
		"The origin gave over 1.2 times the bytes that were consumed: blocks were fetched that nobody read, or more than once.",
		"Fetch smaller blocks (--cache.block_size), or give the cache room for what is read at once."},
	{"clock-late", "this machine ran late",
		"Steps ended later than their deadlines because this machine did not run the harness in time.",
		"Stop other programs, or leave a core free."},
	{"noisy-machine", "repeats differ by over 8%",
		"Repeats of the same run differ by more than 8%, so smaller effects cannot be told from chance.",
		"Stop other programs, and add --bench.repeats=5."},
	{"page-cache-served", "memory was measured",
		"The kernel's page cache held more of the data than was asked for, so memory was measured and not storage.",
		"Use --bench.page_cache=none, or data larger than memory."},
	{"page-cache-unverified", "the page cache could not be seen",
		"What the page cache held could not be seen, because the files belong to another user.",
		"Run as the owner of the files, or as root."},
	{"too-short", "few steps",
		"An epoch had fewer than 50 steps, or less than ten times the queue.",
		"Raise --bench.steps or --bench.max_time."},
	{"few-repeats", "chance cannot be told apart",
		"Too few repeats to tell an effect from chance.", "Add --bench.repeats=7."},
	{"sample-count", "samples read twice or never",
		"Some samples were read twice or not at all in an epoch: there are fewer than the steps need, or the harness or the filesystem is at fault.",
		"Measure more data or fewer --bench.steps; if there are enough samples, report it with the folder of this run."},
	{"faster-than-synthetic", "cannot be",
		"The run beat data that is already in memory, which cannot be.",
		"Run again with --bench.repeats=5; if it stays, the synthetic run was disturbed."},
};

struct doubt_text doubt_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(doubt_texts); i++)
		if (!strcmp(doubt_texts[i].name, name))
			return doubt_texts[i];
	return (struct doubt_text){name, "", "This version of the report does not know this doubt.",
		"See docs/method.md of the version that measured."};
}

static bool lacks_samples(const json_t *record)
{
	return record_number(record, "scale.samples") > record_number(record, "data.samples") &&
	       !(record_number(record, "samples.crc_errors") > 0);
}

/* Every run with the doubt had fewer samples than its steps need. */
static bool all_lack_samples(const struct model *m)
{
	json_t *record, *doubt;
	size_t i, k, n = 0, few = 0;

	json_array_foreach(m->records, i, record)
	{
		json_array_foreach(json_object_get(record, "doubts"), k, doubt)
		{
			bool is = json_is_string(doubt) &&
				  !strcmp(json_string_value(doubt), "sample-count");

			n += is;
			few += is && lacks_samples(record);
		}
	}
	return n && n == few;
}

struct doubt_text doubt_explain(const struct model *m, const char *name)
{
	struct doubt_text text = doubt_find(name);

	if (!strcmp(name, "sample-count") && all_lack_samples(m)) {
		text.brief = "fewer samples than the steps need";
		text.means =
			"The steps need more samples than there are, so samples were read again in an epoch.";
		text.remedy = "Measure more data, or fewer --bench.steps.";
	}
	return text;
}

static void add_once(json_t *array, int gpus)
{
	json_t *have;
	size_t i;

	json_array_foreach(array, i, have)
	{
		if (json_integer_value(have) == gpus)
			return;
	}
	json_array_append_new(array, json_integer(gpus));
}

/* The object or array at key, made where there is none. */
static json_t *member(json_t *object, const char *key, json_t *(*make)(void))
{
	if (!json_object_get(object, key))
		json_object_set_new(object, key, make());
	return json_object_get(object, key);
}

json_t *doubts_collect(const struct model *m, int only_gpus)
{
	json_t *all = json_object(), *record, *doubt;
	size_t i, k;

	json_array_foreach(m->records, i, record)
	{
		const struct series *s = model_series_of(m, record);
		int gpus = (int)json_integer_value(json_object_get(record, "gpus"));

		if (only_gpus && gpus != only_gpus)
			continue;
		json_array_foreach(json_object_get(record, "doubts"), k, doubt)
		{
			const char *name = json_string_value(doubt);

			if (name && s)
				add_once(member(member(all, name, json_object), s->label,
						 json_array),
					gpus);
		}
	}
	return all;
}
