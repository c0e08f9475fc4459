/* SPDX-License-Identifier: Apache-2.0
 *
 * What a device's network is like: bandwidth, round trip, and how often it breaks.
 *
 * A pipe is one direction of such a link: bytes go in, and come out when the
 * link would have brought them. It moves no bytes itself; connection.c does.
 */
#ifndef OUTPOST_LOAD_LINK_H
#define OUTPOST_LOAD_LINK_H

#include "outpost/rpc_bytes.h"

enum {
    LINK_NAME_LEN = 32,
    /* Bytes that a link takes at once, as a frame of a radio network. */
    LINK_FRAME_BYTES = 1400,
    /* Bytes under way in one direction, at most, beyond bandwidth times delay: the buffer of
     * a base station; bounds the memory of a link. */
    LINK_QUEUE_BYTES = 64 * 1024,
};

struct link_quality {
    char name[LINK_NAME_LEN];
    double bytes_per_s; /* each way; 0: no limit */
    int64_t round_trip_us;
    double cut; /* share of connections that break on the way, 0..1 */
};

/* Reads "4g", "2g" and so on, or KBIT:RTT_MS[:CUT_PERCENT]. False: neither. */
bool link_quality_parse(const char *text, size_t len, struct link_quality *quality_out);
/* "name (KBIT kbit/s, RTT ms, CUT % cut), ...": for --help. */
void link_quality_list(char *text, size_t size);

static inline bool link_is_shaped(const struct link_quality *quality)
{
    return quality->bytes_per_s > 0 || quality->round_trip_us > 0;
}

struct pipe_frame;

struct pipe {
    struct pipe_frame *first, *last;
    size_t queued;   /* bytes */
    int64_t free_us; /* when the link has sent all that was put in */
};

void pipe_deinit(struct pipe *pipe);
bool pipe_full(const struct pipe *pipe);
/* Takes bytes in; they come out half a round trip after the link has sent them. */
void pipe_put(struct pipe *pipe, const struct link_quality *quality, struct rpc_bytes bytes,
              int64_t now_us);
/* What has arrived, or empty; lives until pipe_took. */
struct rpc_bytes pipe_arrived(const struct pipe *pipe, int64_t now_us);
void pipe_took(struct pipe *pipe, size_t len);
/* When the next bytes arrive; -1: none are under way. */
int64_t pipe_due_us(const struct pipe *pipe);

#endif
