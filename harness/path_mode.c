/* SPDX-License-Identifier: Apache-2.0 */
/* `run-bench PATH`: see path_mode.h.
 *
 *   list a sample -> say the cost -> probe for two seconds -> lower the batch until the steps fit
 *     -> campaign: synthetic, then external
 *
 * What the user gave, by option or profile, stays; the rest is set so that the answer comes within a
 * minute:
 *
 *   listing     5 s, then what was found is enough; 10 s without any answer end it
 *   probe       2 s, 4 if nothing comes
 *   runs        50 steps in 15 s, ten times the queue where that is more (image folders); a run ends
 *               after 20 s. Several runs share that.
 *
 * The work is done under a guard, because a mount may be dead or die meanwhile. */
#include "harness/path_mode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/record.h"
#include "common/units.h"
#include "harness/campaign.h"
#include "harness/estimate.h"
#include "harness/guard.h"
#include "harness/listing.h"
#include "harness/pipeline.h"
#include "harness/probe.h"

#define STEPS 50
#define QUEUES 10
#define FIT_S 15.0
#define MOST_S 20.0
#define STEP_LEAST_S 0.005 /* of batches lowered: for less, the harness would be measured */
#define SEVERAL 0.8 /* of that for all runs together if there are several: each has its own start */
#define MAX_TIME_SHARE 0.75 /* of bench.max_time that the steps may take: as 15 s of 20 */
#define PROBE_SHARE 10      /* of bench.max_bytes for the probe: a tenth */
#define WORDS_MOST 16

struct path_mode {
	struct settings *settings;
	const char *path;
	struct settings_word words[WORDS_MOST + 1];
	char values[WORDS_MOST][32];
	size_t n_words;
	struct matrix matrix; /* as asked; the campaign makes its own */
	struct dataset data;
	struct probe probe;
	char why_scaled[200];
	FILE *out; /* for what is said before the campaign; NULL: quiet */
};

/* ---- settings ---- */

/* value is copied unless it is too long for that; then it must live as long. */
static void set_word(struct path_mode *p, const char *knob, const char *value)
{
	if (strlen(value) < sizeof(p->values[0]))
		value = strcpy(p->values[p->n_words], value);
	p->words[p->n_words++] = (struct settings_word){knob, value};
	p->settings->given = p->words;
}

/* Sets a knob that neither the profile nor the user did. */
static void set_default(struct path_mode *p, const char *knob, const char *value)
{
	if (settings_is_default(p->settings->cfg, knob))
		set_word(p, knob, value);
}

/* Makes the config and the plan anew, with the words set meanwhile. */
static int apply_words(struct path_mode *p, struct err *err)
{
	int r = settings_apply(p->settings, err);

	if (r)
		return r;
	matrix_done(&p->matrix);
	return matrix_build(&p->matrix, p->settings, false, err);
}

/* The last cell of source external: the one with most GPUs. NULL if there is none. */
static const struct cell *external_cell(const struct path_mode *p, int *ret_n)
{
	const struct cell *found = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < p->matrix.n_cells; i++) {
		const struct cell *c = &p->matrix.cells[i];

		if (strcmp(c->source->name, "external"))
			continue;
		*ret_n += 1;
		if (!found || c->gpus >= found->gpus)
			found = c;
	}
	return found;
}

static int choose_settings(struct path_mode *p, struct err *err)
{
	int runs, r = settings_load_profile(p->settings, NULL, err);

	if (r)
		return -EINVAL;
	set_word(p, "external.path", p->path);
	set_word(p, "bench.sources", "synthetic,external");
	set_default(p, "external.timeout", "10s");
	set_default(p, "bench.epochs", "1");
	set_default(p, "bench.page_cache", "none");
	r = apply_words(p, err);
	if (!r && !external_cell(p, &runs))
		r = err_set(err, EINVAL, "bench.sources=%s: without external nothing reads %s",
			p->settings->cfg->bench.sources, p->path);
	if (!r && strcmp(p->settings->cfg->external.path, p->path))
		r = err_set(err, EINVAL, "external.path=%s: %s is measured; give one of them",
			p->settings->cfg->external.path, p->path);
	return r;
}

/* ---- the plan ---- */

/* What one of n runs gets of the seconds for one. */
static double share(double seconds, int n)
{
	return n > 1 ? seconds * SEVERAL / n : seconds;
}

static int list_data(struct path_mode *p, struct err *err)
{
	const struct config *cfg = p->settings->cfg;
	const struct scan_limits limits = listing_limits(cfg, &campaign_stop);
	int r = dataset_scan(p->path, &limits, &p->data, err);

	if (r)
		return r;
	set_default(
		p, "bench.format", p->data.format == FORMAT_TFRECORD ? "tfrecord" : "imagefolder");
	return 0;
}

/* Whether path, or the nearest folder above it that exists, lies in the folder that is measured. */
static bool is_inside(const struct path_mode *p, const char *path)
{
	AUTO(free) char *copy = strdup(path);
	AUTO(close) int fd = -1;
	struct stat st, before = {0};

	while (copy && (fd = open(copy, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 && *copy) {
		char *slash = strrchr(copy, '/');

		if (!slash || slash == copy)
			snprintf(copy, strlen(copy) + 1, "%s", slash ? "/" : ".");
		else
			*slash = '\0';
		if (errno != ENOENT && errno != ENOTDIR)
			return false;
	}
	while (fd >= 0 && !fstat(fd, &st)) {
		int above = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		close(fd);
		fd = above;
		if (st.st_dev == p->data.scan.dev && st.st_ino == p->data.scan.ino)
			return true;
		if (st.st_dev == before.st_dev && st.st_ino == before.st_ino)
			return false;
		before = st;
	}
	return false;
}

/* Nothing is ever written below PATH: not the results either. */
static int check_places(const struct path_mode *p, struct err *err)
{
	const char *results = p->settings->output ? p->settings->output : "results";
	AUTO(free) char *work = prepare_work_root(p->settings->cfg);

	if (is_inside(p, results))
		return err_set(err, EINVAL,
			"%s lies in %s, where nothing is written; give a folder elsewhere with -o",
			results, p->path);
	if (work && is_inside(p, work))
		return err_set(err, EINVAL,
			"%s lies in %s, where nothing is written; set XDG_CACHE_HOME elsewhere",
			work, p->path);
	return 0;
}

/* ---- what is said ---- */

static void say_data(const struct path_mode *p)
{
	const struct dataset *d = &p->data;
	bool shards = d->format == FORMAT_TFRECORD;
	char bytes[UNITS_MAX];

	fprintf(p->out, "%s: %u %s, about %s, %s in %.2f s", p->path, d->n_files,
		shards ? "TFRecord shards" : "pictures in class folders",
		units_human_bytes((double)d->bytes, bytes),
		d->manifest ? "by their manifest" : "listed", d->scan.seconds);
	if (d->scan.partial)
		fprintf(p->out, ", a sample: there are more");
	if (d->scan.unreadable)
		fprintf(p->out, "; %u folder%s may not be read", d->scan.unreadable,
			d->scan.unreadable == 1 ? "" : "s");
	if (d->scan.left_out)
		fprintf(p->out, "; %u %s beside them are left out, --bench.format=%s reads those",
			d->scan.left_out, shards ? "pictures" : "TFRecord shards",
			shards ? "imagefolder" : "tfrecord");
	fputc('\n', p->out);
}

static void say_gpus(const struct path_mode *p)
{
	const struct variant *v = &p->matrix.variants[0];

	if (v->acc.name)
		fprintf(p->out, "%s: each GPU is a %s (%s), %.0f images/s, batch %d\n",
			settings_is_default(v->cfg, "bench.gpu_rate") ? "No --gpu-rate given"
								      : "--gpu-rate is 0",
			v->acc.name, v->acc.label, v->images_per_s, v->batch);
	if (settings_is_default(p->settings->cfg, "bench.gpus"))
		fprintf(p->out, "No --gpus given: %s\n", p->settings->cfg->bench.gpus);
}

/* Before anything but the listing has been done. */
static void say_cost(const struct path_mode *p, int runs)
{
	struct cost all = {0};
	int64_t limit = p->settings->cfg->bench.max_bytes;
	char bytes[UNITS_MAX], probe[UNITS_MAX];

	for (size_t i = 0; i < p->matrix.n_cells; i++) {
		struct cost one = estimate_cell(&p->matrix.cells[i], dataset_mean_bytes(&p->data));
		double most = limit && one.bytes > (double)limit ? (double)limit / one.bytes : 1;

		all.bytes += one.bytes * most;
		all.requests += one.bytes > 0 ? one.requests * most : 0;
	}
	fprintf(p->out,
		"Up to %s will be read from it in about %.0f requests by %d run%s, and up to %s "
		"by a probe before; nothing is written there\n",
		units_human_bytes(all.bytes, bytes), all.requests, runs, runs == 1 ? "" : "s",
		units_human_bytes(
			(double)(limit && limit / PROBE_SHARE < PROBE_BYTES ? limit / PROBE_SHARE
									    : PROBE_BYTES),
			probe));
}

/* ---- the probe, and what follows from it ---- */

static int probe(struct path_mode *p, const struct cell *c, struct err *err)
{
	int64_t most = p->settings->cfg->bench.max_bytes / PROBE_SHARE;
	char rate[UNITS_MAX];
	int r = probe_run(c, &p->data, p->path, most && most < PROBE_BYTES ? most : PROBE_BYTES,
		&p->probe, err);

	if (r)
		return r;
	p->data.mean_bytes = p->data.n_samples ? 0 : p->probe.image_bytes;
	if (p->out && p->probe.images_per_s > 0)
		fprintf(p->out, "Probed: %.0f images/s, %s\n", p->probe.images_per_s,
			units_human_rate(
				p->probe.images_per_s * dataset_mean_bytes(&p->data), rate));
	else if (p->out)
		fprintf(p->out, "Probed: not one image in 4 s\n");
	return 0;
}

/* Why a batch is as it is. */
enum bound { AS_ASKED, BY_TIME, BY_STEP, BY_BYTES };

/* The largest batch with which the steps of c end in fit_s, and keep within bench.max_bytes. Where the
 * storage is so slow that steps would be too short, fewer of them will end. */
static int fitting_batch(
	const struct path_mode *p, const struct cell *c, double fit_s, enum bound *ret_why)
{
	const struct variant *v = c->variant;
	double fed = p->probe.images_per_s / c->gpus, images = v->steps * (double)c->gpus;
	double rate = fed < v->images_per_s ? fed : v->images_per_s;
	double by_bytes = (double)(v->cfg->bench.max_bytes - p->probe.bytes) / images /
			  dataset_mean_bytes(&p->data);
	double most = fit_s * rate / v->steps;
	enum bound why = BY_TIME;

	if (most < STEP_LEAST_S * v->images_per_s) {
		most = STEP_LEAST_S * v->images_per_s;
		why = BY_STEP;
	}
	if (v->cfg->bench.max_bytes && by_bytes < most) {
		most = by_bytes;
		why = BY_BYTES;
	}
	*ret_why = most < v->batch ? why : AS_ASKED;
	return most < 1 ? 1 : most < v->batch ? (int)most : v->batch;
}

static void explain_batch(struct path_mode *p, int batch, enum bound why, double fit_s)
{
	int asked = p->matrix.variants[0].batch, steps = p->matrix.variants[0].steps;
	char *text = p->why_scaled;
	size_t n, len = sizeof(p->why_scaled);

	if (batch >= asked)
		return;
	n = (size_t)snprintf(text, len, "batch scaled %.3gx, %d instead of %d, ",
		(double)asked / batch, batch, asked);
	if (why == BY_STEP)
		snprintf(text + n, len - n, "and still %d steps will not end in %.3g s", steps,
			fit_s);
	else if (why == BY_BYTES)
		snprintf(text + n, len - n, "so that %d steps keep within bench.max_bytes", steps);
	else
		snprintf(text + n, len - n, "so that %d steps end in %.3g s", steps, fit_s);
}

/* Of all runs: one batch for all keeps them comparable. */
static int scale_batch(struct path_mode *p, int runs)
{
	const struct config *cfg = p->settings->cfg;
	double fit_s = share(FIT_S, runs);
	double most_s = MAX_TIME_SHARE * (double)cfg->bench.max_time / NSEC_PER_SEC;
	enum bound why = AS_ASKED, one;
	int batch = 0;

	if (cfg->bench.max_time && most_s < fit_s)
		fit_s = most_s;
	for (size_t i = 0; i < p->matrix.n_cells; i++) {
		int fits = fitting_batch(p, &p->matrix.cells[i], fit_s, &one);

		if (batch && fits >= batch)
			continue;
		batch = fits;
		why = one;
	}
	explain_batch(p, batch, why, fit_s);
	return batch;
}

/* The batch of a run that is in the folder already and is gone on with; 0: there is none. Another one
 * could not be compared with it. */
static int kept_batch(const struct path_mode *p)
{
	AUTO(free) char *path = NULL;
	json_t *records;
	double batch;

	if (!p->settings->output)
		return 0;
	if (asprintf(&path, "%s/records.jsonl", p->settings->output) < 0) {
		path = NULL;
		return 0;
	}
	records = record_load(path, NULL, NULL);
	batch = record_number(json_array_get(records, 0), "scale.batch");
	json_decref(records);
	return batch > 0 ? (int)batch : 0;
}

/* As few as make no figure doubtful (too-short), now that the format and so the queue is known. */
static int set_steps(struct path_mode *p, struct err *err)
{
	struct run_spec spec;
	char text[32];
	int n, r = apply_words(p, err);

	if (r)
		return r;
	estimate_spec(external_cell(p, &n), &spec);
	spec.data = &p->data;
	n = QUEUES * (pipeline_depth(&spec) - 1);
	snprintf(text, sizeof(text), "%d", n > STEPS ? n : STEPS);
	set_default(p, "bench.steps", text);
	return 0;
}

static int set_max_time(struct path_mode *p, int runs, struct err *err)
{
	char text[32];

	snprintf(text, sizeof(text), "%.0fms", 1000 * share(MOST_S, runs));
	set_default(p, "bench.max_time", text);
	return apply_words(p, err);
}

/* ---- all of it ---- */

/* Returns an exit code, or -errno and err: then nothing has been printed. */
static int measure(struct path_mode *p, struct err *err)
{
	struct campaign_known known = {.external = &p->data, .why_scaled = p->why_scaled};
	const struct cell *c;
	int r, runs;

	r = choose_settings(p, err);
	if (!r)
		r = list_data(p, err);
	if (!r)
		r = set_steps(p, err);
	if (!r)
		r = check_places(p, err);
	if (r)
		return r;
	external_cell(p, &runs);
	r = set_max_time(p, runs, err);
	if (r)
		return r;
	c = external_cell(p, &runs);
	if (p->out) {
		say_data(p);
		say_gpus(p);
		say_cost(p, runs);
	}
	known.most_batch = kept_batch(p);
	if (!known.most_batch && !p->settings->dry_run) {
		r = probe(p, c, err);
		known.most_batch = r ? 0 : scale_batch(p, runs);
		known.read_bytes = p->probe.bytes;
	}
	return r ? r : campaign_run(p->settings, "path", &known);
}

static int body(void *arg)
{
	struct path_mode *p = arg;
	struct err err = {""};
	int r = measure(p, &err);

	if (r < 0) {
		fprintf(stderr, "run-bench: %s\n", err.msg[0] ? err.msg : strerror(-r));
		r = r == -EINVAL || r == -ERANGE ? EXIT_USAGE : EXIT_FAILED;
	}
	matrix_done(&p->matrix);
	dataset_done(&p->data);
	return r;
}

int path_mode_run(struct settings *s, struct err *err)
{
	struct path_mode p = {.settings = s,
		.path = settings_operand(s, 1),
		.out = s->quiet || s->json ? NULL : stderr};

	return guard_run(body, &p);
}
