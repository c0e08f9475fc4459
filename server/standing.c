/* SPDX-License-Identifier: Apache-2.0 */
#include "standing.h"

/* ---- Changes -------------------------------------------------------------- */

static enum standing_outcome set_right(struct standing *standing, const struct record_uuid *region,
                                       bool allowed)
{
    const struct scope_rights *rights = &standing->rights;
    size_t at = 0;

    while (at < rights->count && record_uuid_compare(&rights->rights[at].region, region) != 0)
        at++;
    bool present = at < rights->count;
    if (present ? rights->rights[at].allowed == allowed : !allowed)
        return STANDING_UNCHANGED;
    return scope_rights_set(&standing->rights, region, allowed) ? STANDING_CHANGED
                                                                : STANDING_TOO_MANY_REGIONS;
}

static enum standing_outcome change(struct standing *standing,
                                    const struct record_uuid *enrolment_region,
                                    const struct standing_decision *decision)
{
    enum standing_outcome outcome = STANDING_CHANGED;
    bool allow = decision->change == STANDING_ALLOW;

    switch (decision->change) {
    case STANDING_REVOKE:
        outcome = standing->revoked ? STANDING_UNCHANGED : STANDING_CHANGED;
        standing->revoked = true;
        break;
    case STANDING_ALLOW:
    case STANDING_DISALLOW:
        if (record_uuid_compare(&decision->region, enrolment_region) == 0)
            return allow ? STANDING_UNCHANGED : STANDING_IS_HOME;
        return set_right(standing, &decision->region, allow);
    case STANDING_ORDER_WIPE:
        if (standing->wiped_at_ms != 0)
            return STANDING_IS_WIPED;
        if (standing->wipe_ordered_at_ms != 0)
            return STANDING_UNCHANGED;
        standing->wipe_ordered_at_ms = decision->now_ms;
        break;
    case STANDING_CANCEL_WIPE:
        if (standing->wiped_at_ms != 0)
            return STANDING_IS_WIPED;
        outcome = standing->wipe_ordered_at_ms == 0 ? STANDING_UNCHANGED : STANDING_CHANGED;
        standing->wipe_ordered_at_ms = 0;
        break;
    case STANDING_NOTE_WIPED:
        /* Also when the order was taken back meanwhile: the data is gone. */
        if (standing->wiped_at_ms != 0)
            return STANDING_UNCHANGED;
        standing->wipe_ordered_at_ms = decision->wipe_ordered_at_ms;
        standing->wiped_at_ms = decision->now_ms;
        break;
    }
    return outcome;
}

enum standing_outcome standing_apply(struct standing *standing,
                                     const struct record_uuid *enrolment_region,
                                     const struct standing_decision *decision)
{
    enum standing_outcome outcome = change(standing, enrolment_region, decision);

    standing->version += outcome == STANDING_CHANGED;
    return outcome;
}

const char *standing_word(const struct standing *standing)
{
    return standing->wiped_at_ms != 0          ? "wiped"
           : standing->wipe_ordered_at_ms != 0 ? "wiping"
           : standing->revoked                 ? "revoked"
                                               : "active";
}

/* ---- Refusals --------------------------------------------------------------- */

enum standing_refusal standing_refuses(const struct standing *standing,
                                       const struct scope_device *device,
                                       const struct record_uuid *region)
{
    if (standing->wiped_at_ms != 0)
        return STANDING_REFUSED_WIPED;
    if (standing->wipe_ordered_at_ms != 0)
        return STANDING_REFUSED_WIPE;
    if (standing->revoked)
        return STANDING_REFUSED_REVOKED;
    if (!record_uuid_is_zero(region) && !scope_may_work_in(device, region))
        return STANDING_REFUSED_REGION;
    return STANDING_ADMITTED;
}
