/* SPDX-License-Identifier: Apache-2.0 */
#include "work.h"

enum { PURPOSE_WORK = 30 };

/* What all edits of one arrival need. */
struct doing {
    struct device *device;
    struct draw *draw;
    int64_t meant_us;
    struct made_body made;
};

static void seal(struct doing *doing, struct pool_entity *entity, const struct pool_version *base)
{
    struct device *device = doing->device;
    struct fleet *fleet = device->fleet;

    if (fleet->versions[device->version].newer)
        made_add_unknown(doing->draw, &doing->made);
    struct mutation *mutation =
        outbox_add(&device->outbox, &fleet->pool, entity, base, &doing->made, &fleet->scratch);
    mutation->written_us = doing->meant_us;
    mutation->expected->written_us = doing->meant_us;
    mutation->expected->author = device->number;
    mutation->expected->awaited =
        device_region(device)->following - (device->state == DEVICE_FOLLOWING);
}

static struct pool_entity *new_entity(struct doing *doing, const struct record_type *type,
                                      const struct record_uuid *family,
                                      const struct record_uuid *id, uint32_t region)
{
    struct record_key key = {.family = *family, .type = type->number, .id = *id};
    struct pool_entity *entity = pool_entity(&doing->device->fleet->pool, &key);

    entity->ledger.ours = true;
    entity->ledger.region = region;
    return entity;
}

static void add_reading(struct doing *doing, const struct record_uuid *patient, uint32_t region)
{
    struct record_uuid id = draw_uuid(doing->draw);

    made_reading(doing->draw, &doing->device->facility, &doing->made);
    seal(doing, new_entity(doing, made_reading_type(), patient, &id, region), NULL);
}

static struct record_uuid add_patient(struct doing *doing, const struct record_uuid *facility)
{
    struct device *device = doing->device;
    struct record_uuid id = draw_uuid(doing->draw);

    made_patient(&device->fleet->made, doing->draw, facility, &doing->made);
    seal(doing, new_entity(doing, made_patient_type(), &id, &id, device->region), NULL);
    return id;
}

/* One edit of a record at a time, as on a real device. */
static bool is_not_pending(void *context, const struct pool_version *version)
{
    const struct device *device = context;

    return !outbox_has(&device->outbox, version->entity);
}

static struct pool_version *pick(struct doing *doing, const struct record_type *type)
{
    struct device *device = doing->device;

    return replica_pick(&device->replica, doing->draw, type->number, is_not_pending, device);
}

/* A facility in another region, if there is one. */
static struct record_uuid other_facility(struct doing *doing)
{
    const struct fleet *fleet = doing->device->fleet;
    size_t other = doing->device->region;

    if (fleet->region_count > 1)
        other =
            (other + 1 + draw_below(doing->draw, fleet->region_count - 1)) % fleet->region_count;
    const struct region *region = &fleet->regions[other];
    return region->facilities[draw_below(doing->draw, region->facility_count)];
}

static bool do_reading(struct doing *doing)
{
    const struct pool_version *patient = pick(doing, made_patient_type());

    if (patient == NULL)
        return false;
    const struct ledger_entry *entry = &patient->entity->ledger;
    add_reading(doing, &patient->entity->key.id,
                entry->ours ? entry->region : doing->device->region);
    return true;
}

static bool do_edit(struct doing *doing)
{
    bool address = draw_chance(doing->draw, .5);
    const struct pool_version *base =
        pick(doing, address ? made_patient_type() : made_reading_type());

    if (base == NULL)
        return false;
    if (address)
        made_address_edit(&doing->device->fleet->made, doing->draw, &doing->made);
    else
        made_reading_edit(doing->draw, &doing->made);
    seal(doing, base->entity, base);
    return true;
}

static bool do_move(struct doing *doing)
{
    const struct pool_version *base = pick(doing, made_patient_type());

    if (base == NULL)
        return false;
    struct record_uuid facility = other_facility(doing);
    made_move(&facility, &doing->made);
    seal(doing, base->entity, base);
    return true;
}

bool work_do(struct device *device, enum work work, uint64_t seed, int64_t meant_us)
{
    struct draw draw = draw_stream(seed, PURPOSE_WORK, 0);
    struct doing doing = {.device = device, .draw = &draw, .meant_us = meant_us};
    bool done = true;

    made_body_init(&doing.made);
    switch (work) {
    case WORK_READING:
        done = do_reading(&doing);
        break;
    case WORK_EDIT:
        done = do_edit(&doing);
        break;
    case WORK_PATIENT: {
        struct record_uuid patient = add_patient(&doing, &device->facility);
        add_reading(&doing, &patient, device->region);
        break;
    }
    case WORK_MOVE:
        done = do_move(&doing);
        break;
    default:
        break;
    }
    made_body_deinit(&doing.made);
    return done;
}

void work_make_family(struct device *device, struct draw *draw)
{
    const struct region *region = device_region(device);
    struct doing doing = {.device = device, .draw = draw, .meant_us = -1};

    made_body_init(&doing.made);
    struct record_uuid patient =
        add_patient(&doing, &region->facilities[draw_below(draw, region->facility_count)]);
    for (int i = 0; i < MADE_READINGS_PER_PATIENT; i++)
        add_reading(&doing, &patient, device->region);
    made_body_deinit(&doing.made);
}
