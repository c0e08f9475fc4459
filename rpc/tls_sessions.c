/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_sessions.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct kept {
    uint8_t id[SSL_MAX_SSL_SESSION_ID_LENGTH];
    UT_hash_handle hh;
    int der_len;
    uint8_t der[];
};

struct tls_sessions {
    pthread_mutex_t mutex; /* guards kept */
    struct kept *kept;     /* oldest first */
};

static int context_index(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static int index = -1;

    pthread_mutex_lock(&mutex);
    if (index < 0)
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    pthread_mutex_unlock(&mutex);
    return index;
}

static struct tls_sessions *sessions_of(SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), context_index());
}

static void drop(struct tls_sessions *sessions, struct kept *kept)
{
    HASH_DEL(sessions->kept, kept);
    free(kept);
}

static void copy_id(uint8_t id_out[SSL_MAX_SSL_SESSION_ID_LENGTH], const uint8_t *id, size_t len)
{
    memset(id_out, 0, SSL_MAX_SSL_SESSION_ID_LENGTH);
    memcpy(id_out, id, len < SSL_MAX_SSL_SESSION_ID_LENGTH ? len : SSL_MAX_SSL_SESSION_ID_LENGTH);
}

/* A handshake ended and made a session. 0: OpenSSL keeps its own reference. */
static int keep(SSL *ssl, SSL_SESSION *session)
{
    struct tls_sessions *sessions = sessions_of(ssl);
    unsigned id_len;
    const uint8_t *id = SSL_SESSION_get_id(session, &id_len);
    int der_len = i2d_SSL_SESSION(session, NULL);
    struct kept *kept = der_len > 0 ? malloc(sizeof *kept + (size_t)der_len) : NULL;
    struct kept *same;

    if (kept == NULL)
        return 0;
    uint8_t *to = kept->der;
    kept->der_len = i2d_SSL_SESSION(session, &to);
    copy_id(kept->id, id, id_len);
    pthread_mutex_lock(&sessions->mutex);
    HASH_FIND(hh, sessions->kept, kept->id, sizeof kept->id, same);
    if (same != NULL)
        drop(sessions, same);
    if (HASH_COUNT(sessions->kept) >= TLS_SESSIONS_MAX)
        drop(sessions, sessions->kept);
    HASH_ADD(hh, sessions->kept, id, sizeof kept->id, kept);
    if (kept->hh.tbl == NULL)
        free(kept);
    pthread_mutex_unlock(&sessions->mutex);
    return 0;
}

/* A client names a session: it gets it, once. */
static SSL_SESSION *take(SSL *ssl, const unsigned char *id, int id_len, int *copy_out)
{
    struct tls_sessions *sessions = sessions_of(ssl);
    uint8_t key[SSL_MAX_SSL_SESSION_ID_LENGTH];
    SSL_SESSION *session = NULL;
    struct kept *kept;

    *copy_out = 0;
    copy_id(key, id, (size_t)id_len);
    pthread_mutex_lock(&sessions->mutex);
    HASH_FIND(hh, sessions->kept, key, sizeof key, kept);
    if (kept != NULL) {
        const uint8_t *der = kept->der;
        session = d2i_SSL_SESSION(NULL, &der, kept->der_len);
        drop(sessions, kept);
    }
    pthread_mutex_unlock(&sessions->mutex);
    return session;
}

struct tls_sessions *tls_sessions_attach(SSL_CTX *context)
{
    struct tls_sessions *sessions = calloc(1, sizeof *sessions);

    if (sessions == NULL)
        return NULL;
    pthread_mutex_init(&sessions->mutex, NULL);
    SSL_CTX_set_ex_data(context, context_index(), sessions);
    /* Names instead of sessions in the tickets (TLS 1.3 too). */
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_timeout(context, TLS_SESSION_SECONDS);
    SSL_CTX_sess_set_new_cb(context, keep);
    SSL_CTX_sess_set_get_cb(context, take);
    return sessions;
}

void tls_sessions_free(struct tls_sessions *sessions)
{
    if (sessions == NULL)
        return;
    while (sessions->kept != NULL)
        drop(sessions, sessions->kept);
    pthread_mutex_destroy(&sessions->mutex);
    free(sessions);
}
