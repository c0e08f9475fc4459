/* SPDX-License-Identifier: Apache-2.0
 *
 * A run told: as JSON, as one page of HTML made of the same JSON, and as a few lines on
 * the terminal.
 */
#ifndef OUTPOST_LOAD_REPORT_H
#define OUTPOST_LOAD_REPORT_H

#include "figures.h"

/* To be released by the caller; NULL: no memory. */
json_t *report_json(const struct run *run);
/* False: the file could not be written. */
bool report_write_json(const json_t *report, const char *path);
/* A page that needs nothing but itself. */
bool report_write_page(const json_t *report, const char *path);
void report_print(const json_t *report, FILE *out);

#endif
