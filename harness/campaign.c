/* SPDX-License-Identifier: Apache-2.0 */
/* One invocation from plan to report: see campaign.h.
 *
 *   sweep what dead ones left -> matrix -> list the user's data -> disk and memory -> results folder -> data
 *     -> for each cell: work folder, run, record -> report
 *
 * A run that fails becomes a record and does not stop the others. An interrupted one leaves no
 * record: the same command does it again. */
#include "harness/campaign.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/record.h"
#include "common/tier_check.h"
#include "common/units.h"
#include "harness/cache_mount.h"
#include "harness/disk_probe.h"
#include "harness/doubt.h"
#include "harness/estimate.h"
#include "harness/listing.h"
#include "harness/mounts.h"
#include "harness/progress.h"
#include "harness/results.h"
#include "harness/run_record.h"
#include "harness/work_dir.h"
#include "reports/report.h"

#define PROBE_THREADS 16
#define PROBE_S 1.0

volatile bool campaign_stop;

struct campaign {
	struct settings *settings;
	const char *profile;
	const struct campaign_known *known;
	double image_bytes; /* of one on average, before the data are opened */
	struct matrix matrix;
	struct prepared prepared;
	struct results results;
	struct work_dir work;
	struct progress progress;
	json_t *env;
	struct listing *listings;
	double *tier_rate; /* [matrix.n_gpus] native, of the tier's files; 0: not probed yet */
	double data_rate;  /* the same of embedded data; negative: unknown */
	int failed;
};

/* The second signal ends the process; the kernel then ends its children. */
static void on_signal(int number)
{
	if (campaign_stop)
		_exit(EXIT_INTERRUPTED);
	campaign_stop = true;
}

static void catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void complain(const struct err *err)
{
	fprintf(stderr, "run-bench: %s\n", err->msg);
}

static bool wants(const struct config *cfg, const char *source)
{
	char **list = list_split(cfg->bench.sources, ',', NULL);
	bool found = false;

	for (char **s = list; s && *s; s++)
		found |= !strcmp(*s, source);
	list_free(list);
	return found;
}

/* Tried by mounting; a dry run only looks whether it could be. */
static bool fuse_works(bool dry_run, const char *scratch, struct err *why)
{
	AUTO(free) char *program = file_sibling_program("cachefs");

	if (!program) {
		err_set(why, ENOENT, "cachefs is not built; install libfuse3-dev and build again");
		return false;
	}
	if (dry_run)
		return !mounts_fuse_there(why);
	return !mounts_fuse_usable(scratch, why) && !cache_mount_try(scratch, why);
}

/* Whether `stack` must stand in for `cached`. Who asked for `cached` by name on the command line, or
 * for an own origin, which needs it, gets an error instead. */
static int check_fuse(struct campaign *c, bool *ret_missing, struct err *err)
{
	const struct config *cfg = c->settings->cfg;
	AUTO(free) char *scratch = NULL;
	struct err why = {0};

	*ret_missing = false;
	if (!wants(cfg, "cached"))
		return 0;
	scratch = work_dir_run(&c->work, 0, err);
	if (!scratch)
		return -EIO;
	if (fuse_works(c->settings->dry_run, scratch, &why))
		return 0;
	if (cfg->remote.origin[0])
		return err_set(err, ENODEV, "source cached: %s", why.msg);
	if (settings_from_option(cfg, "bench.sources"))
		return err_set(
			err, ENODEV, "source cached: %s; or name stack in its place", why.msg);
	progress_say(&c->progress,
		"No FUSE here, so `stack` (the same layers without FUSE) stands in "
		"for `cached`: %s",
		why.msg);
	*ret_missing = true;
	return 0;
}

static int open_work(struct campaign *c, struct err *err)
{
	AUTO(free) char *root = prepare_work_root(c->settings->cfg);
	struct work_sweep swept = {0};

	int r = tier_check(c->settings->cfg, NULL, NULL, err); /* work lies beside the tier */

	if (r)
		return r;
	if (!root)
		return err_set(err, ENOMEM, "out of memory");
	if (!c->settings->dry_run)
		work_dir_sweep(root, false, &swept);
	if (swept.dead)
		progress_say(&c->progress, "Removed what %d dead run%s had left in %s", swept.dead,
			swept.dead == 1 ? "" : "s", root);
	return work_dir_open(&c->work, root, err);
}

static void say_listing(const struct listing *l, FILE *out)
{
	char bytes[UNITS_MAX];

	if (l->r)
		fprintf(out, "%s: %s\n", l->place, l->why.msg);
	else
		fprintf(out, "%s: %u %s, about %s, listed in %.2f s%s\n", l->place, l->data.n_files,
			l->data.format == FORMAT_TFRECORD ? "TFRecord shards"
							  : "pictures in class folders",
			units_human_bytes((double)l->data.bytes, bytes), l->data.scan.seconds,
			l->data.scan.partial ? ", a sample: there are more" : "");
}

/* The user's data, listed already but for a dry run. */
static void say_listings(const struct campaign *c, FILE *out)
{
	const char *said = "";

	for (const struct listing *l = c->listings; l; l = l->next)
		say_listing(l, out);
	for (size_t i = 0; c->settings->dry_run && !c->known && i < c->matrix.n_cells; i++) {
		const char *place = listing_place(&c->matrix.cells[i]);

		if (place && strcmp(place, said))
			fprintf(out, "First %s is listed, for %g s at most\n", place,
				(double)LISTING_NS / NSEC_PER_SEC);
		said = place ? place : said;
	}
	if (c->matrix.without_remote)
		fprintf(out,
			"Source remote is left out: it would read embedded data at an emulated "
			"rate, which has nothing to do with %s; give --remote.path, or name it in "
			"--sources\n",
			c->settings->cfg->remote.origin[0] ? c->settings->cfg->remote.origin
							   : "remote.origin");
}

static void say_plan(struct campaign *c, FILE *out)
{
	AUTO(free) bool *kept = calloc(c->matrix.n_cells + 1, sizeof(*kept));
	struct cost cost;
	size_t runs = c->matrix.n_cells;
	char time[UNITS_MAX], bytes[UNITS_MAX], data[UNITS_MAX], memory[UNITS_MAX];
	int64_t held = 0;

	if (estimate_memory(&c->matrix, &held, NULL))
		held = 0;
	for (size_t i = 0; kept && i < c->matrix.n_cells; i++) {
		kept[i] = results_find(&c->results, &c->matrix.cells[i]) != NULL;
		runs -= kept[i];
	}
	cost = estimate_matrix(&c->matrix, &c->prepared, kept, c->image_bytes);
	fprintf(out, "%zu run%s, about %s, %s to read in %.0f requests, %s of memory", runs,
		runs == 1 ? "" : "s", units_human_duration(cost.seconds, time),
		units_human_bytes(cost.bytes, bytes), cost.requests,
		units_human_bytes((double)held, memory));
	if (c->prepared.samples && !c->prepared.have_data)
		fprintf(out, "; first %s of data are made in %s",
			units_human_bytes((double)c->prepared.data_bytes, data), c->prepared.data);
	fprintf(out, "\n");
	say_listings(c, out);
	if (c->prepared.why_scaled[0])
		fprintf(out, "Scaled down: %s\n", c->prepared.why_scaled);
}

static void print_runs(const struct campaign *c)
{
	for (size_t i = 0; i < c->matrix.n_cells; i++) {
		const struct cell *cell = &c->matrix.cells[i];
		struct cost cost = estimate_cell(cell, c->image_bytes);
		char time[UNITS_MAX], bytes[UNITS_MAX];

		printf("  %-10s %-12s %4d GPU%s  repeat %d of %d  %d x %d steps of %d images  %s  %s\n",
			cell->source->name, cell->variant->name ? cell->variant->name : "",
			cell->gpus, cell->gpus == 1 ? " " : "s", cell->repeat + 1, cell->repeats,
			cell_epochs(cell), cell->variant->steps, cell->variant->batch,
			units_human_duration(cost.seconds, time),
			units_human_bytes(cost.bytes, bytes));
	}
}

/* The same, for programs. */
static void dump_plan(const struct campaign *c)
{
	json_t *all = json_array();

	for (size_t i = 0; i < c->matrix.n_cells; i++) {
		const struct cell *cell = &c->matrix.cells[i];
		struct cost cost = estimate_cell(cell, c->image_bytes);

		json_array_append_new(
			all, json_pack("{s:s, s:s?, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f}",
				     "source", cell->source->name, "variant", cell->variant->name,
				     "gpus", cell->gpus, "repeat", cell->repeat, "repeats",
				     cell->repeats, "epochs", cell_epochs(cell), "steps",
				     cell->variant->steps, "batch", cell->variant->batch, "seconds",
				     cost.seconds, "bytes", cost.bytes, "requests", cost.requests));
	}
	all = json_pack("{s:o}", "runs", all);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

/* Lowers batches to what the caller has found to fit. */
static void scale_batches(struct campaign *c)
{
	int most = c->known ? c->known->most_batch : 0;

	for (size_t i = 0; most && i < c->matrix.n_variants; i++)
		if (c->matrix.variants[i].batch > most)
			c->matrix.variants[i].batch = most;
	if (c->known && c->known->why_scaled[0])
		snprintf(c->prepared.why_scaled, sizeof(c->prepared.why_scaled), "%s",
			c->known->why_scaled);
}

/* Whether the user's data are pictures where nobody has given a format. One that cannot be listed
 * fails its runs, not the others. */
static int list_data(struct campaign *c, bool *ret_pictures, struct err *err)
{
	AUTO(free) char *dir = work_dir_run(&c->work, 0, err);

	*ret_pictures = false;
	for (size_t i = 0; dir && !campaign_stop && i < c->matrix.n_cells; i++) {
		const struct cell *cell = &c->matrix.cells[i];
		const struct dataset *data;
		struct err why = {0};

		if (listing_place(cell) &&
			!listing_get(&c->listings, cell, dir, &campaign_stop, &data, &why) &&
			settings_is_default(cell->variant->cfg, "bench.format"))
			*ret_pictures |= data->format == FORMAT_IMAGEFOLDER;
	}
	return !dir ? -EIO : campaign_stop ? -EINTR : 0;
}

/* Readers are those of the user's data, and so are all that is compared with them. */
static int follow_data(struct campaign *c, bool fuse_missing, struct err *err)
{
	static const struct settings_word words[] = {{"bench.format", "imagefolder"}, {NULL, NULL}};
	bool pictures;
	int r;

	if (c->known || c->settings->dry_run)
		return 0;
	r = list_data(c, &pictures, err);
	if (r || !pictures)
		return r;
	c->settings->given = words;
	r = settings_apply(c->settings, err);
	if (r)
		return r;
	matrix_done(&c->matrix);
	return matrix_build(&c->matrix, c->settings, fuse_missing, err);
}

/* Not fewer steps than runs that are kept already have. */
static int check_kept_steps(const struct campaign *c, const int *kept, struct err *err)
{
	for (size_t i = 0; i < c->matrix.n_variants; i++)
		if (c->matrix.variants[i].steps < kept[i])
			return err_set(err, ENOSPC,
				"%s holds runs of %d steps an epoch, and for so many the disk has no room "
				"now (%s); make room, or give another -o",
				c->settings->output, kept[i], c->prepared.why_scaled);
	return 0;
}

/* What the machine has room for, as in the runs of the same command that are kept. */
static int fit(struct campaign *c, struct err *err)
{
	AUTO(free) int *kept = calloc(c->matrix.n_variants, sizeof(*kept));
	char why[sizeof(c->prepared.why_scaled)] = "";
	int r;

	if (!kept)
		return err_set(err, ENOMEM, "out of memory");
	results_keep_steps(c->settings, &c->matrix, why, sizeof(why));
	for (size_t i = 0; i < c->matrix.n_variants; i++)
		kept[i] = c->matrix.variants[i].steps;
	r = prepare_plan(&c->prepared, &c->matrix, err);
	if (!r && why[0])
		r = check_kept_steps(c, kept, err);
	if (!r && why[0])
		memcpy(c->prepared.why_scaled, why, sizeof(why));
	return r;
}

static int plan(struct campaign *c, struct err *err)
{
	int64_t memory;
	bool fuse_missing;
	int r = check_fuse(c, &fuse_missing, err);

	if (!r)
		r = matrix_build(&c->matrix, c->settings, fuse_missing, err);
	if (!r)
		r = follow_data(c, fuse_missing, err);
	if (!r)
		r = fit(c, err);
	if (!r)
		scale_batches(c);
	if (!r && !(c->tier_rate = calloc(c->matrix.n_gpus, sizeof(*c->tier_rate))))
		r = err_set(err, ENOMEM, "out of memory");
	return r ? r : estimate_memory(&c->matrix, &memory, err);
}

/* The data of a cell, in *own where they are not the caller's; NULL for none. Synthetic runs take the
 * lengths of the samples that others read, if these are known. */
static int open_data(struct campaign *c, const struct cell *cell, const char *work_dir,
	struct dataset *own, const struct dataset **ret, struct err *err)
{
	bool no_files = cell->source->flags & SOURCE_NO_FILES;
	int r;

	*ret = NULL;
	if (c->known && (no_files || !strcmp(cell->source->name, "external"))) {
		*ret = c->known->external;
		return 0;
	}
	if (listing_place(cell))
		return listing_get(&c->listings, cell, work_dir, &campaign_stop, ret, err);
	if (!no_files)
		r = prepare_dataset(&c->prepared, cell, own, err);
	else if (c->prepared.samples)
		r = dataset_load(c->prepared.data, (uint32_t)cell_samples(cell), own, NULL);
	else
		return 0;
	if (!r)
		*ret = own;
	return no_files ? 0 : r;
}

/* Native reads of the files that a run has left in its tier: a second, so once a GPU count, whose
 * tiers are alike and on one disk. Where the page cache may hold them they decide nothing. */
static double probe_tier(struct campaign *c, const struct run_spec *spec)
{
	AUTO(free) char *tier = NULL;
	double *rate = c->tier_rate;

	if (!spec->capacity_bytes || spec->cfg->bench.page_cache != 0)
		return -1;
	for (size_t i = 0; i < c->matrix.n_gpus && c->matrix.gpus[i] != spec->gpus; i++)
		rate++;
	if (*rate > 0)
		return *rate;
	if (asprintf(&tier, "%s/tier", spec->work_dir) < 0) {
		tier = NULL;
		return -1;
	}
	*rate = disk_probe_rate(tier, PROBE_THREADS, PROBE_S);
	return *rate;
}

/* The emulated remote disk is no faster than the one its files lie on. Once, too. */
static double probe_data(struct campaign *c, const struct cell *cell)
{
	if (strcmp(cell->source->name, "remote") != 0 || !prepare_is_embedded(cell))
		return -1;
	if (!c->data_rate)
		c->data_rate = disk_probe_rate(c->prepared.data, PROBE_THREADS, PROBE_S);
	return c->data_rate;
}

static void say_result(struct campaign *c, const json_t *record)
{
	const char *error = record_text(record, "error");
	const json_t *part = json_object_get(record, doubt_main_part(record));
	double rate = record_number(part, "images_per_s"), au = record_number(part, "au");
	double pct = record_number(part, "pct_of_synthetic");

	if (error)
		progress_failed(&c->progress, error);
	else if (isnan(pct))
		progress_end(&c->progress, "%.0f images/s, AU %.1f%%", rate, 100 * au);
	else
		progress_end(&c->progress, "%.0f images/s, AU %.1f%%, %.1f%% of synthetic", rate,
			100 * au, pct);
}

static int keep_record(struct campaign *c, struct run_facts *f, struct err *err)
{
	json_t *record = run_record(f);

	if (!record)
		return err_set(err, ENOMEM, "out of memory");
	say_result(c, record);
	if (c->settings->json) {
		json_dumpf(record, stdout, RECORD_FLAGS);
		putchar('\n');
		fflush(stdout);
	}
	return results_append(&c->results, record, err);
}

static void describe(struct campaign *c, const struct cell *cell, const char *work_dir,
	const struct dataset *data, struct run_spec *spec)
{
	const char *dir = prepare_folder(&c->prepared, cell);

	estimate_spec(cell, spec);
	spec->data = data;
	spec->data_dir = dir ? dir : "";
	spec->work_dir = work_dir;
	spec->progress = progress_tick;
	spec->progress_arg = &c->progress;
	spec->stop = &campaign_stop;
	if (c->known && spec->max_bytes > c->known->read_bytes)
		spec->max_bytes -= c->known->read_bytes;
	if (data && (!strcmp(cell->source->name, "cached") || !strcmp(cell->source->name, "stack")))
		spec->capacity_bytes = prepare_capacity(cell, data->bytes);
}

/* -EINTR: interrupted; other failures are the folder's, not the run's. */
static int do_cell(
	struct campaign *c, const struct cell *cell, const char *work_dir, struct err *err)
{
	struct dataset own = {0};
	const struct dataset *data;
	struct run_result result = {0};
	struct run_spec spec;
	struct err why = {0};
	int r = open_data(c, cell, work_dir, &own, &data, &why), kept;

	describe(c, cell, work_dir, data, &spec);
	if (!r)
		r = run_execute(&spec, &result, &why);
	struct run_facts facts = {.cell = cell,
		.matrix = &c->matrix,
		.spec = &spec,
		.prepared = &c->prepared,
		.result = r ? NULL : &result,
		.error = r ? why.msg : NULL,
		.profile = c->profile,
		.image_bytes = data ? dataset_mean_bytes(data) : c->image_bytes,
		.tier_rate = r ? -1 : probe_tier(c, &spec),
		.data_rate = r ? -1 : probe_data(c, cell),
		.env = c->env,
		.results = &c->results};
	c->failed += r != 0;
	kept = campaign_stop ? -EINTR : keep_record(c, &facts, err);
	if (!r)
		run_result_done(&result);
	dataset_done(&own);
	return kept;
}

static double seconds_after(const struct campaign *c, size_t i)
{
	double left = 0;

	while (++i < c->matrix.n_cells)
		if (!results_find(&c->results, &c->matrix.cells[i]))
			left += estimate_cell(&c->matrix.cells[i], c->image_bytes).seconds;
	return left;
}

static int run_all(struct campaign *c, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && !campaign_stop && i < c->matrix.n_cells; i++) {
		const struct cell *cell = &c->matrix.cells[i];
		AUTO(free) char *work_dir = NULL;

		if (results_find(&c->results, cell))
			continue;
		progress_start(&c->progress, cell, estimate_cell(cell, c->image_bytes).seconds,
			seconds_after(c, i));
		work_dir = work_dir_run(&c->work, (int)i + 1, err);
		if (!work_dir)
			return -EIO;
		r = do_cell(c, cell, work_dir, err);
		work_dir_drop(work_dir);
	}
	return campaign_stop ? -EINTR : r;
}

static int finish(struct campaign *c, struct err *err)
{
	AUTO(free) char *text = NULL;
	int r = report_write(c->results.dir, err);

	if (r)
		return r;
	if (err->msg[0])
		progress_say(&c->progress, "run-bench: %s", err->msg);
	if (c->settings->json)
		return 0;
	text = report_text(c->results.dir, err);
	fputs(text ? text : "", stdout);
	printf("Report: %s/report.html\n", c->results.dir);
	return 0;
}

static int measure(struct campaign *c, struct err *err)
{
	AUTO(free) char *log = NULL;
	int r = results_open(&c->results, c->settings, &c->matrix, c->profile, err);

	if (r)
		return r;
	c->progress.runs = (int)c->matrix.n_cells - c->results.kept;
	if (c->results.kept)
		progress_say(&c->progress, "%d of %zu runs are in %s already", c->results.kept,
			c->matrix.n_cells, c->results.dir);
	if (!c->progress.quiet)
		say_plan(c, stderr);
	if (asprintf(&log, "%s/synth-data.log", c->work.path) < 0) {
		log = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	r = prepare_make(
		&c->prepared, &c->matrix, c->progress.quiet ? log : NULL, &campaign_stop, err);
	if (!r)
		r = run_all(c, err);
	return r ? r : finish(c, err);
}

static int steps_of_campaign(struct campaign *c, struct err *err)
{
	int r = open_work(c, err);

	if (!r)
		r = plan(c, err);
	if (r)
		return r;
	if (c->settings->dry_run && c->settings->json) {
		dump_plan(c);
		return 0;
	}
	if (c->settings->dry_run) {
		say_plan(c, stdout);
		print_runs(c);
		return 0;
	}
	c->env = record_environment();
	return c->env ? measure(c, err) : err_set(err, ENOMEM, "out of memory");
}

/* What the user asked for cannot be: usage; what this machine or a run refuses: failed. */
static int exit_code(const struct campaign *c, int r)
{
	if (campaign_stop)
		return EXIT_INTERRUPTED;
	if (r == -EINVAL || r == -ERANGE || r == -EEXIST)
		return EXIT_USAGE;
	return r || c->failed ? EXIT_FAILED : EXIT_DONE;
}

int campaign_run(struct settings *s, const char *profile, const struct campaign_known *known)
{
	struct campaign c = {.settings = s,
		.profile = profile,
		.known = known,
		.image_bytes = known ? dataset_mean_bytes(known->external) : PREPARE_IMAGE_BYTES,
		.work = {.lock = -1},
		.prepared = {.hold = -1}};
	struct err err = {0};
	int r;

	catch_signals();
	progress_init(&c.progress, s->quiet || s->json, 0);
	r = steps_of_campaign(&c, &err);
	if (campaign_stop && c.results.dir)
		fprintf(stderr, "run-bench: interrupted; the same command with -o %s goes on\n",
			c.results.dir);
	else if (campaign_stop)
		fprintf(stderr, "run-bench: interrupted\n");
	else if (r)
		complain(&err);
	work_dir_close(&c.work);
	results_done(&c.results);
	prepare_done(&c.prepared);
	listing_free(c.listings);
	free(c.tier_rate);
	matrix_done(&c.matrix);
	json_decref(c.env);
	return exit_code(&c, r);
}
