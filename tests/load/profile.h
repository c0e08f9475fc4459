/* SPDX-License-Identifier: Apache-2.0
 *
 * How many arrivals a second, over time: straight pieces, one after the other.
 *
 *     constant  rate all the time
 *     ramp      from rate to peak, evenly
 *     step      rate, then up to peak in equal steps
 *     spike     nine o'clock in the morning: rate, then within a moment peak, a while of it, and
 * down soak      constant, for hours: what creeps shows idle      everybody follows and nearly
 * nobody writes: rate is that of the writers
 */
#ifndef OUTPOST_LOAD_PROFILE_H
#define OUTPOST_LOAD_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

enum profile_kind {
    PROFILE_CONSTANT,
    PROFILE_RAMP,
    PROFILE_STEP,
    PROFILE_SPIKE,
    PROFILE_SOAK,
    PROFILE_IDLE,
    PROFILE_KINDS,
};

enum {
    PROFILE_STEPS_MAX = 50,
};

struct profile {
    enum profile_kind kind;
    double rate, peak; /* arrivals a second */
    double seconds;
    unsigned steps;
    /* Made of the above by profile_make. */
    struct profile_piece {
        double from, to; /* arrivals a second */
        double seconds;
    } pieces[PROFILE_STEPS_MAX];
    size_t piece_count;
};

/* NULL, or false: no such name. */
const char *profile_name(enum profile_kind kind);
bool profile_parse(const char *name, enum profile_kind *kind_out);

/* Makes the pieces; steps is 1..PROFILE_STEPS_MAX, peak is 0 or above 0. */
void profile_make(struct profile *profile);

double profile_rate(const struct profile *profile, double second);
/* Arrivals in all. */
double profile_arrivals(const struct profile *profile);
/* The second at which so many have arrived; n is at most profile_arrivals. */
double profile_time_of(const struct profile *profile, double n);

#endif
