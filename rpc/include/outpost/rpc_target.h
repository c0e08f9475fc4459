/* SPDX-License-Identifier: Apache-2.0
 *
 * A server to call, over as many connections as it takes: connects when there is
 * something to call, again after gRPC's back-off when that failed, and makes calls
 * again as rpc_retry.h says. Blocking, like the channel that it stands on.
 */
#ifndef OUTPOST_RPC_TARGET_H
#define OUTPOST_RPC_TARGET_H

#include "outpost/rpc_channel.h"
#include "outpost/rpc_retry.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rpc_target rpc_target;

/* The texts and the TLS context of options live longer. NULL: no memory. */
rpc_target *rpc_target_new(const struct rpc_channel_options *options, struct rpc_backoff backoff);
void rpc_target_free(rpc_target *target);

/* For rpc_retry_options. */
struct rpc_clock rpc_target_clock(void);

/* Runs the call to its end; when options.cancelled says so it is cancelled. */
void rpc_target_run(rpc_target *target, rpc_retry *retry);

#ifdef __cplusplus
}
#endif

#endif
