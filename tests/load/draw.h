/* SPDX-License-Identifier: Apache-2.0
 *
 * Random draws that are the same on every machine: splitmix64, and the laws that
 * clinics follow. A stream of draws belongs to one purpose, so that one more draw
 * here changes nothing there.
 */
#ifndef OUTPOST_LOAD_DRAW_H
#define OUTPOST_LOAD_DRAW_H

#include "outpost/record.h"

struct draw {
    uint64_t state;
};

/* A stream of its own for each purpose and number under one seed. */
struct draw draw_stream(uint64_t seed, uint64_t purpose, uint64_t number);

uint64_t draw_next(struct draw *draw);
/* 0..count-1; count is above 0. */
uint64_t draw_below(struct draw *draw, uint64_t count);
/* In [0, 1). */
double draw_unit(struct draw *draw);
bool draw_chance(struct draw *draw, double probability);
/* Gaussian: mean 0, standard deviation 1. */
double draw_normal(struct draw *draw);
/* Exponential with mean 1. */
double draw_exponential(struct draw *draw);
/* Version 4. */
struct record_uuid draw_uuid(struct draw *draw);

/* Ranks 0..count-1 with probability proportional to 1 / (rank + 1) ^ skew. */
struct zipf {
    double *sums;
    size_t count;
};

/* False: no memory. */
bool zipf_init(struct zipf *zipf, size_t count, double skew);
void zipf_deinit(struct zipf *zipf);
size_t zipf_pick(const struct zipf *zipf, struct draw *draw);
/* The rank's share of all, in [0, 1]. */
double zipf_share(const struct zipf *zipf, size_t rank);

#endif
