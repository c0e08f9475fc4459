/* SPDX-License-Identifier: Apache-2.0 */
#include "frame_watch.h"

#include <nghttp2/nghttp2.h>

bool frame_is_idle(const struct frame_head *head)
{
    switch (head->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_PUSH_PROMISE:
    case NGHTTP2_GOAWAY:
        return false;
    case NGHTTP2_DATA:
        return head->len == 0 && (head->flags & NGHTTP2_FLAG_END_STREAM) == 0;
    default:
        return true;
    }
}

static struct frame_head parse_head(const uint8_t head[FRAME_HEAD_LEN])
{
    return (struct frame_head){
        .len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2],
        .type = head[3],
        .flags = head[4],
        .stream_id = (head[5] & 0x7f) << 24 | head[6] << 16 | head[7] << 8 | head[8],
    };
}

bool frame_watch_next(struct frame_watch *watch, struct rpc_bytes *bytes,
                      struct frame_head *head_out)
{
    while (bytes->len > 0) {
        size_t wanted = watch->skip > 0 ? watch->skip : FRAME_HEAD_LEN - watch->head_len;
        size_t len = wanted < bytes->len ? wanted : bytes->len;

        if (watch->skip > 0) {
            watch->skip -= len;
        } else {
            memcpy(watch->head + watch->head_len, bytes->data, len);
            watch->head_len += len;
        }
        bytes->data += len;
        bytes->len -= len;
        if (watch->head_len == FRAME_HEAD_LEN) {
            *head_out = parse_head(watch->head);
            watch->skip = head_out->len;
            watch->head_len = 0;
            return true;
        }
    }
    return false;
}
