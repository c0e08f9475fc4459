/* SPDX-License-Identifier: Apache-2.0
 *
 * Who does what when: all arrivals of a run, in order of time, from a seed. It
 * depends on its options alone, never on how the server does, so two servers get
 * the same load; and an arrival's time is when a nurse meant to begin, which is
 * what latency is counted from.
 */
#ifndef OUTPOST_LOAD_SCHEDULE_H
#define OUTPOST_LOAD_SCHEDULE_H

#include "draw.h"
#include "profile.h"

/* What a nurse does before the sync. */
#define WORKS(X)          \
    X(READING, "reading") \
    X(EDIT, "edit")       \
    X(PATIENT, "patient") \
    X(MOVE, "move")       \
    X(FIRST, "first")     \
    X(NOTHING, "nothing")

enum work {
#define X(name, text) WORK_##name,
    WORKS(X)
#undef X
        WORK_COUNT,
};

const char *work_name(enum work work);
bool work_parse(const char *name, size_t len, enum work *work_out);

struct arrival {
    int64_t at_us;   /* from the start of the run */
    uint32_t device; /* 0..devices-1 */
    enum work work;
    uint64_t seed; /* of what is drawn for this work */
};

struct schedule_options {
    uint64_t seed;
    const struct profile *profile;
    bool poisson; /* at random moments, or evenly spaced */
    uint32_t devices;
    double shares[WORK_COUNT]; /* of any sum above 0 */
};

struct schedule {
    struct schedule_options options;
    struct draw when, what;
    double arrived;
    double all;
};

void schedule_init(struct schedule *schedule, const struct schedule_options *options);

/* False: there are no more. */
bool schedule_next(struct schedule *schedule, struct arrival *arrival_out);

/* One more, whenever: the closed model's, where a device starts when another ends. */
void schedule_draw(struct schedule *schedule, struct arrival *arrival_out);

#endif
