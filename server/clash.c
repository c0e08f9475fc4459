/* SPDX-License-Identifier: Apache-2.0 */
#include "clash.h"

enum {
    ENTRY_CLASHES = 1,
    CLASH_KIND = 1,
    CLASH_GROUP = 2,
    CLASH_ARRIVING_LOST = 3,
    CLASH_STORED = 4,
    CLASH_ARRIVING = 5,
};

void clash_encode(const struct clash *clash, struct rpc_buffer *scratch, struct rpc_buffer *entry)
{
    rpc_buffer_clear(scratch);
    wire_put_uint(scratch, CLASH_KIND, clash->kind);
    wire_put_uint(scratch, CLASH_GROUP, clash->group);
    wire_put_uint(scratch, CLASH_ARRIVING_LOST, clash->arriving_lost);
    wire_put_bytes(scratch, CLASH_STORED, clash->stored);
    wire_put_bytes(scratch, CLASH_ARRIVING, clash->arriving);
    wire_put_buffer(entry, ENTRY_CLASHES, scratch);
}

static bool parse(struct rpc_bytes bytes, struct clash *clash)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;

    *clash = (struct clash){.group = 0};
    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number == CLASH_KIND)
            clash->kind = (enum merge_clash_kind)field.value;
        else if (field.number == CLASH_GROUP)
            clash->group = (uint32_t)field.value;
        else if (field.number == CLASH_ARRIVING_LOST)
            clash->arriving_lost = field.value != 0;
        else if (field.number == CLASH_STORED)
            clash->stored = field.bytes;
        else if (field.number == CLASH_ARRIVING)
            clash->arriving = field.bytes;
    }
    return status == WIRE_END;
}

bool clash_next(struct wire_reader *entry, struct clash *clash_out)
{
    struct wire_field field;

    while (wire_read(entry, &field) == WIRE_FIELD)
        if (field.number == ENTRY_CLASHES && field.type == WIRE_LEN)
            return parse(field.bytes, clash_out);
    return false;
}
