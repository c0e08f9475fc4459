/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout.h"

#include <stdlib.h>
#include <string.h>

uint32_t rollout_share(const struct rollout *rollout)
{
    return rollout->step_count > 0 ? rollout->steps[rollout->step_count - 1] : 0;
}

/* ---- Cohorts ------------------------------------------------------------- */

uint32_t rollout_place(const struct record_uuid *device, uint32_t revision)
{
    return (uint32_t)(record_digest_share(revision, device, 0) % ROLLOUT_WHOLE);
}

static struct rollout *find(struct rollouts *rollouts, uint32_t revision,
                            const struct record_uuid *region)
{
    for (size_t i = 0; i < rollouts->count; i++)
        if (rollouts->list[i].revision == revision &&
            record_uuid_compare(&rollouts->list[i].region, region) == 0)
            return &rollouts->list[i];
    return NULL;
}

const struct rollout *rollout_for(const struct rollouts *rollouts, uint32_t revision,
                                  const struct record_uuid *region)
{
    static const struct record_uuid all = {{0}};
    const struct rollout *own = find((struct rollouts *)rollouts, revision, region);

    return own != NULL ? own : find((struct rollouts *)rollouts, revision, &all);
}

static bool is_named(const struct rollouts *rollouts, uint32_t revision,
                     const struct record_uuid *device)
{
    for (size_t i = 0; i < rollouts->named_count; i++)
        if (rollouts->named[i].revision == revision &&
            record_uuid_compare(&rollouts->named[i].device, device) == 0)
            return true;
    return false;
}

bool rollout_includes(const struct rollouts *rollouts, uint32_t revision,
                      const struct rollout_device *device)
{
    const struct rollout *rollout = rollout_for(rollouts, revision, &device->enrolment_region);

    return is_named(rollouts, revision, &device->id) ||
           (rollout != NULL && rollout_place(&device->id, revision) < rollout_share(rollout));
}

/* A switch of several rollouts is open to who is in the cohort of any of them. */
static bool is_open(const struct rollouts *rollouts, const struct rollout_switch *asked,
                    const struct rollout_device *device)
{
    for (size_t i = 0; i < rollouts->switch_count; i++) {
        const struct rollout_switch *other = &rollouts->switches[i];
        if (other->type == asked->type && other->field == asked->field &&
            rollout_includes(rollouts, other->revision, device))
            return true;
    }
    return false;
}

bool rollout_withholds(const uint32_t *types, size_t count, uint32_t type)
{
    for (size_t i = 0; i < count; i++)
        if (types[i] == type)
            return true;
    return false;
}

static void withhold_type(struct rollout_view *view, uint32_t type)
{
    size_t at = view->type_count;

    if (at == ROLLOUT_TYPES_MAX || rollout_withholds(view->types, at, type))
        return;
    while (at > 0 && view->types[at - 1] > type) {
        view->types[at] = view->types[at - 1];
        at--;
    }
    view->types[at] = type;
    view->type_count++;
}

static void withhold_field(struct rollout_view *view, uint32_t type, uint32_t field)
{
    if (view->field_count == ROLLOUT_FIELDS_MAX ||
        rollout_withholds(view->types, view->type_count, type))
        return;
    for (size_t i = 0; i < view->field_count; i++)
        if (view->fields[i].type == type && view->fields[i].field == field)
            return;
    view->fields[view->field_count++] = (struct rollout_field){type, field};
}

static void tell_revisions(const struct rollouts *rollouts, const struct rollout_device *device,
                           struct rollout_view *view)
{
    for (size_t i = 0; i < rollouts->count; i++) {
        uint32_t revision = rollouts->list[i].revision;
        const struct rollout *rollout = rollout_for(rollouts, revision, &device->enrolment_region);
        if (rollout != &rollouts->list[i] || rollout->halted ||
            !rollout_includes(rollouts, revision, device))
            continue;
        if (revision > view->recommended)
            view->recommended = revision;
        if (rollout->minimum > view->minimum)
            view->minimum = rollout->minimum;
    }
}

uint64_t rollouts_version(const struct rollouts *rollouts)
{
    uint64_t version = 0;

    for (size_t i = 0; i < rollouts->count; i++)
        version += rollouts->list[i].version;
    return version;
}

struct rollout_view rollout_view_of(const struct rollouts *rollouts,
                                    const struct rollout_device *device)
{
    struct rollout_view view = {.version = rollouts_version(rollouts)};

    tell_revisions(rollouts, device, &view);
    for (size_t i = 0; i < rollouts->switch_count; i++)
        if (rollouts->switches[i].field == 0 && !is_open(rollouts, &rollouts->switches[i], device))
            withhold_type(&view, rollouts->switches[i].type);
    for (size_t i = 0; i < rollouts->switch_count; i++)
        if (rollouts->switches[i].field != 0 && !is_open(rollouts, &rollouts->switches[i], device))
            withhold_field(&view, rollouts->switches[i].type, rollouts->switches[i].field);
    return view;
}

/* ---- Errors ---------------------------------------------------------------- */

uint32_t rollout_error_share(const struct rollout_syncs *syncs)
{
    uint64_t errors = syncs->failed + syncs->rejected;

    if (syncs->begun == 0)
        return 0;
    return errors >= syncs->begun ? ROLLOUT_WHOLE
                                  : (uint32_t)(errors * ROLLOUT_WHOLE / syncs->begun);
}

void rollout_count(const struct rollouts *rollouts, const struct rollout_device *device,
                   const struct rollout_syncs *syncs, struct rollout_cohorts *cohorts)
{
    for (size_t i = 0; i < rollouts->count; i++) {
        const struct rollout *rollout = &rollouts->list[i];
        if (rollout_for(rollouts, rollout->revision, &device->enrolment_region) != rollout ||
            !rollout_includes(rollouts, rollout->revision, device))
            continue;
        cohorts->of[i].begun += syncs->begun;
        cohorts->of[i].failed += syncs->failed;
        cohorts->of[i].rejected += syncs->rejected;
    }
}

static bool is_bad(const struct rollout *rollout, const struct rollout_syncs *cohort)
{
    return rollout->halt_above > 0 && cohort->begun >= ROLLOUT_JUDGED_SYNCS &&
           rollout_error_share(cohort) > rollout->halt_above;
}

size_t rollout_judge(struct rollouts *rollouts, const struct rollout_cohorts *cohorts)
{
    size_t halted = 0;

    for (size_t i = 0; i < rollouts->count; i++) {
        struct rollout *rollout = &rollouts->list[i];
        if (rollout->halted || !is_bad(rollout, &cohorts->of[i]))
            continue;
        rollout->halted = true;
        rollout->version++;
        halted++;
    }
    return halted;
}

/* ---- Changes -------------------------------------------------------------- */

static enum rollout_outcome add_switches(struct rollouts *rollouts,
                                         const struct rollout_change *change)
{
    for (size_t i = 0; i < change->switch_count; i++) {
        struct rollout_switch wanted = {change->revision, change->switches[i].type,
                                        change->switches[i].field};
        bool present = false;
        for (size_t j = 0; j < rollouts->switch_count && !present; j++)
            present = memcmp(&rollouts->switches[j], &wanted, sizeof wanted) == 0;
        if (present)
            continue;
        if (rollouts->switch_count == ROLLOUT_SWITCHES_MAX)
            return ROLLOUT_TOO_MANY;
        rollouts->switches[rollouts->switch_count++] = wanted;
    }
    return ROLLOUT_CHANGED;
}

static enum rollout_outcome add_named(struct rollouts *rollouts,
                                      const struct rollout_change *change)
{
    if (record_uuid_is_zero(&change->device) ||
        is_named(rollouts, change->revision, &change->device))
        return ROLLOUT_CHANGED;
    if (rollouts->named_count == ROLLOUT_NAMED_MAX)
        return ROLLOUT_TOO_MANY;
    rollouts->named[rollouts->named_count++] =
        (struct rollout_named){change->revision, change->device};
    return ROLLOUT_CHANGED;
}

static enum rollout_outcome grow(struct rollout *rollout, const struct rollout_change *change)
{
    uint32_t share = rollout_share(rollout);

    if (!change->has_share || change->share == share)
        return ROLLOUT_CHANGED;
    if (change->share < share)
        return ROLLOUT_WOULD_SHRINK;
    if (rollout->halted)
        return ROLLOUT_IS_HALTED;
    if (rollout->step_count == ROLLOUT_STEPS_MAX)
        return ROLLOUT_TOO_MANY;
    rollout->steps[rollout->step_count++] = change->share;
    return ROLLOUT_CHANGED;
}

static enum rollout_outcome set(struct rollouts *rollouts, const struct rollout_change *change)
{
    struct rollout *rollout = find(rollouts, change->revision, &change->region);

    if (rollout == NULL && rollouts->count == ROLLOUTS_MAX)
        return ROLLOUT_TOO_MANY;
    if (rollout == NULL) {
        rollout = &rollouts->list[rollouts->count++];
        *rollout = (struct rollout){.revision = change->revision, .region = change->region};
    }
    if (change->resume)
        rollout->halted = false;
    if (change->has_minimum)
        rollout->minimum = change->minimum;
    if (change->has_halt_above)
        rollout->halt_above = change->halt_above;
    enum rollout_outcome outcome = grow(rollout, change);
    if (outcome == ROLLOUT_CHANGED)
        outcome = add_named(rollouts, change);
    return outcome == ROLLOUT_CHANGED ? add_switches(rollouts, change) : outcome;
}

static enum rollout_outcome back(struct rollouts *rollouts, struct rollout *rollout,
                                 const struct rollout_change *change)
{
    if (!record_uuid_is_zero(&change->device)) {
        for (size_t i = 0; i < rollouts->named_count; i++)
            if (rollouts->named[i].revision == change->revision &&
                record_uuid_compare(&rollouts->named[i].device, &change->device) == 0) {
                rollouts->named[i] = rollouts->named[--rollouts->named_count];
                return ROLLOUT_CHANGED;
            }
        return ROLLOUT_UNKNOWN;
    }
    if (rollout->step_count == 0)
        return ROLLOUT_AT_START;
    rollout->step_count--;
    rollout->halted = true;
    return ROLLOUT_CHANGED;
}

static enum rollout_outcome apply(struct rollouts *rollouts, const struct rollout_change *change)
{
    struct rollout *rollout = find(rollouts, change->revision, &change->region);

    if (change->kind == ROLLOUT_SET)
        return set(rollouts, change);
    if (rollout == NULL)
        return ROLLOUT_UNKNOWN;
    if (change->kind == ROLLOUT_BACK)
        return back(rollouts, rollout, change);
    rollout->halted = true;
    return ROLLOUT_CHANGED;
}

enum rollout_outcome rollout_apply(struct rollouts *rollouts, const struct rollout_change *change)
{
    struct rollouts changed = *rollouts;
    enum rollout_outcome outcome = apply(&changed, change);
    struct rollout *rollout = find(&changed, change->revision, &change->region);

    if (outcome == ROLLOUT_CHANGED) {
        rollout->version++;
        *rollouts = changed;
    }
    return outcome;
}
