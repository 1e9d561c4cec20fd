/* SPDX-License-Identifier: Apache-2.0 */
/* synth-remote: a folder served as an object store over HTTP, as far away as one likes.
 *
 * What the project's sources and origins are measured against: bandwidth, latency, requests a second
 * and connections are knobs, or a preset with published figures. docs/internals/synth.md. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "common/knob.h"
#include "common/log.h"
#include "common/preset.h"
#include "synth/synth_remote_serve.h"

static const struct cli_option options[] = {
	{"listen", 'l', "ADDR:PORT", "remote.listen",
		"where to listen (default 127.0.0.1:0); port 0: a free one, printed"},
	{"preset", 0, "NAME", "remote.preset", "lan-nas, oss, wan, cloud-ssd: see remotes.ini"},
	{0},
};

static const struct cli cli = {
	.program = "synth-remote",
	.usage = "synth-remote DIR [--listen ADDR:PORT] [--preset NAME] [--KNOB=VALUE]\n"
		 "synth-remote /data --listen 127.0.0.1:8080 --preset oss\n"
		 "synth-remote /data --remote.bandwidth=500MB/s --remote.latency=10ms",
	.summary = "Serves a folder as an object store over HTTP, with the speed of a remote one.",
	.options = options,
	.owner = OWNER_SYNTH_REMOTE,
};

/* 0: serve argv[1]. */
static int configure(struct config *cfg, int argc, char **argv, bool *ret_exit, struct err *err)
{
	int operands = 0, r = cli_parse(&cli, cfg, argc, argv, &operands, err);

	*ret_exit = r > 0;
	if (r)
		return r < 0 ? r : 0;
	if (operands != 1)
		return err_set(
			err, EINVAL, "give one folder to serve: synth-remote DIR; see --help");
	r = preset_apply(cfg, err);
	if (r < 0)
		return r;
	return log_open("synth-remote", cfg->log.level, cfg->log.file, err);
}

/* Blocked before any thread starts, so that only sigwait() below sees them. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigprocmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void serve(struct server *server, const sigset_t *until)
{
	int got;

	printf("%s\n", server_url(server));
	fflush(stdout);
	sigwait(until, &got);
	server_stop(server);
}

static int exit_code(int r)
{
	switch (r) {
	case 0:
		return EXIT_DONE;
	case -EINVAL:
	case -ERANGE:
	case -ENOENT:
	case -ENOTDIR:
		return EXIT_USAGE;
	default:
		return EXIT_FAILED;
	}
}

int main(int argc, char **argv)
{
	struct config *cfg = config_new();
	struct server *server = NULL;
	struct err err = {""};
	bool done = false;
	sigset_t until;
	int r;

	if (!cfg)
		return EXIT_FAILED;
	block_signals(&until);
	r = configure(cfg, argc, argv, &done, &err);
	if (!r && !done)
		r = server_start(argv[1], cfg, &server, &err);
	if (server)
		serve(server, &until);
	if (r < 0)
		fprintf(stderr, "synth-remote: %s\n", err.msg);
	log_close();
	config_free(cfg);
	return exit_code(r);
}
