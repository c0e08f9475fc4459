/* SPDX-License-Identifier: Apache-2.0
 *
 * Message framing, and inflating of what the frames hold, by gzip and by zstd: never
 * more than the limit comes out.
 */
#include "compress.h"
#include "framing.h"
#include "fuzz.h"

enum { INFLATED_BYTES_MAX = 100000 };

static void try_inflate(struct compressor *compressor, enum rpc_encoding encoding,
                        struct rpc_bytes bytes)
{
    struct rpc_buffer out;

    rpc_buffer_init(&out, INFLATED_BYTES_MAX);
    compressor_inflate(compressor, encoding, bytes, &out);
    fuzz_must(out.len <= INFLATED_BYTES_MAX, "a limit of inflating");
    rpc_buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct compressor compressor; /* used again, as a connection does */
    struct rpc_bytes rest = rpc_bytes_view(data, len);
    struct framing_message message;

    while (framing_next(rest, INFLATED_BYTES_MAX, &message) == FRAMING_MESSAGE) {
        try_inflate(&compressor, RPC_ENCODING_GZIP, message.bytes);
        try_inflate(&compressor, RPC_ENCODING_ZSTD, message.bytes);
        rest.data += message.framed_len;
        rest.len -= message.framed_len;
    }
    return 0;
}

bool fuzz_seed(unsigned index, struct rpc_buffer *out)
{
    static uint8_t message[50000];
    static uint8_t shrunk[60000];
    struct compressor compressor = {0};
    enum rpc_encoding encoding = index % 2 == 0 ? RPC_ENCODING_GZIP : RPC_ENCODING_ZSTD;
    size_t len = 200 << index;
    uint8_t prefix[FRAMING_PREFIX_LEN];

    if (index >= 8)
        return false;
    for (size_t i = 0; i < len; i++)
        message[i] = (uint8_t)(i * i >> 7);
    size_t shrunk_len = compressor_shrink(&compressor, encoding, rpc_bytes_view(message, len),
                                          shrunk, sizeof shrunk);
    framing_put_prefix(prefix, true, shrunk_len);
    rpc_buffer_append(out, prefix, sizeof prefix);
    rpc_buffer_append(out, shrunk, shrunk_len);
    framing_put_prefix(prefix, false, 3);
    rpc_buffer_append(out, prefix, sizeof prefix);
    rpc_buffer_append(out, "abc", 3);
    compressor_release(&compressor);
    return true;
}
