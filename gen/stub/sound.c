/* SPDX-License-Identifier: Apache-2.0 */
#include "sound.h"

enum {
    /* What malloc keeps beside a block, rounded up. */
    BLOCK_OVERHEAD_BYTES = 24,
    /* Of protobuf-c's note of one field while it unpacks. */
    SCANNED_BYTES = 40,
};

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_64BIT = 1,
    WIRE_LENGTH = 2,
    WIRE_32BIT = 5,
};

struct walk {
    size_t unpacked; /* bytes so far */
    unsigned depth;
};

static bool count(struct walk *walk, size_t len)
{
    walk->unpacked += len;
    return walk->unpacked <= SOUND_UNPACKED_BYTES_MAX;
}

/* ---- The wire ---------------------------------------------------------------- */

static bool take(struct rpc_bytes *bytes, size_t len, struct rpc_bytes *taken_out)
{
    if (len > bytes->len)
        return false;
    *taken_out = rpc_bytes_view(bytes->data, len);
    bytes->data += len;
    bytes->len -= len;
    return true;
}

static bool take_varint(struct rpc_bytes *bytes, uint64_t *value_out)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes->len && i < 10; i++) {
        value |= (uint64_t)(bytes->data[i] & 0x7f) << (7 * i);
        if ((bytes->data[i] & 0x80) == 0) {
            bytes->data += i + 1;
            bytes->len -= i + 1;
            *value_out = value;
            return true;
        }
    }
    return false;
}

/* A field's content; of a varint its bytes. */
static bool take_content(struct rpc_bytes *bytes, unsigned wire_type, struct rpc_bytes *content_out)
{
    const uint8_t *start = bytes->data;
    uint64_t value = 0;

    switch (wire_type) {
    case WIRE_VARINT:
        if (!take_varint(bytes, &value))
            return false;
        *content_out = rpc_bytes_view(start, (size_t)(bytes->data - start));
        return true;
    case WIRE_64BIT:
        return take(bytes, 8, content_out);
    case WIRE_LENGTH:
        return take_varint(bytes, &value) && value <= bytes->len &&
               take(bytes, (size_t)value, content_out);
    case WIRE_32BIT:
        return take(bytes, 4, content_out);
    default:
        return false; /* groups, which protobuf-c does not know */
    }
}

/* ---- Text ---------------------------------------------------------------------- */

/* Length of the well-formed character at the front (Unicode's table 3-7); 0: none. */
static size_t character_len(const uint8_t *at, size_t len)
{
    uint8_t lead = at[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;

    if (size == 1)
        return lead != 0 ? 1 : 0;
    if (lead < 0xc2 || lead > 0xf4 || size > len || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

static bool is_text(struct rpc_bytes text)
{
    while (text.len > 0) {
        size_t len = character_len(text.data, text.len);
        if (len == 0)
            return false;
        text.data += len;
        text.len -= len;
    }
    return true;
}

/* ---- Messages -------------------------------------------------------------------- */

static bool walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                         struct rpc_bytes bytes);

/* Elements of a packed field are at most as many as its bytes. */
static size_t unpacked_len(const ProtobufCFieldDescriptor *field, struct rpc_bytes content)
{
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    bool packed = repeated && field->type != PROTOBUF_C_TYPE_STRING &&
                  field->type != PROTOBUF_C_TYPE_BYTES && field->type != PROTOBUF_C_TYPE_MESSAGE;

    return SCANNED_BYTES + (packed ? content.len * sizeof(uint64_t) : 0) +
           (repeated ? sizeof(ProtobufCBinaryData) : 0);
}

static bool walk_field(struct walk *walk, const ProtobufCFieldDescriptor *field, unsigned wire_type,
                       struct rpc_bytes content)
{
    if (field == NULL)
        return count(walk, SCANNED_BYTES + sizeof(ProtobufCMessageUnknownField) +
                               BLOCK_OVERHEAD_BYTES + content.len);
    if (!count(walk, unpacked_len(field, content)))
        return false;
    if (wire_type != WIRE_LENGTH)
        return true;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return count(walk, BLOCK_OVERHEAD_BYTES + content.len) && is_text(content);
    case PROTOBUF_C_TYPE_BYTES:
        return count(walk, BLOCK_OVERHEAD_BYTES + content.len);
    case PROTOBUF_C_TYPE_MESSAGE:
        return walk_message(walk, field->descriptor, content);
    default:
        return true;
    }
}

static bool walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type,
                         struct rpc_bytes bytes)
{
    bool sound =
        walk->depth < SOUND_DEPTH_MAX && count(walk, BLOCK_OVERHEAD_BYTES + type->sizeof_message);

    walk->depth++;
    while (sound && bytes.len > 0) {
        uint64_t tag = 0;
        struct rpc_bytes content;
        bool taken = take_varint(&bytes, &tag) && tag >> 3 != 0 && tag >> 32 == 0 &&
                     take_content(&bytes, (unsigned)tag & 7, &content);
        sound =
            taken &&
            walk_field(walk, protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3)),
                       (unsigned)tag & 7, content);
    }
    walk->depth--;
    return sound;
}

bool sound_check(const ProtobufCMessageDescriptor *type, struct rpc_bytes bytes)
{
    struct walk walk = {0};

    return walk_message(&walk, type, bytes);
}
