/* SPDX-License-Identifier: Apache-2.0
 *
 * Protobuf's wire format, see wire.h. Nothing here allocates but the buffer
 * that is written to, and nothing trusts a length before it was checked.
 */
#include "outpost/wire.h"

enum { VARINT_LEN_MAX = 10 };

struct wire_reader wire_reader_over(struct rpc_bytes bytes)
{
    return (struct wire_reader){bytes.data, bytes.len > 0 ? bytes.data + bytes.len : bytes.data};
}

static bool read_varint(struct wire_reader *reader, uint64_t *value_out)
{
    uint64_t value = 0;

    for (unsigned shift = 0; reader->next < reader->end; shift += 7) {
        uint8_t byte = *reader->next++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *value_out = value;
            return true;
        }
        if (shift == 63)
            return false;
    }
    return false;
}

static bool read_fixed(struct wire_reader *reader, size_t len, uint64_t *value_out)
{
    if ((size_t)(reader->end - reader->next) < len)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value |= (uint64_t)reader->next[i] << (8 * i);
    reader->next += len;
    *value_out = value;
    return true;
}

static bool read_value(struct wire_reader *reader, struct wire_field *field)
{
    uint64_t len;

    switch (field->type) {
    case WIRE_VARINT:
        return read_varint(reader, &field->value);
    case WIRE_FIXED64:
        return read_fixed(reader, 8, &field->value);
    case WIRE_FIXED32:
        return read_fixed(reader, 4, &field->value);
    case WIRE_LEN:
        if (!read_varint(reader, &len) || len > (size_t)(reader->end - reader->next))
            return false;
        field->bytes = rpc_bytes_view(reader->next, (size_t)len);
        reader->next += len;
        return true;
    }
    return false;
}

enum wire_status wire_read(struct wire_reader *reader, struct wire_field *field_out)
{
    const uint8_t *start = reader->next;
    uint64_t tag;

    if (reader->next == reader->end)
        return WIRE_END;
    if (!read_varint(reader, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return WIRE_MALFORMED;

    struct wire_field field = {.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    if (!read_value(reader, &field))
        return WIRE_MALFORMED;
    field.raw = rpc_bytes_view(start, (size_t)(reader->next - start));
    *field_out = field;
    return WIRE_FIELD;
}

bool wire_field_is_zero(const struct wire_field *field)
{
    return field->type == WIRE_LEN ? field->bytes.len == 0 : field->value == 0;
}

enum wire_status wire_find(struct rpc_bytes message, uint32_t number, struct wire_field *field_out)
{
    struct wire_reader reader = wire_reader_over(message);
    struct wire_field field;
    enum wire_status found = WIRE_END;
    enum wire_status status;

    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number == number) {
            *field_out = field;
            found = WIRE_FIELD;
        }
    }
    return status == WIRE_MALFORMED ? WIRE_MALFORMED : found;
}

size_t wire_varint_len(uint64_t value)
{
    size_t len = 1;

    while (value >= 0x80) {
        value >>= 7;
        len++;
    }
    return len;
}

void wire_put_varint(struct rpc_buffer *buffer, uint64_t value)
{
    uint8_t bytes[VARINT_LEN_MAX];
    size_t len = 0;

    if (value < 0x80) { /* tags, short lengths, most numbers */
        bytes[0] = (uint8_t)value;
        rpc_buffer_append(buffer, bytes, 1);
        return;
    }
    while (value >= 0x80) {
        bytes[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[len++] = (uint8_t)value;
    rpc_buffer_append(buffer, bytes, len);
}

void wire_put_tag(struct rpc_buffer *buffer, uint32_t number, enum wire_type type)
{
    wire_put_varint(buffer, (uint64_t)number << 3 | (uint64_t)type);
}

static void put_fixed(struct rpc_buffer *buffer, uint64_t value, size_t len)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    rpc_buffer_append(buffer, bytes, len);
}

void wire_put_field(struct rpc_buffer *buffer, const struct wire_field *field)
{
    wire_put_tag(buffer, field->number, field->type);
    switch (field->type) {
    case WIRE_VARINT:
        wire_put_varint(buffer, field->value);
        break;
    case WIRE_FIXED64:
        put_fixed(buffer, field->value, 8);
        break;
    case WIRE_FIXED32:
        put_fixed(buffer, field->value, 4);
        break;
    case WIRE_LEN:
        wire_put_varint(buffer, field->bytes.len);
        rpc_buffer_append_bytes(buffer, field->bytes);
        break;
    }
}

void wire_put_uint(struct rpc_buffer *buffer, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    wire_put_tag(buffer, number, WIRE_VARINT);
    wire_put_varint(buffer, value);
}

void wire_put_fixed64(struct rpc_buffer *buffer, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    wire_put_tag(buffer, number, WIRE_FIXED64);
    put_fixed(buffer, value, 8);
}

void wire_put_bytes(struct rpc_buffer *buffer, uint32_t number, struct rpc_bytes bytes)
{
    if (bytes.len > 0)
        wire_put_message(buffer, number, bytes);
}

void wire_put_message(struct rpc_buffer *buffer, uint32_t number, struct rpc_bytes bytes)
{
    wire_put_tag(buffer, number, WIRE_LEN);
    wire_put_varint(buffer, bytes.len);
    rpc_buffer_append_bytes(buffer, bytes);
}

void wire_put_buffer(struct rpc_buffer *buffer, uint32_t number, const struct rpc_buffer *message)
{
    wire_put_message(buffer, number, rpc_buffer_view(message));
    buffer->failed = buffer->failed || message->failed;
}
