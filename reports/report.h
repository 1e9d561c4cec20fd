/* SPDX-License-Identifier: Apache-2.0 */
/* report - from stored records to what people read: a page with pictures, and a table for terminals.
 *
 * A report is made from a results folder alone, so it can be made again at any time, by any
 * version that knows the schema. It knows no source, layer or policy: names, order and colours
 * follow from the records in the order in which they were written.
 *
 * Reads   DIR/records.jsonl       one run a line, common/record.h
 *         DIR/environment.json    the machine; "command": how to repeat it (text or an array of
 *                                 arguments); "mounts": [{"path","type","source"}], network and
 *                                 FUSE mounts found on the machine
 *         DIR/profile.ini         the effective profile
 * Writes  DIR/report.html         one self-contained file
 *         DIR/PICTURE.csv, .png   the data and a copy for slides of each picture
 *
 * Files are replaced whole or not at all. What cannot be shown (cut-off lines, an unknown schema,
 * failed runs, no gnuplot, a missing file) is named in the report instead of failing it. */
#ifndef REPORTS_REPORT_H
#define REPORTS_REPORT_H

#include "common/err.h"

/* Returns 0 when report.html was written; err->msg then holds one line if something was left out
 * ("no pictures: gnuplot not found; apt-get install gnuplot-nox"), else is empty. Returns -errno
 * and a message when there is no folder, no record at all, or the page cannot be written. Takes at
 * most about 30 s a picture (gnuplot is killed after that). Not thread-safe in one DIR. */
int report_write(const char *dir, struct err *err);

/* The verdict and a table of the runs as plain text of at most 100 columns, ending in a newline;
 * free() it. NULL and err when there is no record. Starts no program and writes no file. */
char *report_text(const char *dir, struct err *err);

#endif
