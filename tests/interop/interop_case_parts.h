/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cases have in common, and the table's rows that are in files of
 * their own.
 */
#ifndef OUTPOST_TESTS_INTEROP_CASE_PARTS_H
#define OUTPOST_TESTS_INTEROP_CASE_PARTS_H

#include "interop_cases.h"
#include "interop_exchange.h"

/* Bytes of the four messages of the streaming cases. */
extern const int32_t interop_request_sizes[4];
extern const int32_t interop_response_sizes[4];

bool interop_ended_with(const struct exchange *exchange, enum rpc_code code);
/* Zeros, up to large_unary's request. */
Grpc__Testing__Payload interop_payload(size_t len);
Grpc__Testing__BoolValue interop_truth(bool value);
/* Both parts of exchange_metadata came back. */
bool interop_echoed(const struct exchange *exchange);
bool interop_has_status(const struct exchange *exchange, const Grpc__Testing__EchoStatus *wanted);
/* Sends one message of a StreamingInputCall; expected: what it says of itself. */
void interop_send_input(struct exchange *exchange, int32_t size, bool compressed, bool expected);

/* A request of that payload for count responses of those sizes; good until the
 * next one is asked for. */
Grpc__Testing__StreamingOutputCallRequest *interop_ask(const int32_t *sizes, size_t count,
                                                       size_t payload_len);

typedef bool interop_run(rpc_channel *channel, const struct rpc_channel_options *options,
                         const struct interop_flags *flags);

/* interop_stream_cases.c */
interop_run interop_server_compressed_streaming, interop_client_streaming, interop_server_streaming,
    interop_ping_pong, interop_empty_stream, interop_slow_consumer, interop_cancel_after_begin,
    interop_cancel_after_first_response, interop_timeout_on_sleeping_server;
/* interop_soak.c */
interop_run interop_rpc_soak, interop_channel_soak;

/* interop_cases.c: one call of large_unary. */
bool interop_large_unary(rpc_channel *channel);

#endif
