/* SPDX-License-Identifier: Apache-2.0 */
#include "copy.h"

static bool is_admitted(const struct store_device *device)
{
    const struct record_uuid nowhere = {{0}};
    const struct scope_device scope = {.enrolment_region = device->enrolment_region};

    return standing_refuses(&device->standing, &scope, &nowhere) == STANDING_ADMITTED;
}

static enum store_recertify_verdict verdict_of(const struct store_recertify *recertify,
                                               const struct copy_facts *facts)
{
    const struct store_device *owner = facts->owner;

    if (facts->asking == NULL)
        return STORE_RECERTIFY_UNKNOWN;
    if (!is_admitted(facts->asking) || (owner != NULL && !is_admitted(owner)))
        return STORE_RECERTIFY_REFUSED;
    /* The answer to the same question was lost. */
    if (owner != NULL)
        return record_uuid_compare(&owner->copied_from, &facts->asking->device_id) == 0
                   ? STORE_RECERTIFY_GOOD
                   : STORE_RECERTIFY_KEY_TAKEN;
    if (token_is_good(&facts->tokens, recertify->presented_token))
        return STORE_RECERTIFY_NOT_A_COPY;
    return facts->copies < STORE_COPIES_MAX ? STORE_RECERTIFY_GOOD : STORE_RECERTIFY_TOO_MANY;
}

void copy_decide(struct store_recertify *recertify, const struct copy_facts *facts, bool *made_out)
{
    struct store_device *copy = &recertify->device;

    recertify->verdict = verdict_of(recertify, facts);
    *made_out = recertify->verdict == STORE_RECERTIFY_GOOD && facts->owner == NULL;
    if (*made_out) {
        copy->enrolment_region = facts->asking->enrolment_region;
        copy->facility_id = facts->asking->facility_id;
        copy->admin = facts->asking->admin;
        copy->standing = (struct standing){.rights = facts->asking->standing.rights};
    } else if (recertify->verdict == STORE_RECERTIFY_GOOD) {
        *copy = *facts->owner;
    }
}
