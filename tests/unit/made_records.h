/* SPDX-License-Identifier: Apache-2.0
 *
 * Valid patients and readings by number, in batches of mutations, for tests and
 * measurements on the store interface. They are made from the schema's tables, so that
 * no field is named here.
 */
#ifndef OUTPOST_TESTS_MADE_RECORDS_H
#define OUTPOST_TESTS_MADE_RECORDS_H

#include "store.h"

struct made_records {
    struct scope_roles roles;
    struct record_hasher *hasher;
    struct record_uuid region_id, facility_id; /* of all that is made */
};

/* False: no memory. */
bool made_init(struct made_records *made, uint8_t region, uint8_t facility);
void made_deinit(struct made_records *made);

struct record_uuid made_id(uint32_t kind, uint32_t n);
struct wire_field id_value(uint32_t number, const struct record_uuid *id);
/* Some type of members of families. */
const struct record_type *member_type(void);

struct record_key made_patient_key(const struct made_records *made, uint32_t n);
/* A body that the type's validator accepts. */
void made_body(const struct made_records *made, const struct record_type *type, uint32_t n,
               struct record_body *body);

/* An empty batch of the device {n}; 0 is an administrator. */
struct push_batch *made_batch(const struct made_records *made, uint8_t n);
/* False: no memory, or the batch is full. */
bool made_add(const struct made_records *made, struct push_batch *batch, struct record_key key,
              const struct record_body *body, uint64_t base_version, uint64_t base_stamp);
bool made_add_facility(const struct made_records *made, struct push_batch *batch);
bool made_add_patient(const struct made_records *made, struct push_batch *batch, uint32_t n);
bool made_add_reading(const struct made_records *made, struct push_batch *batch, uint32_t patient,
                      uint32_t n);

/* How many of a decided batch's answers have the status. */
size_t made_answers(const struct push_batch *batch, enum push_status status);

#endif
