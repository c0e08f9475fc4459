/* SPDX-License-Identifier: Apache-2.0
 *
 * Scope: which regions a device reads and writes, and which region a family is
 * in (I7, R15, R16).
 *
 * One place decides, and on doubt it denies. What makes a record type a
 * facility or a region, and which field of a patient names the facility, is
 * read from the annotations, so no type and no field is named here.
 */
#ifndef OUTPOST_SERVER_SCOPE_H
#define OUTPOST_SERVER_SCOPE_H

#include "outpost/record.h"

/* Regions that a family can be in at once: those of registration and assigned
 * facility. Bounds what one mutation of a root writes. */
enum { SCOPE_ROOT_FACILITIES_MAX = 2, SCOPE_FAMILY_REGIONS_MAX = SCOPE_ROOT_FACILITIES_MAX };

enum {
    /* Regions beyond its enrolment region that a device was ever allowed to work
     * in: what every transaction of it reads. */
    SCOPE_RIGHTS_MAX = 14,
    /* All that it has worked in: those, its enrolment region and its present one. */
    SCOPE_WORKED_MAX = SCOPE_RIGHTS_MAX + 2,
};

/* Regions, ascending, each once. */
struct scope_regions {
    size_t count;
    struct record_uuid ids[SCOPE_FAMILY_REGIONS_MAX];
};

/* The facilities that a family's root names, in the order of its fields, each once. */
struct scope_facilities {
    size_t count;
    struct record_uuid ids[SCOPE_ROOT_FACILITIES_MAX];
};

void scope_regions_add(struct scope_regions *regions, const struct record_uuid *id);
bool scope_regions_have(const struct scope_regions *regions, const struct record_uuid *id);

/* The roles that the schema's annotations give. */
struct scope_roles {
    const struct record_schema *schema;
    const struct record_type *root;             /* the patient */
    const struct record_type *facility;         /* the type with a scope field */
    const struct record_field *facility_home;   /* its scope field: the region's id */
    const struct record_field *facility_closed; /* since when it is closed */
    const struct record_type *region;           /* what the scope field refers to */
    /* The root's fields that name facilities: their regions are the family's
     * (R16). The first is the one that is filled and never changes. */
    size_t root_facility_count;
    const struct record_field *root_facilities[SCOPE_ROOT_FACILITIES_MAX];
};

/* False: the schema has no facility type, region type, home or closing field. */
bool scope_roles_find(const struct record_schema *schema, struct scope_roles *roles_out);

/* The id of the global records' region: all zeros. */
extern const struct record_uuid scope_global_region;

/* The regions beyond its enrolment region that a device may work in, and those
 * that it was allowed once: it may have worked there with no network ever since,
 * so what is pending from there is still taken (R15). */
struct scope_rights {
    size_t count;
    struct scope_right {
        struct record_uuid region;
        bool allowed;
    } rights[SCOPE_RIGHTS_MAX];
};

/* False: the list is full. */
bool scope_rights_set(struct scope_rights *rights, const struct record_uuid *region, bool allowed);

/* What a device may do, as read from the store for this stream. */
struct scope_device {
    struct record_uuid device_id;
    struct record_uuid enrolment_region;
    struct scope_rights rights;
    struct record_uuid facility; /* where it works now */
    struct record_uuid region;   /* that facility's */
    bool admin;
};

/* Whether the device may work at a facility of that region. */
bool scope_may_work_in(const struct scope_device *device, const struct record_uuid *region);

/* Whether records that are in these regions are sent to the device: one is its
 * own, or the global one. */
bool scope_may_read(const struct scope_device *device, const struct scope_regions *regions);

/* Whether the device may write records that are in these regions: it may work
 * in one of them, or was allowed to (R15). Global records are for administrators. */
bool scope_may_write(const struct scope_device *device, const struct scope_regions *regions);

/* The regions that the device works in or may have worked in; how many. */
size_t scope_worked_in(const struct scope_device *device,
                       struct record_uuid regions_out[SCOPE_WORKED_MAX]);

/* The facility's region as its record tells. False: it names none. */
bool scope_region_of_facility(const struct scope_roles *roles, const struct record_body *body,
                              struct record_uuid *region_out);

/* Whether the facility's record says that it is closed. */
bool scope_facility_is_closed(const struct scope_roles *roles, const struct record_body *body);

/* The facility that one of root_facilities names in a root's body. False: none. */
bool scope_facility_of_root(const struct record_field *field, const struct record_body *body,
                            struct record_uuid *facility_out);

/* All that it names. */
struct scope_facilities scope_facilities_of_root(const struct scope_roles *roles,
                                                 const struct record_body *body);

/* Whether the key's family fits its type: a root's id is its family, a member
 * has one, a global record has none. Of unknown types either form passes. */
bool scope_key_fits(const struct record_schema *schema, const struct record_key *key);

#endif
