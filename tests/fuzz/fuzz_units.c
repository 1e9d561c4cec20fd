/* SPDX-License-Identifier: Apache-2.0 */
/* Units: any text; what is taken prints and reads back to the same number. */
#include <stdlib.h>
#include <string.h>

#include "common/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char text[64], buf[UNITS_MAX];
	int64_t v, back = -1;
	double ratio;

	if (len >= sizeof(text))
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	if (!units_parse_size(text, &v) &&
		(units_parse_size(units_format_size(v, buf), &back) < 0 || back != v))
		abort();
	if (!units_parse_rate(text, &v) &&
		(units_parse_rate(units_format_rate(v, buf), &back) < 0 || back != v))
		abort();
	if (!units_parse_duration(text, &v) &&
		(units_parse_duration(units_format_duration(v, buf), &back) < 0 || back != v))
		abort();
	units_parse_count(text, &v);
	units_parse_ratio(text, &ratio);
	return 0;
}
