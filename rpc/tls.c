/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS 1.3 by OpenSSL, without I/O.
 *
 * Promises: nothing older than TLS 1.3; nothing but ALPN "h2"; a client trusts
 * only the CA it was given and only a certificate for the host it asked for; a
 * server with a CA asks for a client's certificate but admits a connection
 * without one or with a foreign one, because a refused handshake looks like a
 * broken network to stock clients and they retry for ever. Ciphertext passes
 * through a BIO of our own, straight from what was received and straight into
 * what is to be sent; memory BIOs would copy once more and keep the memory.
 *
 * A ticket is worth 30 % of a handshake's bytes and two thirds of the client's
 * CPU. A session is marked as properly shut down before it is freed, otherwise
 * OpenSSL would call it broken and never resume it.
 */
#include "tls.h"

#include "tls_sessions.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>

static const char cipher_suites[] =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
static const uint8_t alpn_h2[] = {2, 'h', '2'};

enum {
    /* A session as DER, with the peer's certificate in it. */
    SESSION_BYTES_MAX = 64 * 1024,
};

struct rpc_tls {
    atomic_uint references;
    SSL_CTX *context;
    BIO_METHOD *bio_method;
    bool server;
    struct tls_sessions *sessions; /* a server's */
    /* Client: the newest ticket's session, its DER as last asked for, and the
     * session to offer next. */
    SSL_SESSION *newest;
    struct rpc_buffer newest_der;
    SSL_SESSION *offered;
};

struct tls_conn {
    rpc_tls *tls;
    SSL *ssl;
    struct rpc_bytes input; /* fed and not yet read */
    struct queue *out;
    uint64_t handshake_received;
    bool handshaken;
};

/* ---- The BIO ------------------------------------------------------------- */

static int bio_read(BIO *bio, char *room, size_t len, size_t *read_out)
{
    struct tls_conn *conn = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (conn->input.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    if (len > conn->input.len)
        len = conn->input.len;
    memcpy(room, conn->input.data, len);
    conn->input.data += len;
    conn->input.len -= len;
    if (!conn->handshaken)
        conn->handshake_received += len;
    *read_out = len;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written_out)
{
    struct tls_conn *conn = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (!queue_append(conn->out, rpc_bytes_view(data, len)))
        return 0;
    *written_out = len;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "outpost rpc");

    if (method == NULL)
        return NULL;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

/* ---- The context --------------------------------------------------------- */

static struct rpc_status tls_failure(const char *doing)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    struct rpc_status status = rpc_status_make(RPC_INVALID_ARGUMENT, "TLS: cannot %s: %s", doing,
                                               reason != NULL ? reason : "unknown error");
    ERR_clear_error();
    return status;
}

/* Without it OpenSSL would ask for an encrypted key's password on the
 * terminal. */
static int no_password(char *room, int size, int writing, void *context)
{
    (void)room, (void)size, (void)writing, (void)context;
    return -1;
}

static bool load_chain(SSL_CTX *context, struct rpc_bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    bool loaded = certificate != NULL && SSL_CTX_use_certificate(context, certificate) == 1;

    X509_free(certificate);
    while (loaded && (certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        loaded = SSL_CTX_add0_chain_cert(context, certificate) == 1;
        if (!loaded)
            X509_free(certificate);
    }
    BIO_free(bio);
    return loaded;
}

static bool load_key(SSL_CTX *context, struct rpc_bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    bool loaded = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1;

    EVP_PKEY_free(key);
    BIO_free(bio);
    return loaded && SSL_CTX_check_private_key(context) == 1;
}

static bool load_ca(SSL_CTX *context, struct rpc_bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    size_t count = 0;
    X509 *certificate;

    while (bio != NULL && (certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
    }
    BIO_free(bio);
    return count > 0;
}

static struct rpc_status load_identity(SSL_CTX *context, const struct rpc_tls_options *options)
{
    if (options->ca_pem.len > 0 && !load_ca(context, options->ca_pem))
        return tls_failure("read the CA's certificate");
    if (options->certificate_pem.len > 0 && !load_chain(context, options->certificate_pem))
        return tls_failure("read the certificate");
    if (options->certificate_pem.len > 0 && !load_key(context, options->key_pem))
        return tls_failure("use the private key with the certificate");
    ERR_clear_error(); /* the end of each PEM text is noted as an error */
    return rpc_status_ok();
}

static struct rpc_status tls_new(const struct rpc_tls_options *options, const SSL_METHOD *method,
                                 rpc_tls **tls_out)
{
    rpc_tls *tls = calloc(1, sizeof *tls);

    if (tls == NULL)
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "TLS: no memory");
    atomic_init(&tls->references, 1);
    rpc_buffer_init(&tls->newest_der, SESSION_BYTES_MAX);
    tls->context = SSL_CTX_new(method);
    tls->bio_method = bio_method_new();
    struct rpc_status status = rpc_status_ok();
    if (tls->context == NULL || tls->bio_method == NULL ||
        SSL_CTX_set_min_proto_version(tls->context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(tls->context, cipher_suites) != 1)
        status = tls_failure("make a context");
    else
        status = load_identity(tls->context, options);
    if (!rpc_ok(&status)) {
        rpc_tls_free(tls);
        return status;
    }
    /* No chain but the one that was given: OpenSSL would add the CA, 300 bytes
     * that the peer has. Buffers only while they hold something: 34 instead of
     * 50 kB for an idle connection, and no slower. */
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
    *tls_out = tls;
    return status;
}

static void tls_unref(rpc_tls *tls)
{
    if (atomic_fetch_sub(&tls->references, 1) != 1)
        return;
    SSL_SESSION_free(tls->newest);
    SSL_SESSION_free(tls->offered);
    rpc_buffer_deinit(&tls->newest_der);
    SSL_CTX_free(tls->context);
    tls_sessions_free(tls->sessions);
    BIO_meth_free(tls->bio_method);
    free(tls);
}

void rpc_tls_free(rpc_tls *tls)
{
    if (tls != NULL)
        tls_unref(tls);
}

/* ---- Server -------------------------------------------------------------- */

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *context)
{
    (void)ssl, (void)context;
    for (unsigned i = 0; i < in_len; i += 1u + in[i]) {
        if (in[i] == 2 && i + 2 < in_len && memcmp(in + i + 1, "h2", 2) == 0) {
            *out = in + i + 1;
            *out_len = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Lets every certificate through; what was found wrong with it stays to be
 * read by SSL_get_verify_result, after a resumption too. */
static int admit_any(int verified, X509_STORE_CTX *store)
{
    (void)verified, (void)store;
    return 1;
}

struct rpc_status rpc_tls_server_new(const struct rpc_tls_options *options, rpc_tls **tls_out)
{
    static const uint8_t session_id_context[] = "outpost";
    rpc_tls *tls = NULL;

    if (options->certificate_pem.len == 0 || options->key_pem.len == 0)
        return rpc_status_make(RPC_INVALID_ARGUMENT, "TLS: a server needs certificate and key");
    struct rpc_status status = tls_new(options, TLS_server_method(), &tls);
    if (!rpc_ok(&status))
        return status;
    tls->server = true;
    SSL_CTX_set_options(tls->context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_num_tickets(tls->context, 1);
    tls->sessions = tls_sessions_attach(tls->context);
    if (tls->sessions == NULL) {
        rpc_tls_free(tls);
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "TLS: out of memory");
    }
    SSL_CTX_set_session_id_context(tls->context, session_id_context, sizeof session_id_context);
    SSL_CTX_set_alpn_select_cb(tls->context, choose_h2, NULL);
    if (options->ca_pem.len > 0)
        SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, admit_any);
    *tls_out = tls;
    return status;
}

/* ---- Client -------------------------------------------------------------- */

/* A ticket came; keeping the session means returning 1. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    rpc_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    SSL_SESSION_free(tls->newest);
    tls->newest = session;
    return 1;
}

struct rpc_status rpc_tls_client_new(const struct rpc_tls_options *options, rpc_tls **tls_out)
{
    rpc_tls *tls = NULL;

    if (options->ca_pem.len == 0)
        return rpc_status_make(RPC_INVALID_ARGUMENT, "TLS: a client needs the server's CA");
    struct rpc_status status = tls_new(options, TLS_client_method(), &tls);
    if (!rpc_ok(&status))
        return status;
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    if (options->clock_unreliable)
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(tls->context), X509_V_FLAG_NO_CHECK_TIME);
    SSL_CTX_set_session_cache_mode(tls->context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(tls->context, tls);
    SSL_CTX_sess_set_new_cb(tls->context, keep_session);
    if (SSL_CTX_set_alpn_protos(tls->context, alpn_h2, sizeof alpn_h2) != 0) {
        status = tls_failure("set ALPN");
        rpc_tls_free(tls);
        return status;
    }
    *tls_out = tls;
    return status;
}

struct rpc_bytes rpc_tls_session_view(rpc_tls *tls)
{
    int len = tls->newest != NULL ? i2d_SSL_SESSION(tls->newest, NULL) : 0;

    rpc_buffer_clear(&tls->newest_der);
    if (len <= 0)
        return rpc_bytes_view(NULL, 0);
    uint8_t *room = rpc_buffer_reserve(&tls->newest_der, (size_t)len);
    if (room == NULL)
        return rpc_bytes_view(NULL, 0);
    tls->newest_der.len = (size_t)i2d_SSL_SESSION(tls->newest, &room);
    return rpc_buffer_view(&tls->newest_der);
}

void rpc_tls_session_offer(rpc_tls *tls, struct rpc_bytes session)
{
    const uint8_t *data = session.data;

    SSL_SESSION_free(tls->offered);
    tls->offered = session.len > 0 ? d2i_SSL_SESSION(NULL, &data, (long)session.len) : NULL;
    ERR_clear_error();
}

/* ---- One connection ------------------------------------------------------ */

/* SNI is for names only; a certificate names addresses in their own way. */
static bool is_address(const char *host)
{
    uint8_t address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static bool expect_host(SSL *ssl, const char *host)
{
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct tls_conn *tls_conn_new(rpc_tls *tls, const char *host, struct queue *out)
{
    struct tls_conn *conn = calloc(1, sizeof *conn);

    assert((host == NULL) == tls->server);
    if (conn == NULL)
        return NULL;
    atomic_fetch_add(&tls->references, 1);
    conn->tls = tls;
    conn->out = out;
    conn->ssl = SSL_new(tls->context);
    BIO *bio = BIO_new(tls->bio_method);
    if (conn->ssl == NULL || bio == NULL || (host != NULL && !expect_host(conn->ssl, host))) {
        BIO_free(bio);
        tls_conn_free(conn);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, conn);
    BIO_set_init(bio, 1);
    SSL_set_bio(conn->ssl, bio, bio);
    if (host == NULL) {
        SSL_set_accept_state(conn->ssl);
    } else {
        SSL_set_connect_state(conn->ssl);
        if (tls->offered != NULL)
            SSL_set_session(conn->ssl, tls->offered);
    }
    return conn;
}

void tls_conn_free(struct tls_conn *conn)
{
    if (conn == NULL)
        return;
    if (conn->ssl != NULL)
        SSL_set_shutdown(conn->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(conn->ssl);
    tls_unref(conn->tls);
    free(conn);
}

void tls_conn_feed(struct tls_conn *conn, struct rpc_bytes bytes)
{
    conn->input = bytes;
}

/* What went wrong in the last call, for the status of the connection. */
static struct rpc_status conn_failure(struct tls_conn *conn)
{
    long verified = conn->tls->server ? X509_V_OK : SSL_get_verify_result(conn->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    if (verified != X509_V_OK)
        return rpc_status_make(RPC_UNAUTHENTICATED, "the server's certificate: %s",
                               X509_verify_cert_error_string(verified));
    return rpc_status_make(RPC_UNAVAILABLE, "TLS: %s", reason != NULL ? reason : "failed");
}

static enum tls_result conn_result(struct tls_conn *conn, int result, struct rpc_status *status_out)
{
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    default:
        *status_out = conn_failure(conn);
        return TLS_FAILED;
    }
}

enum tls_result tls_conn_handshake(struct tls_conn *conn, struct rpc_status *status_out)
{
    const unsigned char *protocol = NULL;
    unsigned protocol_len = 0;

    ERR_clear_error();
    int result = SSL_do_handshake(conn->ssl);
    if (result != 1)
        return conn_result(conn, result, status_out);
    SSL_get0_alpn_selected(conn->ssl, &protocol, &protocol_len);
    if (protocol_len != 2 || memcmp(protocol, "h2", 2) != 0) {
        *status_out = rpc_status_make(RPC_UNAVAILABLE, "TLS: the peer does not speak HTTP/2");
        return TLS_FAILED;
    }
    conn->handshaken = true;
    return TLS_DONE;
}

enum tls_result tls_conn_read(struct tls_conn *conn, uint8_t *room, size_t len, size_t *read_out,
                              struct rpc_status *status_out)
{
    ERR_clear_error();
    int result = SSL_read_ex(conn->ssl, room, len, read_out);
    return result == 1 ? TLS_DONE : conn_result(conn, result, status_out);
}

bool tls_conn_write(struct tls_conn *conn, struct rpc_bytes plain)
{
    ERR_clear_error();
    while (plain.len > 0) {
        size_t written = 0;
        if (SSL_write_ex(conn->ssl, plain.data, plain.len, &written) != 1) {
            ERR_clear_error();
            return false;
        }
        plain.data += written;
        plain.len -= written;
    }
    return true;
}

uint64_t tls_conn_handshake_received(const struct tls_conn *conn)
{
    return conn->handshake_received;
}

void tls_conn_peer_certificate(struct tls_conn *conn, struct rpc_buffer *der_out, bool *foreign_out)
{
    X509 *certificate = SSL_get0_peer_certificate(conn->ssl);

    *foreign_out = certificate != NULL && SSL_get_verify_result(conn->ssl) != X509_V_OK;
    if (certificate == NULL || *foreign_out)
        return;
    int len = i2d_X509(certificate, NULL);
    uint8_t *room = len > 0 ? rpc_buffer_reserve(der_out, (size_t)len) : NULL;
    if (room != NULL)
        der_out->len += (size_t)i2d_X509(certificate, &room);
}
