/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoded as protobuf by hand: repeated region {1 region id, 2 at, 3 seen,
 * 4 high water, 5 position, 6 sent, 7 leaving,
 * 8 facility, 9 in the rest, 10 without, 11 fill}, seen left out where it is at; a place is
 * its seq, 8 bytes big-endian, and its hash; a position is family id, type (4 bytes
 * big-endian) and id.
 */
#include "cursor.h"

enum {
    CURSOR_REGION = 1,
    REGION_ID = 1,
    REGION_AT = 2,
    REGION_SEEN = 3,
    REGION_HIGH_WATER = 4,
    REGION_POSITION = 5,
    REGION_SENT = 6,
    REGION_LEAVING = 7,
    REGION_FACILITY = 8,
    REGION_IN_REST = 9,
    REGION_WITHOUT = 10, /* one for each type */
    REGION_FILL = 11,
    PLACE_LEN = 8 + STORE_HASH_LEN,
    POSITION_LEN = 2 * RECORD_UUID_LEN + 4,
};

static bool parse_place(struct rpc_bytes bytes, struct store_place *place)
{
    if (bytes.len != PLACE_LEN)
        return false;
    place->seq = 0;
    for (size_t i = 0; i < 8; i++)
        place->seq = place->seq << 8 | bytes.data[i];
    memcpy(place->hash, bytes.data + 8, STORE_HASH_LEN);
    return true;
}

static bool parse_position(struct rpc_bytes bytes, struct record_key *position)
{
    const uint8_t *type = bytes.data + RECORD_UUID_LEN;

    if (bytes.len != POSITION_LEN)
        return false;
    memcpy(position->family.bytes, bytes.data, RECORD_UUID_LEN);
    position->type =
        (uint32_t)type[0] << 24 | (uint32_t)type[1] << 16 | (uint32_t)type[2] << 8 | type[3];
    memcpy(position->id.bytes, type + 4, RECORD_UUID_LEN);
    return true;
}

static bool parse_type(const struct wire_field *field, uint32_t types[ROLLOUT_TYPES_MAX],
                       size_t *count)
{
    if (field->type != WIRE_VARINT || *count == ROLLOUT_TYPES_MAX)
        return false;
    types[(*count)++] = (uint32_t)field->value;
    return true;
}

static bool parse_region(struct rpc_bytes bytes, struct cursor_region *region)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;
    bool good = true;

    *region = (struct cursor_region){0};
    while (good && (status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number == REGION_ID)
            good = record_uuid_from_bytes(field.bytes, &region->region_id);
        else if (field.number == REGION_AT)
            good = parse_place(field.bytes, &region->at);
        else if (field.number == REGION_SEEN)
            good = parse_place(field.bytes, &region->seen);
        else if (field.number == REGION_HIGH_WATER)
            good = region->in_snapshot = parse_place(field.bytes, &region->high_water);
        else if (field.number == REGION_POSITION)
            good = parse_position(field.bytes, &region->position);
        else if (field.number == REGION_SENT)
            region->sent = field.value;
        else if (field.number == REGION_LEAVING)
            region->leaving = field.value != 0;
        else if (field.number == REGION_FACILITY)
            good = record_uuid_from_bytes(field.bytes, &region->facility);
        else if (field.number == REGION_IN_REST)
            region->in_rest = field.value != 0;
        else if (field.number == REGION_WITHOUT)
            good = parse_type(&field, region->without, &region->without_count);
        else if (field.number == REGION_FILL)
            good = parse_type(&field, region->fill, &region->fill_count);
    }
    if (region->seen.seq < region->at.seq)
        region->seen = region->at;
    return good && status == WIRE_END;
}

bool cursor_parse(struct rpc_bytes bytes, struct cursor *cursor_out)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;

    cursor_out->region_count = 0;
    if (bytes.len > CURSOR_BYTES_MAX)
        return false;
    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number != CURSOR_REGION || field.type != WIRE_LEN ||
            cursor_out->region_count == STORE_REGIONS_PER_DEVICE_MAX ||
            !parse_region(field.bytes, &cursor_out->regions[cursor_out->region_count]))
            return false;
        cursor_out->region_count++;
    }
    return status == WIRE_END;
}

static void put_place(struct rpc_buffer *buffer, uint32_t number, const struct store_place *place)
{
    uint8_t bytes[PLACE_LEN];

    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(place->seq >> (56 - 8 * i));
    memcpy(bytes + 8, place->hash, STORE_HASH_LEN);
    wire_put_bytes(buffer, number, rpc_bytes_view(bytes, sizeof bytes));
}

static void put_position(struct rpc_buffer *buffer, const struct record_key *key)
{
    uint8_t position[POSITION_LEN];

    memcpy(position, key->family.bytes, RECORD_UUID_LEN);
    for (size_t i = 0; i < 4; i++)
        position[RECORD_UUID_LEN + i] = (uint8_t)(key->type >> (24 - 8 * i));
    memcpy(position + RECORD_UUID_LEN + 4, key->id.bytes, RECORD_UUID_LEN);
    wire_put_bytes(buffer, REGION_POSITION, rpc_bytes_view(position, sizeof position));
}

static void encode_region(const struct cursor_region *region, struct rpc_buffer *buffer)
{

    /* The zero id of the global region must be there too. */
    wire_put_message(buffer, REGION_ID, rpc_bytes_view(region->region_id.bytes, RECORD_UUID_LEN));
    if (region->at.seq > 0)
        put_place(buffer, REGION_AT, &region->at);
    if (region->seen.seq > region->at.seq)
        put_place(buffer, REGION_SEEN, &region->seen);
    wire_put_uint(buffer, REGION_LEAVING, region->leaving);
    for (size_t i = 0; i < region->without_count; i++)
        wire_put_uint(buffer, REGION_WITHOUT, region->without[i]);
    for (size_t i = 0; i < region->fill_count; i++)
        wire_put_uint(buffer, REGION_FILL, region->fill[i]);
    if (region->in_snapshot || region->fill_count > 0)
        put_position(buffer, &region->position);
    if (!region->in_snapshot)
        return;
    put_place(buffer, REGION_HIGH_WATER, &region->high_water);
    wire_put_uint(buffer, REGION_SENT, region->sent);
    if (!record_uuid_is_zero(&region->facility))
        wire_put_message(buffer, REGION_FACILITY,
                         rpc_bytes_view(region->facility.bytes, RECORD_UUID_LEN));
    wire_put_uint(buffer, REGION_IN_REST, region->in_rest);
}

void cursor_encode(const struct cursor *cursor, struct rpc_buffer *buffer)
{
    struct rpc_buffer region;

    rpc_buffer_init(&region, CURSOR_BYTES_MAX);
    for (size_t i = 0; i < cursor->region_count; i++) {
        rpc_buffer_clear(&region);
        encode_region(&cursor->regions[i], &region);
        wire_put_buffer(buffer, CURSOR_REGION, &region);
    }
    buffer->failed = buffer->failed || region.failed;
    rpc_buffer_deinit(&region);
}

struct cursor_region *cursor_find(struct cursor *cursor, const struct record_uuid *region_id)
{
    for (size_t i = 0; i < cursor->region_count; i++)
        if (record_uuid_compare(&cursor->regions[i].region_id, region_id) == 0)
            return &cursor->regions[i];
    return NULL;
}
