/* SPDX-License-Identifier: Apache-2.0
 *
 * How long to wait before the next try: gRPC's connection back-off, for whatever
 * is tried again. Each wait is longer than the one before, up to a limit, and
 * spread, so that many clients do not come back at the same moment.
 */
#ifndef OUTPOST_RPC_BACKOFF_H
#define OUTPOST_RPC_BACKOFF_H

#include "outpost/rpc.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rpc_backoff {
    int64_t initial_ms;
    int64_t max_ms;
    unsigned growth_percent; /* of each wait against the one before */
    unsigned jitter_percent; /* either way */
    struct rpc_random random;
    int64_t base_ms; /* of the last wait, without jitter; 0: none yet */
};

/* gRPC's own: 1 s, 160 %, at most 120 s, 20 % either way. */
void rpc_backoff_init_default(struct rpc_backoff *backoff, struct rpc_random random);

/* The next wait. */
int64_t rpc_backoff_next_ms(struct rpc_backoff *backoff);

/* It worked: the next wait is the first again. */
void rpc_backoff_reset(struct rpc_backoff *backoff);

#ifdef __cplusplus
}
#endif

#endif
