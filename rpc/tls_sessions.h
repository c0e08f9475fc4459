/* SPDX-License-Identifier: Apache-2.0
 *
 * A server's TLS sessions, kept for resumption.
 *
 * Why not tickets that carry the session: with a client's certificate inside
 * they are 600 bytes, and travel twice in every resumed handshake; a name of 32
 * bytes does the same. Why not OpenSSL's own cache: it keeps parsed
 * certificates, and every session that a client ever had. Here a session is its
 * DER, is good once, and the oldest goes first, so the memory is that of one
 * session for each client that may come back.
 *
 * Threads: may be used by connections of several threads.
 */
#ifndef OUTPOST_RPC_TLS_SESSIONS_H
#define OUTPOST_RPC_TLS_SESSIONS_H

#include <openssl/ssl.h>

enum {
    /* Sessions kept, about 1 KB each: memory. */
    TLS_SESSIONS_MAX = 20000,
    /* How long a session is good; a phone may be away for a while. */
    TLS_SESSION_SECONDS = 7 * 24 * 3600,
};

struct tls_sessions;

/* Makes the context keep its sessions here. NULL: no memory. */
struct tls_sessions *tls_sessions_attach(SSL_CTX *context);

/* After the context is gone, or at least no connection with it. */
void tls_sessions_free(struct tls_sessions *sessions);

#endif
