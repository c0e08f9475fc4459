/* SPDX-License-Identifier: Apache-2.0
 *
 * See store_fixture.h.
 */
#include "store_fixture.h"

#include "suite.h"

struct store_fixture fixture;
const struct record_uuid region_id = {{7}}, facility_id = {{8}};

void fixture_open(void)
{
    CU_ASSERT_TRUE_FATAL(made_init(&fixture.made, region_id.bytes[0], facility_id.bytes[0]));
    fixture.roles = fixture.made.roles;
    fixture.hasher = fixture.made.hasher;
    struct store_options options = {.roles = fixture.roles};
    struct rpc_status status = test_store_open(&options, &fixture.store);
    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
}

void fixture_close(void)
{
    store_close(fixture.store);
    made_deinit(&fixture.made);
    test_store_remove();
}

struct rpc_status fixture_run(struct store_request *request, enum store_kind kind)
{
    request->kind = kind;
    return store_run(fixture.store, request);
}

void valid_body(const struct record_type *type, uint32_t n, struct record_body *body)
{
    made_body(&fixture.made, type, n, body);
    CU_ASSERT_TRUE(body->count > 0);
}

void add_mutation(struct push_batch *batch, struct record_key key, const struct record_body *body,
                  uint64_t base_version, uint64_t base_stamp)
{
    CU_ASSERT_TRUE(made_add(&fixture.made, batch, key, body, base_version, base_stamp));
}
