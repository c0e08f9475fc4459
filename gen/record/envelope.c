/* SPDX-License-Identifier: Apache-2.0
 *
 * The envelopes Record and Mutation of proto/outpost/v1/record.proto at wire
 * level, so that bodies pass through as the bytes they are. The field numbers
 * below are that file's; a unit test compares both with the generated code.
 */
#include "outpost/record.h"

enum {
    ENVELOPE_FAMILY_ID = 1,
    ENVELOPE_ID = 2,
    ENVELOPE_VERSION = 3,
    ENVELOPE_DELETED = 4,
    ENVELOPE_BASE_STAMP = 5,
    ENVELOPE_FIELDS = 6,
    ENVELOPE_RECOVERED_VERSION = 7,
};

/* Both envelopes begin alike; what only one has stays zero in the other. */
struct envelope {
    struct rpc_bytes family_id;
    struct rpc_bytes id;
    uint64_t version;
    uint64_t deleted;
    uint64_t stamp;
    uint64_t recovered_version;
    uint32_t type;
    size_t bodies;
    struct rpc_bytes body;
};

static bool take_bytes(const struct wire_field *field, struct rpc_bytes *bytes_out)
{
    *bytes_out = field->bytes;
    return field->type == WIRE_LEN;
}

static bool take_number(const struct wire_field *field, enum wire_type type, uint64_t *value_out)
{
    *value_out = field->value;
    return field->type == type;
}

static bool envelope_take(struct envelope *envelope, const struct wire_field *field)
{
    switch (field->number) {
    case ENVELOPE_FAMILY_ID:
        return take_bytes(field, &envelope->family_id);
    case ENVELOPE_ID:
        return take_bytes(field, &envelope->id);
    case ENVELOPE_VERSION:
        return take_number(field, WIRE_VARINT, &envelope->version);
    case ENVELOPE_DELETED:
        return take_number(field, WIRE_VARINT, &envelope->deleted);
    case ENVELOPE_BASE_STAMP:
        return take_number(field, WIRE_FIXED64, &envelope->stamp);
    case ENVELOPE_RECOVERED_VERSION:
        return take_number(field, WIRE_VARINT, &envelope->recovered_version);
    default:
        if (field->number < RECORD_TYPE_MIN)
            return true;
        envelope->type = field->number;
        envelope->bodies++;
        return take_bytes(field, &envelope->body);
    }
}

/* Fields of the record types that are not in a family (global) have no family
 * id; whether that fits the type is for those to say who know the schema. */
static bool envelope_finish(const struct envelope *envelope, struct record_key *key_out)
{
    struct record_key key = {.type = envelope->type};

    if (envelope->bodies != 1 || envelope->body.len > RECORD_BODY_BYTES_MAX)
        return false;
    if (!record_uuid_from_bytes(envelope->id, &key.id) || record_uuid_is_zero(&key.id))
        return false;
    if (envelope->family_id.len > 0 && !record_uuid_from_bytes(envelope->family_id, &key.family))
        return false;
    *key_out = key;
    return true;
}

bool record_image_parse(struct rpc_bytes bytes, struct record_image *image_out)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct envelope envelope = {0};
    struct wire_field field;
    enum wire_status status;
    struct record_key key;

    while ((status = wire_read(&reader, &field)) == WIRE_FIELD)
        if (!envelope_take(&envelope, &field))
            return false;
    if (status != WIRE_END || !envelope_finish(&envelope, &key))
        return false;
    *image_out = (struct record_image){
        .key = key,
        .version = envelope.version,
        .deleted = envelope.deleted != 0,
        .body = envelope.body,
    };
    return true;
}

static void put_name(const struct record_key *key, struct rpc_buffer *buffer)
{
    if (!record_uuid_is_zero(&key->family))
        wire_put_bytes(buffer, ENVELOPE_FAMILY_ID,
                       rpc_bytes_view(key->family.bytes, RECORD_UUID_LEN));
    wire_put_bytes(buffer, ENVELOPE_ID, rpc_bytes_view(key->id.bytes, RECORD_UUID_LEN));
}

void record_image_encode(const struct record_image *image, struct rpc_buffer *buffer)
{
    put_name(&image->key, buffer);
    wire_put_uint(buffer, ENVELOPE_VERSION, image->version);
    wire_put_uint(buffer, ENVELOPE_DELETED, image->deleted);
    wire_put_message(buffer, image->key.type, image->body);
}

static bool fields_add(struct record_mutation *mutation, uint64_t number)
{
    size_t count = mutation->field_count;

    if (number == 0 || number > UINT32_MAX || count == RECORD_FIELDS_MAX)
        return false;
    if (count > 0 && mutation->fields[count - 1] >= number)
        return false;
    mutation->fields[mutation->field_count++] = (uint32_t)number;
    return true;
}

/* A repeated number travels packed or one by one; readers take both. */
static bool fields_take(struct record_mutation *mutation, const struct wire_field *field)
{
    if (field->type == WIRE_VARINT)
        return fields_add(mutation, field->value);
    if (field->type != WIRE_LEN)
        return false;

    const uint8_t *next = field->bytes.data;
    const uint8_t *end = next + field->bytes.len;
    while (next < end) {
        uint64_t number = 0;
        unsigned shift = 0;
        do {
            if (next == end || shift > 28)
                return false;
            number |= (uint64_t)(*next & 0x7f) << shift;
            shift += 7;
        } while (*next++ & 0x80);
        if (!fields_add(mutation, number))
            return false;
    }
    return true;
}

bool record_mutation_sets(const struct record_mutation *mutation, uint32_t number)
{
    for (size_t i = 0; i < mutation->field_count; i++)
        if (mutation->fields[i] == number)
            return true;
    return false;
}

static bool body_is_listed(const struct record_mutation *mutation)
{
    struct wire_reader reader = wire_reader_over(mutation->body);
    struct wire_field field;
    enum wire_status status;

    while ((status = wire_read(&reader, &field)) == WIRE_FIELD)
        if (!record_mutation_sets(mutation, field.number))
            return false;
    return status == WIRE_END;
}

bool record_mutation_parse(struct rpc_bytes bytes, struct record_mutation *mutation_out)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct envelope envelope = {0};
    struct wire_field field;
    enum wire_status status;

    mutation_out->field_count = 0;
    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        bool taken = field.number == ENVELOPE_FIELDS ? fields_take(mutation_out, &field)
                                                     : envelope_take(&envelope, &field);
        if (!taken)
            return false;
    }
    if (status != WIRE_END || !envelope_finish(&envelope, &mutation_out->key))
        return false;
    mutation_out->base_version = envelope.version;
    mutation_out->base_stamp = envelope.stamp;
    mutation_out->deletes = envelope.deleted != 0;
    mutation_out->recovered_version = envelope.recovered_version;
    mutation_out->body = envelope.body;
    return body_is_listed(mutation_out);
}

void record_mutation_encode(const struct record_mutation *mutation, struct rpc_buffer *buffer)
{
    put_name(&mutation->key, buffer);
    wire_put_uint(buffer, ENVELOPE_VERSION, mutation->base_version);
    wire_put_uint(buffer, ENVELOPE_DELETED, mutation->deletes);
    wire_put_fixed64(buffer, ENVELOPE_BASE_STAMP, mutation->base_stamp);
    if (mutation->field_count > 0) {
        size_t len = 0;
        for (size_t i = 0; i < mutation->field_count; i++)
            len += wire_varint_len(mutation->fields[i]);
        wire_put_tag(buffer, ENVELOPE_FIELDS, WIRE_LEN);
        wire_put_varint(buffer, len);
        for (size_t i = 0; i < mutation->field_count; i++)
            wire_put_varint(buffer, mutation->fields[i]);
    }
    wire_put_uint(buffer, ENVELOPE_RECOVERED_VERSION, mutation->recovered_version);
    wire_put_message(buffer, mutation->key.type, mutation->body);
}
