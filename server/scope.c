/* SPDX-License-Identifier: Apache-2.0 */
#include "scope.h"

#include <assert.h>

const struct record_uuid scope_global_region;

static const struct record_field *field_with_closing(const struct record_type *type)
{
    for (size_t i = 0; i < type->field_count; i++)
        if (type->fields[i].closing)
            return &type->fields[i];
    return NULL;
}

static const struct record_field *field_with_scope(const struct record_type *type)
{
    for (size_t i = 0; i < type->field_count; i++)
        if (type->fields[i].scope)
            return &type->fields[i];
    return NULL;
}

/* The one that is filled comes first; the others in the order of their numbers. */
static bool root_facilities_find(struct scope_roles *roles)
{
    for (int filled = 1; filled >= 0; filled--) {
        for (size_t i = 0; i < roles->root->field_count; i++) {
            const struct record_field *field = &roles->root->fields[i];
            bool fills = field->fill == RECORD_FILL_DEVICE_FACILITY;
            if (field->reference != roles->facility->number || fills != (filled == 1))
                continue;
            if (roles->root_facility_count == SCOPE_ROOT_FACILITIES_MAX)
                return false;
            roles->root_facilities[roles->root_facility_count++] = field;
        }
    }
    return roles->root_facility_count > 0 &&
           roles->root_facilities[0]->fill == RECORD_FILL_DEVICE_FACILITY;
}

bool scope_roles_find(const struct record_schema *schema, struct scope_roles *roles_out)
{
    struct scope_roles roles = {.schema = schema, .root = record_root_type(schema)};

    for (size_t i = 0; i < schema->type_count && roles.facility == NULL; i++) {
        roles.facility_home = field_with_scope(&schema->types[i]);
        if (roles.facility_home != NULL)
            roles.facility = &schema->types[i];
    }
    if (roles.facility == NULL)
        return false;
    roles.facility_closed = field_with_closing(roles.facility);
    roles.region = record_type_by_number(schema, roles.facility_home->reference);
    if (!root_facilities_find(&roles) || roles.region == NULL || roles.facility_closed == NULL)
        return false;
    *roles_out = roles;
    return true;
}

static bool same(const struct record_uuid *a, const struct record_uuid *b)
{
    return record_uuid_compare(a, b) == 0;
}

bool scope_rights_set(struct scope_rights *rights, const struct record_uuid *region, bool allowed)
{
    size_t at = 0;

    while (at < rights->count && !same(&rights->rights[at].region, region))
        at++;
    if (at == SCOPE_RIGHTS_MAX)
        return false;
    rights->rights[at] = (struct scope_right){*region, allowed};
    rights->count += at == rights->count;
    return true;
}

static const struct scope_right *right_of(const struct scope_device *device,
                                          const struct record_uuid *region)
{
    for (size_t i = 0; i < device->rights.count; i++)
        if (same(&device->rights.rights[i].region, region))
            return &device->rights.rights[i];
    return NULL;
}

bool scope_may_work_in(const struct scope_device *device, const struct record_uuid *region)
{
    const struct scope_right *right = right_of(device, region);

    return !record_uuid_is_zero(region) &&
           (device->admin || same(region, &device->enrolment_region) ||
            (right != NULL && right->allowed));
}

size_t scope_worked_in(const struct scope_device *device,
                       struct record_uuid regions_out[SCOPE_WORKED_MAX])
{
    size_t count = 0;

    regions_out[count++] = device->enrolment_region;
    regions_out[count++] = device->region;
    for (size_t i = 0; i < device->rights.count; i++)
        regions_out[count++] = device->rights.rights[i].region;
    return count;
}

bool scope_may_read(const struct scope_device *device, const struct scope_regions *regions)
{
    for (size_t i = 0; i < regions->count; i++)
        if (record_uuid_is_zero(&regions->ids[i]) || same(&regions->ids[i], &device->region))
            return true;
    return false;
}

bool scope_may_write(const struct scope_device *device, const struct scope_regions *regions)
{
    for (size_t i = 0; i < regions->count; i++)
        if (record_uuid_is_zero(&regions->ids[i]) ? device->admin
                                                  : scope_may_work_in(device, &regions->ids[i]) ||
                                                        right_of(device, &regions->ids[i]) != NULL)
            return true;
    return false;
}

bool scope_regions_have(const struct scope_regions *regions, const struct record_uuid *id)
{
    for (size_t i = 0; i < regions->count; i++)
        if (same(&regions->ids[i], id))
            return true;
    return false;
}

void scope_regions_add(struct scope_regions *regions, const struct record_uuid *id)
{
    size_t at = regions->count;

    if (scope_regions_have(regions, id))
        return;
    assert(regions->count < SCOPE_FAMILY_REGIONS_MAX);
    while (at > 0 && record_uuid_compare(&regions->ids[at - 1], id) > 0) {
        regions->ids[at] = regions->ids[at - 1];
        at--;
    }
    regions->ids[at] = *id;
    regions->count++;
}

static bool id_in(const struct record_body *body, uint32_t number, struct record_uuid *id_out)
{
    const struct wire_field *value = record_body_find(body, number);

    return value != NULL && value->type == WIRE_LEN &&
           record_uuid_from_bytes(value->bytes, id_out) && !record_uuid_is_zero(id_out);
}

bool scope_region_of_facility(const struct scope_roles *roles, const struct record_body *body,
                              struct record_uuid *region_out)
{
    return id_in(body, roles->facility_home->number, region_out);
}

bool scope_facility_is_closed(const struct scope_roles *roles, const struct record_body *body)
{
    const struct wire_field *at = record_body_find(body, roles->facility_closed->number);

    return at != NULL && at->value != 0;
}

bool scope_facility_of_root(const struct record_field *field, const struct record_body *body,
                            struct record_uuid *facility_out)
{
    return id_in(body, field->number, facility_out);
}

struct scope_facilities scope_facilities_of_root(const struct scope_roles *roles,
                                                 const struct record_body *body)
{
    struct scope_facilities facilities = {0};
    struct record_uuid id;

    for (size_t i = 0; i < roles->root_facility_count; i++)
        if (scope_facility_of_root(roles->root_facilities[i], body, &id) &&
            (facilities.count == 0 || !same(&facilities.ids[0], &id)))
            facilities.ids[facilities.count++] = id;
    return facilities;
}

bool scope_key_fits(const struct record_schema *schema, const struct record_key *key)
{
    const struct record_type *type = record_type_by_number(schema, key->type);
    bool has_family = !record_uuid_is_zero(&key->family);

    if (type == NULL)
        return true;
    switch (type->family) {
    case RECORD_FAMILY_GLOBAL:
        return !has_family;
    case RECORD_FAMILY_ROOT:
        return same(&key->family, &key->id);
    case RECORD_FAMILY_MEMBER:
        return has_family;
    }
    return false;
}
