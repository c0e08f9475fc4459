/* SPDX-License-Identifier: Apache-2.0
 *
 * See merge.h and PROTOCOL.md R12-R14. A group is the unit of everything here:
 * a field that stands alone is a group of one, named by its own number.
 */
#include "merge.h"

/* One group of the mutation, as far as the mutation lists it. */
struct group {
    uint32_t number;
    enum record_merge_rule rule;
    const struct record_field *first; /* NULL: unknown, and later arrival is its rule */
    size_t field_count;
    uint32_t fields[RECORD_FIELDS_MAX];
};

uint32_t merge_group_of(const struct record_type *type, uint32_t number)
{
    const struct record_field *field = type != NULL ? record_field_by_number(type, number) : NULL;

    return field != NULL ? field->group : number;
}

/* Collects the mutation's fields of the group that fields[at] belongs to.
 * False: an earlier field has brought that group already. */
static bool group_collect(const struct record_type *type, const struct record_mutation *mutation,
                          size_t at, struct group *group)
{
    const struct record_field *field =
        type != NULL ? record_field_by_number(type, mutation->fields[at]) : NULL;

    group->number = merge_group_of(type, mutation->fields[at]);
    group->rule = field != NULL ? field->merge : RECORD_MERGE_LATER_ARRIVAL;
    group->first = field;
    group->field_count = 0;
    for (size_t i = 0; i < at; i++)
        if (merge_group_of(type, mutation->fields[i]) == group->number)
            return false;
    for (size_t i = at; i < mutation->field_count; i++)
        if (merge_group_of(type, mutation->fields[i]) == group->number)
            group->fields[group->field_count++] = mutation->fields[i];
    return true;
}

static bool group_equal(const struct group *group, const struct record_body *a,
                        const struct record_body *b)
{
    for (size_t i = 0; i < group->field_count; i++)
        if (!record_value_equal(record_body_find(a, group->fields[i]),
                                record_body_find(b, group->fields[i])))
            return false;
    return true;
}

static bool group_recorded(const struct group *group, const struct record_body *body)
{
    for (size_t i = 0; i < group->field_count; i++)
        if (record_body_find(body, group->fields[i]) != NULL)
            return true;
    return false;
}

/* Whether the stored number, which is there, is above the arriving one, of which
 * that need not be so. Values of another wire type than the field's never win. */
static bool stored_is_greater(const struct group *group, const struct record_body *stored,
                              const struct record_body *arriving)
{
    const struct wire_field *b = record_body_find(arriving, group->fields[0]);

    return b != NULL && record_value_compare(group->first->kind,
                                             record_body_find(stored, group->fields[0]), b) > 0;
}

/* Whether the field's own rule refuses the arriving value. */
static bool rule_refuses(const struct group *group, const struct record_body *stored,
                         const struct record_body *arriving, bool others, uint64_t base_version)
{
    bool recorded = group_recorded(group, stored);

    if (group->rule == RECORD_MERGE_FIRST_WRITE)
        return recorded && (others || base_version > 0);
    if (group->rule == RECORD_MERGE_MAXIMUM)
        return recorded && stored_is_greater(group, stored, arriving);
    if (group->rule == RECORD_MERGE_ONE_WAY)
        return recorded && !group_recorded(group, arriving);
    return false;
}

static void add_clash(struct merge_result *result, enum merge_clash_kind kind, uint32_t group,
                      bool arriving_lost)
{
    result->clashes[result->clash_count++] = (struct merge_clash){kind, group, arriving_lost};
}

static bool changed_by_another(const struct merge_record *present, uint32_t group, bool recorded,
                               const struct record_mutation *mutation,
                               const struct record_uuid *device)
{
    struct past_change change;

    /* R22: what a device offers is not its own edit, whoever changed it last. */
    return past_last_change(&present->past, group, recorded, &change) &&
           change.version > mutation->base_version &&
           (mutation->recovered_version > 0 || record_uuid_compare(&change.device, device) != 0);
}

static enum merge_status merge_group(const struct group *group, const struct merge_record *present,
                                     const struct record_mutation *mutation,
                                     const struct record_body *arriving,
                                     const struct record_uuid *device, bool forked,
                                     struct merge_result *result)
{
    struct record_body *body = &result->record.body;

    if (group_equal(group, &present->body, arriving))
        return MERGE_DONE;

    bool others =
        forked || changed_by_another(present, group->number, group_recorded(group, &present->body),
                                     mutation, device);
    if (rule_refuses(group, &present->body, arriving, others, mutation->base_version)) {
        add_clash(result, MERGE_CLASH_FIELD, group->number, true);
        result->as_sent = false;
        return MERGE_DONE;
    }
    if (others)
        add_clash(result, MERGE_CLASH_FIELD, group->number, false);
    for (size_t i = 0; i < group->field_count; i++) {
        const struct wire_field *value = record_body_find(arriving, group->fields[i]);
        if (value == NULL)
            record_body_remove(body, group->fields[i]);
        else if (!record_body_set(body, value))
            return MERGE_TOO_MANY_FIELDS;
    }
    result->changed = true;
    struct past_change change = {group->number, present->version + 1, *device};
    if (present->version > 0 && !past_note_change(&result->record.past, &change))
        return MERGE_TOO_MANY_FIELDS;
    return MERGE_DONE;
}

/* Whether another device changed anything of the record after the base. */
static bool others_changed_since(const struct record_type *type, const struct merge_record *present,
                                 const struct record_mutation *mutation,
                                 const struct record_uuid *device)
{
    for (size_t i = 0; i < present->past.change_count; i++)
        if (changed_by_another(present, present->past.changes[i].group, false, mutation, device))
            return true;
    for (size_t i = 0; i < present->body.count; i++)
        if (changed_by_another(present, merge_group_of(type, present->body.fields[i].number), true,
                               mutation, device))
            return true;
    return false;
}

/* R14: delete meets edit, either order: the record lives. */
static void merge_deletion(const struct merge_record *present,
                           const struct record_mutation *mutation, struct merge_result *result)
{
    if (mutation->deletes && !present->deleted) {
        if (result->others_since) {
            add_clash(result, MERGE_CLASH_DELETE, 0, true);
            result->as_sent = false;
        } else {
            result->record.deleted = true;
            result->changed = true;
        }
    } else if (!mutation->deletes && present->deleted && mutation->field_count > 0) {
        result->record.deleted = false;
        result->changed = true;
        result->as_sent = false;
        add_clash(result, MERGE_CLASH_UNDELETE, 0, false);
    }
}

/* Most of a record's room is empty, and it is copied for every mutation. */
static void copy_record(const struct merge_record *from, struct merge_record *to)
{
    to->version = from->version;
    to->deleted = from->deleted;
    to->stamp = from->stamp;
    to->body.count = from->body.count;
    memcpy(to->body.fields, from->body.fields, from->body.count * sizeof from->body.fields[0]);
    past_copy(&from->past, &to->past);
}

enum merge_status merge(const struct record_type *type, const struct merge_record *present,
                        const struct record_mutation *mutation, const struct record_body *arriving,
                        const struct record_uuid *device, struct merge_result *result_out)
{
    /* R12: what the author saw is not in this record's past. */
    bool forked =
        mutation->base_version > 0 && !past_has(&present->past, present->version, present->stamp,
                                                mutation->base_version, mutation->base_stamp);
    struct group group;

    copy_record(present, &result_out->record);
    result_out->changed = false;
    result_out->as_sent = true;
    result_out->clash_count = 0;
    result_out->others_since = forked || others_changed_since(type, present, mutation, device);
    if (present->version == 0) {
        result_out->record.past.created_version = 1;
        result_out->record.past.created_by = *device;
        result_out->changed = true;
    }

    for (size_t i = 0; i < mutation->field_count; i++) {
        if (!group_collect(type, mutation, i, &group))
            continue;
        enum merge_status status =
            merge_group(&group, present, mutation, arriving, device, forked, result_out);
        if (status != MERGE_DONE)
            return status;
    }
    merge_deletion(present, mutation, result_out);

    if (result_out->changed) {
        uint64_t version = present->version + 1;
        if (mutation->recovered_version > version) {
            version = mutation->recovered_version;
            result_out->as_sent = false;
        }
        result_out->record.version = version;
        if (mutation->recovered_version > 0)
            result_out->record.past.recovered_version = version;
        if (present->version == 0)
            result_out->record.past.created_version = version;
        past_note_version(&result_out->record.past, present->version, present->stamp, version);
    }
    return MERGE_DONE;
}

void merge_lost(const struct record_type *type, const struct merge_record *present,
                const struct record_mutation *mutation, const struct record_body *arriving,
                struct merge_result *result_out)
{
    struct group group;

    copy_record(present, &result_out->record);
    result_out->changed = false;
    result_out->as_sent = false;
    result_out->others_since = true;
    result_out->clash_count = 0;
    for (size_t i = 0; i < mutation->field_count; i++)
        if (group_collect(type, mutation, i, &group) && group_recorded(&group, arriving) &&
            !group_equal(&group, &present->body, arriving))
            add_clash(result_out, MERGE_CLASH_FIELD, group.number, true);
}
