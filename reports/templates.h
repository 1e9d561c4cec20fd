/* SPDX-License-Identifier: Apache-2.0 */
/* Templates, built into the library so that a report needs no file but the records: page.html.in
 * and plots/X.gp become template_page and template_X. */
#ifndef REPORTS_TEMPLATES_H
#define REPORTS_TEMPLATES_H

extern const char template_page[], template_style[], template_throughput[], template_percent[];

#endif
