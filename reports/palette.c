/* SPDX-License-Identifier: Apache-2.0 */
/* The colours: see palette.h. Series come first. */
#include "reports/palette.h"

#include "common/cleanup.h"

static const struct palette_color palette[] = {
	{"s0", "#5b6470", "#aab4c0"},
	{"s1", "#0067a5", "#5cb8f2"},
	{"s2", "#b04500", "#ff9d57"},
	{"s3", "#00735a", "#3fcfa3"},
	{"s4", "#9c3f7c", "#ef94c9"},
	{"s5", "#7a5c00", "#e3c04a"},
	{"s6", "#4a45a8", "#aeaaff"},
	{"paper", "#ffffff", "#14181d"},
	{"ink", "#1d2329", "#e8ebef"},
	{"muted", "#565f6a", "#a3adb8"},
	{"grid", "#dfe3e8", "#333b45"},
	{"axis_line", "#9aa3ad", "#5d6772"},
};

static int series_index(int n)
{
	return n < PALETTE_SERIES ? n : 1 + (n - 1) % (PALETTE_SERIES - 1);
}

const char *palette_series(int n)
{
	return palette[series_index(n)].light;
}

const char *palette_series_name(int n)
{
	return palette[series_index(n)].name;
}

const char *palette_name(int r, int g, int b)
{
	unsigned want = (unsigned)r << 16 | (unsigned)g << 8 | (unsigned)b, have;

	for (size_t i = 0; i < ARRAY_SIZE(palette); i++)
		if (sscanf(palette[i].light, "#%x", &have) == 1 && have == want)
			return palette[i].name;
	return NULL;
}

void palette_write_css(FILE *out, int dark)
{
	for (size_t i = 0; i < ARRAY_SIZE(palette); i++)
		fprintf(out, "--%s:%s;", palette[i].name,
			dark ? palette[i].dark : palette[i].light);
}

void palette_write_gnuplot(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(palette); i++)
		fprintf(out, "%s = '%s'\n", palette[i].name, palette[i].light);
}
