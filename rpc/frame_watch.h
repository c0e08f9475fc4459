/* SPDX-License-Identifier: Apache-2.0
 *
 * Sees every frame that a peer sends, by its head of nine bytes, before nghttp2
 * does. nghttp2 drops many without a word: types that it does not know, and all
 * that is about streams that are over. What it drops costs the peer nothing and
 * must be counted all the same.
 */
#ifndef OUTPOST_RPC_FRAME_WATCH_H
#define OUTPOST_RPC_FRAME_WATCH_H

#include "outpost/rpc_bytes.h"

#include <stdbool.h>

enum { FRAME_HEAD_LEN = 9 };

/* Zero-initialised but for skip: the bytes before the first frame. */
struct frame_watch {
    size_t skip; /* bytes until the next head */
    uint8_t head[FRAME_HEAD_LEN];
    size_t head_len;
};

struct frame_head {
    size_t len; /* of the payload */
    uint8_t type;
    uint8_t flags;
    int32_t stream_id;
};

/* The next head that is whole; bytes move behind it. False: none, and bytes are used up. */
bool frame_watch_next(struct frame_watch *watch, struct rpc_bytes *bytes,
                      struct frame_head *head_out);

/* It carries nothing: all but HEADERS, CONTINUATION, PUSH_PROMISE, GOAWAY, and
 * DATA that has bytes or ends a stream. */
bool frame_is_idle(const struct frame_head *head);

#endif
