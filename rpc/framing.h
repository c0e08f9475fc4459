/* SPDX-License-Identifier: Apache-2.0
 *
 * gRPC's length-prefixed messages: one flag byte, four bytes of length, the
 * message. HTTP/2's frames cut this stream anywhere, so the reader looks at
 * what has come so far; a message over the limit is refused as soon as its
 * prefix is there, before anything is kept for it.
 */
#ifndef OUTPOST_RPC_FRAMING_H
#define OUTPOST_RPC_FRAMING_H

#include "outpost/rpc_bytes.h"

enum { FRAMING_PREFIX_LEN = 5 };

enum framing_result {
    FRAMING_MORE,      /* not whole yet */
    FRAMING_MESSAGE,   /* *message_out is set */
    FRAMING_TOO_LARGE, /* the prefix says more than the limit */
    FRAMING_BAD_FLAG,  /* neither compressed nor not */
};

struct framing_message {
    bool compressed;
    struct rpc_bytes bytes;
    size_t framed_len; /* with the prefix */
};

/* The first message of bytes, as a view into them. */
enum framing_result framing_next(struct rpc_bytes bytes, size_t message_bytes_max,
                                 struct framing_message *message_out);

void framing_put_prefix(uint8_t prefix[FRAMING_PREFIX_LEN], bool compressed, size_t len);

#endif
