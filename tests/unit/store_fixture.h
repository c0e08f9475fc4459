/* SPDX-License-Identifier: Apache-2.0
 *
 * An empty store on the engine that the environment asks for (test_store.h), and records
 * for it (made_records.h), for CUnit programs on the store interface.
 */
#ifndef OUTPOST_TESTS_STORE_FIXTURE_H
#define OUTPOST_TESTS_STORE_FIXTURE_H

#include "made_records.h"
#include "test_store.h"

struct store_fixture {
    struct store *store;
    struct scope_roles roles;
    struct record_hasher *hasher;
    struct made_records made;
};

/* The one that is open. */
extern struct store_fixture fixture;
extern const struct record_uuid region_id, facility_id;

void fixture_open(void);
void fixture_close(void);

struct rpc_status fixture_run(struct store_request *request, enum store_kind kind);

/* A body that the type's validator accepts, by the tables alone: of region_id and
 * facility_id wherever it names one. */
void valid_body(const struct record_type *type, uint32_t n, struct record_body *body);
/* Adds a mutation that sets every field of the body. */
void add_mutation(struct push_batch *batch, struct record_key key, const struct record_body *body,
                  uint64_t base_version, uint64_t base_stamp);

#endif
