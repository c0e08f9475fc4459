/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies taken apart and put together canonically (R2). Because a record is
 * flat, one rule serves known and unknown fields alike: ascending numbers, the
 * last value of a number, no zero values, shortest varints. So a device that
 * learns a field years later computes the same stamp.
 */
#include "outpost/record.h"

bool record_body_parse(struct rpc_bytes bytes, struct record_body *body_out)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;

    if (bytes.len > RECORD_BODY_BYTES_MAX)
        return false;
    body_out->count = 0;
    while ((status = wire_read(&reader, &field)) == WIRE_FIELD)
        if (!record_body_set(body_out, &field))
            return false;
    return status == WIRE_END;
}

/* The place of a number, or where it would go. Fields mostly arrive in order,
 * so the search starts at the end. */
static size_t body_position(const struct record_body *body, uint32_t number)
{
    size_t position = body->count;

    while (position > 0 && body->fields[position - 1].number >= number)
        position--;
    return position;
}

const struct wire_field *record_body_find(const struct record_body *body, uint32_t number)
{
    size_t position = body_position(body, number);

    if (position < body->count && body->fields[position].number == number)
        return &body->fields[position];
    return NULL;
}

void record_body_remove(struct record_body *body, uint32_t number)
{
    size_t position = body_position(body, number);

    if (position == body->count || body->fields[position].number != number)
        return;
    memmove(&body->fields[position], &body->fields[position + 1],
            (body->count - position - 1) * sizeof body->fields[0]);
    body->count--;
}

bool record_body_set(struct record_body *body, const struct wire_field *field)
{
    size_t position = body_position(body, field->number);
    bool present = position < body->count && body->fields[position].number == field->number;

    if (position == body->count && position < RECORD_FIELDS_MAX && !wire_field_is_zero(field)) {
        body->fields[body->count++] = *field;
        return true;
    }
    if (wire_field_is_zero(field)) {
        record_body_remove(body, field->number);
        return true;
    }
    if (!present) {
        if (body->count == RECORD_FIELDS_MAX)
            return false;
        memmove(&body->fields[position + 1], &body->fields[position],
                (body->count - position) * sizeof body->fields[0]);
        body->count++;
    }
    body->fields[position] = *field;
    return true;
}

void record_body_encode(const struct record_body *body, struct rpc_buffer *buffer)
{
    for (size_t i = 0; i < body->count; i++)
        wire_put_field(buffer, &body->fields[i]);
}

static size_t encoded_len(const struct wire_field *field)
{
    size_t tag_len = wire_varint_len((uint64_t)field->number << 3);

    switch (field->type) {
    case WIRE_VARINT:
        return tag_len + wire_varint_len(field->value);
    case WIRE_FIXED64:
        return tag_len + 8;
    case WIRE_FIXED32:
        return tag_len + 4;
    case WIRE_LEN:
        return tag_len + wire_varint_len(field->bytes.len) + field->bytes.len;
    }
    return 0;
}

bool record_body_is_canonical(const struct record_body *body, struct rpc_bytes bytes)
{
    const uint8_t *next = bytes.data;

    for (size_t i = 0; i < body->count; i++) {
        const struct wire_field *field = &body->fields[i];
        if (field->raw.data != next || field->raw.len != encoded_len(field))
            return false;
        next += field->raw.len;
    }
    return (size_t)(next - bytes.data) == bytes.len;
}

bool record_value_equal(const struct wire_field *a, const struct wire_field *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->type != b->type)
        return false;
    return a->type == WIRE_LEN ? rpc_bytes_equal(a->bytes, b->bytes) : a->value == b->value;
}
