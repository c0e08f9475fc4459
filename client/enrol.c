/* SPDX-License-Identifier: Apache-2.0
 *
 * How a device becomes known: its own P-256 key, which never leaves it, and one
 * call that trades a one-time code for a certificate; see outpost_enrol.
 *
 * Nothing is written before the server has said yes, and then everything in one
 * FULL transaction: a certificate without its key, or the other way round, is
 * never on disk.
 */
#include "device.h"
#include "wipe.h"

#include "outpost/rpc_channel.h"
#include "outpost/v1/enrolment.rpc.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ENROL_TIMEOUT_MS = 30000,
    /* Certificates in the chain: protects the identity row. */
    CHAIN_MAX = 8,
};

struct enrolment {
    struct store *store;
    const struct outpost_enrol_options *options;
    EVP_PKEY *key;
    uint8_t *request; /* PKCS #10, DER */
    int request_len;
    char *key_pem, *certificate_pem, *ca_pem;
    struct record_uuid device_id, facility_id, region_id;
    bool admin;
    bool closed;
    struct rpc_status ended;
};

static bool crypto_failed(struct store *store, const char *what)
{
    return store_fail(store, OUTPOST_BUG, "enrolment: OpenSSL cannot %s", what);
}

/* ---- Key and request ------------------------------------------------------------------ */

static bool make_request(struct enrolment *enrolment)
{
    X509_REQ *request = X509_REQ_new();
    bool made;

    enrolment->key = EVP_EC_gen("P-256");
    made = request != NULL && enrolment->key != NULL && X509_REQ_set_version(request, 0) == 1 &&
           X509_REQ_set_pubkey(request, enrolment->key) == 1 &&
           X509_REQ_sign(request, enrolment->key, EVP_sha256()) > 0;
    if (made)
        enrolment->request_len = i2d_X509_REQ(request, &enrolment->request);
    X509_REQ_free(request);
    return (made && enrolment->request_len > 0) ||
           crypto_failed(enrolment->store, "make a key and a request");
}

/* The text of a memory BIO, to be freed; NULL: no memory. */
static char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = len > 0 ? malloc((size_t)len + 1) : NULL;

    if (text != NULL) {
        memcpy(text, data, (size_t)len);
        text[len] = '\0';
    }
    return text;
}

static bool key_to_pem(struct enrolment *enrolment)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (bio != NULL &&
        PEM_write_bio_PrivateKey(bio, enrolment->key, NULL, NULL, 0, NULL, NULL) == 1)
        enrolment->key_pem = text_of(bio);
    BIO_free(bio);
    return enrolment->key_pem != NULL || crypto_failed(enrolment->store, "write the key");
}

static char *certificates_to_pem(const ProtobufCBinaryData *certificates, size_t count)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = bio != NULL && count <= CHAIN_MAX;
    char *text = NULL;

    for (size_t i = 0; good && i < count; i++) {
        const uint8_t *der = certificates[i].data;
        X509 *certificate = d2i_X509(NULL, &der, (long)certificates[i].len);
        good = certificate != NULL && PEM_write_bio_X509(bio, certificate) == 1;
        X509_free(certificate);
    }
    if (good)
        text = text_of(bio);
    BIO_free(bio);
    return text;
}

/* ---- The call ---------------------------------------------------------------------------- */

static bool take_ids(struct enrolment *enrolment, const Outpost__V1__EnrolResponse *response)
{
    const struct {
        const ProtobufCBinaryData *from;
        struct record_uuid *to;
    } ids[] = {
        {&response->device_id, &enrolment->device_id},
        {&response->facility_id, &enrolment->facility_id},
        {&response->enrolment_region_id, &enrolment->region_id},
    };

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (!record_uuid_from_bytes(rpc_bytes_view(ids[i].from->data, ids[i].from->len),
                                    ids[i].to) ||
            record_uuid_is_zero(ids[i].to))
            return false;
    return true;
}

static void on_done(void *context, const struct rpc_status *status,
                    const Outpost__V1__EnrolResponse *response)
{
    struct enrolment *enrolment = context;

    enrolment->closed = true;
    enrolment->ended = *status;
    if (response == NULL)
        return;
    enrolment->admin = response->admin;
    enrolment->certificate_pem = certificates_to_pem(&response->certificate, 1);
    if (response->n_ca_chain > 0)
        enrolment->ca_pem = certificates_to_pem(response->ca_chain, response->n_ca_chain);
    else
        enrolment->ca_pem = strdup(enrolment->options->ca_pem);
    if (enrolment->certificate_pem == NULL || enrolment->ca_pem == NULL ||
        !take_ids(enrolment, response))
        store_fail(enrolment->store, OUTPOST_BUG, "the server's answer to Enrol is malformed");
}

static bool is_closed(void *context)
{
    const struct enrolment *enrolment = context;

    return enrolment->closed;
}

static struct rpc_status call_enrol(struct enrolment *enrolment, rpc_channel *channel)
{
    Outpost__V1__EnrolRequest request = OUTPOST__V1__ENROL_REQUEST__INIT;
    struct rpc_metadata_list metadata = {NULL, 0};
    struct rpc_status status;

    request.code = (char *)enrolment->options->code;
    request.certificate_request.data = enrolment->request;
    request.certificate_request.len = (size_t)enrolment->request_len;
    if (outpost_v1_enrolment_service_client_enrol(rpc_channel_conn(channel), metadata,
                                                  ENROL_TIMEOUT_MS, &request, on_done,
                                                  enrolment) == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "the connection is gone");
    status = rpc_channel_run(channel, is_closed, enrolment);
    return enrolment->closed ? enrolment->ended : status;
}

static struct rpc_status run_enrol(struct enrolment *enrolment)
{
    const struct outpost_enrol_options *options = enrolment->options;
    struct rpc_tls_options tls_options = {
        .ca_pem = rpc_bytes_view(options->ca_pem, strlen(options->ca_pem)),
        .clock_unreliable = true};
    struct rpc_channel_options channel_options;
    rpc_channel *channel = NULL;
    rpc_tls *tls = NULL;
    struct rpc_status status = rpc_tls_client_new(&tls_options, &tls);

    if (!rpc_ok(&status)) {
        store_fail(enrolment->store, OUTPOST_BAD_INPUT, "the CA certificate: %s", status.message);
        return rpc_status_ok();
    }
    rpc_channel_options_init_default(&channel_options);
    channel_options.address = options->server;
    channel_options.tls = tls;
    channel_options.user_agent = "outpost/0.1";
    channel_options.cancelled = options->cancelled;
    channel_options.context = options->context;
    status = rpc_channel_open(&channel_options, &channel);
    if (rpc_ok(&status))
        status = call_enrol(enrolment, channel);
    else if (status.code == RPC_INVALID_ARGUMENT)
        store_fail(enrolment->store, OUTPOST_USAGE, "%s", status.message);
    rpc_channel_close(channel);
    rpc_tls_free(tls);
    return status;
}

/* ---- Keeping it ------------------------------------------------------------------------------ */

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static bool keep(struct enrolment *enrolment)
{
    struct store *store = enrolment->store;
    sqlite3_stmt *identity, *enrolled;

    if (!store_begin(store, STORE_FULL))
        return false;
    identity = store_statement(store, STORE_IDENTITY_SET);
    enrolled = store_statement(store, STORE_STATE_ENROLLED_SET);
    if (identity == NULL || enrolled == NULL)
        return false;
    bind_text(identity, 1, enrolment->key_pem);
    bind_text(identity, 2, enrolment->certificate_pem);
    bind_text(identity, 3, enrolment->ca_pem);
    store_bind_uuid(enrolled, 1, &enrolment->device_id);
    store_bind_uuid(enrolled, 2, &enrolment->facility_id);
    store_bind_uuid(enrolled, 3, &enrolment->region_id);
    sqlite3_bind_int(enrolled, 4, enrolment->admin);
    bind_text(enrolled, 5, enrolment->options->server);
    return store_run(store, identity) && store_run(store, enrolled) && store_commit(store);
}

static bool not_enrolled_yet(struct store *store)
{
    struct device_state state;

    device_state_init(&state);
    if (wipe_allows(store) && device_state_load(store, &state) && state.enrolled)
        store_fail(store, OUTPOST_USAGE,
                   "this database is enrolled already; take another file for another device");
    device_state_deinit(&state);
    return store_ok(store);
}

struct outpost_status outpost_enrol(outpost *device, const struct outpost_enrol_options *options)
{
    struct enrolment enrolment = {.store = &device->store, .options = options};
    struct outpost_status status;
    struct rpc_status ended = rpc_status_ok();

    if (not_enrolled_yet(&device->store) && make_request(&enrolment) && key_to_pem(&enrolment)) {
        ended = run_enrol(&enrolment);
        if (store_ok(&device->store) && rpc_ok(&ended))
            (void)!keep(&enrolment);
    }
    status = device_status(device);
    if (status.code == OUTPOST_OK)
        status = device_status_of_call("enrolment", &ended);
    EVP_PKEY_free(enrolment.key);
    OPENSSL_free(enrolment.request);
    if (enrolment.key_pem != NULL)
        OPENSSL_cleanse(enrolment.key_pem, strlen(enrolment.key_pem));
    free(enrolment.key_pem);
    free(enrolment.certificate_pem);
    free(enrolment.ca_pem);
    return status;
}
