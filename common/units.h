/* SPDX-License-Identifier: Apache-2.0 */
/* Text with units to numbers and back.
 *
 *   size      bytes         64K = 65,536; K M G T (and KiB ...) are powers of 1024, kB MB GB TB of 1000
 *   rate      bytes/s       1.25G/s, 100M/s, 800Mbit/s; K M G in a rate are powers of 1000, as
 *                           network and disk vendors count; KiB MiB GiB stay powers of 1024
 *   duration  nanoseconds   30s, 10ms, 250us, 1.5h, 2d; a bare number is seconds
 *   count     integer       1000, 10k, 1.2M (powers of 1000)
 *   ratio     double        0.95, 95%
 *
 * Parsers take the whole string (spaces around it are allowed), refuse negative numbers except
 * count, and return 0, -EINVAL, or -ERANGE on overflow, with *ret untouched on failure. Fractions of
 * a byte or nanosecond are rounded, but never to 0, which often means "no limit"; a count must be
 * whole. */
#ifndef FEEDRATE_UNITS_H
#define FEEDRATE_UNITS_H

#include <stddef.h>
#include <stdint.h>

int units_parse_size(const char *s, int64_t *ret_bytes);
int units_parse_rate(const char *s, int64_t *ret_bytes_per_s);
int units_parse_duration(const char *s, int64_t *ret_ns);
int units_parse_count(const char *s, int64_t *ret);
int units_parse_ratio(const char *s, double *ret);

/* Exact text that the parsers above read back to the same number: "64K", "1.25G/s", "30s". */
#define UNITS_MAX 32
char *units_format_size(int64_t bytes, char buf[UNITS_MAX]);
char *units_format_rate(int64_t bytes_per_s, char buf[UNITS_MAX]);
char *units_format_duration(int64_t ns, char buf[UNITS_MAX]);

/* For people, three significant digits: "3.5 GB", "498 MB/s", "1m 20s". */
char *units_human_bytes(double bytes, char buf[UNITS_MAX]);
char *units_human_rate(double bytes_per_s, char buf[UNITS_MAX]);
char *units_human_duration(double seconds, char buf[UNITS_MAX]);

#endif
