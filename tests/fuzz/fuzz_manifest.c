/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests of data sets: whatever is accepted must be consistent. */
#include <stdio.h>
#include <stdlib.h>

#include "harness/dataset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	FILE *in = len ? fmemopen((void *)(uintptr_t)data, len, "r") : NULL;
	struct err err = {{0}};
	struct dataset d;

	if (!in)
		return 0;
	if (dataset_parse(in, "fuzz", 0, &d, &err) == 0) {
		for (uint32_t i = 0; i < d.n_samples; i++)
			if (d.samples[i].file >= d.n_files ||
				d.samples[i].len > d.files[d.samples[i].file].size)
				abort();
		for (uint32_t i = 0; i < d.n_files; i++)
			if (!dataset_path_ok(d.files[i].path))
				abort();
		dataset_done(&d);
	}
	fclose(in);
	return 0;
}
