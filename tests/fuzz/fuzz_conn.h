/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two connection targets have in common: real conversations between a
 * client and a server in memory, whose bytes are the seeds, and the feeding of an
 * input in pieces.
 */
#ifndef OUTPOST_TESTS_FUZZ_CONN_H
#define OUTPOST_TESTS_FUZZ_CONN_H

#include "fuzz.h"
#include "outpost/rpc.h"

/* A clock that moves with every question. */
struct rpc_clock fuzz_clock(void);

/* A server whose one method, /t/Echo, sends back what comes; opened and closed
 * count its calls. */
rpc_conn *fuzz_server(unsigned *opened, unsigned *closed);
/* A client, and a call on it that has sent a message; closed counts. */
rpc_conn *fuzz_client(unsigned *closed);
rpc_call *fuzz_call(rpc_conn *client, unsigned index, unsigned *closed);

/* The bytes that one end of the conversation of that index says; false: there is
 * none. */
bool fuzz_conversation(unsigned index, bool of_server, struct rpc_buffer *out);

/* Feeds the input as a network would, and takes what is answered. */
void fuzz_feed(rpc_conn *conn, struct rpc_bytes input);

#endif
