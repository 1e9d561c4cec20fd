/* SPDX-License-Identifier: Apache-2.0 */
/* Building a record, group by group; the names are those of docs/method.md. */
#include "harness/run_record.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/record.h"
#include "common/topology.h"
#include "harness/dataset.h"
#include "harness/doubt.h"
#include "harness/pipeline.h"
#include "harness/verdict.h"

#define IMAGENET_IMAGES 1281167.0 /* ILSVRC-2012 train set */
#define SHOWN (OWNER_CACHEFS | OWNER_RUN_BENCH | OWNER_SYNTH_REMOTE)

/* Not measured is null, never 0. */
static json_t *number(double v)
{
	return isnan(v) || v < 0 ? json_null() : json_real(v);
}

static json_t *text(const char *s)
{
	return s ? json_string(s) : json_null();
}

static void put(json_t *into, const char *name, json_t *value)
{
	json_object_set_new(into, name, value);
}

/* The ok synthetic run of the same work: that of this repeat, else of the latest before, else any. */
static const json_t *find_synthetic(const struct run_facts *f)
{
	const json_t *found = NULL;

	for (size_t i = 0; i < f->matrix->n_cells; i++) {
		const struct cell *c = &f->matrix->cells[i];
		const json_t *record = NULL;

		if (!strcmp(c->source->name, "synthetic") && cell_same_work(c, f->cell))
			record = results_find(f->results, c);
		if (record && (!found || c->repeat <= f->cell->repeat))
			found = record;
	}
	return found;
}

static double main_rate(const json_t *record)
{
	char path[64];

	snprintf(path, sizeof(path), "%s.images_per_s", doubt_main_part(record));
	return record_number(record, path);
}

static json_t *au_per_gpu(const struct run_part *p, int gpus)
{
	json_t *all;

	if (!p->au_per_gpu)
		return json_null();
	all = json_array();
	for (int i = 0; i < gpus; i++)
		json_array_append_new(all, number(p->au_per_gpu[i]));
	return all;
}

static json_t *part(const struct run_part *p, int gpus, double synthetic_rate)
{
	double pct = p->images_per_s < 0 ? -1 : 100 * p->images_per_s / synthetic_rate;
	json_t *o = json_object();

	put(o, "images", number(p->images));
	put(o, "seconds", number(p->seconds));
	put(o, "images_per_s", number(p->images_per_s));
	put(o, "pct_of_synthetic", number(pct));
	put(o, "au", number(p->au));
	put(o, "au_per_gpu", au_per_gpu(p, gpus));
	put(o, "origin_bytes", number(p->origin_bytes));
	put(o, "page_cache_bytes", number(p->page_cache_bytes));
	put(o, "bytes_consumed", number(p->bytes_consumed));
	put(o, "hit_ratio", number(p->hit_ratio));
	put(o, "step_wait_p50_ms", number(p->step_wait_p50_ms));
	put(o, "step_wait_p99_ms", number(p->step_wait_p99_ms));
	put(o, "read_p50_ms", number(p->read_p50_ms));
	put(o, "read_p99_ms", number(p->read_p99_ms));
	return o;
}

static void put_identity(json_t *o, const struct run_facts *f)
{
	const struct cell *c = f->cell;
	const struct accelerator *acc = &c->variant->acc;
	const char *variant = c->variant->name;
	char id[160];

	snprintf(id, sizeof(id), "%s-%s%s%s-%d-%d", f->results->stamp, c->source->name,
		variant ? "-" : "", variant ? variant : "", c->gpus, c->repeat);
	put(o, "schema", json_string(RECORD_SCHEMA));
	put(o, "run", json_string(id));
	put(o, "status", json_string(f->result ? "ok" : "failed"));
	put(o, "error", text(f->error));
	put(o, "profile", json_string(f->profile));
	put(o, "variant", text(variant));
	put(o, "source", json_string(c->source->name));
	put(o, "source_label",
		text(c->source->label ? c->source->label : c->variant->cfg->external.path));
	put(o, "stands_in_for", text(c->stands_in_for));
	put(o, "gpus", json_integer(c->gpus));
	put(o, "accelerator", text(acc->name ? acc->name : "custom"));
	put(o, "accelerator_label", text(acc->label));
	put(o, "calibrated", json_boolean(acc->calibrated));
	put(o, "nominal_images_per_s", json_real(f->spec->images_per_s));
	put(o, "repeat", json_integer(c->repeat));
	put(o, "repeats", json_integer(c->repeats));
	put(o, "has_tier", json_boolean(f->spec->capacity_bytes > 0));
}

static json_t *scale(const struct run_facts *f)
{
	const struct variant *v = f->cell->variant;
	int full = v->acc.batch ? v->acc.batch : v->batch_asked;
	json_t *o = json_object();

	put(o, "batch", json_integer(v->batch));
	put(o, "batch_asked", json_integer(v->batch_asked));
	put(o, "batch_of_accelerator", v->acc.batch ? json_integer(full) : json_null());
	put(o, "batch_factor", json_real((double)full / v->batch));
	put(o, "steps", json_integer(v->steps));
	put(o, "steps_asked", json_integer(v->cfg->bench.steps));
	put(o, "samples", json_integer(cell_samples(f->cell)));
	put(o, "of_imagenet", json_real((double)cell_samples(f->cell) / IMAGENET_IMAGES));
	put(o, "why",
		f->prepared->why_scaled[0] ? json_string(f->prepared->why_scaled) : json_null());
	return o;
}

/* What there is to read; samples of foreign TFRecord shards are not known. */
static json_t *data(const struct run_facts *f)
{
	const struct dataset *d = f->spec->data;
	json_t *o;

	if (!d || f->spec->source->flags & SOURCE_NO_FILES)
		return json_null();
	o = json_object();
	put(o, "files", json_integer(d->n_files));
	put(o, "samples", d->n_samples ? json_integer(d->n_samples) : json_null());
	put(o, "bytes", json_integer((json_int_t)d->bytes));
	put(o, "manifest", json_boolean(d->manifest));
	put(o, "listing_s", d->scan.folders ? json_real(d->scan.seconds) : json_null());
	put(o, "partial", json_boolean(d->scan.partial));
	return o;
}

static double allowed_cpus(const struct run_facts *f)
{
	struct topology t;

	return topology_read("", &t, NULL) ? NAN : topology_cpus(&t, CPU_AUTO);
}

static void put_shape(json_t *o, const struct run_facts *f)
{
	const struct run_spec *s = f->spec;

	put(o, "batch", json_integer(s->batch));
	put(o, "steps", json_integer(s->steps));
	put(o, "epochs", json_integer(s->epochs));
	put(o, "prefetch", json_integer(s->prefetch));
	put(o, "queue_depth", json_integer(pipeline_depth(s) - 1));
	put(o, "readers", json_integer(s->readers));
	put(o, "allreduce_s", json_real((double)s->allreduce_ns / NSEC_PER_SEC));
	put(o, "scale", scale(f));
	put(o, "data", data(f));
	put(o, "capacity_bytes", json_integer(s->capacity_bytes));
	put(o, "cpus", number(allowed_cpus(f)));
	put(o, "demand_bytes_per_s", json_real(s->images_per_s * s->gpus * f->image_bytes));
	put(o, "tier_native_bytes_per_s", number(f->tier_rate));
	put(o, "data_native_bytes_per_s", number(f->data_rate));
}

static json_t *page_cache(const struct run_facts *f)
{
	int64_t asked = f->spec->cfg->bench.page_cache;
	json_t *o;

	if (!(f->spec->source->flags & SOURCE_PAGE_CACHE))
		return json_null();
	o = json_object();
	put(o, "asked", asked == PAGE_CACHE_ANY ? json_null() : json_integer(asked));
	put(o, "max_seen", number((double)f->result->page_cache_max_seen));
	put(o, "verified", json_boolean(f->result->page_cache_verified));
	return o;
}

static json_t *samples(const struct run_result *r)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "checked", (json_int_t)r->samples_checked, "twice",
		(json_int_t)r->samples_twice, "missing", (json_int_t)r->samples_missing,
		"crc_errors", (json_int_t)r->crc_errors);
}

static json_t *cpu_s(const struct run_result *r)
{
	json_t *o = json_object();

	put(o, "harness", number(r->cpu_harness_s));
	put(o, "cachefs", number(r->cpu_cachefs_s));
	put(o, "remote", number(r->cpu_remote_s));
	return o;
}

/* Parts of a failed run are null: nothing was measured. */
static void put_result(json_t *o, const struct run_facts *f)
{
	const struct run_result *r = f->result;
	const json_t *synthetic = find_synthetic(f);
	bool own = !strcmp(f->cell->source->name, "synthetic");
	int gpus = f->spec->gpus;
	double rate = synthetic ? main_rate(synthetic) : NAN;

	if (own && r)
		rate = r->steady.images_per_s >= 0 ? r->steady.images_per_s : r->job.images_per_s;
	put(o, "synthetic_run",
		own ? json_incref(json_object_get(o, "run"))
		    : text(synthetic ? record_text(synthetic, "run") : NULL));
	put(o, "startup_s", r ? number(r->startup_s) : json_null());
	put(o, "cold", r ? part(&r->cold, gpus, rate) : json_null());
	put(o, "steady", r ? part(&r->steady, gpus, rate) : json_null());
	put(o, "job", r ? part(&r->job, gpus, rate) : json_null());
	put(o, "page_cache", r ? page_cache(f) : json_null());
	put(o, "chilled",
		!r || f->spec->source->flags & SOURCE_NO_FILES ? json_null()
							       : json_boolean(r->chilled));
	put(o, "queue_start", r ? json_integer(r->queue_start) : json_null());
	put(o, "queue_end", r ? json_integer(r->queue_end) : json_null());
	put(o, "late_steps", r ? json_integer((json_int_t)r->late_steps) : json_null());
	put(o, "ended_early", r ? json_boolean(r->ended_early) : json_null());
	put(o, "samples", r ? samples(r) : json_null());
	put(o, "cpu_s", r ? cpu_s(r) : json_null());
	put(o, "counters", r && r->counters ? json_incref(r->counters) : json_null());
}

json_t *run_record(const struct run_facts *f)
{
	json_t *o = json_object();

	if (!o)
		return NULL;
	put_identity(o, f);
	put_shape(o, f);
	put_result(o, f);
	put(o, "knobs", config_to_json(f->spec->cfg, SHOWN));
	put(o, "env", json_incref((json_t *)f->env));
	doubts_judge(o, f->results->records);
	put(o, "limit", text(verdict_limit(o)));
	return o;
}
