/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 frames made by hand, as no library would send them. Header fields are
 * plain HPACK literals.
 */
#ifndef OUTPOST_TESTS_RPC_FRAMES_H
#define OUTPOST_TESTS_RPC_FRAMES_H

#include "outpost/rpc_bytes.h"

#include <CUnit/CUnit.h>

enum frame_type {
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    GOAWAY = 7,
    WINDOW_UPDATE = 8,
    CONTINUATION = 9,
};

enum { END_STREAM = 1, END_HEADERS = 4 };

static inline void put_frame(struct rpc_buffer *out, enum frame_type type, int flags,
                             uint32_t stream, const void *payload, size_t len)
{
    const uint8_t head[9] = {
        (uint8_t)(len >> 16),    (uint8_t)(len >> 8),    (uint8_t)len,
        (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
        (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream,
    };

    rpc_buffer_append(out, head, sizeof head);
    rpc_buffer_append(out, payload, len);
    CU_ASSERT_FALSE_FATAL(out->failed);
}

static inline void put_field(struct rpc_buffer *block, const char *name, const char *value)
{
    const uint8_t name_head[2] = {0, (uint8_t)strlen(name)};
    size_t len = strlen(value);

    rpc_buffer_append(block, name_head, 2);
    rpc_buffer_append(block, name, strlen(name));
    if (len < 127) {
        const uint8_t value_head = (uint8_t)len;
        rpc_buffer_append(block, &value_head, 1);
    } else { /* an HPACK integer with a 7-bit prefix */
        uint8_t head[4] = {127};
        size_t rest = len - 127;
        size_t head_len = 1;
        for (; rest >= 128; rest >>= 7)
            head[head_len++] = (uint8_t)(rest & 127) | 128;
        head[head_len++] = (uint8_t)rest;
        rpc_buffer_append(block, head, head_len);
    }
    rpc_buffer_append(block, value, len);
}

struct field {
    const char *name;
    const char *value;
};

#endif
