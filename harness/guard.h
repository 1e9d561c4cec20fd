/* SPDX-License-Identifier: Apache-2.0 */
/* guard - an end for a program that touches filesystems which may never answer.
 *
 * A thread that waits for an answer of a hung FUSE daemon cannot even be killed, and a process with
 * such a thread never ends, so whoever waits for it hangs as well. So the work is done in a child:
 *
 *   run-bench ── relays signals, waits for the code ──> ends, whatever the child does
 *      └─ child ── does the work ── tells its code ──> ends, or is left behind in the system call */
#ifndef HARNESS_GUARD_H
#define HARNESS_GUARD_H

/* Calls body in a child process and returns what it returned, an enum exit_code. What body printed
 * has been printed; nothing else of it reaches the caller. Call it before any thread is started. */
int guard_run(int (*body)(void *arg), void *arg);

#endif
