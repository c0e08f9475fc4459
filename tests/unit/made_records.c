/* SPDX-License-Identifier: Apache-2.0 */
#include "made_records.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>

bool made_init(struct made_records *made, uint8_t region, uint8_t facility)
{
    *made = (struct made_records){.region_id = {{region}}, .facility_id = {{facility}}};
    made->hasher = record_hasher_new();
    return made->hasher != NULL && scope_roles_find(&outpost_v1_schema, &made->roles);
}

void made_deinit(struct made_records *made)
{
    record_hasher_free(made->hasher);
}

/* ---- Records ------------------------------------------------------------------- */

struct record_uuid made_id(uint32_t kind, uint32_t n)
{
    struct record_uuid id = {
        {(uint8_t)kind, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 1, 0x40, 0, 0x80}};

    return id;
}

struct record_key made_patient_key(const struct made_records *made, uint32_t n)
{
    struct record_uuid id = made_id(1, n);

    return (struct record_key){id, made->roles.root->number, id};
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

void made_body(const struct made_records *made, const struct record_type *type, uint32_t n,
               struct record_body *body)
{
    static _Thread_local char name[32];

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
            value = id_value(field->number, &made->region_id);
        else if (field->format == RECORD_FORMAT_UUID)
            value = id_value(field->number, &made->facility_id);
        else if (field->kind == RECORD_KIND_STRING)
            value = text(field->number, name);
        else
            value.value = (uint64_t)field->max;
        (void)record_body_set(body, &value); /* a type has fewer fields than a body may */
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

/* ---- Batches ------------------------------------------------------------------- */

struct push_batch *made_batch(const struct made_records *made, uint8_t n)
{
    struct scope_device author = {.device_id = {{n}},
                                  .enrolment_region = made->region_id,
                                  .facility = made->facility_id,
                                  .region = made->region_id,
                                  .admin = n == 0};

    return push_batch_new(&author, 1700000000000);
}

bool made_add(const struct made_records *made, struct push_batch *batch, struct record_key key,
              const struct record_body *body, uint64_t base_version, uint64_t base_stamp)
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
    bool good = !encoded.failed && !bytes.failed &&
                push_batch_add(batch, rpc_buffer_view(&bytes), base_stamp, made->hasher);
    rpc_buffer_deinit(&bytes);
    rpc_buffer_deinit(&encoded);
    return good;
}

bool made_add_facility(const struct made_records *made, struct push_batch *batch)
{
    struct record_key key = {.type = made->roles.facility->number, .id = made->facility_id};
    struct record_body body;

    made_body(made, made->roles.facility, 1, &body);
    return made_add(made, batch, key, &body, 0, 0);
}

bool made_add_patient(const struct made_records *made, struct push_batch *batch, uint32_t n)
{
    struct record_body body;

    made_body(made, made->roles.root, n, &body);
    return made_add(made, batch, made_patient_key(made, n), &body, 0, 0);
}

bool made_add_reading(const struct made_records *made, struct push_batch *batch, uint32_t patient,
                      uint32_t n)
{
    struct record_body body;
    struct record_key key = {made_id(1, patient), member_type()->number, made_id(2, n)};

    made_body(made, member_type(), n, &body);
    return made_add(made, batch, key, &body, 0, 0);
}

size_t made_answers(const struct push_batch *batch, enum push_status status)
{
    struct wire_reader reader = wire_reader_over(rpc_buffer_view(&batch->result));
    struct wire_field answer, value;
    size_t count = 0;

    while (wire_read(&reader, &answer) == WIRE_FIELD) {
        if (answer.number != 1)
            continue;
        uint64_t got = wire_find(answer.bytes, 1, &value) == WIRE_FIELD ? value.value : 0;
        count += got == (uint64_t)status;
    }
    return count;
}
