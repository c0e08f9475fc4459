/* SPDX-License-Identifier: Apache-2.0
 *
 * See store_fixture.h.
 */
#include "store_fixture.h"

#include "suite.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>
#include <unistd.h>

struct store_fixture fixture;
const struct record_uuid region_id = {{7}}, facility_id = {{8}};

/* ---- The store ------------------------------------------------------------------ */

void fixture_open(const char *name)
{
    struct store_options options = {0};

    snprintf(fixture.file, sizeof fixture.file, "%s_%d.db", name, (int)getpid());
    fixture.hasher = record_hasher_new();
    CU_ASSERT_TRUE_FATAL(scope_roles_find(&outpost_v1_schema, &fixture.roles));
    options.roles = fixture.roles;
    struct rpc_status status = store_sqlite_open(fixture.file, true, &options, &fixture.store);
    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
}

void fixture_close(void)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char path[96];

    store_close(fixture.store);
    record_hasher_free(fixture.hasher);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(path, sizeof path, "%s%s", fixture.file, endings[i]);
        unlink(path);
    }
}

struct rpc_status fixture_run(struct store_request *request, enum store_kind kind)
{
    request->kind = kind;
    return store_run(fixture.store, request);
}

/* ---- Building records -------------------------------------------------------- */

struct record_uuid made_id(uint32_t kind, uint32_t n)
{
    struct record_uuid id = {
        {(uint8_t)kind, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 1, 0x40, 0, 0x80}};

    return id;
}

static struct wire_field text(uint32_t number, const char *value)
{
    return (struct wire_field){
        .number = number, .type = WIRE_LEN, .bytes = rpc_bytes_view(value, strlen(value))};
}

struct wire_field id_value(uint32_t number, const struct record_uuid *id)
{
    return (struct wire_field){
        .number = number, .type = WIRE_LEN, .bytes = rpc_bytes_view(id->bytes, RECORD_UUID_LEN)};
}

void valid_body(const struct record_type *type, uint32_t n, struct record_body *body)
{
    static char name[32];

    body->count = 0;
    snprintf(name, sizeof name, "name %u", n);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct record_field *field = &type->fields[i];
        struct wire_field value = {.number = field->number, .type = WIRE_VARINT};
        bool one_of = type->exactly_one_of_count > 0 && field->number == type->exactly_one_of[0];
        if (!field->required && !one_of && field->fill == RECORD_FILL_NONE)
            continue;
        if (field->format == RECORD_FORMAT_DATE)
            value = text(field->number, "1980-02-29");
        else if (field->scope)
            value = id_value(field->number, &region_id);
        else if (field->format == RECORD_FORMAT_UUID)
            value = id_value(field->number, &facility_id);
        else if (field->kind == RECORD_KIND_STRING)
            value = text(field->number, name);
        else
            value.value = (uint64_t)field->max;
        CU_ASSERT_TRUE(record_body_set(body, &value));
    }
}

const struct record_type *member_type(void)
{
    const struct record_type *found = NULL;

    for (size_t i = 0; i < outpost_v1_schema.type_count; i++)
        if (outpost_v1_schema.types[i].family == RECORD_FAMILY_MEMBER)
            found = &outpost_v1_schema.types[i];
    return found;
}

void add_mutation(struct push_batch *batch, struct record_key key, const struct record_body *body,
                  uint64_t base_version, uint64_t base_stamp)
{
    struct record_mutation mutation = {
        .key = key, .base_version = base_version, .base_stamp = base_stamp};
    struct rpc_buffer encoded, bytes;

    rpc_buffer_init(&encoded, RECORD_BODY_BYTES_MAX);
    rpc_buffer_init(&bytes, RECORD_ENVELOPE_BYTES_MAX);
    record_body_encode(body, &encoded);
    mutation.body = rpc_buffer_view(&encoded);
    for (size_t i = 0; i < body->count; i++)
        mutation.fields[mutation.field_count++] = body->fields[i].number;
    record_mutation_encode(&mutation, &bytes);
    CU_ASSERT_TRUE(push_batch_add(batch, rpc_buffer_view(&bytes), base_stamp, fixture.hasher));
    rpc_buffer_deinit(&bytes);
    rpc_buffer_deinit(&encoded);
}
