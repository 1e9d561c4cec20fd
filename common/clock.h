/* SPDX-License-Identifier: Apache-2.0 */
/* Time in nanoseconds. Every duration in the project is an int64_t of nanoseconds, `*_ns`. */
#ifndef FEEDRATE_CLOCK_H
#define FEEDRATE_CLOCK_H

#include <stdint.h>

#define NSEC_PER_SEC 1000000000LL
#define NSEC_PER_MSEC 1000000LL
#define NSEC_PER_USEC 1000LL

int64_t clock_now_ns(void);  /* CLOCK_MONOTONIC */
int64_t clock_wall_ns(void); /* CLOCK_REALTIME, for log lines and file names only */
int64_t clock_cpu_ns(void);  /* CPU time of this process */
int64_t clock_thread_cpu_ns(void);

/* Sleeps until CLOCK_MONOTONIC reaches deadline_ns (absolute, so no drift); returns how late it
 * woke. Signals do not cut it short. */
int64_t clock_sleep_until(int64_t deadline_ns);

/* Sets this thread's timer slack to 1 us: the default of 50 us made absolute sleeps overshoot by
 * 150 us in the mean. */
void clock_precise_thread(void);

#endif
