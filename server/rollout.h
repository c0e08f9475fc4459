/* SPDX-License-Identifier: Apache-2.0
 *
 * Rollouts: which devices a schema revision goes out to, and what the others are not
 * given yet.
 *
 * A device is in a rollout's cohort by a hash of its id and the revision: it stays in it
 * while the share grows, on every server, and nothing is stored for it. A type or a
 * field that a rollout switches is withheld from every device outside. What a device
 * pushes is taken, whatever its revision and its cohort, so that nothing is stranded.
 *
 * Pure: no I/O, no time.
 */
#ifndef OUTPOST_SERVER_ROLLOUT_H
#define OUTPOST_SERVER_ROLLOUT_H

#include "outpost/record.h"

enum {
    /* Rollouts of one server, a region's own counted too: what every Hello reads. */
    ROLLOUTS_MAX = 32,
    ROLLOUT_SWITCHES_MAX = 64,
    /* Devices that are in a cohort by name. */
    ROLLOUT_NAMED_MAX = 256,
    /* Withheld from one device: bounds Welcome, the cursor and every page's filter. */
    ROLLOUT_TYPES_MAX = 16,
    ROLLOUT_FIELDS_MAX = 32,
    /* Steps that can be taken back. */
    ROLLOUT_STEPS_MAX = 16,
    /* Shares are in hundredths of a percent. */
    ROLLOUT_WHOLE = 10000,
    /* Syncs of a cohort before its errors can halt anything: below it one bad phone
     * would. */
    ROLLOUT_JUDGED_SYNCS = 20,
};

struct rollout {
    uint32_t revision;
    struct record_uuid region; /* of enrolment; zeros: of all that has none of its own */
    uint32_t minimum;          /* revision that the cohort needs to pull; 0: any */
    uint32_t halt_above;       /* share of syncs that fail or are refused; 0: any */
    uint64_t version;          /* how often it was changed */
    bool halted;               /* it does not grow, and nobody is told to upgrade */
    size_t step_count;
    uint32_t steps[ROLLOUT_STEPS_MAX]; /* shares, ascending; the last one holds */
};

uint32_t rollout_share(const struct rollout *rollout);

/* field 0: the whole type. */
struct rollout_switch {
    uint32_t revision, type, field;
};

struct rollout_named {
    uint32_t revision;
    struct record_uuid device;
};

struct rollouts {
    size_t count, switch_count, named_count;
    struct rollout list[ROLLOUTS_MAX];
    struct rollout_switch switches[ROLLOUT_SWITCHES_MAX];
    struct rollout_named named[ROLLOUT_NAMED_MAX];
};

/* ---- Cohorts ------------------------------------------------------------- */

struct rollout_device {
    struct record_uuid id;
    struct record_uuid enrolment_region;
};

/* Where the hash puts a device, 0 to ROLLOUT_WHOLE - 1; it is in while that is below the
 * share. */
uint32_t rollout_place(const struct record_uuid *device, uint32_t revision);

/* The rollout that holds for devices of that region; NULL: there is none. */
const struct rollout *rollout_for(const struct rollouts *rollouts, uint32_t revision,
                                  const struct record_uuid *region);

bool rollout_includes(const struct rollouts *rollouts, uint32_t revision,
                      const struct rollout_device *device);

/* What one device is told. */
struct rollout_view {
    uint64_t version;              /* of all rollouts: whether the view is still the same */
    uint32_t minimum, recommended; /* 0: none */
    size_t type_count;
    uint32_t types[ROLLOUT_TYPES_MAX]; /* withheld; ascending */
    size_t field_count;
    struct rollout_field {
        uint32_t type, field;
    } fields[ROLLOUT_FIELDS_MAX]; /* withheld; of types that are not */
};

/* Grows with every change of any rollout. */
uint64_t rollouts_version(const struct rollouts *rollouts);

struct rollout_view rollout_view_of(const struct rollouts *rollouts,
                                    const struct rollout_device *device);
bool rollout_withholds(const uint32_t *types, size_t count, uint32_t type);

/* ---- Errors ---------------------------------------------------------------- */

/* Of one device or of many, since a rollout was last set. */
struct rollout_syncs {
    uint64_t begun; /* to the end or not */
    uint64_t failed;
    uint64_t rejected; /* with a mutation that was quarantined */
};

/* Failed or rejected ones in ten thousand. */
uint32_t rollout_error_share(const struct rollout_syncs *syncs);

/* The syncs of each rollout's cohort, at the rollout's place in the list. */
struct rollout_cohorts {
    struct rollout_syncs of[ROLLOUTS_MAX];
};

/* Adds a device's syncs to those of the cohorts that it is in. */
void rollout_count(const struct rollouts *rollouts, const struct rollout_device *device,
                   const struct rollout_syncs *syncs, struct rollout_cohorts *cohorts);

/* Halts each rollout whose cohort's errors are above its limit. How many it halted. */
size_t rollout_judge(struct rollouts *rollouts, const struct rollout_cohorts *cohorts);

/* ---- Changes -------------------------------------------------------------- */

struct rollout_change {
    enum { ROLLOUT_SET, ROLLOUT_HALT, ROLLOUT_BACK } kind;
    uint32_t revision;
    struct record_uuid region;
    bool has_share, has_minimum, has_halt_above;
    uint32_t share, minimum, halt_above;
    bool resume;               /* SET: a halted one may grow again */
    struct record_uuid device; /* SET: into the cohort by name; BACK: out of it; zeros: none */
    size_t switch_count;       /* SET: what the rollout withholds from others, besides */
    struct rollout_field switches[ROLLOUT_SWITCHES_MAX];
};

enum rollout_outcome {
    ROLLOUT_CHANGED,
    ROLLOUT_UNKNOWN,      /* HALT, BACK: there is none */
    ROLLOUT_IS_HALTED,    /* it would grow, and is halted */
    ROLLOUT_WOULD_SHRINK, /* SET to less than it has: that is BACK's */
    ROLLOUT_TOO_MANY,
    ROLLOUT_AT_START, /* BACK: there is no earlier step */
};

/* Nothing is changed unless ROLLOUT_CHANGED. */
enum rollout_outcome rollout_apply(struct rollouts *rollouts, const struct rollout_change *change);

#endif
