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

enum { FRAME_HEAD_LEN = 9 };

/* Zero-initialised but for skip: the bytes before the first frame. */
struct frame_watch {
    size_t skip; /* bytes until the next head */
    uint8_t head[FRAME_HEAD_LEN];
    size_t head_len;
};

/* How many of the frames that begin in bytes carry nothing: all but HEADERS,
 * CONTINUATION, PUSH_PROMISE, GOAWAY, and DATA that has bytes or ends a stream. */
unsigned frame_watch_idle(struct frame_watch *watch, struct rpc_bytes bytes);

#endif
