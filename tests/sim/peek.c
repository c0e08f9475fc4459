/* SPDX-License-Identifier: Apache-2.0 */
#include "peek.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct peek peek_over(const void *data, size_t len)
{
    const uint8_t *bytes = data;

    return (struct peek){bytes, bytes + len};
}

static bool take_varint(struct peek *peek, uint64_t *value_out)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && peek->at < peek->end; shift += 7) {
        uint8_t byte = *peek->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value_out = value;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct peek *peek, size_t len, uint64_t *value_out)
{
    uint64_t value = 0;

    if ((size_t)(peek->end - peek->at) < len)
        return false;
    for (size_t i = len; i-- > 0;)
        value = value << 8 | peek->at[i];
    peek->at += len;
    *value_out = value;
    return true;
}

bool peek_next(struct peek *peek, struct peek_field *field_out)
{
    uint64_t tag;

    if (!take_varint(peek, &tag))
        return false;
    *field_out = (struct peek_field){.number = (uint32_t)(tag >> 3)};
    switch (tag & 7) {
    case VARINT:
        return take_varint(peek, &field_out->value);
    case FIXED64:
        return take_fixed(peek, 8, &field_out->value);
    case FIXED32:
        return take_fixed(peek, 4, &field_out->value);
    case BYTES:
        if (!take_varint(peek, &field_out->value) ||
            field_out->value > (uint64_t)(peek->end - peek->at))
            return false;
        field_out->data = peek->at;
        field_out->len = (size_t)field_out->value;
        peek->at += field_out->len;
        return true;
    default:
        return false;
    }
}

bool peek_find(const void *data, size_t len, uint32_t number, struct peek_field *field_out)
{
    struct peek peek = peek_over(data, len);
    struct peek_field field;
    bool found = false;

    while (peek_next(&peek, &field)) {
        if (field.number != number)
            continue;
        *field_out = field;
        found = true;
    }
    return found;
}
