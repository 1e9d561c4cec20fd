/* SPDX-License-Identifier: Apache-2.0 */
/* How far away the emulated store is: latency, requests a second, bandwidth.
 *
 * Every connection has a thread, and all threads charge the same two buckets (common/bucket.h), so
 * a wait is a plain sleep to a point in time and costs nothing while it lasts. Bandwidth is charged
 * before bytes are handed to the socket: what the socket's buffer holds was paid for. */
#ifndef SYNTH_REMOTE_SHAPE_H
#define SYNTH_REMOTE_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bucket.h"
#include "common/knob.h"

struct shape {
	struct bucket bytes, requests;
	int64_t latency_ns; /* median */
	double jitter;      /* sigma of the lognormal */
	int stop_fd;        /* readable: nobody waits any longer */
};

/* stop_fd: an eventfd of the caller's, who makes it readable to end all waits. */
void shape_init(struct shape *s, const struct config *cfg, int stop_fd);

/* Waits until the first byte of an answer is due. */
void shape_request(struct shape *s);

/* Waits until the link has carried n more bytes. */
void shape_bytes(struct shape *s, uint64_t n);

/* Largest body that is charged in one go (5 ms of the link); all of them without a limit. A longer
 * one is charged piece by piece, or it would hold up every other connection. */
uint64_t shape_burst_bytes(const struct shape *s);

/* One draw of the latency, for tests of its distribution. */
int64_t shape_draw_latency(const struct shape *s);

#endif
