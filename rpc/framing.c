/* SPDX-License-Identifier: Apache-2.0
 *
 * The five bytes before every message; see framing.h.
 */
#include "framing.h"

enum { FLAG_COMPRESSED = 1 };

enum framing_result framing_next(struct rpc_bytes bytes, size_t message_bytes_max,
                                 struct framing_message *message_out)
{
    if (bytes.len < FRAMING_PREFIX_LEN)
        return FRAMING_MORE;
    const uint8_t *prefix = bytes.data;
    size_t len = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 |
                 (size_t)prefix[4];

    if (prefix[0] > FLAG_COMPRESSED)
        return FRAMING_BAD_FLAG;
    if (len > message_bytes_max)
        return FRAMING_TOO_LARGE;
    if (bytes.len - FRAMING_PREFIX_LEN < len)
        return FRAMING_MORE;
    *message_out = (struct framing_message){
        .compressed = prefix[0] == FLAG_COMPRESSED,
        .bytes = rpc_bytes_view(prefix + FRAMING_PREFIX_LEN, len),
        .framed_len = FRAMING_PREFIX_LEN + len,
    };
    return FRAMING_MESSAGE;
}

void framing_put_prefix(uint8_t prefix[FRAMING_PREFIX_LEN], bool compressed, size_t len)
{
    prefix[0] = compressed ? FLAG_COMPRESSED : 0;
    for (size_t i = 0; i < 4; i++)
        prefix[1 + i] = (uint8_t)(len >> (24 - 8 * i));
}
