/* SPDX-License-Identifier: Apache-2.0
 *
 * The figures that one run is compared with another by: a name, a number, which way is
 * better, and how much of it is noise on any machine.
 */
#ifndef OUTPOST_LOAD_FIGURES_H
#define OUTPOST_LOAD_FIGURES_H

#include "run.h"

#include <jansson.h>

struct figure {
    const char *name;
    const char *unit;
    bool higher_is_better;
    double noise; /* a difference up to this means nothing */
    bool known;   /* this run has it */
    double value;
};

enum { FIGURES_COUNT = 11 };

void figures_of(const struct run *run, struct figure figures_out[FIGURES_COUNT]);

/* What became worse than the baseline by more than the threshold, a line each to out; the
 * number of them. -1: *error is one line that says what is wrong with the baseline. */
int figures_compare(const struct figure figures[FIGURES_COUNT], const json_t *baseline,
                    double threshold, FILE *out, char *error, size_t size);

#endif
