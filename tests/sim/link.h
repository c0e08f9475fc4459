/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection of a phone: the real gRPC runtime at both ends, plaintext, with
 * the bytes under way in two lines between them. They move as the world says, any
 * number at a time; either end may be gone while bytes still wait for the other.
 */
#ifndef OUTPOST_TESTS_SIM_LINK_H
#define OUTPOST_TESTS_SIM_LINK_H

#include "device_half.h"
#include "ledger.h"
#include "server_end.h"

#include "outpost/rpc.h"

enum { LINK_BYTES_MAX = 64 * 1024 * 1024 };

/* Where the device stops, as if it had died there: after so many messages that it
 * sent or took, or when all that it had to push is on its way. */
enum { LINK_NEVER = 1000000 };
struct link_stop {
    unsigned sent, received;
    bool pushed;
};

/* Where the device is enrolled, and where it works. */
struct link_regions {
    struct record_uuid enrolment, work;
};

struct link {
    struct device_half *device; /* NULL: that end is gone */
    struct server_end *server;
    struct ledger *ledger;
    struct ledger_stream stream_ledger;
    struct record_uuid device_id;
    struct record_uuid region_id; /* where the device works */
    uint64_t asked_at;            /* its head when the last message came from the device */
    struct link_stop stop;
    unsigned sent, received;
    unsigned taken;          /* messages, by the server */
    bool stopped;            /* it came to that */
    rpc_conn *client, *host; /* NULL: that end is gone */
    rpc_call *call, *served; /* NULL: not open, or over */
    struct stream *stream;
    struct rpc_method method;
    struct rpc_buffer up, down; /* bytes under way */
    bool over;                  /* the device's call has ended */
    struct rpc_status ended;    /* how */
};

/* Connects, and begins the call; the session of the device has begun. NULL: no
 * memory. */
struct link *link_new(struct device_half *device, struct server_end *server, struct ledger *ledger,
                      const struct record_uuid *device_id, const struct link_regions *regions,
                      const struct link_stop *stop);
void link_free(struct link *link);

/* Moves up to len bytes; false: there were none. What comes out at the other side
 * follows at once. */
bool link_carry_up(struct link *link, size_t len);
bool link_carry_down(struct link *link, size_t len);
/* Takes what the server's end has to say since the store was stepped. */
void link_collect(struct link *link);

/* The device's end is gone, as by a lost network: it has noticed, the other end has
 * not, and takes what is still under way. */
void link_cut(struct link *link);
/* The server's process is gone. */
void link_server_gone(struct link *link);

#endif
