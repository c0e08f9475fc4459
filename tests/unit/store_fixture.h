/* SPDX-License-Identifier: Apache-2.0
 *
 * A real SQLite store in the working folder, and records for it that are made from the
 * schema's tables, so that no field is named in a test of the server.
 */
#ifndef OUTPOST_TESTS_STORE_FIXTURE_H
#define OUTPOST_TESTS_STORE_FIXTURE_H

#include "store.h"

struct store_fixture {
    char file[80];
    struct store *store;
    struct scope_roles roles;
    struct record_hasher *hasher;
};

/* The one that is open. */
extern struct store_fixture fixture;
extern const struct record_uuid region_id, facility_id;

/* An empty store. name is the test program's. */
void fixture_open(const char *name);
void fixture_close(void);

struct rpc_status fixture_run(struct store_request *request, enum store_kind kind);

struct record_uuid made_id(uint32_t kind, uint32_t n);
struct wire_field id_value(uint32_t number, const struct record_uuid *id);
/* A body that the type's validator accepts, by the tables alone: of region_id and
 * facility_id wherever it names one. */
void valid_body(const struct record_type *type, uint32_t n, struct record_body *body);
/* Some type of members of families. */
const struct record_type *member_type(void);
/* Adds a mutation that sets every field of the body. */
void add_mutation(struct push_batch *batch, struct record_key key, const struct record_body *body,
                  uint64_t base_version, uint64_t base_stamp);

#endif
