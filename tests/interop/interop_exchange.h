/* SPDX-License-Identifier: Apache-2.0
 *
 * One call of grpc.testing.TestService and what came of it. A case starts a
 * call, waits for what it expects and looks at the numbers here.
 */
#ifndef OUTPOST_TESTS_INTEROP_EXCHANGE_H
#define OUTPOST_TESTS_INTEROP_EXCHANGE_H

#include "grpc/testing/test.rpc.h"
#include "outpost/rpc_channel.h"

struct exchange {
    rpc_channel *channel;
    rpc_call *call;
    unsigned responses;
    size_t body_len; /* of the last response; all zeros, or SIZE_MAX */
    bool compressed; /* the last response came so */
    int32_t aggregated;
    bool pausing; /* reading stops after each response */
    bool closed;
    bool echoed_initial; /* the metadata of exchange_metadata came back */
    bool echoed_trailing;
    struct rpc_status status;
    unsigned awaited; /* exchange_await_responses */
};

/* What every server of the service echoes as initial and as trailing metadata. */
extern const struct rpc_metadata_list exchange_metadata;
extern const struct rpc_metadata_list exchange_no_metadata;

/* Each starts the exchange anew; timeout_ms 0: no deadline. False: no call. */
bool exchange_empty(struct exchange *exchange, rpc_channel *channel);
bool exchange_unary(struct exchange *exchange, rpc_channel *channel,
                    struct rpc_metadata_list metadata, const Grpc__Testing__SimpleRequest *request);
bool exchange_input(struct exchange *exchange, rpc_channel *channel);
bool exchange_output(struct exchange *exchange, rpc_channel *channel,
                     const Grpc__Testing__StreamingOutputCallRequest *request);
bool exchange_duplex(struct exchange *exchange, rpc_channel *channel,
                     struct rpc_metadata_list metadata, int64_t timeout_ms);
bool exchange_unimplemented_method(struct exchange *exchange, rpc_channel *channel);
bool exchange_unimplemented_service(struct exchange *exchange, rpc_channel *channel);

/* Waits for the end. */
void exchange_finish(struct exchange *exchange);
/* Waits until so many responses have come, or for the end; false: the end. */
bool exchange_await_responses(struct exchange *exchange, unsigned count);

#endif
