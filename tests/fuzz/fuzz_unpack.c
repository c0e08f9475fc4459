/* SPDX-License-Identifier: Apache-2.0
 *
 * What the stubs let through to protobuf-c: it unpacks, and packs again to something
 * that is let through too.
 */
#include "fuzz.h"
#include "outpost/v1/enrolment.pb-c.h"
#include "outpost/v1/sync.pb-c.h"
#include "sound.h"

static void try_type(const ProtobufCMessageDescriptor *type, struct rpc_bytes bytes)
{
    if (!sound_check(type, bytes))
        return;
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, bytes.len, bytes.data);
    if (message == NULL)
        return; /* a field with another wire type than its own */
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(len + 1);
    if (packed == NULL)
        abort();
    fuzz_must(protobuf_c_message_pack(message, packed) == len, "the size that was said");
    fuzz_must(sound_check(type, rpc_bytes_view(packed, len)), "what is packed is sound");
    free(packed);
    protobuf_c_message_free_unpacked(message, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rpc_bytes bytes = rpc_bytes_view(data, len);

    try_type(&outpost__v1__sync_request__descriptor, bytes);
    try_type(&outpost__v1__sync_response__descriptor, bytes);
    try_type(&outpost__v1__enrol_request__descriptor, bytes);
    return 0;
}

/* Made by hand: tags and lengths of nested messages, texts, packed numbers. */
bool fuzz_seed(unsigned index, struct rpc_buffer *out)
{
    static const char *const seeds[] = {
        "\x0a\x0c\x0a\x05hello\x10\x01\x18\x7f",
        "\x12\x14\x0a\x12\x0a\x10"
        "0123456789abcdef",
        "\x1a\x06\x08\x96\x01\x10\x01\x20\x22\x02\xc3\xa4",
        "\x0a\x04name\x12\x03\x01\x02\x03\x1d"
        "abcd\x21"
        "abcdefgh",
        "\x0a\x20\x0a\x1e\x0a\x1c\x0a\x1a\x0a\x18\x0a\x16\x0a\x14\x0a\x12\x0a\x10"
        "0123456789abcdef",
    };

    if (index >= sizeof seeds / sizeof seeds[0])
        return false;
    rpc_buffer_append(out, seeds[index], strlen(seeds[index]));
    return true;
}
