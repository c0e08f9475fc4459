/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of one connection, between spans of ciphertext and of plaintext; see
 * tls.c.
 */
#ifndef OUTPOST_RPC_TLS_H
#define OUTPOST_RPC_TLS_H

#include "outpost/rpc.h"
#include "queue.h"

struct tls_conn;

/* Ciphertext for the peer goes to the end of out. host: a client's server, the
 * name or address that the certificate must be for; NULL on a server. NULL: no
 * memory. */
struct tls_conn *tls_conn_new(rpc_tls *tls, const char *host, struct queue *out);
void tls_conn_free(struct tls_conn *conn);

/* Ciphertext that came; it must live until tls_conn_read says TLS_WANT_MORE. */
void tls_conn_feed(struct tls_conn *conn, struct rpc_bytes bytes);

enum tls_result {
    TLS_DONE,
    TLS_WANT_MORE, /* all that was fed is used up */
    TLS_CLOSED,    /* the peer said that it sends no more */
    TLS_FAILED,
};

/* Goes on with the handshake; on TLS_FAILED *status_out says why. */
enum tls_result tls_conn_handshake(struct tls_conn *conn, struct rpc_status *status_out);

/* Plaintext into room, at most len bytes; on TLS_DONE *read_out of them. */
enum tls_result tls_conn_read(struct tls_conn *conn, uint8_t *room, size_t len, size_t *read_out,
                              struct rpc_status *status_out);

/* False: the connection is broken. */
bool tls_conn_write(struct tls_conn *conn, struct rpc_bytes plain);

/* Ciphertext read until the handshake was done. */
uint64_t tls_conn_handshake_received(const struct tls_conn *conn);

/* The peer's certificate as DER at the end of der_out, when it is one of our
 * CA's; *foreign_out: it showed one that is not. */
void tls_conn_peer_certificate(struct tls_conn *conn, struct rpc_buffer *der_out,
                               bool *foreign_out);

#endif
