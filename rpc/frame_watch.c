/* SPDX-License-Identifier: Apache-2.0 */
#include "frame_watch.h"

#include <nghttp2/nghttp2.h>

static bool is_idle(const uint8_t head[FRAME_HEAD_LEN], size_t len)
{
    switch (head[3]) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_PUSH_PROMISE:
    case NGHTTP2_GOAWAY:
        return false;
    case NGHTTP2_DATA:
        return len == 0 && (head[4] & NGHTTP2_FLAG_END_STREAM) == 0;
    default:
        return true;
    }
}

unsigned frame_watch_idle(struct frame_watch *watch, struct rpc_bytes bytes)
{
    unsigned idle = 0;

    while (bytes.len > 0) {
        size_t wanted = watch->skip > 0 ? watch->skip : FRAME_HEAD_LEN - watch->head_len;
        size_t len = wanted < bytes.len ? wanted : bytes.len;

        if (watch->skip > 0) {
            watch->skip -= len;
        } else {
            memcpy(watch->head + watch->head_len, bytes.data, len);
            watch->head_len += len;
        }
        bytes.data += len;
        bytes.len -= len;
        if (watch->head_len == FRAME_HEAD_LEN) {
            const uint8_t *head = watch->head;
            watch->skip = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
            watch->head_len = 0;
            idle += is_idle(head, watch->skip);
        }
    }
    return idle;
}
