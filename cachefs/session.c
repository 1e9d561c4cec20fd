/* SPDX-License-Identifier: Apache-2.0 */
/* A mount's life: see session.h. libfuse and fusermount3 tell their troubles on standard error;
 * while mounting they are caught, to be told in one line with a remedy. */
#include "cachefs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/fuse.h>
#include <sys/socket.h>

#include "cachefs/fs_ops.h"
#include "cachefs/mount.h"
#include "common/clock.h"
#include "common/cleanup.h"
#include "common/log.h"

#define INIT_WAIT_MS 10000
#define NUDGE_NS (50 * NSEC_PER_MSEC)
#define LEAVE_NS (5 * NSEC_PER_SEC)

/* What signals are told: BEFORE there is nothing to take away; LEAVING, the loop has ended. */
enum phase { BEFORE, SERVING, LEAVING, OVER };

struct session {
	struct fs fs;
	struct fuse_session *se;
	struct mount_entry place; /* where it is mounted; type empty: nowhere, or not by us */
	pthread_t main, signals;
	sigset_t caught;
	_Atomic enum phase phase;
	_Atomic bool disarming; /* the signal thread uses what is released after LEAVING */
};

/* ---- leaving ---- */

/* Takes the mount away, if it still is where it was: somebody may have been quicker, and may have
 * mounted something else there. */
static void detach(const struct session *s)
{
	const char *path = s->fs.request->mountpoint;
	struct mount_entry now;

	if (*s->place.type && !mount_find(MOUNTINFO, path, &now) && now.major == s->place.major &&
		now.minor == s->place.minor)
		mount_detach(path);
}

/* Puts a broken pipe in place of the descriptor of the session. That ends the connection, so nobody
 * waits in the kernel any more, while threads that still answer something write into the pipe and
 * not into whatever is opened next under that number. libfuse takes the POLLERR for a mount that
 * has gone, and does not unmount a second time. */
static void cut_off(struct fuse_session *se)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	close(fds[0]);
	dup3(fds[1], fuse_session_fd(se), O_CLOEXEC);
	close(fds[1]);
}

/* ---- signals ---- */

/* The origin or the disk tier does not let go of a thread in time. The tier's files bear it. */
static void give_up(struct session *s)
{
	log_warn("%s: the origin or the disk tier takes too long; ending without waiting for it",
		s->fs.request->mountpoint);
	detach(s);
	_exit(EXIT_DONE);
}

/* The only thread that takes signals. libfuse's loop waits on a semaphore, which a signal that
 * came a moment too early would not wake: so the loop is nudged until it has ended. From then on
 * the end has a deadline. SIGUSR1 says that the phase has changed. */
static void *take_signals(void *arg)
{
	static const struct timespec nudge = {.tv_nsec = NUDGE_NS};
	struct session *s = arg;
	int64_t until_ns;
	int sig = SIGUSR1;

	while (sig == SIGUSR1 && s->phase < LEAVING)
		sigwait(&s->caught, &sig);
	if (s->phase == BEFORE)
		_exit(EXIT_INTERRUPTED);
	s->disarming = true;
	if (s->phase == SERVING) {
		fs_disarm(&s->fs);
		fuse_session_exit(s->se);
	}
	s->disarming = false;
	until_ns = clock_now_ns() + LEAVE_NS;
	while (s->phase != OVER) {
		if (s->phase == SERVING)
			pthread_kill(s->main, SIGUSR2);
		if (clock_now_ns() > until_ns)
			give_up(s);
		sigtimedwait(&s->caught, NULL, &nudge);
	}
	return NULL;
}

static void enter_phase(struct session *s, enum phase phase)
{
	s->phase = phase;
	pthread_kill(s->signals, SIGUSR1);
}

static void ignore_signal(int sig)
{
}

static int start_signals(struct session *s, struct err *err)
{
	struct sigaction wake = {.sa_handler = ignore_signal}, none = {.sa_handler = SIG_IGN};
	int r;

	sigaction(SIGUSR2, &wake, NULL); /* without SA_RESTART */
	sigaction(SIGPIPE, &none, NULL);
	sigemptyset(&s->caught);
	sigaddset(&s->caught, SIGINT);
	sigaddset(&s->caught, SIGTERM);
	sigaddset(&s->caught, SIGHUP);
	sigaddset(&s->caught, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &s->caught, NULL);
	s->main = pthread_self();
	r = pthread_create(&s->signals, NULL, take_signals, s);
	return r ? err_set(err, r, "cannot start a thread: %s", strerror(r)) : 0;
}

static void end_signals(struct session *s)
{
	enter_phase(s, OVER);
	pthread_join(s->signals, NULL);
}

/* ---- what libfuse says ---- */

static char libfuse_said[256];

static void log_libfuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	vsnprintf(libfuse_said, sizeof(libfuse_said), fmt, ap);
	libfuse_said[strcspn(libfuse_said, "\n")] = '\0';
	log_info("%s", libfuse_said);
}

/* Standard error into a memory file, and back; *ret_text gets its first line. */
static int catch_stderr(int *ret_saved)
{
	AUTO(close) int mem = memfd_create("stderr", MFD_CLOEXEC);

	*ret_saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (mem < 0 || *ret_saved < 0)
		return -errno;
	return dup2(mem, STDERR_FILENO) < 0 ? -errno : 0;
}

static void release_stderr(int saved, char *ret_line, size_t size)
{
	ssize_t n = pread(STDERR_FILENO, ret_line, size - 1, 0);

	ret_line[n > 0 ? n : 0] = '\0';
	ret_line[strcspn(ret_line, "\n")] = '\0';
	if (saved >= 0) {
		dup2(saved, STDERR_FILENO);
		close(saved);
	}
}

static const char *remedy(const char *said)
{
	static const struct {
		const char *words, *remedy;
	} known[] = {
		{"user_allow_other", "add the line user_allow_other to /etc/fuse.conf as root, or "
				     "leave out allow_other"},
		{"write access to mountpoint", "choose a folder that belongs to this user"},
		{"mount_max", "unmount some, or raise mount_max in /etc/fuse.conf"},
		{"failed to exec", "install package fuse3, or mount as root"},
		{"fusermount3", "is fusermount3 setuid root? else mount as root"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strstr(said, known[i].words))
			return known[i].remedy;
	return "see dmesg, or mount as root";
}

static int mount_here(struct session *s, struct err *err)
{
	const char *path = s->fs.request->mountpoint;
	char said[256] = "";
	int saved = -1, r;

	libfuse_said[0] = '\0';
	catch_stderr(&saved);
	r = fuse_session_mount(s->se, path);
	release_stderr(saved, said, sizeof(said));
	if (r >= 0) {
		if (mount_given_fd(path) < 0)
			mount_find(MOUNTINFO, path, &s->place);
		return 0;
	}
	if (!*said)
		snprintf(said, sizeof(said), "%s", *libfuse_said ? libfuse_said : "mount failed");
	return err_set(err, EPERM, "%s: cannot mount: %s; %s", path, said, remedy(said));
}

/* ---- opening ---- */

static int check_origin(struct stack *stack, const char *url, struct err *err)
{
	struct object root;
	int r = store_stat(stack_top(stack), "", STORE_WAIT, &root);

	if (r == -ENOENT)
		return err_set(err, -r,
			"%s: the origin has nothing there; check the address and "
			"the path",
			url);
	if (r < 0)
		return err_set(err, -r, "%s: the origin does not answer as it should: %s; %s", url,
			strerror(-r),
			strstr(url, "://") ? "check the address, or try it with curl"
					   : "give a folder that this user may read");
	if (!root.is_dir)
		return err_set(err, ENOTDIR, "%s: this is a file; give the folder above it", url);
	return 0;
}

static int session_args(const struct mount_request *req, struct fuse_args *args)
{
	AUTO(free) char *name = NULL, *opts = NULL;
	int r = asprintf(&name, "fsname=%s", req->origin_url) < 0 ||
		fuse_opt_add_opt_escaped(&opts, name) < 0 ||
		fuse_opt_add_opt(&opts, "subtype=cachefs") < 0 ||
		fuse_opt_add_opt(&opts, "ro,nodev,nosuid,noatime,default_permissions") < 0;

	if (!r && req->allow_other)
		r = fuse_opt_add_opt(&opts, "allow_other") < 0;
	if (!r && req->noexec)
		r = fuse_opt_add_opt(&opts, "noexec") < 0;
	r = r || fuse_opt_add_arg(args, "cachefs") < 0 || fuse_opt_add_arg(args, "-o") < 0 ||
	    fuse_opt_add_arg(args, opts) < 0;
	return r ? -ENOMEM : 0;
}

static int session_new(struct session *s, struct err *err)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

	fuse_set_log_func(log_libfuse);
	if (session_args(s->fs.request, &args) >= 0)
		s->se = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), &s->fs);
	fuse_opt_free_args(&args);
	return s->se ? 0 : err_set(err, ENOMEM, "cannot set up FUSE: %s", libfuse_said);
}

/* Adds FUSE_PARALLEL_DIROPS to an answer to INIT. */
static void add_parallel_dirops(void *answer, size_t len)
{
	struct fuse_out_header head;
	struct fuse_init_out init;

	if (len < sizeof(head) + offsetof(struct fuse_init_out, flags) + sizeof(init.flags))
		return;
	memcpy(&head, answer, sizeof(head));
	if (head.error)
		return;
	memcpy(&init, (char *)answer + sizeof(head),
		offsetof(struct fuse_init_out, max_background));
	init.flags |= FUSE_PARALLEL_DIROPS;
	memcpy((char *)answer + sizeof(head), &init,
		offsetof(struct fuse_init_out, max_background));
}

/* libfuse 3.14 is asked for parallel lookups and forgets to tell the kernel, which then looks up one
 * name of a folder at a time, each a round trip to the origin; and it knows nothing of passthrough.
 * So what it answers to INIT goes through a socket, and on to the kernel with the flags added. */
static int process_init(struct session *s, const struct fuse_buf *buf)
{
	struct fuse_session *se = s->se;
	int fd = fuse_session_fd(se), pair[2];
	AUTO(close) int kernel = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	AUTO(close) int near = -1;
	AUTO(close) int far = -1;
	char answer[512];
	ssize_t n;

	if (kernel < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	near = pair[0];
	far = pair[1];
	if (dup3(far, fd, O_CLOEXEC) < 0)
		return -errno;
	fuse_session_process_buf(se, buf);
	n = recv(near, answer, sizeof(answer), MSG_DONTWAIT);
	if (dup3(kernel, fd, O_CLOEXEC) < 0)
		return -errno;
	if (n <= 0)
		return 0;
	add_parallel_dirops(answer, (size_t)n);
	fs_open_init(&s->fs, buf->mem, buf->size, answer, (size_t)n);
	return write(kernel, answer, (size_t)n) == n ? 0 : -errno;
}

/* The kernel sends INIT first and alone; once it is answered, the mount is ready for use. */
static int answer_init(struct session *s, struct err *err)
{
	struct fuse_buf buf = {0};
	int64_t until_ns = clock_now_ns() + INIT_WAIT_MS * NSEC_PER_MSEC;
	int r = 0;

	while (!s->fs.negotiated.done && r >= 0 && !fuse_session_exited(s->se)) {
		struct pollfd wait = {.fd = fuse_session_fd(s->se), .events = POLLIN};

		if (poll(&wait, 1, INIT_WAIT_MS) <= 0 && clock_now_ns() > until_ns)
			break;
		r = fuse_session_receive_buf(s->se, &buf);
		if (r > 0)
			r = process_init(s, &buf);
		r = r == -EINTR ? 0 : r;
	}
	free(buf.mem);
	if (s->fs.negotiated.done)
		return 0;
	return err_set(err, EIO,
		"%s: the kernel did not open the FUSE session (%s); unmount and "
		"try again",
		s->fs.request->mountpoint, r < 0 ? strerror(-r) : "no answer");
}

/* The mount's device number: of our own mount, or of the one that the given descriptor serves. */
static int find_device(const struct session *s, struct mount_entry *ret)
{
	char fdinfo[64];

	*ret = s->place;
	if (*s->place.type)
		return 0;
	snprintf(fdinfo, sizeof(fdinfo), "/proc/self/fdinfo/%d", fuse_session_fd(s->se));
	return mount_of_fd(fdinfo, ret);
}

/* The kernel takes the smaller readahead at INIT; only afterwards can it be raised. */
static void set_readahead(struct session *s)
{
	struct fs *fs = &s->fs;
	struct mount_entry mount;

	if (find_device(s, &mount) < 0) {
		fs->readahead_why = "not known: this kernel does not tell which mount it is";
		return;
	}
	int r = mount_set_readahead(&mount, fs->cfg->fuse.readahead);

	if (mount_get_readahead(&mount, &fs->readahead) < 0)
		fs->readahead_why = "no /sys/class/bdi";
	else if (r < 0)
		fs->readahead_why = "the kernel's own: only root may set it";
	else
		fs->readahead_why = "fuse.readahead";
}

static int serve(struct session *s, struct err *err)
{
	const struct config *cfg = s->fs.cfg;
	struct fuse_loop_config *loop = fuse_loop_cfg_create();
	int r;

	if (!loop)
		return err_set(err, ENOMEM, "not enough memory");
	fuse_loop_cfg_set_max_threads(loop, (unsigned)cfg->fuse.max_threads);
	if (cfg->fuse.max_idle_threads >= 0) /* 3.14 complains about its own default */
		fuse_loop_cfg_set_idle_threads(loop, (unsigned)cfg->fuse.max_idle_threads);
	fuse_loop_cfg_set_clone_fd(loop, cfg->fuse.clone_fd);
	r = fuse_session_loop_mt(s->se, loop);
	enter_phase(s, LEAVING);
	fuse_loop_cfg_destroy(loop);
	if (r < 0)
		return err_set(err, -r, "%s: the FUSE session broke: %s; mount again",
			s->fs.request->mountpoint, strerror(-r));
	return 0;
}

static int run_mounted(struct session *s, ready_fn *ready, void *arg, struct err *err)
{
	int r = answer_init(s, err);

	if (r >= 0)
		r = fs_start(&s->fs, s->se, err);
	if (r < 0)
		return r;
	set_readahead(s);
	log_info("%s: mounted %s; %d CPUs (%s), %lld FUSE threads at most",
		s->fs.request->mountpoint, s->fs.request->origin_url, s->fs.workers.cpus,
		s->fs.workers.topology.why, (long long)s->fs.cfg->fuse.max_threads);
	ready(arg);
	r = serve(s, err);
	log_info("%s: leaving", s->fs.request->mountpoint);
	return r;
}

/* From mounting to the moment when nothing is mounted and no thread will answer any more. */
static int mount_and_serve(struct session *s, ready_fn *ready, void *arg, struct err *err)
{
	int r = session_new(s, err);

	if (r < 0)
		return r;
	enter_phase(s, SERVING);
	r = mount_here(s, err);
	if (r < 0)
		return r;
	r = run_mounted(s, ready, arg, err);
	enter_phase(s, LEAVING);
	while (s->disarming)
		clock_sleep_until(clock_now_ns() + NSEC_PER_MSEC);
	fs_quiet(&s->fs);
	detach(s);
	cut_off(s->se);
	return r;
}

int session_run(const struct mount_request *req, const struct config *cfg, ready_fn *ready,
	void *arg, struct err *err)
{
	struct session s = {.fs = {.cfg = cfg, .request = req}};
	int r = start_signals(&s, err);

	if (r < 0)
		return r;
	s.fs.stack = stack_open(cfg, req->origin, err);
	r = s.fs.stack ? check_origin(s.fs.stack, req->origin_url, err) : -EINVAL;
	if (r >= 0)
		r = fs_init(&s.fs, err);
	if (r >= 0)
		r = mount_and_serve(&s, ready, arg, err);
	fs_stop(&s.fs);
	stack_close(s.fs.stack);
	if (s.fs.inodes)
		fs_done(&s.fs);
	if (s.se) {
		fuse_session_unmount(s.se);
		fuse_session_destroy(s.se);
	}
	end_signals(&s);
	return r;
}
