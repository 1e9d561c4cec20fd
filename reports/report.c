/* SPDX-License-Identifier: Apache-2.0 */
/* report_write(): model, pictures, page, in this order; see report.h. */
#include "reports/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "reports/limits.h"
#include "reports/page.h"
#include "reports/words.h"

static int write_page(const char *dir, const struct page *p, struct err *err)
{
	AUTO(free) char *text = page_text(p);
	AUTO(free) char *path = NULL;

	if (!text || asprintf(&path, "%s/report.html", dir) < 0)
		return err_set(err, ENOMEM, "%s: not enough memory for a report", dir);
	return file_write_atomic(path, text, strlen(text), 0644, err);
}

static void say_left_out(const struct model *m, struct err *err)
{
	size_t n = json_array_size(m->notes);
	const char *first = json_string_value(json_array_get(m->notes, 0));

	if (!n || !first)
		return;
	if (n == 1)
		err_set(err, 0, "the report leaves out %s", first);
	else
		err_set(err, 0, "the report leaves out %s, and %zu more: see it", first, n - 1);
}

int report_write(const char *dir, struct err *err)
{
	AUTO(model) struct model *m = model_load(dir, err);
	AUTO(free) struct drawing *drawings = calloc(n_pictures, sizeof(*drawings));
	AUTO(free) char *verdict = m ? words_verdict(m) : NULL;
	AUTO(free) char *limits = m ? limits_text(m->records) : NULL;
	AUTO(free) char *care = m ? words_care(m) : NULL;
	AUTO(free) char *setting = m ? words_setting(m) : NULL;
	int r;

	if (!m)
		return errno ? -errno : -EIO;
	if (!drawings || !verdict || !limits || !care || !setting)
		return err_set(err, ENOMEM, "%s: not enough memory for a report", dir);
	for (size_t i = 0; i < n_pictures; i++)
		picture_draw(m, &pictures[i], dir, &drawings[i]);
	r = write_page(dir,
		&(struct page){.model = m,
			.drawings = drawings,
			.verdict = verdict,
			.limits = limits,
			.care = care,
			.setting = setting},
		err);
	for (size_t i = 0; i < n_pictures; i++)
		drawing_done(&drawings[i]);
	if (!r)
		say_left_out(m, err);
	return r;
}
