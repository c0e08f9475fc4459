/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches and sets: what comes in with a Push, and what a transaction must know
 * to decide it. The decision is in decide.c.
 */
#include "push_set.h"

#include <stdlib.h>

enum {
    PUSH_ITEMS = 1,
    ITEM_MUTATION = 1,
    ITEM_HELD_STAMP = 2,
    ITEM_ACKNOWLEDGED_VERSION = 3,
    /* Memory of one batch: one message and its parsed mutations. */
    BATCH_BYTES_MAX = 64 * 1024 * 1024,
};

const char *push_status_text(enum push_status status)
{
    switch (status) {
    case PUSH_APPLIED:
        return "applied";
    case PUSH_MERGED:
        return "merged";
    case PUSH_NO_EFFECT:
        return "no effect";
    case PUSH_QUARANTINED:
        return "quarantined";
    case PUSH_OUT_OF_SCOPE:
        return "out of scope";
    case PUSH_RETRY:
        return "retry";
    }
    return "unknown";
}

const char *push_reason_text(enum push_reason reason)
{
    switch (reason) {
    case PUSH_REASON_NONE:
        return "none";
    case PUSH_REASON_NOT_YOURS:
        return "not yours";
    case PUSH_REASON_NOT_ADMIN:
        return "not an administrator";
    case PUSH_REASON_UNKNOWN_FACILITY:
        return "unknown facility";
    case PUSH_REASON_MERGE_INVALID:
        return "invalid after the merge";
    case PUSH_REASON_PARENT_MISSING:
        return "parent missing";
    case PUSH_REASON_UNKNOWN_BASE:
        return "unknown base";
    case PUSH_REASON_BUSY:
        return "busy";
    default:
        return record_problem_text((enum record_problem)reason);
    }
}

/* ---- Batches ------------------------------------------------------------ */

struct push_batch *push_batch_new(const struct scope_device *device, int64_t now_ms)
{
    struct push_batch *batch = calloc(1, sizeof *batch);

    if (batch == NULL)
        return NULL;
    arena_init(&batch->arena, BATCH_BYTES_MAX);
    rpc_buffer_init(&batch->result, PUSH_RESULT_BYTES_MAX + RECORD_ENVELOPE_BYTES_MAX);
    batch->device = *device;
    batch->now_ms = now_ms;
    return batch;
}

void push_batch_free(struct push_batch *batch)
{
    if (batch == NULL)
        return;
    arena_deinit(&batch->arena);
    rpc_buffer_deinit(&batch->result);
    free(batch->items);
    free(batch->applied);
    free(batch);
}

static bool item_fill(struct push_batch *batch, struct push_item *item, struct rpc_bytes mutation,
                      struct record_hasher *hasher)
{
    struct record_mutation parsed;

    item->bytes = arena_dup(&batch->arena, mutation);
    if (item->bytes.len != mutation.len)
        return false;
    item->id = record_mutation_id(hasher, item->bytes);
    item->parsed = record_mutation_parse(item->bytes, &parsed);
    if (!item->parsed)
        return true;
    item->mutation = arena_alloc(&batch->arena, sizeof parsed);
    if (item->mutation == NULL)
        return false;
    *item->mutation = parsed;
    return true;
}

static bool batch_grow(struct push_batch *batch)
{
    size_t count = batch->item_count;

    if (count > 0 && (count & (count - 1)) != 0)
        return true;
    struct push_item *items = realloc(batch->items, (count > 0 ? count * 2 : 1) * sizeof *items);
    if (items == NULL)
        return false;
    batch->items = items;
    return true;
}

static bool batch_add(struct push_batch *batch, struct rpc_bytes mutation,
                      const struct push_item *beside, struct record_hasher *hasher)
{
    if (!batch_grow(batch))
        return false;
    struct push_item *item = &batch->items[batch->item_count];
    *item = *beside;
    if (!item_fill(batch, item, mutation, hasher))
        return false;
    batch->item_count++;
    return true;
}

bool push_batch_add(struct push_batch *batch, struct rpc_bytes mutation, uint64_t held_stamp,
                    struct record_hasher *hasher)
{
    struct push_item beside = {.held_stamp = held_stamp};

    return batch_add(batch, mutation, &beside, hasher);
}

/* What stands beside the mutation goes into the item. */
static bool item_parse(struct rpc_bytes bytes, struct rpc_bytes *mutation_out,
                       struct push_item *item)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;

    *mutation_out = rpc_bytes_view(NULL, 0);
    *item = (struct push_item){0};
    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number == ITEM_MUTATION && field.type == WIRE_LEN)
            *mutation_out = field.bytes;
        else if (field.number == ITEM_HELD_STAMP && field.type == WIRE_FIXED64)
            item->held_stamp = field.value;
        else if (field.number == ITEM_ACKNOWLEDGED_VERSION && field.type == WIRE_VARINT)
            item->acknowledged_version = field.value;
    }
    return status == WIRE_END;
}

enum push_prepare_status push_prepare(struct rpc_bytes push, const struct scope_device *device,
                                      int64_t now_ms, struct record_hasher *hasher,
                                      struct push_batch **batch_out)
{
    struct push_batch *batch = push_batch_new(device, now_ms);
    struct wire_reader reader = wire_reader_over(push);
    struct wire_field field;
    enum wire_status status;
    enum push_prepare_status result = PUSH_NO_MEMORY;
    struct rpc_bytes mutation;
    struct push_item beside;

    if (batch == NULL)
        return PUSH_NO_MEMORY;
    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number != PUSH_ITEMS)
            continue;
        result = field.type != WIRE_LEN || !item_parse(field.bytes, &mutation, &beside)
                     ? PUSH_NOT_A_PUSH
                 : batch->item_count == PUSH_ITEMS_MAX         ? PUSH_TOO_MANY
                 : batch_add(batch, mutation, &beside, hasher) ? PUSH_PREPARED
                                                               : PUSH_NO_MEMORY;
        if (result != PUSH_PREPARED) {
            push_batch_free(batch);
            return result;
        }
    }
    if (status == WIRE_MALFORMED) {
        push_batch_free(batch);
        return PUSH_NOT_A_PUSH;
    }
    *batch_out = batch;
    return PUSH_PREPARED;
}

/* ---- Sets --------------------------------------------------------------- */

void push_set_init(struct push_set *set, const struct scope_roles *roles,
                   struct record_hasher *hasher)
{
    *set = (struct push_set){.roles = roles, .hasher = hasher};
    arena_init(&set->arena, PUSH_SET_BYTES_MAX);
    set->purges_end = &set->purges;
    set->logs_end = &set->logs;
    set->quarantines_end = &set->quarantines;
    set->conflicts_end = &set->conflicts;
}

void push_set_deinit(struct push_set *set)
{
    HASH_CLEAR(hh, set->records);
    HASH_CLEAR(hh, set->families);
    HASH_CLEAR(hh, set->known);
    HASH_CLEAR(hh, set->regions);
    HASH_CLEAR(hh, set->receipts);
    HASH_CLEAR(hh, set->rows);
    HASH_CLEAR(hh, set->markers);
    arena_deinit(&set->arena);
    push_work_free(set->work);
    set->work = NULL;
}

struct push_record *push_set_record(struct push_set *set, const struct record_key *key, bool *added)
{
    struct push_record *record;

    PUSH_SET_FIND_OR_ADD(set, records, key, key, record, added);
    return record;
}

struct push_family *push_set_family(struct push_set *set, const struct record_uuid *id, bool *added)
{
    struct push_family *family;

    PUSH_SET_FIND_OR_ADD(set, families, id, id, family, added);
    return family;
}

struct push_known *push_set_known(struct push_set *set, const struct push_batch *batch,
                                  const struct push_item *item, bool *added)
{
    struct push_known_key key = {batch->device.enrolment_region, item->id};
    struct push_known *known;

    PUSH_SET_FIND_OR_ADD(set, known, key, &key, known, added);
    if (known != NULL && item->parsed)
        known->family = item->mutation->key.family;
    return known;
}

struct push_region *push_set_region(struct push_set *set, const struct record_uuid *id, bool *added)
{
    struct push_region *region;

    PUSH_SET_FIND_OR_ADD(set, regions, id, id, region, added);
    return region;
}

struct push_marker *push_set_marker(struct push_set *set, const struct record_uuid *region,
                                    const struct record_uuid *family, bool *added)
{
    struct push_marker_key key = {*region, *family};
    struct push_marker *marker;

    PUSH_SET_FIND_OR_ADD(set, markers, key, &key, marker, added);
    return marker;
}

struct push_receipts *push_set_receipts(struct push_set *set, const struct scope_device *device,
                                        bool *added)
{
    struct push_receipts_key key = {device->enrolment_region, device->device_id};
    struct push_receipts *receipts;

    PUSH_SET_FIND_OR_ADD(set, receipts, key, &key, receipts, added);
    return receipts;
}

struct record_key push_root_key(const struct push_set *set, const struct record_uuid *family)
{
    return (struct record_key){*family, set->roles->root->number, *family};
}

bool push_needs(struct push_set *set, const struct push_batch *batch)
{
    bool added;

    if (push_set_receipts(set, &batch->device, &added) == NULL)
        return false;
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct push_item *item = &batch->items[i];
        if (push_set_known(set, batch, item, &added) == NULL)
            return false;
        if (!item->parsed)
            continue;
        const struct record_key *key = &item->mutation->key;
        if (push_set_record(set, key, &added) == NULL)
            return false;
        if (record_uuid_is_zero(&key->family))
            continue;
        struct record_key root = push_root_key(set, &key->family);
        if (push_set_family(set, &key->family, &added) == NULL ||
            push_set_record(set, &root, &added) == NULL)
            return false;
    }
    return push_set_region(set, &scope_global_region, &added) != NULL &&
           push_set_region(set, &batch->device.region, &added) != NULL;
}

struct record_key push_facility_key(const struct push_set *set, const struct record_uuid *facility)
{
    return (struct record_key){.type = set->roles->facility->number, .id = *facility};
}

bool push_region_of_facility(struct push_set *set, const struct record_uuid *facility,
                             struct record_uuid *region_out)
{
    struct record_key key = push_facility_key(set, facility);
    struct push_record *record;
    struct record_body body;

    HASH_FIND(hh, set->records, &key, sizeof key, record);
    return record != NULL && record->version > 0 && record_body_parse(record->body, &body) &&
           scope_region_of_facility(set->roles, &body, region_out);
}

/* The facilities that a root's body names, and their regions, are needed to say
 * which regions the family is in. */
static bool needs_facilities(struct push_set *set, struct rpc_bytes bytes, bool *added)
{
    struct record_body body;
    struct record_uuid facility, region;

    if (!record_body_parse(bytes, &body))
        return true;
    for (size_t i = 0; i < set->roles->root_facility_count; i++) {
        if (!scope_facility_of_root(set->roles->root_facilities[i], &body, &facility))
            continue;
        struct record_key key = push_facility_key(set, &facility);
        if (push_set_record(set, &key, added) == NULL)
            return false;
        if (push_region_of_facility(set, &facility, &region) &&
            push_set_region(set, &region, added) == NULL)
            return false;
    }
    return true;
}

bool push_names_facility(const struct scope_roles *roles, const struct record_mutation *mutation)
{
    for (size_t i = 0; i < roles->root_facility_count; i++)
        if (record_mutation_sets(mutation, roles->root_facilities[i]->number))
            return true;
    return false;
}

/* A mutation of a root may move its family. */
static bool root_needs(struct push_set *set, const struct push_batch *batch,
                       const struct push_item *item, struct push_family *family, bool *added)
{
    bool unused;
    struct record_key own = push_facility_key(set, &batch->device.facility);
    const struct push_record *root = push_set_record(set, &item->mutation->key, &unused);

    if (root == NULL || push_set_record(set, &own, added) == NULL ||
        !needs_facilities(set, item->mutation->body, added))
        return false;
    if (family->regions.count == 0 || !push_names_facility(set->roles, item->mutation))
        return true;
    if (!family->whole) {
        family->whole = true;
        *added = true;
    }
    return needs_facilities(set, root->body, added);
}

/* R15: a family that is in no region of the author's may have been in one. */
static bool needs_markers(struct push_set *set, const struct push_batch *batch,
                          const struct push_family *family, bool *added)
{
    struct record_uuid regions[SCOPE_WORKED_MAX];
    size_t count = scope_worked_in(&batch->device, regions);

    if (family->regions.count == 0 || scope_may_write(&batch->device, &family->regions))
        return true;
    for (size_t i = 0; i < count; i++)
        if (push_set_marker(set, &regions[i], &family->id, added) == NULL)
            return false;
    return true;
}

bool push_needs_more(struct push_set *set, const struct push_batch *batch, bool *added_out)
{
    *added_out = false;
    for (size_t i = 0; i < batch->item_count; i++) {
        const struct push_item *item = &batch->items[i];
        if (!item->parsed || record_uuid_is_zero(&item->mutation->key.family))
            continue;
        bool unused;
        struct push_family *family = push_set_family(set, &item->mutation->key.family, &unused);
        if (family == NULL)
            return false;
        for (size_t r = 0; r < family->regions.count; r++)
            if (push_set_region(set, &family->regions.ids[r], added_out) == NULL)
                return false;
        if (!needs_markers(set, batch, family, added_out))
            return false;
        if (item->mutation->key.type == set->roles->root->number &&
            !root_needs(set, batch, item, family, added_out))
            return false;
    }
    return true;
}
