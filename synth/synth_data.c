/* SPDX-License-Identifier: Apache-2.0 */
/* synth-data: ImageNet-shaped data sets at the rate of the disk.
 *
 * Real JPEGs with ImageNet's sizes, incompressible, no two alike, the same for the same seed, as
 * TFRecord shards or class folders, with a checksum a sample. docs/internals/synth.md. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/knob.h"
#include "common/log.h"
#include "common/topology.h"
#include "common/units.h"
#include "synth/generate.h"

static atomic_bool stop;
static bool json;

static int seen(const char *name, const char *value, void *arg, struct err *err)
{
	json = true; /* the only option that is no knob */
	return 0;
}

static const struct cli_option options[] = {
	{"format", 0, "FORMAT", "data.format", "tfrecord (default) or imagefolder"},
	{"samples", 'n', "N", "data.samples", "images to make: 3840, 1.2M; at most 1G"},
	{"bytes", 0, "SIZE", "data.bytes", "or bytes of images to make: 3GB, 512MiB"},
	{"seed", 0, "S", "data.seed", "same seed, same bytes; 0 or more (default 1)"},
	{"shards", 0, "N", "data.shards",
		"files of a tfrecord set, 1 to 65536 (default 128, or N samples if fewer)"},
	{"threads", 'j', "N", "data.threads",
		"threads, 1 to 1024 (default auto: the CPUs this process may use)"},
	{"json", 0, NULL, NULL, "print what was made as JSON"},
	{0},
};

static const struct cli cli = {
	.program = "synth-data",
	.usage = "synth-data DIR --samples N | --bytes SIZE [--format tfrecord|imagefolder]\n"
		 "                  [--seed S] [--shards N] [--threads N] [--json]\n"
		 "synth-data /data/small --samples 3840\n"
		 "synth-data /data/imagenet --format imagefolder --bytes 146.9GB",
	.summary = "Makes an ImageNet-shaped data set; given again, goes on after an interrupt.",
	.options = options,
	.owner = OWNER_SYNTH_DATA,
	.seen = seen,
};

static int count_threads(const struct config *cfg, int *ret, struct err *err)
{
	struct topology t;
	int r = 0;

	if (cfg->data.threads == KNOB_VALUE_AUTO) {
		r = topology_read("", &t, err);
		*ret = r < 0 ? 1 : topology_cpus(&t, CPU_AUTO);
	} else {
		*ret = (int)cfg->data.threads;
	}
	return r;
}

/* No shard may be empty: of a small set the default number is not insisted on. */
static int choose_shards(const struct config *cfg, struct set *s, struct err *err)
{
	bool asked = config_is_set(cfg, knob_find("data.shards", err));

	s->shards = (uint32_t)cfg->data.shards;
	if (s->shards <= s->samples)
		return 0;
	if (asked)
		return err_set(err, EINVAL,
			"--shards %u: more than the %" PRIu64 " samples; give at most as many",
			s->shards, s->samples);
	s->shards = (uint32_t)s->samples;
	return 0;
}

static int fill_job(const struct config *cfg, struct job *job, struct err *err)
{
	struct set *s = &job->set;

	if (!cfg->data.samples == !cfg->data.bytes)
		return err_set(err, EINVAL, "give --samples N or --bytes SIZE, one of them");
	s->format = (enum data_format)cfg->data.format;
	s->seed = (uint64_t)cfg->data.seed;
	s->classes = (uint32_t)cfg->data.classes;
	s->samples = (uint64_t)cfg->data.samples;
	if (cfg->data.bytes)
		s->samples = generate_samples_for(s->seed, (uint64_t)cfg->data.bytes);
	if (s->samples > GENERATE_SAMPLES_MAX)
		return err_set(err, EINVAL, "--bytes: more than %" PRIu64 " images; give less",
			GENERATE_SAMPLES_MAX);
	if (s->format == FORMAT_TFRECORD && choose_shards(cfg, s, err) < 0)
		return -EINVAL;
	return count_threads(cfg, &job->threads, err);
}

/* 0: make the set; 1: done already (--help). */
static int configure(struct config *cfg, int argc, char **argv, struct job *job, struct err *err)
{
	int operands = 0, r = cli_parse(&cli, cfg, argc, argv, &operands, err);

	if (r)
		return r;
	if (operands != 1)
		return err_set(err, EINVAL,
			"give one folder to fill: synth-data DIR --samples N; see --help");
	job->dir = argv[1];
	r = log_open("synth-data", cfg->log.level, cfg->log.file, err);
	return r < 0 ? r : fill_job(cfg, job, err);
}

/* ---- what is told while it works ---- */

static void show_progress(const struct made *m, void *arg)
{
	char done[UNITS_MAX], all[UNITS_MAX], rate[UNITS_MAX], left[UNITS_MAX];
	double have = (double)(m->before_bytes + m->made_bytes), total = (double)m->image_bytes;
	double per_s = m->seconds > 0 ? (double)m->made_bytes / m->seconds : 0;

	fprintf(stderr, "\r\033[Ksynth-data: %s of %s (%.0f%%), %s, %s left",
		units_human_bytes(have, done), units_human_bytes(total, all), 100 * have / total,
		units_human_rate(per_s, rate),
		per_s > 0 ? units_human_duration((total - have) / per_s, left) : "?");
}

static void show_end(const struct made *m, const char *dir)
{
	char bytes[UNITS_MAX], seconds[UNITS_MAX], rate[UNITS_MAX];

	if (!m->made_bytes)
		fprintf(stderr, "synth-data: %s is complete: %" PRIu64 " images, %s\n", dir,
			m->samples, units_human_bytes((double)m->bytes, bytes));
	else
		fprintf(stderr, "\r\033[Ksynth-data: %s: %" PRIu64 " images, %s, in %s (%s)\n", dir,
			m->samples, units_human_bytes((double)m->bytes, bytes),
			units_human_duration(m->seconds, seconds),
			units_human_rate((double)m->made_bytes / m->seconds, rate));
}

static void print_json(const struct job *job, const struct made *m)
{
	bool shards = job->set.format == FORMAT_TFRECORD;
	json_t *o = json_pack("{sssssIsIsIsIsfsfsIsi}", "dir", job->dir, "format",
		shards ? "tfrecord" : "imagefolder", "samples", (json_int_t)m->samples, "bytes",
		(json_int_t)m->bytes, "image_bytes", (json_int_t)m->image_bytes, "made_bytes",
		(json_int_t)m->made_bytes, "seconds", m->seconds, "bytes_per_s",
		m->seconds > 0 ? (double)m->made_bytes / m->seconds : 0, "seed",
		(json_int_t)job->set.seed, "threads", job->threads);

	if (o)
		json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

static void on_signal(int sig)
{
	atomic_store(&stop, true);
}

static int exit_code(int r)
{
	switch (r) {
	case 0:
		return EXIT_DONE;
	case -EINTR:
		return EXIT_INTERRUPTED;
	case -EEXIST:
	case -ENOTDIR:
	case -EINVAL:
		return EXIT_USAGE;
	default:
		return EXIT_FAILED;
	}
}

static int run(struct job *job, struct err *err)
{
	struct sigaction sa = {.sa_handler = on_signal};
	bool terminal = isatty(STDERR_FILENO);
	struct made made;
	int r;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	job->stop = &stop;
	job->progress = terminal ? show_progress : NULL;
	r = generate(job, &made, err);
	if (terminal && r < 0)
		fprintf(stderr, "\r\033[K");
	if (terminal && !r)
		show_end(&made, job->dir);
	if (json && !r)
		print_json(job, &made);
	return r;
}

int main(int argc, char **argv)
{
	struct config *cfg = config_new();
	struct job job = {0};
	struct err err = {""};
	int r, code = EXIT_FAILED;

	if (!cfg)
		return code;
	r = configure(cfg, argc, argv, &job, &err);
	if (r)
		code = r < 0 ? EXIT_USAGE : EXIT_DONE;
	else
		code = exit_code(r = run(&job, &err));
	if (r < 0)
		fprintf(stderr, "synth-data: %s\n", err.msg);
	log_close();
	config_free(cfg);
	return code;
}
