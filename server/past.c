/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoded as protobuf by hand: 1 creating device, 2 creating version when not
 * 1, 3 repeated change {1 group, 2 version, 3 device}, 4 stamps, 8 bytes each,
 * big-endian, 5 recovered version.
 */
#include "past.h"

enum {
    PAST_CREATED_BY = 1,
    PAST_CREATED_VERSION = 2,
    PAST_CHANGE = 3,
    PAST_STAMPS = 4,
    PAST_RECOVERED_VERSION = 5,
    CHANGE_GROUP = 1,
    CHANGE_VERSION = 2,
    CHANGE_DEVICE = 3,
    STAMP_LEN = 8,
};

static bool parse_change(struct rpc_bytes bytes, struct past *past)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;

    if (past->change_count == RECORD_FIELDS_MAX)
        return false;
    struct past_change *change = &past->changes[past->change_count++];
    *change = (struct past_change){0};
    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number == CHANGE_GROUP)
            change->group = (uint32_t)field.value;
        else if (field.number == CHANGE_VERSION)
            change->version = field.value;
        else if (field.number == CHANGE_DEVICE &&
                 !record_uuid_from_bytes(field.bytes, &change->device))
            return false;
    }
    return status == WIRE_END && change->group != 0;
}

static bool parse_stamps(struct rpc_bytes bytes, struct past *past)
{
    if (bytes.len % STAMP_LEN != 0 || bytes.len / STAMP_LEN > PAST_STAMPS_MAX)
        return false;
    past->stamp_count = bytes.len / STAMP_LEN;
    for (size_t i = 0; i < past->stamp_count; i++) {
        uint64_t stamp = 0;
        for (size_t b = 0; b < STAMP_LEN; b++)
            stamp = stamp << 8 | bytes.data[i * STAMP_LEN + b];
        past->stamps[i] = stamp;
    }
    return true;
}

bool past_parse(struct rpc_bytes bytes, struct past *past_out)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;

    past_out->created_version = 1;
    past_out->created_by = (struct record_uuid){{0}};
    past_out->recovered_version = 0;
    past_out->change_count = 0;
    past_out->stamp_count = 0;
    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        bool good = true;
        if (field.number == PAST_CREATED_BY)
            good = record_uuid_from_bytes(field.bytes, &past_out->created_by);
        else if (field.number == PAST_CREATED_VERSION)
            past_out->created_version = field.value;
        else if (field.number == PAST_RECOVERED_VERSION)
            past_out->recovered_version = field.value;
        else if (field.number == PAST_CHANGE)
            good = parse_change(field.bytes, past_out);
        else if (field.number == PAST_STAMPS)
            good = parse_stamps(field.bytes, past_out);
        if (!good)
            return false;
    }
    return status == WIRE_END;
}

void past_copy(const struct past *from, struct past *to)
{
    to->created_version = from->created_version;
    to->recovered_version = from->recovered_version;
    to->created_by = from->created_by;
    to->change_count = from->change_count;
    memcpy(to->changes, from->changes, from->change_count * sizeof from->changes[0]);
    to->stamp_count = from->stamp_count;
    memcpy(to->stamps, from->stamps, from->stamp_count * sizeof from->stamps[0]);
}

static void encode_change(const struct past_change *change, struct rpc_buffer *buffer)
{
    size_t len = 1 + wire_varint_len(change->group) + 1 + wire_varint_len(change->version) + 2 +
                 RECORD_UUID_LEN;

    wire_put_tag(buffer, PAST_CHANGE, WIRE_LEN);
    wire_put_varint(buffer, len);
    wire_put_uint(buffer, CHANGE_GROUP, change->group);
    wire_put_uint(buffer, CHANGE_VERSION, change->version);
    wire_put_bytes(buffer, CHANGE_DEVICE, rpc_bytes_view(change->device.bytes, RECORD_UUID_LEN));
}

void past_encode(const struct past *past, struct rpc_buffer *buffer)
{
    wire_put_bytes(buffer, PAST_CREATED_BY,
                   rpc_bytes_view(past->created_by.bytes, RECORD_UUID_LEN));
    if (past->created_version != 1)
        wire_put_uint(buffer, PAST_CREATED_VERSION, past->created_version);
    wire_put_uint(buffer, PAST_RECOVERED_VERSION, past->recovered_version);
    for (size_t i = 0; i < past->change_count; i++)
        encode_change(&past->changes[i], buffer);
    if (past->stamp_count > 0) {
        wire_put_tag(buffer, PAST_STAMPS, WIRE_LEN);
        wire_put_varint(buffer, past->stamp_count * STAMP_LEN);
        for (size_t i = 0; i < past->stamp_count; i++) {
            uint8_t stamp[STAMP_LEN];
            for (size_t b = 0; b < STAMP_LEN; b++)
                stamp[b] = (uint8_t)(past->stamps[i] >> (56 - 8 * b));
            rpc_buffer_append(buffer, stamp, sizeof stamp);
        }
    }
}

bool past_last_change(const struct past *past, uint32_t group, bool recorded,
                      struct past_change *change_out)
{
    for (size_t i = 0; i < past->change_count; i++) {
        if (past->changes[i].group == group) {
            *change_out = past->changes[i];
            return true;
        }
    }
    if (!recorded)
        return false;
    *change_out = (struct past_change){group, past->created_version, past->created_by};
    return true;
}

bool past_note_change(struct past *past, const struct past_change *change)
{
    for (size_t i = 0; i < past->change_count; i++) {
        if (past->changes[i].group == change->group) {
            past->changes[i] = *change;
            return true;
        }
    }
    if (past->change_count == RECORD_FIELDS_MAX)
        return false;
    past->changes[past->change_count++] = *change;
    return true;
}

void past_note_version(struct past *past, uint64_t old_version, uint64_t old_stamp,
                       uint64_t new_version)
{
    uint64_t stamps[PAST_STAMPS_MAX] = {0};
    size_t count = 0;

    if (old_version == 0)
        return;
    /* Versions may jump when a lost history is recovered; what never was has 0. */
    for (uint64_t version = new_version - 1; version > 0 && count < PAST_STAMPS_MAX; version--) {
        if (version == old_version) {
            stamps[count++] = old_stamp;
        } else if (version < old_version) {
            size_t index = (size_t)(old_version - 1 - version);
            if (index >= past->stamp_count)
                break;
            stamps[count++] = past->stamps[index];
        } else {
            count++;
        }
    }
    memcpy(past->stamps, stamps, sizeof stamps);
    past->stamp_count = count;
}

bool past_has(const struct past *past, uint64_t present_version, uint64_t present_stamp,
              uint64_t version, uint64_t stamp)
{
    if (version == present_version)
        return stamp == present_stamp;
    if (version > present_version || version == 0)
        return false;
    uint64_t index = present_version - 1 - version;
    return index < past->stamp_count && past->stamps[index] == stamp && stamp != 0;
}
