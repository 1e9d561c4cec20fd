/* SPDX-License-Identifier: Apache-2.0 */
/* The formats there are, and names they share. */
#include "synth/layout.h"

#include <inttypes.h>

static const struct layout *const layouts[] = {&layout_tfrecord, &layout_imagefolder};

const struct layout *layout_find(enum data_format format)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
		if (layouts[i]->format == format)
			return layouts[i];
	return NULL;
}

char *layout_class_name(uint32_t class, char buf[CLASS_NAME_MAX])
{
	snprintf(buf, CLASS_NAME_MAX, "n%08u", 90000000 + class);
	return buf;
}

char *layout_file_name(uint32_t class, uint64_t index, char buf[FILE_NAME_MAX])
{
	snprintf(buf, FILE_NAME_MAX, "n%08u_%" PRIu64 ".JPEG", 90000000 + class, index);
	return buf;
}
