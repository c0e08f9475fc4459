/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's call that is made again when it is safe to (gRPC's A6): at once when
 * the server provably did not look at it, by a policy when it answered with one of
 * the policy's codes. What was sent is kept until the server begins to answer;
 * from then on there is one attempt, and no other.
 *
 * Without I/O, like a call: the driver gives it a connection whenever it wants an
 * attempt (rpc_target.h is one that does).
 */
#ifndef OUTPOST_RPC_RETRY_H
#define OUTPOST_RPC_RETRY_H

#include "outpost/rpc_backoff.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* Attempts of a policy, whatever it says. */
    RPC_RETRY_ATTEMPTS_MAX = 5,
    /* Bytes kept for further attempts; a call that sends more has one. */
    RPC_RETRY_BYTES_MAX = 1024 * 1024,
};

struct rpc_retry_policy {
    unsigned attempts_max; /* the first included; 1: none but transparent ones */
    unsigned codes;        /* bits 1 << code */
    struct rpc_backoff backoff;
};

/* Shared by the calls to one server: when too many fail, none is made again. */
struct rpc_retry_throttle {
    unsigned tokens_max;   /* thousandths; a failure costs 1000 */
    unsigned tokens_ratio; /* thousandths that a success gives back */
    unsigned tokens;       /* what is left; at first tokens_max */
};

typedef struct rpc_retry rpc_retry;

struct rpc_retry_options {
    /* path, metadata, timeout_ms of all attempts together, events, context. The
     * path and the metadata's bytes live as long as the call. The events come as of
     * one call; the rpc_call in them is the attempt's. */
    struct rpc_call_options call;
    struct rpc_retry_policy policy;
    struct rpc_retry_throttle *throttle; /* may be NULL */
    struct rpc_clock clock;
    /* When there is no connection: wait for one; else the call ends. */
    bool wait_for_ready;
};

/* NULL: no memory. */
rpc_retry *rpc_retry_new(const struct rpc_retry_options *options);
/* When it is over, or waits. */
void rpc_retry_free(rpc_retry *retry);

/* As of a call. */
void rpc_retry_send(rpc_retry *retry, struct rpc_bytes message);
void rpc_retry_half_close(rpc_retry *retry);
void rpc_retry_cancel(rpc_retry *retry);

/* on_close was called. */
bool rpc_retry_over(const rpc_retry *retry);
/* When it wants an attempt (or its deadline passes without one), on its clock;
 * -1: it wants none. */
int64_t rpc_retry_due_ms(const rpc_retry *retry);
/* Makes the attempt that is due. */
void rpc_retry_attempt(rpc_retry *retry, rpc_conn *conn);
/* There was no connection for it, and before next_ms there will be none. */
void rpc_retry_no_connection(rpc_retry *retry, const struct rpc_status *status, int64_t next_ms);

#ifdef __cplusplus
}
#endif

#endif
