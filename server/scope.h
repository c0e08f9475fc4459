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

/* The roles that the schema's annotations give. */
struct scope_roles {
    const struct record_schema *schema;
    const struct record_type *root;           /* the patient */
    const struct record_type *facility;       /* the type with a scope field */
    const struct record_field *facility_home; /* its scope field: the region's id */
    const struct record_type *region;         /* what that field refers to */
    const struct record_field *root_home;     /* the root's field that names its facility */
};

/* False: the schema has no facility type, region type or home field. */
bool scope_roles_find(const struct record_schema *schema, struct scope_roles *roles_out);

/* The id of the global records' region: all zeros. */
extern const struct record_uuid scope_global_region;

/* What a device may do, as read from the store for this stream. */
struct scope_device {
    struct record_uuid device_id;
    struct record_uuid enrolment_region;
    struct record_uuid facility; /* where it works now */
    struct record_uuid region;   /* that facility's */
    bool admin;
};

/* Whether the device may work at a facility of that region. */
bool scope_may_work_in(const struct scope_device *device, const struct record_uuid *region);

/* Whether records of that region are sent to the device. */
bool scope_may_read(const struct scope_device *device, const struct record_uuid *region);

/* Whether the device may write records of that region. Global records are for
 * administrators. */
bool scope_may_write(const struct scope_device *device, const struct record_uuid *region);

/* The facility's region as its record tells. False: it names none. */
bool scope_region_of_facility(const struct scope_roles *roles, const struct record_body *body,
                              struct record_uuid *region_out);

/* The facility that decides a root record's region. False: it names none. */
bool scope_facility_of_root(const struct scope_roles *roles, const struct record_body *body,
                            struct record_uuid *facility_out);

/* Whether the key's family fits its type: a root's id is its family, a member
 * has one, a global record has none. Of unknown types either form passes. */
bool scope_key_fits(const struct record_schema *schema, const struct record_key *key);

#endif
