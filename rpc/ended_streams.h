/* SPDX-License-Identifier: Apache-2.0
 *
 * The streams that a client has ended last. nghttp2 forgets a stream once it is
 * over, and then passes over whatever still comes for it; but only a stream that
 * we reset may have frames under way. HEADERS and DATA for one that its client
 * ended are a fault of the connection's (RFC 9113 5.1).
 */
#ifndef OUTPOST_RPC_ENDED_STREAMS_H
#define OUTPOST_RPC_ENDED_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A frame for a stream that ended longer ago is passed over: memory. */
enum { ENDED_STREAMS_MAX = 64 };

/* Zero-initialised it is empty: no stream has the number 0. */
struct ended_streams {
    int32_t ids[ENDED_STREAMS_MAX];
    size_t next;
};

static inline void ended_streams_add(struct ended_streams *ended, int32_t stream_id)
{
    ended->ids[ended->next] = stream_id;
    ended->next = (ended->next + 1) % ENDED_STREAMS_MAX;
}

static inline bool ended_streams_has(const struct ended_streams *ended, int32_t stream_id)
{
    for (size_t i = 0; i < ENDED_STREAMS_MAX; i++)
        if (ended->ids[i] == stream_id)
            return true;
    return false;
}

#endif
