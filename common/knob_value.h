/* SPDX-License-Identifier: Apache-2.0 */
/* The value of one knob, parsed from text and checked against its row. For common/config.c. */
#ifndef FEEDRATE_KNOB_VALUE_H
#define FEEDRATE_KNOB_VALUE_H

#include "common/knob.h"

struct knob_value {
	int64_t number; /* BOOL, COUNT, SIZE, RATE, TIME, CHOICE */
	double ratio;
	bool is_word; /* one of the row's words: min and max do not apply */
};

/* 0; else -EINVAL or -ERANGE, and err names knob, text, range and remedy. */
int knob_parse(const struct knob *k, const char *text, struct knob_value *ret, struct err *err);

bool knob_same_value(const struct knob *k, const struct knob_value *a, const struct knob_value *b);

#endif
