/* SPDX-License-Identifier: Apache-2.0
 *
 * What a failure of the layers below means as a gRPC status; see status.c.
 */
#ifndef OUTPOST_RPC_STATUS_PRIVATE_H
#define OUTPOST_RPC_STATUS_PRIVATE_H

#include "outpost/rpc_bytes.h"
#include "outpost/rpc_status.h"

/* Of a response without grpc-status, by its HTTP status. */
enum rpc_code status_code_of_http(int http_status);

/* Of a stream that the peer reset, by its HTTP/2 error code. */
enum rpc_code status_code_of_reset(uint32_t h2_error);

/* Of the text of a grpc-status header; UNKNOWN when it is no code. */
enum rpc_code status_code_of_text(struct rpc_bytes text);

/* Takes a character off the end of UTF-8 text that was cut at len. */
void status_drop_partial_character(char *text, size_t len);

#endif
