/* SPDX-License-Identifier: Apache-2.0
 *
 * Standing: what has been decided about a device since it enrolled, and what
 * follows from it for the device's next word (R18).
 *
 * Pure. The version counts the decisions, so that a store which was put back to an
 * older copy knows which of two standings is the later one (R22).
 */
#ifndef OUTPOST_SERVER_STANDING_H
#define OUTPOST_SERVER_STANDING_H

#include "scope.h"

struct standing {
    uint64_t version;
    bool revoked;
    struct scope_rights rights;
    int64_t wipe_ordered_at_ms; /* 0: no order stands */
    int64_t wiped_at_ms;        /* 0: it has not told that it is wiped */
};

/* ---- Changes -------------------------------------------------------------- */

enum standing_change {
    STANDING_REVOKE,
    STANDING_ALLOW,    /* to work in the region */
    STANDING_DISALLOW, /* what it has pending from there is still taken (R15) */
    STANDING_ORDER_WIPE,
    STANDING_CANCEL_WIPE,
    STANDING_NOTE_WIPED, /* the device has told it, and proven that it is the device */
};

struct standing_decision {
    enum standing_change change;
    struct record_uuid region;  /* ALLOW, DISALLOW */
    int64_t wipe_ordered_at_ms; /* NOTE_WIPED: the order that it followed */
    int64_t now_ms;
};

enum standing_outcome {
    STANDING_CHANGED,
    STANDING_UNCHANGED, /* it was so already */
    STANDING_TOO_MANY_REGIONS,
    STANDING_IS_HOME,  /* the region is that of its enrolment: nobody takes it away */
    STANDING_IS_WIPED, /* too late for that */
};

enum standing_outcome standing_apply(struct standing *standing,
                                     const struct record_uuid *enrolment_region,
                                     const struct standing_decision *decision);

/* "active", "revoked", "wiping" or "wiped". */
const char *standing_word(const struct standing *standing);

/* ---- Refusals --------------------------------------------------------------- */

enum standing_refusal {
    STANDING_ADMITTED = 0,
    STANDING_REFUSED_WIPE, /* it is to be wiped: it gets the order */
    STANDING_REFUSED_WIPED,
    STANDING_REFUSED_REVOKED,
    STANDING_REFUSED_REGION, /* it may not work in the region (any more) */
};

/* region all zeros: it is not known yet where the device works. A revoked device
 * still gets its order, because who loses a phone revokes it first. */
enum standing_refusal standing_refuses(const struct standing *standing,
                                       const struct scope_device *device,
                                       const struct record_uuid *region);

#endif
