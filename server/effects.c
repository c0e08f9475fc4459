/* SPDX-License-Identifier: Apache-2.0 */
#include "effects.h"

#include <stdlib.h>

bool effects_regions_of_root(struct push_set *set, const struct record_body *body,
                             struct scope_regions *regions_out, uint32_t *field_out)
{
    const struct scope_roles *roles = set->roles;
    struct record_uuid facility, region;

    regions_out->count = 0;
    for (size_t i = 0; i < roles->root_facility_count; i++) {
        *field_out = roles->root_facilities[i]->number;
        if (!scope_facility_of_root(roles->root_facilities[i], body, &facility))
            continue;
        if (!push_region_of_facility(set, &facility, &region))
            return false;
        scope_regions_add(regions_out, &region);
    }
    *field_out = roles->root_facilities[0]->number;
    return regions_out->count > 0;
}

/* ---- One region ------------------------------------------------------------ */

/* I3: the next seq of the region, and the log entry that has it. */
static bool add_log(struct push_set *set, struct push_region *region, struct audit_entry entry,
                    struct rpc_bytes mutation)
{
    struct push_log *log = arena_alloc(&set->arena, sizeof *log);

    if (log == NULL)
        return false;
    entry.seq = ++region->last_seq;
    log->region = region->id;
    log->entry = entry;
    audit_hash(set->hasher, region->last_hash, &log->entry, log->hash);
    memcpy(region->last_hash, log->hash, AUDIT_HASH_LEN);
    log->mutation = arena_dup(&set->arena, mutation);
    *set->logs_end = log;
    set->logs_end = &log->next;
    region->dirty = true;
    return log->mutation.len == mutation.len;
}

static struct audit_entry entry_of(enum audit_kind kind, const struct record_key *key,
                                   const struct push_record *record,
                                   const struct effects_cause *cause)
{
    return (struct audit_entry){
        .kind = kind,
        .key = *key,
        .version = record != NULL ? record->version : 0,
        .stamp = record != NULL ? record->stamp : 0,
        .mutation_id = cause->item->id,
        .device = cause->device->device_id,
        .received_at_ms = cause->now_ms,
    };
}

static bool put_row(struct push_set *set, const struct push_region *region,
                    const struct push_record *record)
{
    struct push_row_key key = {region->id, record->key};
    struct push_row *row;
    bool added;

    PUSH_SET_FIND_OR_ADD(set, rows, key, &key, row, &added);
    if (row == NULL)
        return false;
    row->record = record;
    row->seq = region->last_seq;
    return true;
}

static void digest_take_out(struct push_region *region, const struct record_key *key,
                            const struct effects_before *before)
{
    if (before->version == 0 || before->deleted)
        return;
    uint64_t share = record_digest_share(key->type, &key->id, before->stamp);
    region->records--;
    region->digest -= share;
    type_sums_take_out(&region->types, key->type, share);
}

static void digest_put_in(struct push_region *region, const struct push_record *record)
{
    if (record->version == 0 || record->deleted)
        return;
    uint64_t share = record_digest_share(record->key.type, &record->key.id, record->stamp);
    region->records++;
    region->digest += share;
    type_sums_put_in(&region->types, record->key.type, share);
}

static struct effects_before state_of(const struct push_record *record)
{
    return (struct effects_before){record->version, record->deleted, record->stamp};
}

static bool put_marker(struct push_set *set, const struct push_region *region,
                       const struct record_uuid *family, enum push_marker_kind kind)
{
    bool added = false;
    struct push_marker *marker = push_set_marker(set, &region->id, family, &added);

    if (marker == NULL)
        return false;
    marker->loaded = true;
    marker->kind = kind;
    marker->seq = region->last_seq;
    marker->dirty = true;
    return true;
}

static bool stay(struct push_set *set, struct push_region *region, const struct push_record *record,
                 const struct effects_before *before, const struct effects_cause *cause)
{
    digest_take_out(region, &record->key, before);
    digest_put_in(region, record);
    return add_log(set, region, entry_of(AUDIT_RECORD, &record->key, record, cause),
                   cause->item->bytes) &&
           put_row(set, region, record);
}

/* ---- Leaving and entering (R16) --------------------------------------------- */

static int compare_records(const void *a, const void *b)
{
    const struct push_record *const *x = a, *const *y = b;

    return record_key_compare(&(*x)->key, &(*y)->key);
}

/* All records of the family that exist, in key order. */
static bool family_records(struct push_set *set, const struct record_uuid *family,
                           struct push_record ***records_out, size_t *count_out)
{
    size_t count = 0;
    struct push_record **records;

    for (struct push_record *r = set->records; r != NULL; r = r->hh.next)
        count += r->version > 0 && record_uuid_compare(&r->key.family, family) == 0;
    records = arena_alloc(&set->arena, (count + 1) * sizeof *records);
    if (records == NULL)
        return false;
    count = 0;
    for (struct push_record *r = set->records; r != NULL; r = r->hh.next)
        if (r->version > 0 && record_uuid_compare(&r->key.family, family) == 0)
            records[count++] = r;
    qsort(records, count, sizeof *records, compare_records);
    *records_out = records;
    *count_out = count;
    return true;
}

static void forget_rows(struct push_set *set, const struct push_region *region,
                        const struct record_uuid *family)
{
    struct push_row *row, *next;

    HASH_ITER(hh, set->rows, row, next)
    {
        if (record_uuid_compare(&row->key.region, &region->id) == 0 &&
            record_uuid_compare(&row->key.key.family, family) == 0)
            HASH_DEL(set->rows, row);
    }
}

static bool leave(struct push_set *set, struct push_region *region,
                  const struct push_record *changed, const struct effects_before *before,
                  const struct effects_cause *cause)
{
    const struct record_uuid *family = &changed->key.family;
    struct push_purge *purge = arena_alloc(&set->arena, sizeof *purge);
    struct push_record **records;
    size_t count;

    if (purge == NULL || !family_records(set, family, &records, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct effects_before own = records[i] == changed ? *before : state_of(records[i]);
        digest_take_out(region, &records[i]->key, &own);
    }
    purge->region = region->id;
    purge->family = *family;
    *set->purges_end = purge;
    set->purges_end = &purge->next;
    forget_rows(set, region, family);
    return add_log(set, region, entry_of(AUDIT_LEFT, &changed->key, changed, cause),
                   cause->item->bytes) &&
           put_marker(set, region, family, PUSH_MARKER_LEFT);
}

static bool enter_record(struct push_set *set, struct push_region *region,
                         const struct push_record *record, const struct push_record *changed,
                         const struct effects_cause *cause)
{
    struct audit_entry entry = entry_of(AUDIT_COPY, &record->key, record, cause);

    digest_put_in(region, record);
    if (record == changed) {
        entry.kind = AUDIT_RECORD;
        return add_log(set, region, entry, cause->item->bytes) && put_row(set, region, record);
    }
    memset(&entry.mutation_id, 0, sizeof entry.mutation_id);
    return add_log(set, region, entry, rpc_bytes_view(NULL, 0)) && put_row(set, region, record);
}

static bool enter(struct push_set *set, struct push_region *region,
                  const struct push_record *changed, const struct effects_cause *cause)
{
    struct push_record **records;
    size_t count;

    if (!family_records(set, &changed->key.family, &records, &count) ||
        !add_log(set, region, entry_of(AUDIT_ENTERED, &changed->key, changed, cause),
                 cause->item->bytes) ||
        !put_marker(set, region, &changed->key.family, PUSH_MARKER_ENTERED))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!enter_record(set, region, records[i], changed, cause))
            return false;
    return true;
}

/* ---- All regions ------------------------------------------------------------- */

static struct push_region *region_of(struct push_set *set, const struct record_uuid *id)
{
    bool added = false;
    struct push_region *region = push_set_region(set, id, &added);

    return added ? NULL : region; /* not loaded: its counter is not locked */
}

void effects_place(struct push_set *set, struct push_family *family,
                   const struct record_body *before, const struct record_body *after)
{
    if (!family->placed) {
        family->placed = true;
        family->stored_regions = family->regions;
        if (before != NULL)
            family->stored_facilities = scope_facilities_of_root(set->roles, before);
    }
    family->facilities = scope_facilities_of_root(set->roles, after);
}

static void adopt(struct push_family *family, const struct scope_regions *after)
{
    if (family == NULL ||
        (family->regions.count == after->count &&
         memcmp(family->regions.ids, after->ids, after->count * sizeof after->ids[0]) == 0))
        return;
    family->regions = *after;
    family->dirty = true;
}

bool effects_write(struct push_set *set, struct push_family *family, struct push_record *record,
                   const struct effects_before *before, const struct scope_regions *after,
                   const struct effects_cause *cause)
{
    struct scope_regions was = {0};
    struct push_region *region;
    bool good = true;

    if (family != NULL)
        was = family->regions;
    else
        scope_regions_add(&was, &scope_global_region);
    bool founded = was.count == 0;
    for (size_t i = 0; i < was.count && good; i++) {
        if (scope_regions_have(after, &was.ids[i]))
            continue;
        region = region_of(set, &was.ids[i]);
        good = region != NULL && leave(set, region, record, before, cause);
    }
    for (size_t i = 0; i < after->count && good; i++) {
        region = region_of(set, &after->ids[i]);
        if (region == NULL)
            return false;
        good = founded || scope_regions_have(&was, &after->ids[i])
                   ? stay(set, region, record, before, cause)
                   : enter(set, region, record, cause);
    }
    adopt(family, after);
    return good;
}
